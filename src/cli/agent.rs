//! `tillstick agent`: what runs on the box all the time.

use super::{Context, Exit};
use crate::agent;
use crate::error::Result;

pub(super) fn run(context: &Context) -> Result<Exit> {
    agent::run(context.site()?)?;
    Ok(Exit::Done)
}
