//! Estimators of influence besides factored curvature: exact solvers, stochastic ones, and short cuts.
//!
//! | estimator | what it inverts | cost |
//! |---|---|---|
//! | [`ConjugateGradient`] on a [`LinearOperator`] | anything that multiplies a vector; [`FisherOperator`] exactly from rows | some passes per query |
//! | [`DualFisher`] | the exact Fisher matrix, by inner products of examples | third power of the examples |
//! | [`Lissa`] | any operator, in expectation over batches | many cheap steps per query |
//! | [`Lanczos`] | the largest eigenvalues of any operator, with or without what is left | some passes in all |
//! | [`datainf`] | the mean of single inverses | two passes per query |
//! | [`tracin`] | nothing: gradients at checkpoints | one pass per checkpoint |
//! | [`Trak`] | the matrix of projected gradients | third power of the dimensions |
//! | [`LoGra`] | the same, from both sides of each layer | sixth power of a small rank |
//! | [`TrackStar`] | the root of it on both sides, and a cosine | the same |
//! | [`similarity`] | nothing: activations alone | one product |
//!
//! [`Trak`], [`LoGra`] and [`TrackStar`] also take a corpus in shards: a [`GramAccumulator`] sums what they invert.
//!
//! Gradients as vectors are laid out layer after layer, each row-major `(d_out, d)` with the bias in the last column. Scores
//! have no minus sign and no `1/N`.

mod conjugate_gradient;
mod datainf;
mod dual;
mod factored;
mod gram;
mod gram_spec;
mod lanczos;
mod layers;
mod lissa;
mod logra;
mod logra_projection;
mod operator;
mod projection;
mod similarity;
#[cfg(test)]
pub(crate) mod testing;
mod tracin;
mod track_star;
mod trak;

pub use conjugate_gradient::{CgSolution, ConjugateGradient};
pub use datainf::{DataInf, datainf};
pub use dual::DualFisher;
pub use factored::Factored;
pub use gram::GramAccumulator;
pub use gram_spec::{GramSpec, ProjectionId};
pub use lanczos::{Complement, Lanczos, LowRankCurvature};
pub use layers::{gradients, solution_scores};
pub use lissa::{Lissa, LissaDamping, LissaScale, LissaSolution, largest_eigenvalue};
pub use logra::{LoGra, LoGraQueries};
pub use logra_projection::{LoGraInit, LoGraProjection};
pub use operator::{BatchOperator, Damped, FisherOperator, LinearOperator, OperatorFn};
pub use projection::{Entries, Projection, Side, project_sides};
pub use similarity::{Similarity, most_similar, similarity};
pub use tracin::{Checkpoint, tracin, tracin_embeddings, tracin_self};
pub use track_star::{TrackStar, TrackStarEmbeddings, TrackStarWhitening};
pub use trak::{Margins, Trak, TrakQueries};
