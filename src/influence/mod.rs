//! Which training examples made the model say this?
//!
//! | step | what |
//! |---|---|
//! | hand over the rows of every layer | [`LayerRows`] |
//!
//! A score has no minus sign and no `1/N`: `s(q, i) = g_qᵀ (C + λ)⁻¹ g_i`. Where the query is a loss, a positive score says
//! that training on the example lowered it, and removing the example changes it by about `+ s/N`.

pub mod estimators;
pub mod evaluate;
pub mod prefilter;
mod rows;

pub use rows::{Bias, Examples, LayerRows};
