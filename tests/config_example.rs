//! The shipped example, what `init` writes and what `config show` prints are all configurations, and the right ones.

use std::path::Path;
use std::time::Duration;

use tillstick::config::{
    Accept, Answers, Config, Mode, QuiesceConfig, Schedule, SourceConfig, SourceKind, SqliteConfig, StickPath, example,
    format_time, parse_str, questions, show, write_config,
};
use tillstick::lang::Lang;

/// The least that is a configuration.
const LEAST: &str = "customer = \"004711\"\nbox = \"kasse-1\"\ntime_zone = \"Europe/Berlin\"\n\
                     [sources.kasse]\ntype = \"sqlite\"\npath = \"/db/kasse.db\"\n";

#[test]
fn the_least_configuration_has_every_default_and_keeps_leading_zeros() {
    let config = parse_str("t", LEAST).unwrap();
    assert_eq!(config.customer.as_str(), "004711");
    assert_eq!(config, example_with(|text| text.replace("104711", "004711").replace("/var/lib/till/", "/db/")));
    assert_eq!(config.mode, Mode::OffSite);
    assert_eq!(config.sticks.accept, Accept::First);
    assert_eq!(config.sticks.path, StickPath::Auto);
}

fn example_with(change: impl Fn(&str) -> String) -> Config {
    parse_str("example.toml", &change(example())).expect("a changed example that is right")
}

#[test]
fn the_shipped_example_equals_the_defaults() {
    let kind = SourceKind::Sqlite(SqliteConfig::new("/var/lib/till/kasse.db".into()));
    let sources = [("kasse".parse().unwrap(), SourceConfig { kind, quiesce: QuiesceConfig::default() })].into();
    let defaults = Config::new("104711".parse().unwrap(), "kasse-1".parse().unwrap(), "Europe/Berlin".into(), sources);
    assert_eq!(parse_str("example.toml", example()).unwrap(), defaults);
}

#[test]
fn the_shipped_example_names_every_key_that_is_shown() {
    let key = |line: &str| line.split_once(" = ").map(|(key, _)| key.to_owned());
    for shown in show(&example_with(str::to_owned)).lines().filter_map(key) {
        assert!(example().lines().any(|line| line.starts_with(&format!("{shown} ="))), "{shown}");
    }
}

#[test]
fn the_commented_lines_of_the_example_are_right_once_uncommented() {
    let config = example_with(|text| {
        let mut out = String::new();
        for line in text.lines() {
            let code = line.strip_prefix("# ").filter(|rest| rest.contains(" = ") || rest.starts_with("[s"));
            let code = code.filter(|rest| !rest.starts_with(|c: char| c.is_uppercase()));
            out += match code {
                Some(code) => code,
                None if line.starts_with("at = ") => "",
                None => line,
            };
            out.push('\n');
        }
        out
    });
    let web = &config.sources[&"web".parse().unwrap()];
    assert_eq!(web.quiesce.stop_units, ["nginx.service"]);
    assert!(matches!(&web.kind, SourceKind::Files(files) if files.presets.len() == 2 && files.exclude.len() == 2));
    assert_eq!(config.stores[&"nas".parse().unwrap()].retention.keep_last, 10);
    assert!(matches!(config.schedule.rule, Schedule::Every { every, .. } if every == Duration::from_secs(6 * 3600)));
}

#[test]
fn the_default_retention_is_that_of_the_product() {
    let kept = example_with(str::to_owned).retention;
    assert_eq!((kept.within, kept.within_max), (Duration::from_secs(86_400), 20));
    assert_eq!((kept.daily, kept.weekly, kept.monthly), (7, 4, tillstick::policy::retention::ALL));
    let Schedule::At(times) = example_with(str::to_owned).schedule.rule else { panic!("an interval") };
    assert_eq!(times.into_iter().map(format_time).collect::<Vec<_>>(), ["07:00", "21:00"]);
}

