//! The probe in a process of its own, confined: whoever breaks the parser with what lies on a stick holds a process that
//! can read this one stick and answer, and nothing else. The answer is read as if it came from the stick itself.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::contents::{BOXES_MAX, ROOT_MAX};
use super::{Layout, Limits, ReadAt, probe, table};
use crate::error::{Error, Kind, Result};
use crate::host::apart::{self, Handed, THIS_PROGRAM};
use crate::host::confine::{self, Confinement};
use crate::policy::stick::{PartitionTable, VolumeFacts};

/// The verb by which this program is told that it is the child. It is none of those that people use.
pub const VERB: &str = "confined-probe";

/// How much longer than the probe itself the child may take, to start and to answer.
const BESIDE_THE_PROBE: Duration = Duration::from_millis(500);
/// The longest answer, in bytes: the names on a stick that the probe keeps, several times over.
const ANSWER_MAX: usize = 4 << 20;
/// What the child may ask of memory, this program's own code and the libraries included.
const MEMORY_MAX: u64 = 128 << 20;
/// The longest text that any name on a stick makes.
const NAME_MAX: usize = 1024;

static HAS_VERB: AtomicBool = AtomicBool::new(false);
/// Many sticks at once on a weak box: each child has the processor to itself, the time that counts is its own, and of its
/// memory there is one.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What the child says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    confinement: Confinement,
    found: Found,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
enum Found {
    Facts {
        table: PartitionTable,
        volumes: Vec<VolumeFacts>,
    },
    /// Not even the beginning could be read: the messages of the error.
    Unreadable(Vec<String>),
}

/// From now on media are looked at by a child: says that this program has the verb, before which there is none to start.
pub fn in_a_child() {
    HAS_VERB.store(true, Ordering::Relaxed);
}

/// Looks at a medium, in a child when this program has the verb.
///
/// The outer error says that nobody could look; the inner one that not even the beginning could be read.
pub fn look(file: &File, size: u64, limits: &Limits) -> Result<Result<Layout>> {
    if HAS_VERB.load(Ordering::Relaxed) {
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        ask(Path::new(THIS_PROGRAM), file, size, limits)
    } else {
        Ok(probe(file, size, limits))
    }
}

/// Has `program` look at a medium.
pub fn ask(program: &Path, file: &File, size: u64, limits: &Limits) -> Result<Result<Layout>> {
    // The parent's time is the promise; a child that reads all the time ends earlier and says why, unless the box has much to do.
    let time = limits.time.saturating_sub(BESIDE_THE_PROBE);
    let numbers = [size, u64::from(limits.reads), limits.bytes, u64::try_from(time.as_millis()).unwrap_or(u64::MAX)];
    let args: Vec<String> = std::iter::once(VERB.to_owned()).chain(numbers.map(|number| number.to_string())).collect();
    let answer = apart::ask(program, &args, file, limits.time, ANSWER_MAX)?;
    let nonsense = |why: String| {
        Error::new(Kind::Damaged, format!("the process that reads the medium answers what cannot be: {why}"))
    };
    let answer: Answer = serde_json::from_slice(&answer).map_err(|error| nonsense(error.to_string()))?;
    log::info!("the medium was read by a process of its own, confined by {}", answer.confinement);
    match answer.found {
        Found::Unreadable(messages) => Ok(Err(Error::from_messages(Kind::Io, &messages, None))),
        Found::Facts { table, volumes } => {
            volumes.iter().try_for_each(|volume| possible(volume, size)).map_err(nonsense)?;
            if volumes.len() > table::PARTITIONS_MAX + 1 {
                return Err(nonsense(format!("{} volumes", volumes.len())));
            }
            Ok(Ok((table, volumes)))
        }
    }
}

/// What the probe can have found on a medium of this size.
fn possible(volume: &VolumeFacts, size: u64) -> Result<(), String> {
    if volume.size > 0 && volume.offset.checked_add(volume.size).is_none_or(|end| end > size) {
        return Err("a volume ends behind the end".into());
    }
    if volume.root.len() > ROOT_MAX || volume.boxes.len() > BOXES_MAX {
        return Err("there are more names than are kept".into());
    }
    let names = volume.root.iter().map(|entry| &entry.name).chain(&volume.boxes);
    let labels = [&volume.label, &volume.boot_label, &volume.uuid].into_iter().flatten();
    match names.chain(labels).find(|name| name.len() > NAME_MAX) {
        Some(name) => Err(format!("a name of {} bytes", name.len())),
        None => Ok(()),
    }
}

impl ReadAt for Handed {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        Handed::read_at(self, offset, buf)
    }
}

/// The child, when this program was started as one: `args` are those of the command line. Gives its exit code.
pub fn child(args: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.skip(1);
    if args.next()? != *VERB {
        return None;
    }
    let numbers: Option<Vec<u64>> = args.map(|arg| arg.to_str()?.parse().ok()).collect();
    let Some([size, reads, bytes, milliseconds]) = numbers.as_deref() else { return Some(ExitCode::from(2)) };
    let limits = Limits { reads: *reads as u32, bytes: *bytes, time: Duration::from_millis(*milliseconds) };
    Some(match serve(*size, &limits) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

fn serve(size: u64, limits: &Limits) -> io::Result<()> {
    let confinement = confine::confine(MEMORY_MAX, limits.time + BESIDE_THE_PROBE)?;
    let found = match probe(&Handed::take(), size, limits) {
        Ok((table, volumes)) => Found::Facts { table, volumes },
        Err(error) => Found::Unreadable(error.messages()),
    };
    apart::answer(&serde_json::to_vec(&Answer { confinement, found })?)
}
