//! The parts of the training example: command line, data, run, and what it writes down.
#![expect(unreachable_pub, reason = "an example has no crate to reach from")]

pub mod data;
pub mod device;
pub mod log;
pub mod options;
pub mod results;
pub mod run;

/// One line that says what went wrong.
pub type Result<V> = core::result::Result<V, Box<dyn core::error::Error>>;
