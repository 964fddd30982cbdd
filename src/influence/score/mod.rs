//! Scores of training examples, for queries and for themselves.

mod outer;
mod pairwise;
mod queries;
mod relative;
mod scan;
#[cfg(test)]
mod tests;
mod top_k;

pub use pairwise::{Curvature, Queries};
pub use queries::{LayerQueries, QuerySettings};
pub use relative::{Scale, cosine_scores, leverage, leverage_corrected, relative_scores};
pub use scan::ScanReport;
pub use top_k::{End, Scored, TopK};
