//! Settings of a training run and what its progress callback sees.

use crate::error::{check_each, check_limit};
use crate::math::optim::Optimizer;
use crate::math::schedule::Schedule;
use crate::superposition::Reduction;
use crate::{Result, Seed};

/// How to train; the default is the notebook to Elhage et al. (2022).
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Training {
    /// Optimiser steps.
    pub steps: usize,
    /// Samples of one step; fixed and expected data ignore it.
    pub batch: usize,
    /// Base learning rate.
    pub learning_rate: f64,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// How the loss is summed. Learning rates of SGD and weight decay depend on it.
    pub reduction: Reduction,
    /// Random starts per problem, of which the best is kept.
    pub restarts: usize,
    /// Seed of all starts and samples.
    pub seed: Seed,
    /// Steps between two entries of the loss curve; 0 keeps none.
    pub record_every: usize,
    /// Steps between two snapshots of the model; 0 keeps none.
    pub snapshot_every: usize,
}

impl Default for Training {
    fn default() -> Self {
        Self {
            steps: 10_000,
            batch: 1024,
            learning_rate: 1e-3,
            schedule: Schedule::Constant,
            optimizer: Optimizer::default(),
            reduction: Reduction::Mean,
            restarts: 1,
            seed: Seed(0),
            record_every: 100,
            snapshot_every: 0,
        }
    }
}

impl Training {
    /// Largest number of samples in one step.
    pub const MAX_BATCH: usize = 1 << 24;
    /// Largest number of random starts per problem.
    pub const MAX_RESTARTS: usize = 1 << 20;

    pub(crate) fn check(&self) -> Result<()> {
        let positive = |what, count: usize| check_each(what, &[count as f64], ">= 1", |x: f64| x >= 1.0);
        positive("batch", self.batch)?;
        positive("restarts", self.restarts)?;
        check_limit("batch", self.batch, Self::MAX_BATCH)?;
        check_limit("restarts", self.restarts, Self::MAX_RESTARTS)?;
        check_each("learning_rate", &[self.learning_rate], "finite and >= 0", |x: f64| x >= 0.0 && x.is_finite())?;
        self.optimizer.check()
    }
}

/// State of a training run, as its callback sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Steps done.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Mean of the latest losses over all runs.
    pub loss: f64,
}
