//! A first configuration, completions and the manual page.

use crate::kit::{Box, ran, scratch, tillstick, tool, tool_command};

#[test]
fn answers_on_the_command_line_make_a_configuration_that_works() {
    let site = Box::new();
    let path = |name: &str| site.path(name).to_str().unwrap().to_owned();
    let sets = [
        "customer=000815".to_owned(),
        "time_zone=Europe/Berlin".to_owned(),
        "source=kasse".to_owned(),
        format!("path={}", path("kasse.db")),
        format!("primary.dir={}", path("backups")),
    ];
    let config = path("etc/new.toml");
    let mut args = vec!["init", "--yes", "-o", &config];
    args.extend(sets.iter().flat_map(|set| ["--set", set]));
    ran(tillstick(&args)).exits(0);
    let check = ran(tillstick(&["config", "check", "--config", &config])).exits(0);
    assert!(check.out.contains("000815"), "{}", check.out);
    ran(tillstick(&args)).exits(2).says(&["new.toml", "--force"]);
    args.push("--force");
    ran(tillstick(&args)).exits(0);
}

#[test]
fn a_question_that_nobody_answers_exits_2_and_is_named() {
    let dir = scratch();
    let config = dir.path().join("new.toml");
    let to = config.to_str().unwrap();
    ran(tillstick(&["init", "-o", to])).exits(2).says(&["customer", "--set customer=", "--yes"]);
    ran(tillstick(&["init", "-o", to, "--set", "customer=1"])).exits(2).says(&["box", "--set box="]);
    ran(tillstick(&["init", "--yes", "-o", to, "--set", "customer=a/b"])).exits(2).says(&["a/b", "customer"]);
    ran(tillstick(&["init", "--yes", "-o", to, "--set", "customer=1", "--set", "colour=red"]))
        .exits(2)
        .says(&["colour"]);
    assert!(!config.exists());
}

#[test]
fn completions_and_the_manual_page_are_made() {
    let dir = scratch();
    for shell in ["bash", "zsh", "fish"] {
        let text = ran(tillstick(&["completions", shell])).exits(0).out;
        assert!(text.contains("tillstick") && text.contains("plain-folder"), "{shell}");
        let file = dir.path().join(shell);
        std::fs::write(&file, text).unwrap();
        if tool_command(shell, &["-c", "true"]).status().is_ok_and(|status| status.success()) {
            tool(shell, &["-n", file.to_str().unwrap()]);
        }
    }
    let page = ran(tillstick(&["man"])).exits(0).out;
    assert!(page.starts_with(".ie") || page.contains(".TH tillstick"), "{page}");
    assert!(page.contains("TILLSTICK BACKUP"));
}
