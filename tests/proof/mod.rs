//! How many cases a proof tries: few beside a change, all of them where TILLSTICK_PROOF=full (`make test-proofs`).
//!
//! `tests/proofs.sh` finds the test files that know this by their line `mod proof;`.
#![allow(dead_code, reason = "every test binary uses another part of it")]
#![allow(missing_docs, unreachable_pub, reason = "a module of test binaries")]

const VARIABLE: &str = "TILLSTICK_PROOF";

/// Whether everything is to be tried.
pub fn is_full() -> bool {
    match std::env::var(VARIABLE).as_deref() {
        Err(std::env::VarError::NotPresent) | Ok("") => false,
        Ok("full") => true,
        other => panic!("{VARIABLE} may be `full` or unset, and is {other:?}"),
    }
}

/// `full` cases where everything is to be tried, `quick` ones otherwise.
pub fn cases(quick: u32, full: u32) -> u32 {
    if is_full() { full } else { quick }
}
