//! Backups that nobody asks for.

use crate::kit::Box;
use crate::running::{Agent, BY_HAND, comes, configure};

#[test]
fn a_missed_run_is_made_at_the_start_and_not_again_after_a_restart() {
    let site = Box::new();
    configure(&site, "");
    let agent = Agent::start(&site);
    assert!(comes(|| site.run(&["list", "--json"]).json().as_array().unwrap().len() == 1), "{}", agent.log(&site));
    assert!(comes(|| agent.log(&site).contains("is made")));
    drop(agent);
    let agent = Agent::start(&site);
    // What is asked for comes after what is due, so by then it would have been made.
    site.run(&["backup"]).exits(0);
    assert_eq!(site.ids().len(), 2, "{}", agent.log(&site));
}

#[test]
fn the_next_five_runs_are_shown() {
    let site = Box::new();
    configure(&site, "");
    let due = site.run(&["schedule"]).exits(0).out;
    assert_eq!(due.lines().count(), 5);
    assert!(due.lines().all(|line| line.ends_with("07:00") || line.ends_with("21:00")), "{due}");
    assert_eq!(site.run(&["schedule", "--json"]).exits(0).json().as_array().unwrap().len(), 5);
    configure(&site, BY_HAND);
    assert!(site.run(&["schedule"]).exits(0).out.contains("only when"));
}

#[test]
fn an_idle_agent_sleeps() {
    let site = Box::new();
    configure(&site, BY_HAND);
    let agent = Agent::start(&site);
    site.run(&["status"]).exits(0);
    let wakeups = || -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", agent.pid())).unwrap().flatten();
        let status = tasks.map(|task| std::fs::read_to_string(task.path().join("status")).unwrap());
        status.map(|text| text.lines().find(|line| line.starts_with("voluntary")).unwrap().to_owned()).collect()
    };
    // The thread that answered ends and the loop goes to sleep; from then on nothing changes.
    let mut last = Vec::new();
    let still = comes(|| {
        std::thread::sleep(std::time::Duration::from_millis(500));
        let before = std::mem::replace(&mut last, wakeups());
        before == last
    });
    assert!(still, "{last:?}");
}
