//! `tillstick load`: a .sql.gz becomes a new database, without any configuration.

use super::{Context, Exit, say};
use crate::error::Result;
use crate::job::plumbing;

const EXAMPLES: &str = "\
Examples:
  tillstick load kasse.sql.gz sqlite:kasse.db
  tillstick load shop.sql.gz mariadb://root@localhost/shop_new?socket=/run/mysqld/mysqld.sock
  zcat kasse.sql.gz | tillstick load - sqlite:kasse.db";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// A .sql.gz or .sql file, or - for stdin.
    #[arg(value_name = "FILE")]
    input: std::path::PathBuf,
    /// The database to make, as `dump` takes it: sqlite:PATH, mariadb:// or postgresql://. It must not exist.
    #[arg(value_name = "URL")]
    url: String,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let report = plumbing::load(&args.input, &args.url, &context.run())?;
    context.screen.result(&report, |report| {
        let mut lines = vec![format!("{:?}: {} rows, checked", report.database, say::count(report.rows))];
        lines.extend(report.warnings.iter().map(|warning| format!("  warning: {warning}")));
        lines
    })?;
    Ok(Exit::Done)
}
