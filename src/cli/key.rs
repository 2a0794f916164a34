//! `tillstick key`: by whose signatures backups are believed.

use std::path::Path;

use super::{Context, Exit};
use crate::error::{Context as _, Result};
use crate::host::durable;
use crate::job::provenance::{self, ShownKey};
use crate::model::{FileName, PublicKey};

/// A public key in a file is not longer than this, in bytes.
const FILE_MAX: u64 = 4096;

const EXAMPLES: &str = "\
Examples:
  tillstick key show                              the fingerprint to note down, or to read out
  tillstick key export > kasse-1.pem              for another box, or for OpenSSL
  tillstick key trust kasse-1.pem --name kasse-1  believe that box's backups here, too
  tillstick key rotate                            after a box's state was in wrong hands
  openssl pkeyutl -verify -pubin -inkey kasse-1.pem -rawin -in manifest.json -sigfile manifest.json.sig";

#[derive(Debug, clap::Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum Verb {
    /// Show this box's key and its fingerprint.
    Show,
    /// List the keys whose signatures count here.
    List,
    /// Print this box's public key as PEM.
    Export,
    /// Believe the backups of another box.
    Trust(Trust),
    /// Believe them no longer.
    Distrust {
        /// The name, the fingerprint or the key.
        #[arg(value_name = "NAME|FINGERPRINT|KEY")]
        name: String,
    },
    /// Make a new key for this box; what the old one signed goes on counting here.
    Rotate,
}

#[derive(Debug, clap::Args)]
pub(super) struct Trust {
    /// Its public key: a PEM file of `tillstick key export`, or 64 hex digits.
    #[arg(value_name = "FILE|KEY")]
    key: String,
    /// What to call it.
    #[arg(long, value_name = "NAME")]
    name: FileName,
}

pub(super) fn run(context: &Context, verb: &Verb) -> Result<Exit> {
    let site = context.site()?;
    match verb {
        Verb::Show => context.screen.result(&provenance::own_key(&site)?, |key| vec![line(key)])?,
        Verb::Export => {
            context.screen.result(&provenance::own_key(&site)?, |key| vec![key.key.pem().trim_end().to_owned()])?;
        }
        Verb::List => context.screen.result(&provenance::keys(&site)?, |keys| {
            let own = keys.own.as_ref().map(|key| format!("{}  (this box)", line(key)));
            own.into_iter().chain(keys.trusted.iter().map(line)).collect()
        })?,
        Verb::Trust(args) => {
            let key = read(&args.key)?;
            let trusted = provenance::trust(&site, key, &args.name)?;
            context.screen.result(&trusted, |key| vec![format!("believed from now on: {}", line(key))])?;
        }
        Verb::Distrust { name } => {
            let gone = provenance::distrust(&site, name)?;
            let told =
                |gone: &Vec<ShownKey>| gone.iter().map(|key| format!("no longer believed: {}", line(key))).collect();
            context.screen.result(&gone, told)?;
        }
        Verb::Rotate => context.screen.result(&provenance::rotate(&site)?, |key| {
            vec![
                format!("new key: {}", line(key)),
                "other boxes that read this box's backups must trust it anew".into(),
            ]
        })?,
    }
    Ok(Exit::Done)
}

fn line(key: &ShownKey) -> String {
    format!("{}  {}  {}", key.fingerprint, key.key, key.name)
}

fn read(what: &str) -> Result<PublicKey> {
    let path = Path::new(what);
    if !path.exists() {
        return PublicKey::read(what).context(|| format!("{what:?} is no file, and no key either"));
    }
    let bytes = durable::read(path, FILE_MAX)?;
    PublicKey::read(&String::from_utf8_lossy(&bytes)).context(|| format!("cannot read the key in {what:?}"))
}
