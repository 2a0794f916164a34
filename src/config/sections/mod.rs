//! The tables of the configuration, one type each: meaning, unit and default of every key, how it is read and shown.

mod agent;
mod dump;
mod feedback;
mod log;
mod primary;
mod quiesce;
mod recipients;
pub(super) mod retention;
mod schedule;
mod source;
mod sticks;
mod store;

pub use agent::{AgentConfig, Key};
pub use dump::DumpConfig;
pub use feedback::{Device, FeedbackConfig, QuietHours};
pub use log::{LogConfig, LogTarget};
pub use primary::{PrimaryConfig, Spool};
pub use quiesce::{OnFailure, QuiesceConfig};
pub use schedule::{Schedule, ScheduleConfig};
pub use source::{
    Accounts, Databases, Definers, Drill, FilesConfig, MariadbConfig, NoSnapshot, PostgresqlConfig, Preset,
    ServerConfig, SourceConfig, SourceKind, SqliteConfig, Unreadable, accounts_name,
};
pub use sticks::{Accept, After, Automount, StickPath, SticksConfig, TseConfig};
pub use store::{DirectoryConfig, Login, S3Config, SecretAt, SftpConfig, StoreConfig, StoreKind};

use crate::config::take::{Section, one_of};

/// The `type` of a source or store, whose other keys depend on it: `None` when it is not there, wrong, or of those
/// that a later version will have. That is reported, and the keys beside it are not judged.
fn type_of<T: Clone>(section: &mut Section<'_, '_>, types: &[(&'static str, Option<T>)]) -> Option<T> {
    let ours: Vec<_> = types.iter().filter(|(_, kind)| kind.is_some()).map(|(word, _)| format!("{word:?}")).collect();
    let ours = ours.join(" or ");
    let kind = section.required("type", one_of(types), &ours);
    if let Some(None) = kind {
        section.complain("type", "this type is not in this version".into(), Some(format!("this version has {ours}")));
    }
    let kind = kind.flatten();
    if kind.is_none() {
        section.ignore_the_rest();
    }
    kind
}
