//! The machine for a person who wants to see it: what is typed is run in it, and sticks are plugged in and pulled.

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use crate::folder::Folder;
use crate::machine::{Machine, Payload};
use crate::runner::{cache, logs};
use crate::snapshot::Snapshot;
use crate::stick::{MIB, Stick};

const HELP: &str = "\
The till's computer has booted. What you type is run in it (try `tillstick status` or `lsblk`), but for these words:
  new stick1.img     makes a stick of 64 MiB with one FAT32 partition
  plug stick1.img    plugs it in
  pull stick1.img    pulls it out, whatever is going on
  signals            what the lights did (caps lock, num lock) and what was heard
  quit";
const NEW_STICK: u64 = 64 * MIB;

/// Reads lines until there are no more.
pub fn run() {
    let (snapshot, payload) = (Snapshot::get(&cache()), Payload::new());
    let mut machine = Machine::start(&snapshot, &payload.disk, Folder::new(logs("interactive")));
    machine.reset();
    let mut plugged: Vec<(PathBuf, Stick)> = Vec::new();
    println!("{HELP}");
    for number in 0.. {
        let name = format!("stick{number}");
        print!("box> ");
        let _ = io::stdout().flush();
        let mut line = String::new();
        if io::stdin().lock().read_line(&mut line).is_ok_and(|len| len == 0) {
            break;
        }
        match line.trim().split_once(' ').unwrap_or((line.trim(), "")) {
            ("", _) => {}
            ("quit", _) => break,
            ("new", file) => make(&machine, Path::new(file), &name),
            ("plug", file) => plug(&mut machine, Path::new(file), &name, &mut plugged),
            ("pull", file) => match plugged.iter().position(|(path, _)| path == Path::new(file)) {
                Some(at) => machine.pull(&plugged.remove(at).1),
                None => println!("{file} is not plugged in"),
            },
            ("signals", _) => println!("{:#?}\n{:#?}", machine.lights(), machine.beeps()),
            _ => {
                // In a shell of its own: `exit`, or a mistake, ends that one.
                let quoted = line.trim().replace('\'', r"'\''");
                let ran = machine.guest().run(&format!("sh -c '{quoted}'"));
                print!("{}{}", ran.out, ran.err);
            }
        }
    }
}

fn make(machine: &Machine, file: &Path, name: &str) {
    match std::fs::File::create_new(file).and_then(|image| image.set_len(NEW_STICK)) {
        Ok(()) => drop(machine.stick_of(file.to_owned(), name).partition("KASSE")),
        Err(error) => println!("cannot make {}: {error}", file.display()),
    }
}

fn plug(machine: &mut Machine, file: &Path, name: &str, plugged: &mut Vec<(PathBuf, Stick)>) {
    let known = plugged.iter().any(|(path, _)| path == file);
    if known || !file.is_file() {
        let why = if known { "is plugged in" } else { "is no image; `new` makes one" };
        println!("{} {why}", file.display());
        return;
    }
    let stick = machine.stick_of(file.to_owned(), name);
    println!("{}", machine.plug(&stick));
    plugged.push((file.to_owned(), stick));
}
