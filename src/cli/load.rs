//! `tillstick load`: a .sql.gz becomes a new database, a .tar.gz a new folder, without any configuration.

use super::{Context, Exit, say};
use crate::error::Result;
use crate::job::plumbing::{self, Made};

const EXAMPLES: &str = "\
Examples:
  tillstick load kasse.sql.gz sqlite:kasse.db
  tillstick load shop.tar.gz files:/tmp/look
  tillstick load shop.sql.gz mariadb://root@localhost/shop_new?socket=/run/mysqld/mysqld.sock
  zcat kasse.sql.gz | tillstick load - sqlite:kasse.db";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// A .sql.gz, .sql or .tar.gz file, or - for stdin.
    #[arg(value_name = "FILE")]
    input: std::path::PathBuf,
    /// What to make, as `dump` takes it: sqlite:PATH, files:FOLDER, mariadb:// or postgresql://. It must not exist.
    #[arg(value_name = "URL")]
    url: String,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let report = plumbing::load(&args.input, &args.url, &context.run())?;
    let report = match report {
        Made::Database(report) => report,
        Made::Files(report) => {
            context.screen.result(&report, super::restore::lines_of_files)?;
            return Ok(Exit::Done);
        }
    };
    context.screen.result(&report, |report| {
        let mut lines = vec![format!("{:?}: {} rows, checked", report.database, say::count(report.rows))];
        lines.extend(report.warnings.iter().map(|warning| format!("  warning: {warning}")));
        lines
    })?;
    Ok(Exit::Done)
}
