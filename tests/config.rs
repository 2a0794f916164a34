//! What `tillstick.toml` may say, and what a person is told who gets it wrong.

mod proof;

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tillstick::config::{DirectoryConfig, Problems, Schedule, StoreKind, example, load, parse_str};
use tillstick::error::{Error, Kind};
use tillstick::lang::Lang;

/// The least that is a configuration; line 1 to 6.
const LEAST: &str = "customer = \"004711\"\nbox = \"kasse-1\"\ntime_zone = \"Europe/Berlin\"\n\
                     [sources.kasse]\ntype = \"sqlite\"\npath = \"/db/kasse.db\"\n";

fn lines(problems: &Problems) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// Asserts that `text` has exactly the problems whose beginning is `expected`, in this order.
fn assert_problems(text: &str, expected: &[&str]) {
    let found = parse_str("t", text).map_err(|problems| lines(&problems)).err().unwrap_or_default();
    let fits =
        found.len() == expected.len() && found.iter().zip(expected).all(|(found, start)| found.starts_with(start));
    assert!(fits, "{text}\nfound    {found:#?}\nexpected {expected:#?}");
}

/// What is added below the least configuration, and the one problem it makes.
const MISTAKES: &[(&str, &str)] = &[
    // Unknown keys, with the nearest known one.
    ("lock_weit = \"5s\"", "t:7: sources.kasse.lock_weit: unknown key\n help: did you mean `lock_wait`?"),
    ("[dump]\nlevle = 3", "t:8: dump.levle: unknown key\n help: did you mean `level`?"),
    ("[primery]", "t:7: primery: unknown key\n help: did you mean `primary`?"),
    ("[sticks.tse]\nserial = []", "t:8: sticks.tse.serial: unknown key\n help: did you mean `serials`?"),
    ("[log]\ncolour = 1", "t:8: log.colour: unknown key\n help: known here: level, target"),
    ("[dump]\n\"le\\nvel\" = 1", "t:8: dump.\"le\\nvel\": unknown key\n help: did you mean `level`?"),
    // Wrong types.
    ("[primary]\ndir = 5", "t:8: primary.dir: expected a path, found the number 5"),
    (
        "[primary]\nmin_free = 200",
        "t:8: primary.min_free: expected a size, found the number 200\n help: write it like \"200MB\"",
    ),
    (
        "lock_wait = 5",
        "t:7: sources.kasse.lock_wait: expected a duration, found the number 5\n help: write it like \"5s\"",
    ),
    ("[dump]\nlevel = \"5\"", "t:8: dump.level: expected a whole number from 1 to 8, found \"5\""),
    ("[dump]\nlevel = 2.5", "t:8: dump.level: expected a whole number from 1 to 8, found a number with a fraction"),
    ("[schedule]\nenabled = \"yes\"", "t:8: schedule.enabled: expected true or false, found \"yes\""),
    ("[schedule]\nat = \"07:00\"", "t:8: schedule.at: expected a list, found \"07:00\""),
    ("[schedule]\nat = [07:00]", "t:8: schedule.at: expected a time of day, found a time without quotes"),
    ("[stores]\nnas = \"/mnt\"", "t:8: stores.nas: expected a table, found \"/mnt\"\n help: write [stores.<name>]"),
    ("[[dump]]\nlevel = 5", "t:7: dump: expected a table, found a list\n help: write [dump]"),
    // Impossible values.
    ("[dump]\nlevel = 9", "t:8: dump.level: 9 is not from 1 to 8"),
    ("[dump]\nlevel = -1", "t:8: dump.level: -1 is not from 1 to 8"),
    ("[dump]\nlevel = 99999999999999999999", "t:8: dump.level: expected a whole number from 1 to 8, found a number"),
    ("[dump]\nthreads = 0", "t:8: dump.threads: 0 is not from 1 to 64\n help: \"auto\""),
    ("[primary]\nmin_free = \"-1MB\"", "t:8: primary.min_free: expected a size, found \"-1MB\": not a whole number"),
    (
        "[primary]\ndir = \"backups\"",
        "t:8: primary.dir: expected a path, found \"backups\": it does not begin at the root",
    ),
    ("[primary]\ndir = \"/a/../b\"", "t:8: primary.dir: expected a path, found \"/a/../b\": it goes up with `..`"),
    ("[primary]\nspool = \"two\"", "t:8: primary.spool: expected one of \"all\", \"one\", found \"two\""),
    (
        "[sticks]\naccept = \"frist\"",
        "t:8: sticks.accept: expected one of \"first\", \"enrolled\", \"any\", found \"frist\"\n help: did you mean",
    ),
    ("[sticks]\nkeep = 0", "t:8: sticks.keep: 0 is not from 1 to 1000"),
    (
        "[sticks]\npart_size = \"5GB\"",
        "t:8: sticks.part_size: expected a size, found \"5GB\": it is not from 100kB to 4GB",
    ),
    ("[sticks]\npath = \"usb0\"", "t:8: sticks.path: expected \"auto\" or a path, found \"usb0\""),
    ("[sticks.tse]\nserials = [\"\"]", "t:8: sticks.tse.serials: expected a serial number, found \"\": it is empty"),
    ("[sticks.tse]\npositions = [\"usb1\"]", "t:8: sticks.tse.positions: expected a USB port, found \"usb1\""),
    (
        "[schedule]\nat = [\"07:00\", \"25:00\"]",
        "t:8: schedule.at: expected a time of day, found \"25:00\": not a time from 00:00 to 23:59",
    ),
    ("[schedule]\nat = [\n\"07:00\",\n\"7:30\"]", "t:10: schedule.at: expected a time of day, found \"7:30\""),
    (
        "[schedule]\nat = []",
        "t:8: schedule.at: names no time\n help: for no backups by themselves write enabled = false",
    ),
    ("[schedule]\nat = [\"07:00\", \"07:00\"]", "t:8: schedule.at: names 07:00 twice"),
    ("[schedule]\nat = [\"07:00\"]\nevery = \"1h\"", "t:9: schedule.every: stands beside `at`"),
    ("[schedule]\norigin = \"01:00\"", "t:8: schedule.origin: has no meaning without `every`"),
    ("[schedule]\nevery = \"1s\"", "t:8: schedule.every: expected a duration, found \"1s\": not from 1m to 7d"),
    ("[retention]\nwithin = \"0s\"\ndaily = 0\nweekly = 0\nmonthly = 0", "t:7: retention: keeps nothing"),
    (
        "[retention]\nmonthly = -1",
        "t:8: retention.monthly: -1 is not from 0 to 100000\n help: \"all\" means without end",
    ),
    (
        "[feedback]\nled = \"/sys/class/leds/x\"",
        "t:8: feedback.led: expected a device, found \"/sys/class/leds/x\": it is a name",
    ),
    ("[feedback]\nquiet_hours = \"22-06\"", "t:8: feedback.quiet_hours: expected hours, found \"22-06\""),
    ("[log]\nlevel = \"verbose\"", "t:8: log.level: expected one of"),
    // Sources and stores.
    (
        "[sources.b]",
        "t:7: sources.b.type: is required, but stands in no file\n help: write in [sources.b]: type = \"sqlite\"",
    ),
    ("[sources.b]\ntype = \"sqlite\"", "t:7: sources.b.path: is required"),
    ("[sources.b]\ntype = \"files\"", "t:7: sources.b: names nothing to back up"),
    (
        "[sources.b]\ntype = \"files\"\npaths = [\"/ok\", \"etc\"]",
        "t:9: sources.b.paths: expected a path, found \"etc\": it does not begin at the root `/`",
    ),
    (
        "[sources.b]\ntype = \"files\"\npresets = [\"ngnix\"]",
        "t:9: sources.b.presets: expected one of \"apache\", \"nginx\"",
    ),
    (
        "[sources.b]\ntype = \"files\"\npaths = [\"/a\"]\nexclude = [\"a[b\"]",
        "t:10: sources.b.exclude: expected a name or path to leave out, found \"a[b\": a `[` has no `]`",
    ),
    ("[quiesce]\nbefore = [[]]", "t:8: quiesce.before: names no program"),
    ("[quiesce]\nbefore = [\"nginx stop\"]", "t:8: quiesce.before: expected a list, found \"nginx stop\""),
    ("[quiesce]\nstop_units = [\"--now\"]", "t:8: quiesce.stop_units: expected a unit of systemd, found \"--now\""),
    ("[sources.b]\ntype = \"mariadb\"\ndatabase = \"a`b\"", "t:9: sources.b.database: expected a database's name"),
    (
        "[sources.b]\ntype = \"postgresql\"\ndatabase = \"b\"\nhost = \"h\"\nsocket = \"/s\"",
        "t:10: sources.b.host: the server is either",
    ),
    (
        "[sources.\"a/b\"]\ntype = \"sqlite\"\npath = \"/x\"",
        "t:7: sources.\"a/b\": \"a/b\" cannot be part of a file name: '/'",
    ),
    (
        "[stores.off]\ntype = \"ftp\"\nhost = \"ab\"\nuser = \"u\"\npassword_file = \"/p\"\ntls = \"no\"",
        "t:12: stores.off.tls: expected one of \"explicit\", \"implicit\", \"none\", found \"no\"",
    ),
    (
        "[stores.off]\ntype = \"sftp\"\nhost = \"a\"\nuser = \"u\"\nhost_key = \"x\"\nkey_file = \"/k\"",
        "t:11: stores.off.host_key",
    ),
    (
        "[stores.off]\ntype = \"tape\"\nx = 1",
        "t:8: stores.off.type: expected one of \"directory\", \"ftp\", \"sftp\", \"s3\", found \"tape\"",
    ),
    // Across keys.
    (
        "[sources.Kasse]\ntype = \"sqlite\"\npath = \"/x\"",
        "t:7: sources.Kasse: its file \"004711_Kasse.sql.gz\" would overwrite that of the source \"kasse\"",
    ),
    (
        "[sources.kasse_kasse-1]\ntype = \"sqlite\"\npath = \"/x\"",
        "t:7: sources.kasse_kasse-1: its file \"004711_kasse_kasse-1.sql.gz\" would overwrite",
    ),
    (
        "[sources.b]\ntype = \"sqlite\"\npath = \"/db//kasse.db\"",
        "t:9: sources.b.path: \"/db//kasse.db\" is the same path as sources.kasse.path",
    ),
    (
        "[primary]\ndir = \"/db/kasse.db/backups\"",
        "t:8: primary.dir: \"/db/kasse.db/backups\" lies inside sources.kasse.path",
    ),
    ("[primary]\ndir = \"/db\"", "t:8: primary.dir: \"/db\" holds sources.kasse.path (\"/db/kasse.db\")"),
    (
        "[stores.b]\ntype = \"directory\"\npath = \"/var/lib/tillstick/backups\"",
        "t:9: stores.b.path: \"/var/lib/tillstick/backups\" is the same path as primary.dir",
    ),
    (
        "[stores.b]\ntype = \"directory\"\npath = \"/var/lib/tillstick\"",
        "t:9: stores.b.path: \"/var/lib/tillstick\" holds primary.dir",
    ),
    (
        "[stores.b]\ntype = \"directory\"\npath = \"/s/b\"\n[stores.c]\ntype = \"directory\"\npath = \"/s\"",
        "t:12: stores.c.path: \"/s\" holds stores.b.path",
    ),
    // No TOML.
    ("[dump]\nlevel = ", "t:8: dump.level:"),
    ("lock_wait = \"5s", "t:7: invalid basic string"),
    ("[dump\nlevel = 5", "t:7: unclosed table"),
    ("path = \"/x\"", "t:7: duplicate key"),
];

