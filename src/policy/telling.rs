//! When what runs had to say is told to others.

use jiff::{SignedDuration, Timestamp};

/// How long is waited after the last time, and after a run that failed.
const USUAL: SignedDuration = SignedDuration::from_mins(10);
const FAILED: SignedDuration = SignedDuration::from_mins(1);

/// Whether it is told now, when it was last tried `last`, after a run that `failed`. What is not told now is told after a later run.
pub fn is_due(now: Timestamp, last: Option<Timestamp>, failed: bool) -> bool {
    let Some(last) = last else { return true };
    let since = now.duration_since(last);
    // A time to come is that of a clock that was wrong.
    since < SignedDuration::ZERO || since >= if failed { FAILED } else { USUAL }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_soon_and_the_rest_now_and_then() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let ago = |seconds| Some(now - SignedDuration::from_secs(seconds));
        for (last, failed, due) in [
            (None, false, true),
            (ago(599), false, false),
            (ago(600), false, true),
            (ago(59), true, false),
            (ago(60), true, true),
            (ago(-5), false, true),
        ] {
            assert_eq!(is_due(now, last, failed), due, "{last:?} {failed}");
        }
    }
}
