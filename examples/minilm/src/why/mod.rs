//! Why does a sentence encoder say what it says? Attributions of one number to the words of one sentence, by several methods
//! side by side, how far these agree, and how faithful they are.

mod case;
mod faith;
mod judge;
mod methods;
mod model;
mod record;
pub mod review;
mod sentence;
mod show;
pub mod similar;
mod table;

use std::path::PathBuf;

pub use model::Explained;
pub use sentence::{Sentence, embeddings};

/// Coalitions of words that Shapley values may take unless another number is asked for.
const BUDGET: u64 = 1024;

/// What both commands are told.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Token that stands for a word that is absent; `[MASK]`, or else `[PAD]`, where none is named.
    pub baseline: Option<String>,
    /// Coalitions of words that Shapley values may take; fewer players than this has bits are exact.
    pub budget: Option<u64>,
    /// Folder of the page.
    pub out: Option<PathBuf>,
    /// File of token ids and attributions, for other programs.
    pub json: Option<PathBuf>,
}
