//! `tillstick list`: the backups in the primary or on a stick.

use super::{Context, Exit, StickFlag, say};
use crate::error::Result;
use crate::job::list::{self, Listed};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    stick: StickFlag,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let listed = match args.stick.at() {
        Some(stick) => list::on_stick(&stick)?,
        None => list::primary(&context.site()?)?,
    };
    context.screen.result(&listed, |listed| match listed.is_empty() {
        true => vec!["there are no backups yet".to_owned()],
        false => listed.iter().map(line).collect(),
    })?;
    Ok(Exit::Done)
}

pub(super) fn line(listed: &Listed) -> String {
    if let Some(problem) = &listed.problem {
        return format!("{}  CANNOT BE USED: {problem}", listed.id);
    }
    let names: Vec<&str> = listed.artifacts.iter().map(crate::model::ArtifactName::as_str).collect();
    let copies = match listed.copies.len() {
        0 => String::new(),
        1 => ", 1 copy".to_owned(),
        copies => format!(", {copies} copies"),
    };
    format!(
        "{}  {:12}  {:>9}  {:>11} rows  {}{copies}",
        listed.id,
        listed.box_name.as_deref().unwrap_or("?"),
        say::size(listed.size),
        say::count(listed.rows),
        names.join(", "),
    )
}
