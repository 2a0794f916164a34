//! The targets of `fuzz/`, each with inputs that grow out of real ones by chance that can be repeated.
//!
//! TILLSTICK_SEEDS=DIR writes the real inputs there instead, as a corpus for libFuzzer (`make fuzz`).
#![allow(clippy::print_stdout, reason = "a long run says how far it came")]
#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

#[allow(dead_code, reason = "the images alone are made with it")]
#[path = "../stick_probe/kit.rs"]
mod kit;
#[path = "../proof/mod.rs"]
mod proof;
mod seeds;
#[path = "../sqlite_kit/mod.rs"]
mod sqlite_kit;
#[path = "../stick_kit/mod.rs"]
mod stick_kit;
#[allow(dead_code, reason = "libFuzzer uses more of it")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use targets::{Dice, Target};

/// How many inputs are kept to go on from, the real ones among them.
const POOL: usize = 200;
/// One input in so many is gone on from.
const KEPT: usize = 8;
/// How long each target runs when everything is tried.
const FULL: Duration = Duration::from_secs(60);

/// Tries `quick` inputs, or as many as a minute allows.
fn fuzz(target: &Target, seeds: &[Vec<u8>], quick: u32) {
    if let Some(dir) = std::env::var_os("TILLSTICK_SEEDS") {
        return write(&Path::new(&dir).join(target.name), seeds);
    }
    assert!(!seeds.is_empty());
    let (mut pool, mut dice, started, mut done) = (seeds.to_vec(), Dice::new(0), Instant::now(), 0);
    seeds.iter().for_each(|seed| try_one(target, seed));
    while if proof::is_full() { started.elapsed() < FULL } else { done < quick } {
        let mut input = dice.pick(&pool).clone();
        (target.mutate)(&mut input, &mut dice);
        input.truncate(target.max_len);
        try_one(target, &input);
        done += 1;
        if dice.below(KEPT) > 0 {
            continue;
        }
        if pool.len() < POOL {
            pool.push(input);
        } else {
            let place = seeds.len() + dice.below(POOL - seeds.len());
            pool[place] = input;
        }
    }
    println!("{}: {done} inputs in {:?}", target.name, started.elapsed());
}

/// An input that fails is kept, to be looked at and to become a test.
fn try_one(target: &Target, input: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(input))) {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", target.name));
        std::fs::write(&path, input).unwrap();
        println!("the input is in {path:?}; `cargo fuzz run {} {}` repeats it", target.name, path.display());
        resume_unwind(panic);
    }
}

fn write(dir: &Path, seeds: &[Vec<u8>]) {
    std::fs::create_dir_all(dir).unwrap();
    for (number, seed) in seeds.iter().enumerate() {
        std::fs::write(dir.join(format!("seed-{number}")), seed).unwrap();
    }
}

#[test]
fn looking_at_any_stick_stays_within_its_limits_and_its_medium() {
    fuzz(&targets::PROBE, &seeds::media(), 6_000);
}

#[test]
fn any_stick_is_read_in_bounds_and_publishing_onto_it_spares_what_is_not_ours() {
    fuzz(&targets::STICK, &seeds::volumes(), 1_500);
}

#[test]
fn a_manifest_that_is_accepted_comes_back_as_it_was_and_names_no_path() {
    fuzz(&targets::MANIFEST, &seeds::manifests(), 20_000);
}

#[test]
fn a_configuration_reads_back_as_it_is_shown_or_every_mistake_has_its_place() {
    fuzz(&targets::CONFIG, &seeds::configs(), 3_000);
}

#[test]
fn an_index_of_chunks_comes_back_as_it_was_and_never_changes_an_artifact() {
    fuzz(&targets::CHUNKS, &[targets::text_index()], 1_000);
}

#[test]
fn statements_end_at_the_same_places_however_the_text_comes_in() {
    fuzz(&targets::SPLIT, &seeds::statements(), 20_000);
}

#[test]
fn any_text_loads_into_a_database_that_dumps_to_itself_or_leaves_nothing() {
    fuzz(&targets::LOAD, &seeds::dumps(), 300);
}
