//! Which training examples made the model say this?
//!
//! | step | what |
//! |---|---|
//! | what it will cost | [`Plan`] |
//! | hand over the rows of every layer | [`LayerRows`], of an embedding by [`TokenColumns`] |
//! | factors of the curvature | [`CovarianceAccumulator`], [`EigenBasis`], [`EigenvalueAccumulator`], [`fit_layer`] |
//! | gradients of the model's own predictions | [`TrueFisherRows`], [`sample_labels`], [`gaussian_gradients`] |
//! | inverses and other functions | [`LayerCurvature`], [`Spectral`], [`source_queries`] |
//! | scores | [`Curvature`], [`Queries`], [`TopK`] |
//! | scores made comparable | [`Scale`], [`relative_scores`], [`cosine_scores`], [`leverage_corrected`] |
//! | exact solvers, series, projections: the other estimators | [`estimators`] |
//! | candidates by shared words | [`prefilter`] |
//! | agreement with models that were retrained | [`evaluate`] |
//!
//! A score has no minus sign and no `1/N`: `s(q, i) = g_qᵀ (C + λ)⁻¹ g_i`. Where the query is a loss, a positive score says
//! that training on the example lowered it, and removing the example changes it by about `+ s/N`.

mod curvature;
pub mod estimators;
pub mod evaluate;
mod plan;
pub mod prefilter;
mod rows;
mod score;
#[cfg(test)]
mod testing;

pub use curvature::{
    CovarianceAccumulator, CovarianceSettings, Damping, EigenBasis, EigenvalueAccumulator, FactorBasis, FactorHealth,
    Fisher, LayerCurvature, LayerSpec, Preconditioner, Segment, Spectral, Strategy, Structure, TrueFisherRows, Unit,
    fit_layer, gaussian_fisher_inputs, gaussian_gradients, label_gradients, sample_labels, source_queries,
};
pub use plan::{Contraction, Cost, LayerSize, Plan, PlanSettings};
pub use rows::{Bias, Examples, LayerRows, TokenColumns};
pub use score::{
    Curvature, End, LayerQueries, Queries, QuerySettings, Scale, ScanReport, Scored, TopK, cosine_scores, leverage,
    leverage_corrected, relative_scores,
};