#[test]
fn what_is_shown_reads_back_as_the_same_configuration() {
    let text = format!(
        "mode = \"local\"\nlang = \"es\"\n{LEAST}locked_pass = \"0s\"\n[sources.\"büro 2\"]\ntype = \"sqlite\"\npath = '/a \"b\"\\c'\n\
         [sources.web]\ntype = \"files\"\npaths = [\"/a/**/b\"]\npresets = [\"php\"]\nexclude = [\"*.tmp\"]\none_file_system = false\n\
         unreadable = \"fail\"\n[sources.web.quiesce]\nbefore = [[\"a\", \"b c\"], [\"/d\"]]\non_failure = \"warn\"\n[quiesce]\ntimeout = \"5s\"\n\
         [sources.shop]\ntype = \"mariadb\"\ndatabase = \"shop\"\nhost = \"db\"\npassword_file = \"/p\"\nno_snapshot = \"refuse\"\n\
         [sources.books]\ntype = \"postgresql\"\ndatabase = \"books\"\nport = 5433\nprograms = \"/b\"\n\
         [dump]\nthreads = 3\n[primary]\nmin_free = \"1GiB\"\nspool = \"one\"\n[sticks]\npath = \"/media/x\"\nkeep = 9\npart_size = \"2GB\"\n\
         [sticks.tse]\nserials = [\"A\"]\npositions = [\"1-1.2\"]\n[stores.nas]\ntype = \"directory\"\npath = \"/mnt\"\n\
         enabled = false\n[stores.nas.retention]\nkeep_last = \"all\"\n[schedule]\nevery = \"90m\"\norigin = \"03:30\"\n\
         [feedback]\nled = \"none\"\nbeeper = \"event3\"\nquiet_hours = \"22:00-06:00\"\n[log]\nlevel = \"debug\"\ntarget = \"/l\"\n"
    );
    let config = parse_str("t", &text).unwrap();
    let shown = show(&config);
    assert_eq!(parse_str("shown", &shown).unwrap(), config, "{shown}");
    assert!(shown.starts_with("customer = \"004711\"\nbox = \"kasse-1\"\nlang = \"es\"\n"), "{shown}");
    assert!(shown.contains("\nmode = \"X\"\n"), "{shown}");
}

#[test]
fn what_init_writes_reads_without_problems_in_every_language() {
    for lang in [Lang::De, Lang::En, Lang::Es] {
        let mut answers = Answers::suggested(lang);
        for question in questions(lang) {
            let answer = if question.key == "customer" { " 004711 " } else { &question.default };
            *(question.field)(&mut answers) = (question.check)(answer).unwrap();
            assert!((question.check)("\0").is_err(), "{}", question.key);
        }
        let text = write_config(&answers).unwrap();
        let config = parse_str("t", &text).unwrap();
        assert_eq!((config.customer.as_str(), config.lang), ("004711", lang));
        assert_eq!(text.lines().count(), example().lines().count(), "the comments stay");
    }
}

#[test]
fn init_fills_in_every_answer_whatever_it_holds_or_says_what_is_wrong() {
    let mut answers = Answers {
        customer: "00'1".into(),
        box_name: "b 2".into(),
        lang: "es".into(),
        time_zone: "America/Mexico_City".into(),
        mode: "X".into(),
        source_name: "caja.1".into(),
        source_path: "/d/a \"b\"\\c.db".into(),
        primary_dir: "/p\nq".into(),
    };
    let config = parse_str("t", &write_config(&answers).unwrap()).unwrap();
    assert_eq!((config.customer.as_str(), config.box_name.as_str()), ("00'1", "b 2"));
    assert_eq!((config.mode, config.primary.dir.to_str()), (Mode::Local, Some("/p\nq")));
    let SourceKind::Sqlite(sqlite) = &config.sources[&"caja.1".parse().unwrap()].kind else { panic!("no database") };
    assert_eq!(sqlite.path, Path::new("/d/a \"b\"\\c.db"));

    answers.primary_dir = "/d".into();
    assert!(write_config(&answers).unwrap_err().to_string().contains("primary.dir: \"/d\" holds sources"));
}
