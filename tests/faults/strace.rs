//! Runs the program under `strace`, which makes chosen system calls fail or kills the program before them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Formatter};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::kit::{Ran, ran};

/// What touches files. A `?` is for those that not every architecture has.
const CALLS: &str = "openat,read,pread64,write,pwrite64,fsync,fdatasync,ftruncate,fallocate,copy_file_range,statfs,\
    ?newfstatat,?fstat,statx,getdents64,close,flock,fcntl,fchmod,?chmod,fchmodat,?chown,fchown,fchownat,?readlink,\
    ?readlinkat,?rename,?renameat,renameat2,?unlink,unlinkat,?link,linkat,?mkdir,mkdirat,?rmdir";

/// What happens to a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not done and gives this error.
    Fails(&'static str),
    /// It is not done and gives 0: a read at the end of a file that was cut off, a write of nothing.
    DoesNothing,
    /// From this call on, every call on the same file gives this error.
    FileGone(&'static str),
    /// From this call on, every call of this thread gives this error.
    AllGone(&'static str),
    /// The program is killed before it.
    Kills,
}

/// How many calls of each name there were.
type Counts = BTreeMap<String, usize>;

/// One system call of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// The file, as the call names it or its descriptor shows it.
    pub(crate) path: String,
    /// What the call was told, as `strace` shows it.
    pub(crate) arguments: String,
    /// Whether the path was opened as a folder by an earlier call.
    pub(crate) is_on_a_folder: bool,
    /// Whether the program's first thread makes it.
    pub(crate) is_by_main: bool,
    /// Whether `path` is absolute and the same in every run, so that `strace` can watch it alone.
    fixed: bool,
    /// The calls of this thread up to this one: on this file when it is `fixed`, else all.
    counts: Counts,
    /// All calls of this thread up to this one.
    counts_of_all: Counts,
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} number {} on {:?}: {}", self.name, self.counts[&self.name], self.path, self.arguments)
    }
}

impl Call {
    /// Whether its success may need room on a disk.
    pub(crate) fn needs_room(&self) -> bool {
        let creates = self.name == "openat" && self.arguments.contains("O_CREAT");
        let names = ["write", "pwrite64", "ftruncate", "fallocate", "fsync", "fdatasync"];
        let entries = ["mkdir", "mkdirat", "rename", "renameat", "renameat2", "link", "linkat"];
        creates || names.contains(&&*self.name) || entries.contains(&&*self.name)
    }

    /// Whether a signal may interrupt it.
    pub(crate) fn waits(&self) -> bool {
        let names = ["openat", "read", "pread64", "write", "pwrite64", "fsync", "fdatasync", "ftruncate", "flock"];
        names.contains(&&*self.name)
    }

    /// Whether the file may be gone when it comes.
    pub(crate) fn looks_up(&self) -> bool {
        let names = ["openat", "statx", "newfstatat", "rename", "unlink", "unlinkat", "link", "linkat", "readlink"];
        names.contains(&&*self.name) && !self.arguments.contains("AT_EMPTY_PATH")
    }

    /// Whether it may change what is on a disk: dying before any other call is dying before the next of these.
    pub(crate) fn changes(&self) -> bool {
        let others = ["unlink", "unlinkat", "rmdir", "fchmod", "chmod", "fchmodat", "chown", "fchown", "fchownat"];
        self.needs_room() || others.contains(&&*self.name)
    }

    /// Whether it moves bytes.
    pub(crate) fn moves_bytes(&self) -> bool {
        ["read", "pread64", "write", "pwrite64"].contains(&&*self.name)
    }
}

/// How the program is run.
pub(crate) struct Program<'a> {
    /// Makes the command with its arguments.
    pub(crate) command: &'a dyn Fn() -> Command,
    /// Calls on files below this folder are of interest.
    pub(crate) below: &'a Path,
    /// Text that stands in paths which are the same in every run.
    pub(crate) known: &'a [String],
    /// Where logs go.
    pub(crate) log: &'a Path,
}

