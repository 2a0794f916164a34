//! What `tillstick.toml` may say: the meaning, unit and default of each key. Nothing else reads configuration files.
//!
//! The main file is read first, then `conf.d/*.toml` beside it in the order of their names (a leading dot hides a
//! file): an image brings the main file, each customer's box a small file of its own. Tables are joined key by key; of
//! a key that stands in several files the last one holds, lists included. All mistakes are reported at once, each with
//! its file and line, and a configuration with a mistake is no configuration.
//!
//! ```text
//! files -> read (one tree, every value with its line) -> take (sections ask for their keys) -> check (across keys)
//! ```

mod check;
mod init;
mod problem;
mod read;
mod report;
mod sections;
mod show;
mod take;
mod tree;
mod units;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::tz::{TimeZone, TimeZoneDatabase};

pub use init::{Answers, Question, questions, write_config};
pub use problem::{Problem, Problems};
pub use sections::{
    Accept, Accounts, After, AgentConfig, Automount, Databases, Definers, Device, DirectoryConfig, Drill, DumpConfig,
    FeedbackConfig, FilesConfig, FtpConfig, FtpTls, Key, Layout, LogConfig, LogTarget, Login, MariadbConfig,
    NoSnapshot, OnFailure, PostgresqlConfig, Preset, PrimaryConfig, QuiesceConfig, QuietHours, S3Config, Schedule,
    ScheduleConfig, SecretAt, ServerConfig, SftpConfig, SourceConfig, SourceKind, Spool, SqliteConfig, StickPath,
    SticksConfig, StoreConfig, StoreKind, TseConfig, Unreadable, accounts_name,
};
pub use show::show;
pub use units::{format_duration, format_size, format_time, parse_duration, parse_size, parse_time};

use crate::error::{Error, Kind};
use crate::lang::Lang;
use crate::model::FileName;
use crate::policy::retention::Rules;
use report::Report;
use take::{Section, name, one_of, parsed, path};
use tree::Table;

/// Where the main file is unless the command line says otherwise.
pub const DEFAULT_PATH: &str = "/etc/tillstick/tillstick.toml";

const MODES: [(&str, Mode); 4] =
    [("D", Mode::OffSite), ("X", Mode::Local), ("off-site", Mode::OffSite), ("local", Mode::Local)];

const LANGS: [(&str, Lang); 3] = [("de", Lang::De), ("en", Lang::En), ("es", Lang::Es)];

/// A configuration without mistakes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `customer`: the customer number, the first part of every artifact's name; text, leading zeros stay; required.
    pub customer: FileName,
    /// `box`: what this box is called among the boxes of its customer; required.
    pub box_name: FileName,
    /// `lang`: the language of what a cashier or shop owner reads: `"de"`, `"en"` or `"es"`; `"en"`.
    pub lang: Lang,
    /// `time_zone`: the IANA name of the zone in which the schedule's times are meant (`"Europe/Berlin"`); required.
    ///
    /// There is no default because both candidates fail in silence: images often lack /etc/localtime, so that "07:00"
    /// would become UTC and fall into opening hours; and a fixed zone is wrong in every other country.
    pub time_zone: String,
    /// `mode`: whether copies leave the house; `"D"`.
    pub mode: Mode,
    /// `state`: the folder of what must survive a restart: enrolments, the journal; `"/var/lib/tillstick"`.
    pub state: PathBuf,
    /// `[sources.<name>]`: what is backed up; at least one.
    pub sources: BTreeMap<FileName, SourceConfig>,
    /// `[quiesce]`: what stands still while all sources are backed up.
    pub quiesce: QuiesceConfig,
    /// `[dump]`: how a dump is compressed.
    pub dump: DumpConfig,
    /// `[primary]`: the local folder of backups.
    pub primary: PrimaryConfig,
    /// `[sticks]`: which sticks are written.
    pub sticks: SticksConfig,
    /// `[stores.<name>]`: where further copies go; none.
    pub stores: BTreeMap<FileName, StoreConfig>,
    /// `[schedule]`: when backups are made by themselves.
    pub schedule: ScheduleConfig,
    /// `[retention]`: which backups a clean-up keeps.
    pub retention: Rules,
    /// `[feedback]`: lights and sounds.
    pub feedback: FeedbackConfig,
    /// `[agent]`: how other programs talk to the agent.
    pub agent: AgentConfig,
    /// `[log]`: how much is logged, and where to.
    pub log: LogConfig,
}

/// Whether copies leave the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `"D"` or `"off-site"`: on the stick and off-site.
    OffSite,
    /// `"X"` or `"local"`: on local media only.
    Local,
}

impl Config {
    /// A configuration with every default.
    pub fn new(
        customer: FileName,
        box_name: FileName,
        time_zone: String,
        sources: BTreeMap<FileName, SourceConfig>,
    ) -> Self {
        Self {
            customer,
            box_name,
            lang: Lang::default(),
            time_zone,
            mode: Mode::OffSite,
            state: "/var/lib/tillstick".into(),
            sources,
            quiesce: QuiesceConfig::default(),
            dump: DumpConfig::default(),
            primary: PrimaryConfig::default(),
            sticks: SticksConfig::default(),
            stores: BTreeMap::new(),
            schedule: ScheduleConfig::default(),
            retention: Rules::default(),
            feedback: FeedbackConfig::default(),
            agent: AgentConfig::default(),
            log: LogConfig::default(),
        }
    }

