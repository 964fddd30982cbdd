//! How good is an attribution: erasure, sensitivity, agreement, complexity, localisation.
//!
//! | question | needs | functions |
//! |---|---|---|
//! | is it concentrated on few features? | nothing else | [`sparseness`], [`complexity`](fn@complexity), [`effective_complexity`] |
//! | does it lie where it should? | a mask of where | [`pointing_game`], [`relevance_mass_accuracy`], [`relevance_rank_accuracy`], [`top_k_intersection`], [`mask_auc`], [`attribution_localisation`], [`focus`] |
//! | do two attributions agree? | another attribution | [`agreement`] |
//!
//! All work row by row on attributions `(b, n)`; images and token grids are flattened first. A number that is not defined
//! for a row is `None`.

mod complexity;
mod localisation;

pub use complexity::{complexity, effective_complexity, sparseness};
pub use localisation::{
    attribution_localisation, focus, mask_auc, pointing_game, relevance_mass_accuracy, relevance_rank_accuracy,
    top_k_intersection,
};

pub use crate::math::agreement::{Agreement, By, agreement};
