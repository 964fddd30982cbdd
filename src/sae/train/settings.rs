//! Settings of a training run.

use alloc::vec::Vec;

use super::resample::ResampleRule;
use super::schedule::{KAnnealing, LearningRate, PAnnealing, Shape, WarmUp};
use super::threshold::ThresholdRule;
use crate::error::check_each;
use crate::math::optim::AdamStep;
use crate::sae::{Activation, Loss, Sae, Sparsity};
use crate::{Error, Result, Scalar, Seed};

/// Rates of the Adam optimiser.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Adam {
    /// Decay rates `(β₁, β₂)` of the moments.
    pub betas: (f64, f64),
    /// Added to the root of the second moment.
    pub epsilon: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self { betas: (0.9, 0.999), epsilon: 1e-8 }
    }
}

/// When dead latents start again.
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Resampling {
    /// The recipe.
    pub rule: ResampleRule,
    /// Numbers of steps after which it happens.
    pub at: Vec<usize>,
    /// Steps without firing after which a latent counts as dead here.
    pub window: usize,
    /// Inputs that badly reconstructed ones are drawn from.
    pub inputs: usize,
}

/// How to train. The default is a plain run with Adam; [`Preset`](super::Preset) has those of papers and libraries.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SaeTraining {
    /// Optimiser steps.
    pub steps: usize,
    /// Learning rate over the steps.
    pub learning_rate: LearningRate,
    /// The optimiser.
    pub adam: Adam,
    /// What is minimised.
    pub loss: Loss,
    /// Steps over which the sparsity coefficient rises from 0.
    pub sparsity_warm_up: usize,
    /// How `k` of a top-k activation comes down to its final value.
    pub k_annealing: Option<KAnnealing>,
    /// How the power of an Lp penalty changes.
    pub p_annealing: Option<PAnnealing>,
    /// Whether dictionary vectors are kept at length 1: gradients along them are removed, rows renormalised after the step.
    pub unit_norm_decoder: bool,
    /// Largest length of the gradient of all parameters together.
    pub clip_norm: Option<f64>,
    /// Samples without firing after which a latent counts as dead.
    pub dead_after: u64,
    /// When dead latents are resampled.
    pub resampling: Option<Resampling>,
    /// How the inference threshold of batch top-k follows.
    pub threshold: ThresholdRule,
    /// Whether the logarithm of JumpReLU thresholds is what is trained.
    pub log_threshold: bool,
    /// Rate of the running average of all weights, bias-corrected; `None` keeps none.
    pub ema: Option<f64>,
    /// Whether a step may use the sparse route where it is faster.
    pub fused: bool,
    /// Seed of the resampling.
    pub seed: Seed,
}

impl Default for SaeTraining {
    fn default() -> Self {
        Self {
            steps: 10_000,
            learning_rate: LearningRate {
                base: 3e-4,
                warm_up: WarmUp::FromFirstStep,
                warm_up_steps: 0,
                shape: Shape::Constant,
                decay_steps: 2000,
            },
            adam: Adam::default(),
            loss: Loss::default(),
            sparsity_warm_up: 0,
            k_annealing: None,
            p_annealing: None,
            unit_norm_decoder: true,
            clip_norm: None,
            dead_after: 10_000_000,
            resampling: None,
            threshold: ThresholdRule::default(),
            log_threshold: false,
            ema: None,
            fused: true,
            seed: Seed(0),
        }
    }
}

impl SaeTraining {
    /// Checks the settings against the autoencoder that they are for.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::Unsupported`].
    pub fn check<T: Scalar>(&self, sae: &Sae<T>) -> Result<()> {
        self.learning_rate.check()?;
        self.loss.check(sae)?;
        let below_one = |what, x: f64| check_each(what, &[x], "0 <= x < 1", |x: f64| (0.0..1.0).contains(&x));
        below_one("beta1", self.adam.betas.0)?;
        below_one("beta2", self.adam.betas.1)?;
        check_each("epsilon", &[self.adam.epsilon], "finite and >= 0", |x: f64| x >= 0.0 && x.is_finite())?;
        if let Some(clip) = self.clip_norm {
            check_each("clip_norm", &[clip], "finite and > 0", |x: f64| x > 0.0 && x.is_finite())?;
        }
        if let Some(rate) = self.ema {
            below_one("ema", rate)?;
        }
        if let Some(p) = self.p_annealing {
            check_each("p", &[p.from, p.to], "finite and > 0", |x: f64| x > 0.0 && x.is_finite())?;
            if !matches!(self.loss.sparsity, Sparsity::Lp { .. }) {
                return Err(Error::Unsupported { what: "annealing of p without an Lp penalty" });
            }
        }
        match &sae.activation {
            Activation::JumpRelu { threshold } if self.log_threshold => {
                check_each("threshold", threshold, "> 0 to have a logarithm", |t| t > T::zero())
            }
            Activation::TopK { .. } | Activation::GroupMax { .. } => Ok(()),
            _ if self.k_annealing.is_some() => {
                Err(Error::Unsupported { what: "annealing of k without a top-k activation" })
            }
            _ => Ok(()),
        }
    }

    /// The learning rate of the step after `step` others, and how it will move the parameters.
    pub(crate) fn adam_at<T: Scalar>(&self, step: usize) -> (f64, AdamStep<T>) {
        let learning_rate = self.learning_rate.at(step, self.steps);
        let Adam { betas, epsilon } = self.adam;
        (learning_rate, AdamStep::new(learning_rate, betas, epsilon, (0.0, 0.0), step + 1))
    }

    /// The loss as it is at `step`, with the coefficient and power that hold there.
    pub(crate) fn loss_at(&self, step: usize, annealed: Option<f64>) -> Loss {
        let mut loss = self.loss.clone();
        let factor = super::schedule::sparsity_factor(step, self.sparsity_warm_up);
        match &mut loss.sparsity {
            Sparsity::None => {}
            Sparsity::Lp { coefficient, p, .. } => {
                *coefficient = annealed.unwrap_or(*coefficient) * factor;
                *p = self.p_annealing.map_or(*p, |annealing| annealing.at(step));
            }
            Sparsity::L0 { coefficient }
            | Sparsity::TargetL0 { coefficient, .. }
            | Sparsity::QuadraticL0 { coefficient, .. }
            | Sparsity::Tanh { coefficient, .. } => *coefficient *= factor,
        }
        loss
    }

    /// The `k` of `step`, where it is annealed.
    pub(crate) fn activation_at<T: Scalar>(
        &self,
        step: usize,
        activation: &Activation<T>,
        latents: usize,
    ) -> Activation<T> {
        match (activation, self.k_annealing) {
            (Activation::TopK { k, by_decoder_norm }, Some(annealing)) => {
                let k = annealing.at(step, *k).clamp(1, latents);
                Activation::TopK { k, by_decoder_norm: *by_decoder_norm }
            }
            _ => activation.clone(),
        }
    }
}