#[test]
fn each_mistake_is_told_with_its_line_key_and_remedy() {
    for (added, expected) in MISTAKES {
        assert_problems(&format!("{LEAST}{added}\n"), &[expected]);
    }
}

#[test]
fn a_customer_number_is_text_that_can_stand_in_a_file_name() {
    let with = |customer: &str| LEAST.replace("\"004711\"", customer);
    let in_quotes = " help: write it in quotes: a number would lose its leading zeros";
    for (customer, expected) in [
        ("104711", "t:1: customer: expected text in quotes, found the number 104711\n help: write it in quotes"),
        ("004711", "t:1: customer: unexpected leading zero"),
        ("\"a/b\"", "t:1: customer: \"a/b\" cannot be part of a file name: '/' is not allowed"),
        ("\"\"", "t:1: customer: \"\" cannot be part of a file name: it is empty"),
        ("\"NUL\"", "t:1: customer: \"NUL\" cannot be part of a file name: Windows keeps"),
    ] {
        assert_problems(&with(customer), &[expected]);
    }
    for number in ["104711", "004711"] {
        let problems = parse_str("t", &with(number)).unwrap_err().to_string();
        assert!(problems.contains(in_quotes), "{problems}");
    }
}

#[test]
fn an_unknown_time_zone_is_a_mistake_and_a_known_one_gets_its_proper_name() {
    let zone = |name: &str| LEAST.replace("Europe/Berlin", name);
    for wrong in ["Europe/Berln", "", "Etc/Unknown", "../../etc/passwd", "CET-1CEST"] {
        assert_problems(&zone(wrong), &["t:3: time_zone: expected a time zone, found"]);
    }
    let config = parse_str("t", &zone("america/mexico_city")).unwrap();
    assert_eq!(config.time_zone, "America/Mexico_City");
    assert_eq!(config.zone().unwrap().iana_name(), Some("America/Mexico_City"));
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once_and_in_order() {
    assert_problems(
        "customer = 5\nboks = \"a\"\nlang = \"fr\"\ntime_zone = \"Mars/Base\"\n\
         [sources.a]\ntype = \"sqlite\"\n[dump]\nlevel = 11\nthreads = true\n[log]\nlevel = 3\n",
        &[
            "t: box: is required, but stands in no file",
            "t:1: customer: expected text",
            "t:2: boks: unknown key",
            "t:3: lang: expected one of",
            "t:4: time_zone: expected a time zone",
            "t:5: sources.a.path: is required",
            "t:8: dump.level: 11 is not",
            "t:9: dump.threads: expected a whole number",
            "t:11: log.level: expected one of",
        ],
    );
    assert_problems("", &["t: box:", "t: customer:", "t: sources:", "t: time_zone:"]);
}

#[test]
fn a_line_that_is_no_toml_hides_no_other_mistake_and_invents_none() {
    let text = LEAST.replace("\"004711\"", "004711").replace("\"/db/kasse.db\"", "/db/kasse.db");
    assert_problems(
        &format!("{text}lock_wiat = \"5s\"\n"),
        &[
            "t:1: customer: unexpected leading zero",
            "t:6: string values must be quoted",
            "t:7: sources.kasse.lock_wiat: unknown key",
        ],
    );
    // What follows an open bracket cannot be judged; what precedes it can.
    assert_problems(
        &format!("{}[schedule]\nat = [\"07:00\"\n[dump]\nlevel = 9\n", LEAST.replace("box", "boks")),
        &["t:2: boks: unknown key", "t:9: missing comma"],
    );
}

#[test]
fn a_flood_of_mistakes_is_cut_short_and_takes_no_time() {
    let flood: String = (0..60_000).map(|n| format!("k{n} = 1\n")).collect();
    let problems = parse_str("t", &format!("{flood}{LEAST}")).unwrap_err();
    assert_eq!(problems.len(), 201);
    assert!(problems.to_string().ends_with("\nt: and 59800 more problems"));
    let many: String = (0..101).map(|n| format!("[stores.s{n}]\ntype = \"directory\"\npath = \"/s/{n}\"\n")).collect();
    assert_problems(&format!("{LEAST}{many}"), &["t:7: stores: has 101 entries, and 100 are allowed"]);
    let long = format!("/{}", "x".repeat(5_000));
    assert_problems(&LEAST.replace("/db/kasse.db", &long), &["t:6: sources.kasse.path: expected a path, found \"/xxx"]);
}

fn write(dir: &Path, name: &str, text: impl AsRef<[u8]>) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().expect("inside `dir`")).expect("make the folder");
    fs::write(path, text).expect("write the file");
}

