//! The stories, to be read top to bottom. Only here do the rooms meet.

pub mod backup;
pub mod check;
pub mod copy;
pub mod cycle;
pub mod enrolment;
pub mod format;
pub mod history;
pub mod list;
pub mod outbox;
pub mod plugged;
pub mod plumbing;
pub mod provenance;
pub mod prune;
pub mod quiesce;
pub mod recover;
pub mod restore;
pub mod restore_files;
pub mod served;
pub mod set_aside;
pub mod status;
pub mod stick_report;
pub mod stores;

mod artifact;
mod drill;
mod heartbeat;
mod owed;
mod pieces;
mod record;
mod recover_from;
mod recover_served;
mod runlog;
mod sealed;
mod site;
mod state;
mod stick;
mod swaps;

pub use recover_from::From as RecoverFrom;
pub use site::Site;
pub use stick::StickAt;
pub use stores::StoreAt;
