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
pub use store::{
    DirectoryConfig, FtpConfig, FtpTls, Layout, Login, S3Config, SecretAt, SftpConfig, StoreConfig, StoreKind,
};

use crate::config::take::{Section, one_of};

/// The `type` of a source or store, whose other keys depend on it: `None` when it is not there or wrong. That is
/// reported, and the keys beside it are not judged.
fn type_of<T: Clone>(section: &mut Section<'_, '_>, types: &[(&'static str, T)]) -> Option<T> {
    let words: Vec<_> = types.iter().map(|(word, _)| format!("{word:?}")).collect();
    let kind = section.required("type", one_of(types), &words.join(" or "));
    if kind.is_none() {
        section.ignore_the_rest();
    }
    kind
}