#[test]
fn conf_d_overrides_keys_joins_tables_and_problems_name_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let main = dir.path().join("tillstick.toml");
    let image = "time_zone = \"Europe/Berlin\"\nlang = \"de\"\n[sources.kasse]\ntype = \"sqlite\"\n\
                 path = \"/db/kasse.db\"\n[schedule]\nat = [\"07:00\"]\n[dump]\nlevel = 3\n";
    write(dir.path(), "tillstick.toml", image);
    write(
        dir.path(),
        "conf.d/10-customer.toml",
        "customer = \"004711\"\nbox = \"a\"\n[dump]\nthreads = 2\nlevel = 4\n",
    );
    write(
        dir.path(),
        "conf.d/20-shop.toml",
        "box = \"b\"\n[schedule]\nevery = \"6h\"\n[stores.nas]\ntype = \"directory\"\npath = \"/mnt/nas\"\n",
    );
    write(dir.path(), "conf.d/.30-hidden.toml", "nonsense");
    write(dir.path(), "conf.d/40-old.toml.bak", "nonsense");

    let loaded = load(&main).unwrap();
    let config = loaded.config;
    assert_eq!((config.customer.as_str(), config.box_name.as_str()), ("004711", "b"));
    assert_eq!((config.dump.level, config.dump.threads.map(Into::into)), (4, Some(2_u32)));
    assert_eq!((config.lang, config.sources.len()), (Lang::De, 1));
    assert!(matches!(config.schedule.rule, Schedule::Every { .. }), "the later file decides: {:?}", config.schedule);
    let StoreKind::Directory(DirectoryConfig { path }) = &config.stores[&"nas".parse().unwrap()].kind else {
        panic!("a folder")
    };
    assert_eq!(path, Path::new("/mnt/nas"));
    let names: Vec<_> = loaded.files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["tillstick.toml", "10-customer.toml", "20-shop.toml"]);

    write(dir.path(), "conf.d/30.toml", "\n[dump]\nlevel = 12\n[sources.KASSE]\ntype = \"sqlite\"\npath = \"/x\"\n");
    write(dir.path(), "conf.d/31.toml", "lang = 1\n");
    let problems = load(&main).unwrap_err();
    let told: Vec<_> = problems
        .iter()
        .map(|p| format!("{}:{:?} {}", p.file.file_name().unwrap().to_str().unwrap(), p.line, p.key))
        .collect();
    assert_eq!(told, ["30.toml:Some(3) dump.level", "30.toml:Some(4) sources.KASSE", "31.toml:Some(1) lang"]);
}

