//! What the figure examples share: command line, training, progress, figures, tables, checks and the page that shows them.
#![expect(unreachable_pub, reason = "an example has no crate to reach from")]
#![allow(dead_code, reason = "each example uses a part")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    reason = "programs with figures"
)]
#![allow(clippy::allow_attributes, reason = "an expectation would fail in the example that uses everything")]

pub mod cli;
pub mod colour;
pub mod figure;
pub mod history;
pub mod progress;
pub mod recovery;
pub mod report;
pub mod svg;
pub mod theory;
pub mod training;

use std::process::ExitCode;

use cli::Options;
use report::Report;

/// Reads the command line, runs `body`, and turns its report into an exit code: 0 all checks hold, 1 one is missed, 2 an
/// error.
pub fn run<E: std::fmt::Display>(
    name: &str,
    about: &str,
    (restarts, steps): (usize, usize),
    body: fn(&Options) -> Result<Report, E>,
) -> ExitCode {
    match body(&Options::read(name, about, restarts, steps)) {
        Ok(report) => report.finish(),
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::from(2)
        }
    }
}
