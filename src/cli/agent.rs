//! `tillstick agent`: what runs on the box all the time.

use std::path::{Path, PathBuf};

use super::{Context, Exit, log_as_configured};
use crate::agent;
use crate::config::{self, Config};
use crate::error::{Context as _, Result};
use crate::host::durable;
use crate::job::Site;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the last configuration without mistakes is kept: it stays in force when a later one has some.
    #[arg(long, value_name = "FILE", default_value = "/var/lib/tillstick/accepted.toml")]
    accepted: PathBuf,
}

/// The longest configuration that was ever accepted, in bytes.
const ACCEPTED_MAX: u64 = 4 << 20;

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let (config, problem) = match context.config() {
        Ok(config) => (config, None),
        Err(error) => match last_accepted(&args.accepted) {
            Some(config) => (config, Some(error.report())),
            None => return Err(error),
        },
    };
    log_as_configured(&config.log, context.verbose)?;
    let site = Site::open(config)?;
    match &problem {
        None => keep(&args.accepted, &site.config)?,
        Some(problem) => log::error!("the last accepted configuration stays in force: {problem}"),
    }
    agent::run(site, problem)?;
    Ok(Exit::Done)
}

fn last_accepted(path: &Path) -> Option<Config> {
    let text = String::from_utf8(durable::read(path, ACCEPTED_MAX).ok()?).ok()?;
    config::parse_str(&path.to_string_lossy(), &text).ok()
}

fn keep(path: &Path, config: &Config) -> Result<()> {
    let text = config::show(config);
    if durable::read(path, ACCEPTED_MAX).is_ok_and(|known| known == text.as_bytes()) {
        return Ok(());
    }
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).context(|| format!("cannot make the folder {dir:?}"))?;
    }
    durable::write(path, text.as_bytes(), 0o600)
}
