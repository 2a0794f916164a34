//! Parse, start the log, run, exit with the code.

use std::process::ExitCode;

fn main() -> ExitCode {
    tillstick::cli::main()
}
