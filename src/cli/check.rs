//! `tillstick check`: are the backups still what they were.

use std::path::{Path, PathBuf};

use super::{Context, Exit, StickFlag, StoreFlag, in_store};
use crate::error::{Error, Kind, Result};
use crate::job::check::{self, Finding};
use crate::job::provenance::Trust;
use crate::job::stores::check::Depth;
use crate::job::{Site, stores};
use crate::model::BackupId;

const EXAMPLES: &str = "\
Examples:
  tillstick check                            every backup in the primary: sizes, hashes, the gzip stream, the dump's end
  tillstick check 20261122T200002Z --drill   and restore it into a scratch database and compare every value
  tillstick check --stick /dev/sdb           every backup on a stick, read from the medium
  tillstick check --store nas                this box's backups in a store: manifests and sizes
  tillstick check --store nas --read         ... and every byte
  tillstick check 104711_kasse.sql.gz        a single file";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// A backup's id, or a file.
    #[arg(value_name = "ID|FILE")]
    what: Option<String>,
    #[command(flatten)]
    stick: StickFlag,
    #[command(flatten)]
    store: StoreFlag,
    /// Read every byte in the store, too; otherwise what its server says is compared.
    #[arg(long, requires = "store")]
    read: bool,
    /// Load each artifact into a scratch database and compare it with what was backed up.
    #[arg(long)]
    drill: bool,
    /// Where scratch databases are made when a stick or store is drilled.
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    scratch: PathBuf,
    /// The file with the key of encrypted backups; without, what lies there encrypted is compared, and of its content
    /// nothing is shown.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Believe backups that no known box has signed.
    #[arg(long)]
    trust_unknown: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let run = context.run();
    let believed = |site: Option<&Site>| Trust::of(site, args.trust_unknown, args.identity.as_deref());
    let findings = match (&args.what, args.stick.at()) {
        (Some(what), None) if Path::new(what).is_file() => {
            if args.drill {
                return Err(Error::new(Kind::Usage, "--drill compares with a manifest, and a single file has none")
                    .help("try it out with `tillstick restore FILE --into NEW.db`"));
            }
            check::file(Path::new(what), &run)?
        }
        (what, stick) => {
            let id = what.as_deref().map(str::parse::<BackupId>).transpose()?;
            match stick {
                Some(stick) => {
                    let site = context.site_if_any();
                    check::on_stick(
                        &stick,
                        site.as_ref(),
                        id.as_ref(),
                        args.drill.then_some(&*args.scratch),
                        &believed(site.as_ref())?,
                        &run,
                    )?
                }
                None => {
                    let site = context.site()?;
                    match args.store.at(&site)? {
                        Some(at) => {
                            let depth = match (args.drill, args.read) {
                                (true, _) => Depth::Drill(&args.scratch),
                                (false, true) => Depth::Read,
                                (false, false) => Depth::Facts,
                            };
                            let trust = believed(Some(&site))?;
                            in_store(
                                "check",
                                &at.name,
                                stores::check::check(&site, &at, id.as_ref(), depth, &trust, &run),
                            )?
                        }
                        None => check::primary(&site, id.as_ref(), args.drill, &believed(Some(&site))?, &run)?,
                    }
                }
            }
        }
    };
    context.screen.result(&findings, |findings| lines(findings))?;
    let looked_inside = args.drill || args.identity.is_some();
    Ok(match findings.iter().any(|finding| finding.problem.is_some()) {
        true => Exit::Failed,
        false if looked_inside && findings.iter().any(|finding| finding.unproven.is_some()) => Exit::Partly,
        false => Exit::Done,
    })
}

fn lines(findings: &[Finding]) -> Vec<String> {
    if findings.is_empty() {
        return vec!["there are no backups to check".into()];
    }
    let line = |finding: &Finding| {
        let id = finding.id.as_ref().map(ToString::to_string).unwrap_or_default();
        let good = if finding.drilled { "restored and equal" } else { "good" };
        let said = finding.problem.as_deref().or(finding.unproven.as_deref()).unwrap_or(good);
        format!("{id}  {}  {said}", finding.artifact)
    };
    findings.iter().map(line).collect()
}
