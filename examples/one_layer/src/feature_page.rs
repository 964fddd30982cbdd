//! The parts of the feature browser that make its page from what is in memory.
#![expect(unreachable_pub, dead_code, reason = "parts of an example that has a command line of its own")]

#[path = "../../feature_browser_support/columns.rs"]
pub mod columns;
#[path = "../../feature_browser_support/context.rs"]
pub mod context;
#[path = "../../feature_browser_support/neighbours.rs"]
pub mod neighbours;
#[path = "../../feature_browser_support/options.rs"]
pub mod options;
#[path = "../../feature_browser_support/pack.rs"]
pub mod pack;
#[path = "../../feature_browser_support/page.rs"]
pub mod page;
#[path = "../../feature_browser_support/profile.rs"]
pub mod profile;
#[path = "../../feature_browser_support/scan.rs"]
pub mod scan;
#[path = "../../feature_browser_support/text.rs"]
pub mod text;
#[path = "../../feature_browser_support/vocabulary.rs"]
pub mod vocabulary;

/// Result with whatever a part of it failed with.
pub type Result<V> = core::result::Result<V, Box<dyn core::error::Error>>;
