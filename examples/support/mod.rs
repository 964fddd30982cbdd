//! What the figure examples share: command line, progress, figures, tables, checks and the page that shows them.
#![expect(unreachable_pub, reason = "an example has no crate to reach from")]
#![allow(dead_code, reason = "each example uses a part")]
#![allow(clippy::allow_attributes, reason = "an expectation would fail in the example that uses everything")]

pub mod cli;
pub mod colour;
pub mod figure;
pub mod progress;
pub mod report;
pub mod svg;
