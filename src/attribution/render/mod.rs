//! Attributions as text, ANSI, HTML and SVG, from plain numbers.
//!
//! | output | of | module |
//! |---|---|---|
//! | plain text | tokens with bars, tables | [`text`] |
//! | terminals | tokens on coloured backgrounds | [`ansi`] |
//! | HTML | tokens, tables of tokens by tokens, images, whole pages | [`html`] |
//! | SVG | bar charts, heat maps, strips of tokens | [`svg`] |
//!
//! Every module has functions with default settings, and a settings struct ([`text::Text`], [`ansi::Ansi`], [`html::Html`],
//! [`svg::Svg`]) with the same ones as methods. All give back a `String`. Colours are symmetric about 0: blue is negative, red
//! is positive, and the largest magnitude, or a limit that is asked for, is strongest.
//!
//! Strings of the caller are shown, never obeyed: markup is escaped, control characters become visible. A score that is NaN or
//! infinite is an error.

pub mod ansi;
mod characters;
mod colour;
pub mod html;
mod scale;
mod style;
pub mod svg;
pub mod text;

pub use colour::{Rgb, Theme, diverging};

/// Most columns of text, so that a setting cannot ask for any amount of memory.
const MAX_COLUMNS: usize = 10_000;
