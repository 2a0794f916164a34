//! Names of users and groups: an archive has both name and number, and the name counts where it is known.

use std::collections::HashMap;

use nix::unistd::{Gid, Group, Uid, User};

/// The number of a user (or group) of this name, if there is one here.
pub(super) fn id_of(user: bool, name: &str) -> Option<u32> {
    match user {
        true => User::from_name(name).ok()?.map(|user| user.uid.as_raw()),
        false => Group::from_name(name).ok()?.map(|group| group.gid.as_raw()),
    }
}

/// What was looked up already: a tree has few owners.
#[derive(Default)]
pub(super) struct Owners {
    names: HashMap<(bool, u32), Vec<u8>>,
    ids: HashMap<(bool, Vec<u8>), Option<u32>>,
}

impl Owners {
    /// The name of the user (or group) with this number; empty when it has none.
    pub(super) fn name(&mut self, user: bool, id: u32) -> Vec<u8> {
        let find = || match user {
            true => User::from_uid(Uid::from_raw(id)).ok().flatten().map(|user| user.name),
            false => Group::from_gid(Gid::from_raw(id)).ok().flatten().map(|group| group.name),
        };
        self.names.entry((user, id)).or_insert_with(|| find().unwrap_or_default().into_bytes()).clone()
    }

    /// The number that the user (or group) has here.
    pub(super) fn id(&mut self, user: bool, name: &[u8], number: u64) -> u32 {
        let key = (user, name.to_vec());
        let find =
            || Some(name).filter(|name| !name.is_empty()).and_then(|name| id_of(user, std::str::from_utf8(name).ok()?));
        let known = *self.ids.entry(key).or_insert_with(find);
        known.unwrap_or_else(|| u32::try_from(number).unwrap_or(65534))
    }
}
