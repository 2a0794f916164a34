//! Backups, copies and clean-ups in any order, struck dead at every step, and two programs at once: whatever has a manifest
//! in the store is what was backed up.

use std::sync::{Arc, Mutex};
use std::thread;

use tillstick::model::BackupId;

use super::Dice;
use super::struck::{Fate, Struck, Turns};
use super::world::World;

/// One step of a history.
#[derive(Debug)]
enum Deed {
    Send(BackupId),
    /// The numbers choose what goes.
    Prune(u64),
}

impl World {
    fn does(&self, deed: &Deed, store: &mut Struck) -> Result<(), tillstick::error::Error> {
        match deed {
            Deed::Send(id) => self.send(store, id).map(drop),
            Deed::Prune(lot) => {
                let mut dice = Dice::new(*lot);
                self.prune(store, |_| dice.roll(3) > 0)
            }
        }
    }
}

/// Dies at each step of the deed, is gone on with, and must leave nothing wrong and in the end no waste.
fn struck_everywhere(world: &World, deed: &Deed, dice: &mut Dice) {
    let before = world.picture();
    let whole_before = world.all_are_whole("before");
    let mut all = Struck::new(world.store(), None);
    world.does(deed, &mut all).unwrap_or_else(|error| panic!("{deed:?}: {}", error.report()));
    let steps = all.fate.lock().unwrap().steps;
    let after = world.picture();
    for at in 1..=steps {
        for was_done in [false, true] {
            let when = format!("{deed:?}, dead at step {at} of {steps}, done: {was_done}");
            world.put_back(&before);
            let _ = world.does(deed, &mut Struck::new(world.store(), Some((at, was_done))));
            let whole = world.all_are_whole(&when);
            if let Deed::Send(id) = deed {
                assert!(whole_before.iter().all(|id| whole.contains(id)), "{when}: a backup is gone");
                world.does(deed, &mut Struck::new(world.store(), None)).unwrap();
                assert!(world.all_are_whole(&when).contains(id), "{when}: it never arrives");
            }
            world.prune(world.store().as_mut(), |_| false).unwrap();
            world.all_are_whole(&when);
            assert_eq!(world.waste(), [] as [String; 0], "{when}");
        }
    }
    // History goes on from where it went well, or from some death.
    world.put_back(match dice.roll(2) {
        0 => &after,
        _ => &before,
    });
    if dice.roll(2) == 0 {
        let at = 1 + dice.roll(steps);
        let _ = world.does(deed, &mut Struck::new(world.store(), Some((at, dice.roll(2) == 0))));
    }
}

fn history(seed: u64, length: u64) {
    let mut dice = Dice::new(seed);
    let mut world = World::new();
    let mut made: Vec<BackupId> = Vec::new();
    for _ in 0..length {
        world.business(&mut dice);
        made.push(world.backup());
        let deed = match dice.roll(5) {
            0 => Deed::Prune(dice.roll(1 << 30)),
            // One that waited, after newer ones were sent.
            1 => Deed::Send(made[made.len() - 1 - dice.roll(made.len().min(3) as u64) as usize].clone()),
            _ => Deed::Send(made[made.len() - 1].clone()),
        };
        struck_everywhere(&world, &deed, &mut dice);
        if made.len() > 4 && dice.roll(3) == 0 {
            let gone = made.remove(dice.roll(made.len() as u64 - 1) as usize);
            world.forget(&gone);
        }
    }
}

#[test]
fn whatever_dies_at_whatever_step_no_backup_is_lost_or_wrong() {
    for seed in 0..u64::from(crate::proof::cases(2, 40)) {
        history(seed, 10);
    }
}

/// Another program cleans up while this one sends, without any lock between them.
#[test]
fn a_clean_up_by_another_program_takes_nothing_that_is_being_sent() {
    for seed in 0..u64::from(crate::proof::cases(60, 3000)) {
        let mut dice = Dice::new(seed ^ 0x5eed);
        let mut world = World::new();
        for _ in 0..2 + dice.roll(4) {
            world.business(&mut dice);
            let id = world.backup();
            world.send(world.store().as_mut(), &id).unwrap();
        }
        world.business(&mut dice);
        let id = world.backup();
        let turns = Turns::new(Dice::new(seed));
        let lot = dice.roll(1 << 30);
        let dies = (dice.roll(3) == 0).then(|| (1 + dice.roll(30), dice.roll(2) == 0));
        let world = &world;
        let sent = thread::scope(|scope| {
            let work = |me: usize, deed: Deed| {
                let turns = turns.clone();
                move || {
                    let fate = Fate { dies: dies.filter(|_| me == 0), ..Fate::default() };
                    let fate = Arc::new(Mutex::new(fate));
                    let mut store = Struck { inner: world.store(), fate, turns: Some((turns.clone(), me)) };
                    let done = world.does(&deed, &mut store);
                    turns.end(me);
                    done
                }
            };
            let sender = scope.spawn(work(0, Deed::Send(id.clone())));
            let cleaner = scope.spawn(work(1, Deed::Prune(lot)));
            cleaner.join().unwrap().unwrap_or_else(|error| panic!("seed {seed}: {}", error.report()));
            sender.join().unwrap()
        });
        let when = format!("seed {seed}, {:?}", sent.as_ref().err().map(tillstick::error::Error::report));
        world.all_are_whole(&when);
        assert!(sent.is_ok() || dies.is_some(), "{when}: a clean-up kept a copy from being made");
        world.send(world.store().as_mut(), &id).unwrap();
        assert!(world.all_are_whole(&when).contains(&id), "{when}");
        world.prune(world.store().as_mut(), |_| false).unwrap();
        assert_eq!(world.waste(), [] as [String; 0], "{when}");
    }
}
