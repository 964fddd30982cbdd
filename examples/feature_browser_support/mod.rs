//! Parts of the feature browser: reading, one pass over the activations, packing, and the page itself.
#![expect(unreachable_pub, reason = "an example has no crate to reach from")]

pub mod check;
pub mod columns;
pub mod context;
pub mod files;
pub mod neighbours;
pub mod options;
pub mod pack;
pub mod page;
pub mod profile;
pub mod scan;
pub mod synthetic;
pub mod text;
pub mod vocabulary;

/// Result with whatever a part of it failed with.
pub type Result<V> = core::result::Result<V, Box<dyn core::error::Error>>;

/// Largest resident size of this process so far, where the system tells it.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}
