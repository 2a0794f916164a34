//! `tillstick list`: the backups in the primary, in a store or on a stick.

use jiff::Timestamp;

use super::{Context, Exit, StickFlag, StoreFlag, in_store, lang_of_environment, say};
use crate::error::Result;
use crate::job::history::History;
use crate::job::list::{self, Listed};
use crate::job::stores;
use crate::lang::Lang;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    stick: StickFlag,
    #[command(flatten)]
    store: StoreFlag,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let run = context.run();
    let (listed, lang) = match args.stick.at() {
        Some(stick) => {
            let site = context.site_if_any();
            let known = site.as_ref().map(|site| (site, History::of(site, &run)));
            let listed = list::on_stick(&stick, known.as_ref().map(|(site, history)| (*site, history)))?;
            (listed, site.as_ref().map_or_else(lang_of_environment, |site| site.config.lang))
        }
        None => {
            let site = context.site()?;
            let history = History::of(&site, &run);
            let listed = match args.store.at(&site)? {
                Some(at) => in_store("list", &at.name, stores::list::list(&site, &at, &history, &run))?,
                None => list::primary(&site, &history)?,
            };
            (listed, site.config.lang)
        }
    };
    let now = Timestamp::now();
    context.screen.result(&listed, |listed| match listed.is_empty() {
        true => vec!["there are no backups yet".to_owned()],
        false => listed.iter().map(|listed| line(listed, now, lang)).collect(),
    })?;
    Ok(Exit::Done)
}

pub(super) fn line(listed: &Listed, now: Timestamp, lang: Lang) -> String {
    if let Some(problem) = &listed.problem {
        return format!("{}  CANNOT BE USED: {problem}", listed.id);
    }
    let names: Vec<&str> = listed.artifacts.iter().map(crate::model::ArtifactName::as_str).collect();
    let copies = match listed.copies.len() {
        0 => String::new(),
        1 => ", 1 copy".to_owned(),
        copies => format!(", {copies} copies"),
    };
    let proof = listed.proof.map(|proof| format!(", {}", say::proof(proof, now, lang))).unwrap_or_default();
    format!(
        "{}  {:12}  {:>9}  {:>11} rows  {}{copies}{proof}",
        listed.id,
        listed.box_name.as_deref().unwrap_or("?"),
        say::size(listed.size),
        say::count(listed.rows),
        names.join(", "),
    )
}
