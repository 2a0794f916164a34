//! `[agent]`: how other programs of the box talk to the agent.

use std::path::PathBuf;

use crate::config::show::{Out, path_text, quoted};
use crate::config::take::{Section, parsed, path};

/// The longest path that a socket can have, in bytes.
const SOCKET_MAX: usize = 107;

/// Where the agent listens, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentConfig {
    /// `socket`: the Unix socket on which the agent listens; `"/run/tillstick/agent.sock"`.
    pub socket: PathBuf,
    /// `group`: the group whose members may talk to the agent, beside its own user; `"none"`.
    pub group: Option<String>,
    /// `backup_key`: the key of the box that means "back up now": a name as in linux/input-event-codes.h (`"KEY_F9"`), or its
    /// number; `"none"`.
    pub backup_key: Option<Key>,
    /// `enroll_key`: the key that means "enrol the next stick"; `"none"`.
    pub enroll_key: Option<Key>,
}

/// A key, by its number in linux/input-event-codes.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(pub u16);

/// The names that boxes with a few keys use; any other key is given by its number.
const KEYS: [(&str, u16); 26] = [
    ("KEY_ENTER", 28),
    ("KEY_SPACE", 57),
    ("KEY_F1", 59),
    ("KEY_F2", 60),
    ("KEY_F3", 61),
    ("KEY_F4", 62),
    ("KEY_F5", 63),
    ("KEY_F6", 64),
    ("KEY_F7", 65),
    ("KEY_F8", 66),
    ("KEY_F9", 67),
    ("KEY_F10", 68),
    ("KEY_F11", 87),
    ("KEY_F12", 88),
    ("KEY_POWER", 116),
    ("KEY_PROG1", 148),
    ("KEY_PROG2", 149),
    ("KEY_PROG3", 202),
    ("KEY_PROG4", 203),
    ("KEY_RESTART", 408),
    ("BTN_0", 256),
    ("BTN_1", 257),
    ("BTN_2", 258),
    ("BTN_3", 259),
    ("KEY_COPY", 133),
    ("KEY_SAVE", 234),
];

/// The largest number that a key can have.
const KEY_MAX: u16 = 0x2ff;

impl Default for AgentConfig {
    fn default() -> Self {
        Self { socket: "/run/tillstick/agent.sock".into(), group: None, backup_key: None, enroll_key: None }
    }
}

impl AgentConfig {
    pub(in crate::config) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        let socket = section.get("socket", path, default.socket);
        if socket.as_os_str().len() > SOCKET_MAX {
            section.complain(
                "socket",
                format!("is longer than the {SOCKET_MAX} bytes that a socket's path may have"),
                None,
            );
        }
        let key = || parsed("a key", "KEY_F9", parse_key);
        let agent = Self {
            socket,
            group: section.get("group", parsed("a group", "till", parse_group), default.group),
            backup_key: section.get("backup_key", key(), None),
            enroll_key: section.get("enroll_key", key(), None),
        };
        if agent.backup_key.is_some() && agent.backup_key == agent.enroll_key {
            section.complain("enroll_key", "is the same key as `backup_key`".into(), None);
        }
        agent
    }

    pub(in crate::config) fn show(&self, out: &mut Out) {
        out.table("agent");
        out.key("socket", path_text(&self.socket));
        out.key("group", quoted(self.group.as_deref().unwrap_or("none")));
        out.key("backup_key", quoted(&key_word(self.backup_key)));
        out.key("enroll_key", quoted(&key_word(self.enroll_key)));
    }
}

fn key_word(key: Option<Key>) -> String {
    let Some(Key(code)) = key else { return "none".into() };
    KEYS.iter().find(|(_, known)| *known == code).map_or_else(|| code.to_string(), |(name, _)| (*name).to_owned())
}

fn parse_key(text: &str) -> Result<Option<Key>, String> {
    if text == "none" {
        return Ok(None);
    }
    let named = KEYS.iter().find(|(name, _)| *name == text).map(|(_, code)| *code);
    let code = named.or_else(|| text.parse().ok().filter(|code| (1..=KEY_MAX).contains(code)));
    code.map(|code| Some(Key(code))).ok_or_else(|| {
        let names = KEYS.map(|(name, _)| name).join(", ");
        format!("not a number from 1 to {KEY_MAX} and none of {names}")
    })
}

fn parse_group(text: &str) -> Result<Option<String>, String> {
    match text {
        "none" => Ok(None),
        "" => Err("it is empty".into()),
        name if name.contains([':', '/', '\0', '\n']) => Err("no group has such a name".into()),
        name => Ok(Some(name.to_owned())),
    }
}
