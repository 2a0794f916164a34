//! The shared nouns: ids, names, the manifest, progress and cancellation. No I/O, no decisions.

mod id;
mod manifest;
mod manifest_file;
mod name;
mod public_key;
mod run;
mod sink;

pub use id::BackupId;
pub use manifest::{
    ArtifactFacts, MANIFEST_FORMAT, MANIFEST_MAX, Manifest, PlainFacts, SourceFacts, TableRows, TextFacts,
};
pub use manifest_file::{ManifestFile, SIGNATURE_MAX};
pub use name::{ArtifactName, FileName, LOGS, STATUS, name_problem};
pub use public_key::PublicKey;
pub use run::{Cancel, Event, Monitor, Quiet, Run, Stage};
pub use sink::Sink;
