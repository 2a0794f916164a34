//! Configurations: every mistake has its file, and a line that exists unless the key stands nowhere; what is accepted
//! can be shown and reads back the same.

use std::path::Path;

use super::{Dice, mutate, scratch};
use tillstick::config::{Problems, load, parse_str, show};

/// What lies between the main file and those of `conf.d`, in an input.
pub const JOINT: &str = "\n#----\n";

pub(super) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let files: Vec<&str> = text.split(JOINT).collect();
    match parse_str("tillstick.toml", files[0]) {
        Err(problems) => have_places(&problems, |_| Some(files[0].as_bytes().to_vec())),
        Ok(config) => {
            let shown = show(&config);
            assert_eq!(parse_str("shown", &shown).as_ref(), Ok(&config), "it reads back the same:\n{shown}");
        }
    }
    let whole = files.len() == 1 && std::str::from_utf8(data).is_ok();
    if !whole {
        from_disk(data);
    }
}

/// The same from files, whose bytes need not be text.
fn from_disk(data: &[u8]) {
    let dir = scratch();
    let main = dir.path().join("tillstick.toml");
    std::fs::create_dir(dir.path().join("conf.d")).unwrap();
    let mut rest = Some(data);
    for number in 0.. {
        let Some(bytes) = rest else { break };
        let cut = bytes.windows(JOINT.len()).position(|window| window == JOINT.as_bytes());
        let file = &bytes[..cut.unwrap_or(bytes.len())];
        rest = cut.map(|cut| &bytes[cut + JOINT.len()..]);
        let path = if number == 0 { main.clone() } else { dir.path().join(format!("conf.d/{number:03}.toml")) };
        std::fs::write(path, file).unwrap();
    }
    match load(&main) {
        Err(problems) => have_places(&problems, |path| std::fs::read(path).ok()),
        Ok(loaded) => {
            assert_eq!(loaded.files.first(), Some(&main));
            let shown = show(&loaded.config);
            assert_eq!(parse_str("shown", &shown).as_ref(), Ok(&loaded.config), "it reads back the same:\n{shown}");
        }
    }
}

fn have_places(problems: &Problems, content: impl Fn(&Path) -> Option<Vec<u8>>) {
    for problem in problems {
        let content = content(&problem.file);
        let content = content.unwrap_or_else(|| panic!("{problem:?} names a file that is not there"));
        match problem.line {
            Some(line) => {
                let lines = content.iter().filter(|byte| **byte == b'\n').count() + 1;
                assert!((1..=lines).contains(&line), "{problem:?} has no line in {lines}");
            }
            None => {
                let nowhere = problem.message.contains("stands in no file")
                    || problem.message.contains("more problems")
                    || problem.message.contains("conf.d")
                    || problem.message.contains("longer than");
                // A default that clashes with what is configured stands nowhere either.
                assert!(nowhere || !problem.key.is_empty(), "{problem:?} has no line");
            }
        }
        assert!(!problem.message.is_empty() && !problem.message.contains('\n'), "{problem:?}");
        assert!(!problem.key.contains('\n'), "{problem:?}");
        assert!(problem.hint.as_ref().is_none_or(|hint| !hint.contains('\n')), "{problem:?}");
    }
}

const WORDS: &[&str] = &[
    "customer",
    "box",
    "lang",
    "time_zone",
    "mode",
    "state",
    "sources",
    "type",
    "path",
    "dump",
    "level",
    "threads",
    "primary",
    "dir",
    "spool",
    "sticks",
    "accept",
    "after",
    "tse",
    "serials",
    "positions",
    "stores",
    "enabled",
    "schedule",
    "at",
    "every",
    "retention",
    "keep_last",
    "keep_within",
    "feedback",
    "quiet",
    "log",
    "target",
    "\"sqlite\"",
    "\"directory\"",
    "\"D\"",
    "\"first\"",
    "\"one\"",
    "\"07:00\"",
    "\"Europe/Berlin\"",
    "\"2 GiB\"",
    "\"31d\"",
    " = ",
    "[",
    "]",
    "[[",
    "\"",
    "'",
    "\"\"\"",
    "'''",
    "\\u0000",
    "\\u202e",
    "\\",
    ".",
    ",",
    "{",
    "}",
    "#",
    "\n",
    "\r\n",
    "\u{feff}",
    "true",
    "0x10",
    "1e5",
    "nan",
    "9223372036854775808",
    "-1",
    "0",
    "1979-05-27",
    "07:32:00",
    JOINT,
    "/",
    "..",
    "\u{e4}",
    "kasse",
];

pub(super) fn mutate(data: &mut Vec<u8>, dice: &mut Dice) {
    mutate::text(data, WORDS, dice);
}
