//! Training of a ReLU autoencoder: Adam, unit-norm dictionary vectors, revival of dead latents.
//!
//! At given steps every latent that has not fired since the last such step is resampled: its dictionary vector becomes
//! the direction of an input drawn with a chance proportional to its squared loss, its encoder vector the same direction
//! scaled to 0.2 of the living encoders' mean norm, its bias 0, and the optimiser forgets it.
//!
//! Source: Bricken et al. (2023), appendix "Neuron Resampling".

use alloc::vec;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use ndarray::{Array2, Axis};

use super::decoder_norm::{normalise_rows, project_gradient};
use super::model::Sae;
use super::relu_l1::{ReconstructionLoss, relu_l1};
use crate::error::check_each;
use crate::math::optim::{Optimizer, OptimizerState};
use crate::math::random::uniform;
use crate::math::schedule::Schedule;
use crate::{Error, Result, Scalar, Seed};

const PURPOSE: u64 = 0x5245_5341;

/// Settings of a training run.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SaeTraining {
    /// Optimiser steps.
    pub steps: usize,
    /// Base learning rate.
    pub learning_rate: f64,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// Coefficient of the L1 penalty.
    pub l1: f64,
    /// How reconstruction errors are summed.
    pub reconstruction: ReconstructionLoss,
    /// Steps at which dead latents are resampled.
    pub resample_at: Vec<usize>,
    /// Seed of the resampling.
    pub seed: Seed,
}

impl Default for SaeTraining {
    fn default() -> Self {
        Self {
            steps: 5000,
            learning_rate: 3e-3,
            schedule: Schedule::LinearDecay { decay: 1000 },
            optimizer: Optimizer::adam(),
            l1: 0.1,
            reconstruction: ReconstructionLoss::Sum,
            resample_at: vec![1000, 2000, 3000],
            seed: Seed(0),
        }
    }
}

/// State of a training run, as its callback sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SaeProgress {
    /// Steps done.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Loss of the latest batch.
    pub loss: f64,
}

/// A trained autoencoder.
#[derive(Debug, Clone, PartialEq)]
pub struct SaeTrained<T> {
    /// The autoencoder.
    pub sae: Sae<T>,
    /// Mean loss over the last 50 steps or fewer.
    pub loss: f64,
    /// Latents that were resampled, in all.
    pub resampled: usize,
    /// Steps done.
    pub steps: usize,
}

/// Trains `sae` on batches of one size that `next_batch(step, x)` fills, `x: (b, d)`.
///
/// `progress` is called about a hundred times and may stop the training.
///
/// # Errors
/// [`Error::Empty`], [`Error::Shape`], [`Error::NotFinite`] (a batch, too), [`Error::OutOfRange`] for settings,
/// [`Error::Diverged`] where the loss is not finite.
///
/// # Example
/// ```
/// use core::ops::ControlFlow;
/// use limpid::Seed;
/// use limpid::sae::{Sae, SaeTraining, train_sae};
/// use limpid::superposition::FeatureDistribution;
///
/// let sparse = FeatureDistribution::<f32>::uniform(4, 0.2)?;
/// let settings = SaeTraining { steps: 20, ..SaeTraining::default() };
/// let batches = |step: usize, x: &mut ndarray::Array2<f32>| {
///     x.assign(&sparse.sample(64, Seed(step as u64))?);
///     Ok(())
/// };
/// let trained = train_sae(Sae::initialise(4, 8, Seed(1))?, 64, &settings, batches, |_| ControlFlow::Continue(()))?;
/// assert!(trained.loss.is_finite());
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn train_sae<T: Scalar>(
    sae: Sae<T>,
    batch: usize,
    settings: &SaeTraining,
    mut next_batch: impl FnMut(usize, &mut Array2<T>) -> Result<()>,
    mut progress: impl FnMut(SaeProgress) -> ControlFlow<()>,
) -> Result<SaeTrained<T>> {
    settings.check()?;
    let mut run = Run::new(sae, batch, settings)?;
    for step in 0..settings.steps {
        next_batch(step, &mut run.x)?;
        run.step(step, settings)?;
        if settings.resample_at.contains(&(step + 1)) {
            run.resample(step, settings);
        }
        let report = SaeProgress { step: step + 1, steps: settings.steps, loss: run.loss };
        let due = (step + 1).is_multiple_of(settings.steps.div_ceil(100)) || step + 1 == settings.steps;
        if due && progress(report).is_break() {
            return Ok(run.finish(step + 1));
        }
    }
    Ok(run.finish(settings.steps))
}

impl SaeTraining {
    fn check(&self) -> Result<()> {
        self.optimizer.check()?;
        check_each("learning_rate and l1", &[self.learning_rate, self.l1], "finite and >= 0", |x: f64| {
            x >= 0.0 && x.is_finite()
        })
    }
}

struct Run<T> {
    sae: Sae<T>,
    x: Array2<T>,
    states: [OptimizerState<T>; 4],
    fired: Vec<bool>,
    /// Squared error of each sample of the latest batch.
    errors: Vec<f64>,
    loss: f64,
    recent: Vec<f64>,
    resampled: usize,
}

