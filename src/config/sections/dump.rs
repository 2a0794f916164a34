//! `[dump]`: how the text of a database becomes a compressed file.

use std::num::NonZeroU32;

use crate::config::show::{Out, quoted};
use crate::config::take::{Section, Taken, whole};
use crate::config::tree::{Node, Value};

/// The highest level on offer: 9 makes larger files than 8 in the way we cut chunks.
const LEVEL_MAX: u32 = 8;

/// The most threads on offer: beyond that the disk is the limit, not the processor.
const THREADS_MAX: u32 = 64;

/// How a dump is compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpConfig {
    /// `level`: from 1 (fast) to 8 (small); 5.
    pub level: u32,
    /// `threads`: how many deflate at once; `"auto"`, that is `None`: as many as the box has processors.
    pub threads: Option<NonZeroU32>,
}

impl Default for DumpConfig {
    fn default() -> Self {
        Self { level: 5, threads: None }
    }
}

impl DumpConfig {
    pub(in crate::config) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            level: section.get("level", whole(1, LEVEL_MAX), default.level),
            threads: section.get("threads", threads, default.threads),
        }
    }

    pub(in crate::config) fn show(&self, out: &mut Out) {
        out.table("dump");
        out.key("level", self.level);
        match self.threads {
            None => out.key("threads", quoted("auto")),
            Some(threads) => out.key("threads", threads),
        }
    }
}

fn threads(node: &Node) -> Taken<Option<NonZeroU32>> {
    match &node.value {
        Value::Text(text) if text == "auto" => Ok(None),
        _ => whole(1, THREADS_MAX)(node).map(NonZeroU32::new).map_err(|mut all| {
            all.iter_mut().for_each(|wrong| wrong.suggest("\"auto\" takes as many as there are processors"));
            all
        }),
    }
}
