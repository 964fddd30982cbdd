//! The features of an autoencoder that was dropped on the page; the page about them is that of the example `feature_browser`.
#![expect(unreachable_pub, dead_code, reason = "modules of an example, of which files and checks are not needed here")]

#[path = "../../../feature_browser_support/columns.rs"]
mod columns;
#[path = "../../../feature_browser_support/context.rs"]
mod context;
#[path = "../../../feature_browser_support/neighbours.rs"]
mod neighbours;
mod options;
#[path = "../../../feature_browser_support/pack.rs"]
mod pack;
#[path = "../../../feature_browser_support/page.rs"]
mod page;
mod parts;
#[path = "../../../feature_browser_support/profile.rs"]
mod profile;
#[path = "../../../feature_browser_support/scan.rs"]
mod scan;
mod session;
#[path = "../../../feature_browser_support/synthetic.rs"]
mod synthetic;
#[path = "../../../feature_browser_support/text.rs"]
mod text;
#[path = "../../../feature_browser_support/vocabulary.rs"]
mod vocabulary;

pub use session::Session;

type Result<V> = core::result::Result<V, crate::Trouble>;

/// The files of a made-up autoencoder.
///
/// # Errors
/// None that can be expected.
pub fn example() -> Result<Vec<(&'static str, Vec<u8>)>> {
    Ok(synthetic::files(0)?.0)
}
