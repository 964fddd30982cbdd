//! What a toy model is trained on.

use alloc::sync::Arc;

use ndarray::Array1;

use super::evaluate::has_closed_form;
use super::settings::Training;
use super::start::Start;
use crate::error::{check_each, check_limit};
use crate::superposition::expected::MAX_FEATURES;
use crate::superposition::model::check_importance;
use crate::superposition::{Architecture, FeatureDistribution, FixedDataset};
use crate::{Error, Result, Scalar};

/// Where samples come from.
#[derive(Debug, Clone)]
pub enum Data<T> {
    /// Fresh samples at every step.
    Sampled(FeatureDistribution<T>),
    /// The whole dataset at every step.
    Fixed(Arc<FixedDataset<T>>),
    /// The distribution itself: exact expected gradients, no samples and no noise. For the linear model and the
    /// ReLU-output model with few features; see [`expected`](crate::superposition::expected).
    Expected(FeatureDistribution<T>),
}

impl<T: Scalar> Data<T> {
    /// Number of features `n`.
    #[must_use]
    pub fn n_features(&self) -> usize {
        match self {
            Self::Sampled(distribution) | Self::Expected(distribution) => distribution.n_features(),
            Self::Fixed(dataset) => dataset.points().ncols(),
        }
    }
}

/// One model to train.
#[derive(Debug, Clone)]
pub struct Problem<T> {
    /// The computation.
    pub architecture: Architecture,
    /// Hidden dimensions `m`.
    pub n_hidden: usize,
    /// Importance `(n)` of each feature's error.
    pub importance: Array1<T>,
    /// Where samples come from.
    pub data: Data<T>,
    /// Law of the first parameters.
    pub start: Start<T>,
    /// Penalty `λ` of `Σ |h|` per sample: with enough of it superposition vanishes.
    pub hidden_l1: T,
}

impl<T: Scalar> Problem<T> {
    /// The paper's model: ReLU output, fresh samples, Xavier start.
    #[must_use]
    pub fn new(n_hidden: usize, importance: Array1<T>, distribution: FeatureDistribution<T>) -> Self {
        Self {
            architecture: Architecture::ReluOutput,
            n_hidden,
            importance,
            data: Data::Sampled(distribution),
            start: Start::Xavier,
            hidden_l1: T::zero(),
        }
    }

    fn check_expected(&self, law: &FeatureDistribution<T>) -> Result<()> {
        if !has_closed_form(self, law) {
            return Err(Error::Unsupported { what: "expected gradients of this distribution or penalty" });
        }
        match self.architecture {
            Architecture::Linear => Ok(()),
            Architecture::ReluOutput => check_limit("features of an exact loss", law.n_features(), MAX_FEATURES),
            _ => Err(Error::Unsupported { what: "expected gradients of a model with a hidden nonlinearity" }),
        }
    }

    pub(crate) fn check(&self, settings: &Training) -> Result<()> {
        const MAX_PARAMETERS: usize = 1 << 28;
        let n = self.data.n_features();
        check_importance(&self.importance, n)?;
        check_each("n_hidden", &[self.n_hidden as f64], ">= 1", |m: f64| m >= 1.0)?;
        let parameters = n.saturating_mul(self.n_hidden);
        check_limit("parameters x restarts", parameters.saturating_mul(settings.restarts), MAX_PARAMETERS)?;
        if let Some(snapshots) = settings.steps.checked_div(settings.snapshot_every) {
            let kept = parameters.saturating_mul(settings.restarts).saturating_mul(snapshots);
            check_limit("parameters x restarts x snapshots", kept, MAX_PARAMETERS)?;
        }
        check_each("hidden_l1", &[self.hidden_l1], "finite and >= 0", |x| x >= T::zero() && x.is_finite())?;
        if let Data::Expected(law) = &self.data {
            self.check_expected(law)?;
        }
        self.start.check(self.architecture, self.n_hidden, n)
    }
}
