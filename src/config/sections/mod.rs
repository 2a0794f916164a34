//! The tables of the configuration, one type each: meaning, unit and default of every key, how it is read and shown.

mod dump;
mod feedback;
mod log;
mod primary;
mod retention;
mod schedule;
mod source;
mod sticks;
mod store;

pub use dump::DumpConfig;
pub use feedback::{Device, FeedbackConfig, QuietHours};
pub use log::{LogConfig, LogTarget};
pub use primary::{PrimaryConfig, Spool};
pub use retention::{ALL, RetentionConfig};
pub use schedule::{Schedule, ScheduleConfig};
pub use source::{SourceConfig, SourceKind, SqliteConfig};
pub use sticks::{Accept, After, Automount, StickPath, SticksConfig, TseConfig};
pub use store::{StoreConfig, StoreKind};
