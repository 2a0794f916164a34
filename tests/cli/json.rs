//! `--json`: one document on stdout, JSON lines on stderr, whatever the verb and however it ends.

use serde_json::Value;

use crate::kit::{Box, Ran, STICK, Stick};

#[track_caller]
fn lines(ran: &Ran) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    ran.err.lines().map(parse).collect()
}

#[test]
fn every_verb_prints_one_document_and_json_lines() {
    let (site, stick) = (Box::new(), Stick::fat32(STICK));
    let text = |name: &str| site.path(name).to_str().unwrap().to_owned();
    let id = site.backup();
    let (url, dump) = (format!("sqlite:{}", text("kasse.db")), text("x.sql.gz"));
    let verbs: &[&[&str]] = &[
        &["backup", "--stick", stick.text()],
        &["backup"],
        &["list"],
        &["list", "--stick", stick.text()],
        &["check", "--drill"],
        &["check", "--stick", stick.text()],
        &["restore", &id, "--into", &text("a.db")],
        &["restore", &id, "--in-place", "--yes"],
        &["recover", stick.text(), "--into", &text("new"), "--yes"],
        &["prune", "--dry-run"],
        &["prune"],
        &["prune", "--stick", stick.text()],
        &["status"],
        &["stick", "inspect", stick.text()],
        &["config", "check"],
        &["dump", &url, "-o", &dump],
        &["dump", &url, "-o", &text("y.sql.gz"), "--reuse", &dump],
        &["load", &dump, &format!("sqlite:{}", text("b.db"))],
    ];
    for verb in verbs {
        let ran = site.run(&[verb, &["--json"][..]].concat()).exits(0);
        let document = ran.json();
        assert!(document.is_object() || document.is_array(), "{verb:?}: {document}");
        for line in lines(&ran) {
            assert!(line["event"].is_string(), "{verb:?}: {line}");
        }
    }
}

#[test]
fn an_error_is_one_json_line_and_no_document() {
    let site = Box::new();
    let failing: &[(&[&str], i32, &str)] = &[
        (&["check", "20200101T000000Z"], 1, "missing"),
        (&["restore", "20200101T000000Z", "--into", "/x.db"], 1, "missing"),
        (&["backup", "--stick", "/nowhere"], 1, "missing"),
        (&["check", "yesterday"], 2, "usage"),
        (&["load", "/nowhere.sql.gz", "sqlite:/x.db"], 1, "missing"),
    ];
    for (args, code, kind) in failing {
        let ran = site.run(&[args, &["--json"][..]].concat()).exits(*code);
        assert_eq!(ran.out, "", "{args:?}");
        let error = lines(&ran).pop().unwrap();
        assert_eq!(error["kind"], *kind, "{error}");
        assert!(error["error"].is_string() && error["report"].is_string(), "{error}");
    }
}
