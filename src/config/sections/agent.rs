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
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self { socket: "/run/tillstick/agent.sock".into(), group: None }
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
        Self { socket, group: section.get("group", parsed("a group", "till", parse_group), default.group) }
    }

    pub(in crate::config) fn show(&self, out: &mut Out) {
        out.table("agent");
        out.key("socket", path_text(&self.socket));
        out.key("group", quoted(self.group.as_deref().unwrap_or("none")));
    }
}

fn parse_group(text: &str) -> Result<Option<String>, String> {
    match text {
        "none" => Ok(None),
        "" => Err("it is empty".into()),
        name if name.contains([':', '/', '\0', '\n']) => Err("no group has such a name".into()),
        name => Ok(Some(name.to_owned())),
    }
}
