//! What the attribution example stands on: images with known answers, a classifier, and what is shown of the methods.
#![expect(unreachable_pub, reason = "an example has no crate to reach from")]

pub mod digits;
pub mod show;
pub mod train;
