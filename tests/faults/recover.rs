//! A recovery from a stick alone, struck and killed at every system call.

use std::fs;

use crate::kit::{Ran, ran, tillstick};
use crate::restore::{THEN, last_receipt};
use crate::shop::{Shop, errors, speaks_well, tree};
use crate::strace::{Call, Fault};

/// The shop burnt down: all that is left is the stick.
fn burn_down(shop: &Shop) {
    for name in ["kasse.db", "kasse.db-wal", "kasse.db-shm", "lager.db", "tillstick.toml", "state/box-id"] {
        let _ = fs::remove_file(shop.path(name));
    }
    fs::remove_dir_all(shop.primary()).unwrap();
}
