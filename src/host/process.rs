//! Whether a process that left its mark is still there: what a run that was killed cannot say itself. And which account a
//! process of ours may be that needs no rights.

use std::fs;

/// The mark of this process: the system's start, the process's number and its start, so that no later process has the
/// same. Empty when the system does not tell.
pub fn mark() -> String {
    mark_of(std::process::id()).unwrap_or_default()
}

/// Whether the process with this mark is there.
pub fn is_alive(mark: &str) -> bool {
    let pid = mark.split(' ').nth(1).and_then(|pid| pid.parse().ok());
    pid.and_then(mark_of).is_some_and(|now| now == mark)
}

/// User and group of the account that may do nothing, when we may do everything.
pub fn nobody_if_root() -> Option<(u32, u32)> {
    /// What Linux gives to whom it does not know.
    const OVERFLOW: u32 = 65_534;
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let known = nix::unistd::User::from_name("nobody").ok().flatten();
    Some(known.map_or((OVERFLOW, OVERFLOW), |user| (user.uid.as_raw(), user.gid.as_raw())))
}

fn mark_of(pid: u32) -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold anything; after it come the state and, as the 20th field, the start.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    // One that has ended stays until its parent has asked for it.
    let state = fields.next().filter(|state| !matches!(*state, "Z" | "X"));
    let start = state.and(fields.nth(18))?;
    Some(format!("{} {pid} {start}", boot.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_alive_until_it_is_not_and_a_later_one_is_another() {
        let own = mark();
        assert!(is_alive(&own));
        let (rest, start) = own.rsplit_once(' ').unwrap();
        let earlier = format!("{rest} {}", start.parse::<u64>().unwrap() - 1);
        assert!(!is_alive(&earlier), "the same number, started at another time");
        assert!(!is_alive(&format!("another-boot{}", &own[own.find(' ').unwrap()..])));
        assert!(!is_alive("") && !is_alive("x y z"));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let state = || fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        while !state().contains(") Z ") {
            std::thread::yield_now();
        }
        assert_eq!(mark_of(child.id()), None, "it has ended, and nobody asked for it yet");
        child.wait().unwrap();
    }
}