    /// The time zone. An error only if the system's zones changed since the configuration was read.
    pub fn zone(&self) -> crate::error::Result<TimeZone> {
        let gone = || Error::new(Kind::Config, format!("the time zone {:?} is no longer known", self.time_zone));
        zone(&self.time_zone).ok_or_else(gone)
    }

    /// The stores that get a copy of each backup: those that are switched on, in mode `X` without those off-site.
    pub fn live_stores(&self) -> impl Iterator<Item = (&FileName, &StoreConfig)> {
        let local = self.mode == Mode::Local;
        self.stores.iter().filter(move |(_, store)| store.enabled && !(local && store.kind.is_off_site()))
    }

    /// `None` when a required key is missing or wrong, which is reported.
    fn read(root: &mut Section<'_, '_>) -> Option<Self> {
        let customer = root.required("customer", name, "\"104711\"");
        let box_name = root.required("box", name, "\"kasse-1\"");
        let zone_kind = parsed("a time zone", "Europe/Berlin", parse_zone);
        let time_zone = root.required("time_zone", zone_kind, "\"Europe/Berlin\"");
        let default = Self::new("0".parse().ok()?, "0".parse().ok()?, String::new(), BTreeMap::new());
        let lang = root.get("lang", one_of(&LANGS), default.lang);
        let mode = root.get("mode", one_of(&MODES), default.mode);
        let state = root.get("state", path, default.state);
        let sources = root.named("sources", SourceConfig::read);
        root.require_table("sources", "[sources.kasse] with type = \"sqlite\" and path = \"/var/lib/till/kasse.db\"");
        let quiesce = root.table("quiesce", QuiesceConfig::read);
        let dump = root.table("dump", DumpConfig::read);
        let primary = root.table("primary", PrimaryConfig::read);
        let sticks = root.table("sticks", SticksConfig::read);
        let retention = root.table("retention", |section| sections::retention::read(section, &default.retention));
        let stores = root.named("stores", |section| StoreConfig::read(section, &retention));
        let schedule = root.table("schedule", ScheduleConfig::read);
        let feedback = root.table("feedback", FeedbackConfig::read);
        let agent = root.table("agent", AgentConfig::read);
        let log = root.table("log", LogConfig::read);
        let (customer, box_name, time_zone) = (customer?, box_name?, time_zone?);
        Some(Self {
            customer,
            box_name,
            lang,
            time_zone,
            mode,
            state,
            sources,
            quiesce,
            dump,
            primary,
            sticks,
            stores,
            schedule,
            retention,
            feedback,
            agent,
            log,
        })
    }
}

/// A configuration and where it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What is in force.
    pub config: Config,
    /// The files that were read, in this order.
    pub files: Vec<PathBuf>,
}

/// Reads the main file and `conf.d/*.toml` beside it.
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    let mut report = Report::default();
    let tree = read::files(path, &mut report);
    let files = report.files().to_vec();
    finish(&tree, report).map(|config| Loaded { config, files })
}

/// Reads nothing but the stores of one file: all that a box needs which knows nothing else.
pub fn load_stores(path: &Path) -> Result<BTreeMap<FileName, StoreConfig>, Problems> {
    let mut report = Report::default();
    let tree = read::files(path, &mut report);
    let mut root = Section::root(&tree, &mut report);
    let stores = root.named("stores", |section| StoreConfig::read(section, &Rules::default()));
    root.require_table("stores", "[stores.cloud] and the keys of this store, as in tillstick.toml");
    match report.finish() {
        Some(problems) => Err(problems),
        None => Ok(stores),
    }
}

/// Reads one text; `name` stands for the file in problems.
pub fn parse_str(name: &str, text: &str) -> Result<Config, Problems> {
    let mut report = Report::default();
    let number = report.file(Path::new(name));
    let tree = read::text_to_table(text, number, &mut report);
    finish(&tree, report)
}

/// The shipped example: every key with its meaning, unit and default. It reads as [`Config::new`] with its own required
/// keys.
pub fn example() -> &'static str {
    include_str!("example.toml")
}

fn finish(tree: &Table, mut report: Report) -> Result<Config, Problems> {
    let mut root = Section::root(tree, &mut report);
    let config = Config::read(&mut root);
    root.finish();
    if let Some(config) = &config
        && report.complete()
    {
        check::check(config, tree, &mut report);
    }
    match (report.finish(), config) {
        (Some(problems), _) => Err(problems),
        (None, config) => Ok(config.expect("what is required and not there was reported")),
    }
}

/// The canonical name of a time zone that is known here.
fn parse_zone(text: &str) -> Result<String, String> {
    let known = zone(text).and_then(|zone| zone.iana_name().map(str::to_owned));
    known.ok_or_else(|| "no such zone is known".into())
}

/// The system's zones first, for its rules may be newer; then those in this program, for images often have none.
fn zone(name: &str) -> Option<TimeZone> {
    let zone = TimeZone::get(name).or_else(|_| TimeZoneDatabase::bundled().get(name)).ok()?;
    (!zone.is_unknown()).then_some(zone)
}