impl Program<'_> {
    /// Runs it undisturbed, and gives its calls on files below the folder.
    #[track_caller]
    pub(crate) fn calls(&self) -> Vec<Call> {
        let trace = format!("trace={CALLS}");
        self.under(&["-y", "--seccomp-bpf", "-e", &trace]).exits(0);
        let log = std::fs::read_to_string(self.log).unwrap();
        let below = self.below.to_str().unwrap();
        let (mut counts, mut calls) = (BTreeMap::<(String, String), Counts>::new(), Vec::new());
        let (mut folders, mut main) = (BTreeSet::new(), None);
        for (thread, name, arguments) in log.lines().filter_map(parse) {
            let is_by_main = *main.get_or_insert_with(|| thread.clone()) == thread;
            let (path, is_relative) = path_of(&name, &arguments);
            let mut count = |on: &str| {
                let counts = counts.entry((thread.clone(), on.to_owned())).or_default();
                *counts.entry(name.clone()).or_default() += 1;
                counts.clone()
            };
            let (counts_of_all, on_path) = (count(""), count(&path));
            // The debug build asks of every descriptor whether it is open, and aborts when it is not.
            if !path.starts_with(below) || arguments.contains("F_GETFD") {
                continue;
            }
            if arguments.contains("O_DIRECTORY") {
                folders.insert(path.clone());
            }
            let is_on_a_folder = folders.contains(&path);
            let fixed = !is_relative && self.is_fixed(&path);
            let counts = if fixed { on_path } else { counts_of_all.clone() };
            calls.push(Call { name, path, arguments, is_on_a_folder, is_by_main, fixed, counts, counts_of_all });
        }
        assert!(!calls.is_empty(), "no call was seen: is ptrace allowed here? {log}");
        calls
    }

    /// Runs it with a fault at a call. `None` when this run never came to it.
    pub(crate) fn strike(&self, call: &Call, fault: Fault) -> Option<Ran> {
        let nth = call.counts[&call.name];
        let once = |what: String| vec![format!("inject={}:{what}:when={nth}", call.name)];
        let from_here = |counts: &Counts, error: &str| -> Vec<String> {
            let names = CALLS.split(',').map(|name| name.trim_start_matches('?'));
            let first = |name| counts.get(name).copied().unwrap_or_default() + usize::from(name != call.name);
            names.map(|name| format!("inject=?{name}:error={error}:when={}+", first(name))).collect()
        };
        let injections = match fault {
            Fault::Fails(error) => once(format!("error={error}")),
            Fault::DoesNothing => once("retval=0".to_owned()),
            Fault::Kills => once("signal=KILL".to_owned()),
            Fault::FileGone(error) => from_here(&call.counts, error),
            // What it has to say must come through, and the debug build asks of every descriptor whether it is open.
            Fault::AllGone(error) => from_here(&call.counts_of_all, error)
                .into_iter()
                .filter(|injection| !["write:", "fcntl:", "close:"].iter().any(|name| injection[8..].starts_with(name)))
                .collect(),
        };
        let trace = match fault {
            Fault::FileGone(_) | Fault::AllGone(_) => format!("trace={CALLS}"),
            _ => format!("trace={}", call.name),
        };
        let mut arguments = vec!["-y", "-e", &trace];
        // A signal does not come through with it.
        if fault != Fault::Kills {
            arguments.push("--seccomp-bpf");
        }
        if call.fixed && !matches!(fault, Fault::AllGone(_)) {
            arguments.extend(["-P", &call.path]);
        }
        injections.iter().for_each(|option| arguments.extend(["-e", option]));
        let ran = self.under(&arguments);
        let hit = match fault {
            Fault::Kills => ran.code.is_none(),
            _ => std::fs::read_to_string(self.log).unwrap().contains("(INJECTED)"),
        };
        hit.then_some(ran)
    }

    fn under(&self, options: &[&str]) -> Ran {
        let program = (self.command)();
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-e", "signal=none", "-o"]).arg(self.log).args(options);
        command.arg(program.get_program()).args(program.get_args()).stdin(Stdio::null());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        ran(command)
    }

    fn is_fixed(&self, path: &str) -> bool {
        let id = |part: &str| part.len() >= 16 && part.as_bytes()[8] == b'T' && part.as_bytes()[15] == b'Z';
        let mut parts = path.split(['/', '.', '-']);
        // What runs say and records of purges lie under their time, which may be that of a backup.
        let is_of_a_run = path.contains("/state/runs/") || path.contains("/state/purges/");
        !is_of_a_run
            && !parts.any(|part| part == "snapshot" || (id(part) && !self.known.iter().any(|known| known == part)))
    }
}

/// The thread, the name and the arguments of a call, from a line of the log.
fn parse(line: &str) -> Option<(String, String, String)> {
    let (thread, rest) = line.split_once(' ')?;
    let (name, arguments) = rest.trim_start().split_once('(')?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then(|| (thread.to_owned(), name.to_owned(), arguments.to_owned()))
}

/// The file of a call, `3</path>`, `"/path"` or `4</folder>, "name"`, and whether it is named from an open folder.
fn path_of(name: &str, arguments: &str) -> (String, bool) {
    let first = arguments.split(", ").next().unwrap_or_default();
    let held = first.split_once('<').and_then(|(_, rest)| rest.rsplit_once('>')).map_or("", |(path, _)| path);
    let named = arguments.split('"').nth(1).unwrap_or_default();
    let names_a_file = name.ends_with("at") || name == "statx" || name == "renameat2";
    if held.is_empty() || (names_a_file && named.starts_with('/')) {
        return (named.to_owned(), !named.starts_with('/'));
    }
    match names_a_file && !named.is_empty() {
        true => (format!("{held}/{named}"), true),
        false => (held.to_owned(), false),
    }
}

/// Tells of each call whether it is the first of its kind: of its name on its kind of file.
pub(crate) fn first_of_each(calls: &[Call], known: &[String]) -> Vec<bool> {
    let mut seen = BTreeSet::new();
    let kind = |call: &Call| {
        let parts = call.path.split('/').map(|part| match part {
            part if part.starts_with("snapshot-") => "snapshot",
            part if known.iter().any(|id| part == id) => "earlier",
            // A record of a purge is another kind of file than its signature.
            part if call.path.contains("/purges/") && part.contains('Z') => &part[part.find('Z').unwrap()..],
            part if part.starts_with(|c: char| c.is_ascii_digit()) && part.contains('T') => "new",
            part => part,
        });
        (call.name.clone(), parts.collect::<Vec<_>>().join("/"))
    };
    calls.iter().map(|call| seen.insert(kind(call))).collect()
}
