//! Approximations of the curvature of a loss, from the rows of each layer alone.

mod basis;
mod corrected;
mod covariance;
mod factor;
mod gram;
mod layer;
mod preconditioner;
pub(super) mod sealed;
mod source;
mod spec;
mod spectral;
#[cfg(test)]
mod tests;
mod true_fisher;

pub use basis::EigenBasis;
pub use corrected::EigenvalueAccumulator;
pub use covariance::{CovarianceAccumulator, CovarianceSettings, Structure};
pub(super) use factor::Rotation;
pub use factor::{FactorBasis, FactorHealth};
pub use layer::{LayerCurvature, Strategy, fit_layer};
pub use preconditioner::Preconditioner;
pub use source::{Segment, source_queries};
pub use spec::{Fisher, LayerSpec, Unit};
pub use spectral::{Damping, Spectral};
pub use true_fisher::{TrueFisherRows, gaussian_fisher_inputs, gaussian_gradients, label_gradients, sample_labels};
