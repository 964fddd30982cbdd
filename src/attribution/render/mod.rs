//! Attributions as text, ANSI, HTML and SVG, from plain numbers.
pub mod ansi;
mod characters;
mod colour;
mod scale;
pub mod text;
pub use colour::{Rgb, Theme, diverging};

/// Most columns of text, so that a setting cannot ask for any amount of memory.
const MAX_COLUMNS: usize = 10_000;