impl<T: Scalar> Run<T> {
    fn new(sae: Sae<T>, batch: usize, settings: &SaeTraining) -> Result<Self> {
        sae.check()?;
        crate::error::check_limit("batch", batch, 1 << 24)?;
        check_each("batch", &[batch as f64], ">= 1", |b: f64| b >= 1.0)?;
        let state = |len| OptimizerState::new(settings.optimizer, len);
        let states = [state(sae.w_enc.len()), state(sae.b_enc.len()), state(sae.w_dec.len()), state(sae.b_dec.len())];
        Ok(Self {
            x: Array2::zeros((batch, sae.width())),
            fired: vec![false; sae.latents()],
            errors: vec![0.0; batch],
            states,
            sae,
            loss: f64::NAN,
            recent: Vec::new(),
            resampled: 0,
        })
    }

    fn step(&mut self, step: usize, settings: &SaeTraining) -> Result<()> {
        let Self { sae, x, states, fired, errors, loss, recent, .. } = self;
        let mut pass = relu_l1(sae, x, T::of(settings.l1), settings.reconstruction)?;
        *loss = (pass.reconstruction_loss + pass.sparsity_loss).as_f64();
        if !loss.is_finite() {
            return Err(Error::Diverged { step, instance: 0 });
        }
        if step + 50 >= settings.steps {
            recent.push(*loss);
        }
        for row in pass.features.rows() {
            fired.iter_mut().zip(row).for_each(|(fired, &f)| *fired |= f > T::zero());
        }
        let difference = &pass.reconstruction - &*x;
        let squares = difference.map_axis(Axis(1), |row| row.iter().map(|&e| (e * e).as_f64()).sum::<f64>());
        errors.copy_from_slice(&squares.to_vec());
        project_gradient(&sae.w_dec, &mut pass.gradient.w_dec)?;
        let rate = settings.learning_rate * settings.schedule.factor::<f64>(step, settings.steps);
        let [w_enc, b_enc, w_dec, b_dec] = states;
        let gradient = &pass.gradient;
        update(w_enc, sae.w_enc.as_slice_mut(), gradient.w_enc.as_slice(), rate)?;
        update(b_enc, sae.b_enc.as_slice_mut(), gradient.b_enc.as_slice(), rate)?;
        update(w_dec, sae.w_dec.as_slice_mut(), gradient.w_dec.as_slice(), rate)?;
        update(b_dec, sae.b_dec.as_slice_mut(), gradient.b_dec.as_slice(), rate)?;
        normalise_rows(&mut sae.w_dec);
        Ok(())
    }

    fn resample(&mut self, step: usize, settings: &SaeTraining) {
        let Self { sae, x, states, fired, errors, resampled, .. } = self;
        let mut stream = settings.seed.stream(PURPOSE, step as u64);
        let norms: Vec<T> = sae.w_enc.columns().into_iter().map(|w| w.dot(&w).sqrt()).collect();
        let alive = || norms.iter().zip(fired.iter()).filter(|(_, fired)| **fired).map(|(&norm, _)| norm);
        let size = T::of(0.2) * alive().sum::<T>() / T::of(alive().count().max(1) as f64);
        let chances: Vec<f64> = errors.iter().map(|e| e * e).collect();
        let dead: Vec<usize> = (0..fired.len()).filter(|&i| !fired[i]).collect();
        for &i in &dead {
            let chosen = draw(&chances, uniform(&mut stream));
            let mut direction = &x.row(chosen) - &sae.b_dec;
            let norm = direction.dot(&direction).sqrt();
            if norm <= T::zero() {
                continue;
            }
            direction /= norm;
            sae.w_dec.row_mut(i).assign(&direction);
            sae.w_enc.column_mut(i).assign(&(direction * size));
            sae.b_enc[i] = T::zero();
            *resampled += 1;
            let (d, m) = sae.w_enc.dim();
            states[0].forget((0..d).map(|row| row * m + i));
            states[1].forget([i]);
            states[2].forget(i * d..(i + 1) * d);
        }
        fired.fill(false);
    }

    fn finish(self, steps: usize) -> SaeTrained<T> {
        let mean = self.recent.iter().sum::<f64>() / self.recent.len().max(1) as f64;
        let loss = if self.recent.is_empty() { self.loss } else { mean };
        SaeTrained { sae: self.sae, loss, resampled: self.resampled, steps }
    }
}

fn update<T: Scalar>(
    state: &mut OptimizerState<T>,
    parameter: Option<&mut [T]>,
    gradient: Option<&[T]>,
    rate: f64,
) -> Result<()> {
    match (parameter, gradient) {
        (Some(parameter), Some(gradient)) => state.step(parameter, gradient, rate),
        _ => Err(Error::Unsupported { what: "parameters that are not in standard layout" }),
    }
}

/// Index drawn with a chance proportional to `chances`, from a uniform number.
fn draw(chances: &[f64], u: f64) -> usize {
    let mut left = u * chances.iter().sum::<f64>();
    let found = chances.iter().position(|&chance| {
        left -= chance;
        left < 0.0
    });
    found.unwrap_or(0)
}