#[test]
fn a_file_that_cannot_be_used_is_named_and_no_key_is_called_missing_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let main = dir.path().join("tillstick.toml");
    let told = || load(&main).unwrap_err().to_string();
    assert!(told().contains("tillstick.toml: is not there\n help: `tillstick init`"), "{}", told());

    write(dir.path(), "tillstick.toml", b"customer = \"1\"\nbox = \"\xff\"\n");
    assert!(told().ends_with("tillstick.toml:2: is not UTF-8 text\n help: save the file as UTF-8"), "{}", told());

    write(dir.path(), "tillstick.toml", vec![b'#'; (1 << 20) + 1]);
    assert!(told().ends_with("tillstick.toml: is longer than 1048576 bytes"), "{}", told());

    write(dir.path(), "tillstick.toml", LEAST);
    fs::create_dir_all(dir.path().join("conf.d/x.toml")).unwrap();
    assert!(told().ends_with("conf.d/x.toml: is not a file"), "{}", told());
    fs::remove_dir(dir.path().join("conf.d/x.toml")).unwrap();
    nix::unistd::mkfifo(&dir.path().join("conf.d/pipe.toml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(told().ends_with("conf.d/pipe.toml: is not a file"), "{}", told());
}

#[test]
fn problems_become_one_error_that_tells_them_all() {
    let error: Error = parse_str("t", &LEAST.replace("Europe", "Mars").replace("box", "boks")).unwrap_err().into();
    assert_eq!(error.kind(), Kind::Config);
    let report = error.report();
    assert!(report.starts_with("the configuration has 3 problems; nothing was started\nt: box:"), "{report}");
    assert!(report.contains("\nt:2: boks:") && report.contains("\nt:3: time_zone:"), "{report}");
}

/// The nearest place at or before `at` at which `text` can be cut.
fn floor(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: proof::cases(2_000, 20_000), failure_persistence: None, ..ProptestConfig::default() })]

    /// A damaged file gives a configuration or problems; a problem names a line that exists, and one line of text.
    #[test]
    fn no_text_makes_the_reader_panic(
        cuts in proptest::collection::vec((0.0..1.0_f64, 0..12_usize, "[ -~\\n\u{e4}\u{202e}]{0,4}"), 0..6),
        noise in "\\PC{0,40}",
        alone: bool,
    ) {
        let mut text = if alone { String::new() } else { example().to_owned() };
        for (at, length, with) in cuts {
            let at = floor(&text, (at * text.len() as f64) as usize);
            let end = floor(&text, (at + length).min(text.len())).max(at);
            text.replace_range(at..end, &with);
        }
        text += &noise;
        if let Err(problems) = parse_str("t", &text) {
            for problem in &problems {
                prop_assert!(problem.line.is_none_or(|line| (1..=text.lines().count() + 1).contains(&line)), "{problem}");
                prop_assert!(!problem.message.contains('\n') && !problem.key.contains('\n'), "{problem:?}");
            }
        }
    }

    #[test]
    fn no_bytes_in_a_file_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "tillstick.toml", &bytes);
        prop_assert!(load(&dir.path().join("tillstick.toml")).is_err());
    }
}
