//! A till for the demo and the benchmarks: `till make DB LINES [wal|rollback]`, `till sell DB SECONDS`,
//! `till day DB PER_MILLE_APPENDED UPDATES`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

#[path = "../tests/till/mod.rs"]
mod till;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn run(args: &[&str]) -> Result<(), Box<dyn std::error::Error>> {
    match args {
        ["make", db, lines] => till::make(Path::new(db), till::Till { lines: lines.parse()?, wal: true })?,
        ["make", db, lines, mode @ ("wal" | "rollback")] => {
            till::make(Path::new(db), till::Till { lines: lines.parse()?, wal: *mode == "wal" })?;
        }
        ["sell", db, seconds] => {
            let end = Instant::now() + Duration::from_secs_f64(seconds.parse()?);
            let sales = till::sell(Path::new(db), Duration::from_millis(20), || Instant::now() >= end)?;
            println!("sold {} receipts; the slowest took {} ms", sales.receipts, sales.slowest.as_millis());
        }
        ["day", db, appended, updates] => till::a_day_passes(Path::new(db), appended.parse()?, updates.parse()?)?,
        _ => return Err("usage: till make DB LINES [wal|rollback] | sell DB SECONDS | day DB PER_MILLE UPDATES".into()),
    }
    Ok(())
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
