//! A training run in progress: parameters, optimiser, trackers; one step at a time.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2, Axis};

use super::adam::{Moments, lay_out};
use super::resample::{draw_inputs, resample, resample_probabilities};
use super::schedule::continued_coefficient;
use super::settings::SaeTraining;
use super::threshold::ThresholdTracker;
use crate::error::check_length;
use crate::sae::decoder_norm::normalise_rows;
use crate::sae::fused;
use crate::sae::{Activation, LossTerms, Sae, Sparsity};
use crate::{Error, Result, Scalar};

/// Batches over which penalties are compared when the power of an Lp penalty changes.
const QUEUE: usize = 10;

/// Inputs whose features are made at once to choose among them.
const TOGETHER: usize = 4096;

/// What one step was like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SaeStep<T> {
    /// Steps done.
    pub step: usize,
    /// Terms of the loss before the step.
    pub terms: LossTerms<T>,
    /// Mean number of active latents.
    pub l0: f64,
    /// Share of latents that count as dead after the step.
    pub dead_fraction: f64,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Whether the sparse route was taken.
    pub fused: bool,
}

/// An autoencoder that is being trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Trainer<T> {
    pub(super) sae: Sae<T>,
    pub(super) settings: SaeTraining,
    pub(super) moments: Moments<T>,
    pub(super) step: usize,
    pub(super) tokens: u64,
    /// Batches that were drawn from the source.
    pub(super) drawn: u64,
    /// Samples seen when each latent last fired.
    pub(super) last_fired: Vec<u64>,
    /// Steps done when each latent last fired.
    pub(super) last_fired_step: Vec<u64>,
    /// Active latents of the last step, by which the next one chooses its route.
    pub(super) l0: Option<f64>,
    pub(super) threshold: ThresholdTracker,
    pub(super) average: Option<Sae<T>>,
    /// Coefficient of an annealed Lp penalty.
    pub(super) coefficient: Option<f64>,
    /// Penalties of recent batches by the current and the next power.
    pub(super) penalties: Vec<(f64, f64)>,
    pub(super) scratch: fused::Workspace<T>,
}

impl<T: Scalar> Trainer<T> {
    /// A run before its first step.
    ///
    /// # Errors
    /// Those of [`Sae::check`] and of [`SaeTraining::check`].
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::sae::train::{SaeTraining, Trainer};
    /// use limpid::sae::{Activation, Sae};
    /// use ndarray::Array2;
    ///
    /// let sae = Sae::<f32>::initialise(4, 16, Activation::TopK { k: 2, by_decoder_norm: false }, Seed(0))?;
    /// let mut trainer = Trainer::new(sae, SaeTraining { steps: 100, ..SaeTraining::default() })?;
    /// let x = Array2::from_shape_fn((8, 4), |(i, j)| (i * 3 + j) as f32 % 5.0);
    /// let (first, second) = (trainer.step(&x, None)?, trainer.step(&x, None)?);
    /// assert!(second.terms.total() < first.terms.total());
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new(mut sae: Sae<T>, settings: SaeTraining) -> Result<Self> {
        settings.check(&sae)?;
        lay_out(&mut sae)?;
        if settings.unit_norm_decoder {
            normalise_rows(&mut sae.w_dec);
        }
        Ok(Self::unchecked(sae, settings))
    }

    /// A run that was brought to this point elsewhere, as on another device: parameters, memory of the optimiser, samples since
    /// each latent last fired, and steps and samples so far.
    ///
    /// # Errors
    /// As [`Trainer::new`]; [`Error::Shape`] for moments or latents of another autoencoder, [`Error::Unsupported`] where a running
    /// average would be needed.
    pub fn from_parts(
        mut sae: Sae<T>,
        settings: SaeTraining,
        moments: Moments<T>,
        silence: &[u64],
        (steps, tokens): (usize, u64),
    ) -> Result<Self> {
        settings.check(&sae)?;
        if settings.ema.is_some() {
            return Err(Error::Unsupported { what: "going on without the running average" });
        }
        lay_out(&mut sae)?;
        let mut trainer = Self::unchecked(sae, settings);
        check_length("silence of the latents", silence.len(), trainer.last_fired.len())?;
        for (given, own) in moments.pairs().into_iter().zip(trainer.moments.pairs()) {
            check_length("first moments", given.first.len(), own.first.len())?;
            check_length("second moments", given.second.len(), own.second.len())?;
        }
        trainer.last_fired = silence.iter().map(|silent| tokens.saturating_sub(*silent)).collect();
        trainer.last_fired_step.fill(steps as u64);
        (trainer.moments, trainer.step, trainer.tokens, trainer.drawn) = (moments, steps, tokens, steps as u64);
        Ok(trainer)
    }

    /// A run before its first step, of parameters that are laid out.
    fn unchecked(sae: Sae<T>, settings: SaeTraining) -> Self {
        let latents = sae.latents();
        Self {
            moments: Moments::new(&sae),
            average: settings.ema.is_some().then(|| zeros_like(&sae)),
            last_fired: vec![0; latents],
            last_fired_step: vec![0; latents],
            l0: None,
            coefficient: None,
            penalties: Vec::new(),
            threshold: ThresholdTracker::default(),
            scratch: fused::Workspace::default(),
            step: 0,
            tokens: 0,
            drawn: 0,
            sae,
            settings,
        }
    }

    /// What the optimiser remembers.
    #[must_use]
    pub fn moments(&self) -> &Moments<T> {
        &self.moments
    }

    /// Samples since each latent last fired.
    #[must_use]
    pub fn silence(&self) -> Vec<u64> {
        self.last_fired.iter().map(|last| self.tokens - last).collect()
    }

    /// The autoencoder as it is now, with the inference threshold of batch top-k filled in.
    #[must_use]
    pub fn sae(&self) -> Sae<T> {
        self.with_threshold(self.sae.clone())
    }

    /// The bias-corrected running average of the weights; `None` where none is kept or no step was made.
    #[must_use]
    pub fn average(&self) -> Option<Sae<T>> {
        let (rate, average) = (self.settings.ema?, self.average.as_ref()?);
        let weight = 1.0 - libm::pow(rate, self.step as f64);
        if self.step == 0 {
            return None;
        }
        let mut corrected = self.sae.clone();
        blend(&mut corrected, average, |_, mean| mean / T::of(weight));
        Some(self.with_threshold(corrected))
    }

    /// The settings of the run.
    #[must_use]
    pub fn settings(&self) -> &SaeTraining {
        &self.settings
    }

    /// Steps done.
    #[must_use]
    pub fn steps_done(&self) -> usize {
        self.step
    }

    /// Samples seen.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Which latents count as dead: silent for [`SaeTraining::dead_after`] samples.
    #[must_use]
    pub fn dead(&self) -> Vec<bool> {
        self.last_fired.iter().map(|last| self.tokens - last >= self.settings.dead_after && self.tokens > 0).collect()
    }

    fn with_threshold(&self, mut sae: Sae<T>) -> Sae<T> {
        if let (Activation::BatchTopK { threshold, .. }, Some(value)) = (&mut sae.activation, self.threshold.value()) {
            *threshold = Some(T::of(value));
        }
        sae
    }

    /// One step on raw inputs `x: (b, d_in)`; `target: (b, d_out)` for transcoders.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`], [`Error::Empty`] for the batch; [`Error::Diverged`] where the loss is not
    /// finite, where nothing is changed, or where the step has made a weight infinite: then the run can go on from its last
    /// checkpoint only.
    pub fn step(&mut self, x: &ArrayRef2<T>, target: Option<&ArrayRef2<T>>) -> Result<SaeStep<T>> {
        let report = self.on_normalised(x, |trainer, x| trainer.step_normalised(x, target))?;
        self.follow_average();
        Ok(report)
    }

    /// Calls `work` with the inputs as the autoencoder sees them, while it has the activation of this step.
    pub(super) fn on_normalised<V>(
        &mut self,
        x: &ArrayRef2<T>,
        work: impl FnOnce(&mut Self, &ArrayRef2<T>) -> Result<V>,
    ) -> Result<V> {
        let normalised = self.sae.normalisation.seen(x)?;
        let activation = self.settings.activation_at(self.step, &self.sae.activation, self.sae.latents());
        let own = core::mem::replace(&mut self.sae.activation, activation);
        let outcome = work(self, &normalised);
        self.restore_activation(own);
        outcome
    }

    /// Puts back a top-k activation that was annealed; others were trained and stay.
    fn restore_activation(&mut self, own: Activation<T>) {
        if matches!(own, Activation::TopK { .. }) {
            self.sae.activation = own;
        }
    }

    fn step_normalised(&mut self, x: &ArrayRef2<T>, target: Option<&ArrayRef2<T>>) -> Result<SaeStep<T>> {
        let loss = self.settings.loss_at(self.step, self.coefficient);
        let dead = (self.tokens > 0).then(|| self.dead());
        let (learning_rate, adam) = self.settings.adam_at(self.step);
        let fused = self.settings.fused && fused::covers(&self.sae, &loss, target.is_some(), self.l0);
        let outcome = if fused {
            let context = fused::Context { loss: &loss, settings: &self.settings, dead: dead.as_deref(), adam };
            let outcome = fused::step(&mut self.sae, &mut self.moments, &context, x, &mut self.scratch);
            outcome.map_err(|error| match error {
                Error::NotFinite { what: "w_dec", .. } => Error::Diverged { step: self.step, instance: 0 },
                other => other,
            })?
        } else {
            let share = self.share_normalised(&loss, dead.as_deref(), x, target)?;
            self.apply_share(share, &adam)?
        };
        if !outcome.terms.total().is_finite() {
            return Err(Error::Diverged { step: self.step, instance: 0 });
        }
        Ok(self.follow(x.nrows(), outcome, (learning_rate, fused)))
    }

    /// Keeps the penalty continuous where its power changes.
    pub(super) fn anneal_p(&mut self, features: &Array2<T>) {
        let (Some(annealing), Sparsity::Lp { coefficient, root, .. }) =
            (self.settings.p_annealing, self.settings.loss.sparsity)
        else {
            return;
        };
        let current = annealing.at(self.step);
        let Some(next) = annealing.next(self.step) else { return };
        if self.penalties.len() == QUEUE {
            self.penalties.remove(0);
        }
        self.penalties.push((power_sum(features, current, root), power_sum(features, next, root)));
        if annealing.is_update(self.step) && current != next {
            let before = self.coefficient.unwrap_or(coefficient);
            self.coefficient = continued_coefficient(before, &self.penalties).ok().or(Some(before));
            self.penalties.clear();
        }
    }

    /// Takes up what a step on `rows` samples was like, and reports it.
    pub(super) fn follow(
        &mut self,
        rows: usize,
        outcome: fused::Outcome<T>,
        (learning_rate, fused): (f64, bool),
    ) -> SaeStep<T> {
        self.step += 1;
        self.l0 = Some(outcome.l0);
        self.tokens += rows as u64;
        for (latent, _) in outcome.fired.iter().enumerate().filter(|(_, fired)| **fired) {
            self.last_fired[latent] = self.tokens;
            self.last_fired_step[latent] = self.step as u64;
        }
        if matches!(self.sae.activation, Activation::BatchTopK { .. }) {
            self.threshold.update(self.settings.threshold, outcome.min_positive);
        }
        SaeStep {
            step: self.step,
            terms: outcome.terms,
            l0: outcome.l0,
            dead_fraction: self.dead().iter().filter(|dead| **dead).count() as f64 / self.last_fired.len() as f64,
            learning_rate,
            fused,
        }
    }

    pub(super) fn follow_average(&mut self) {
        if let (Some(rate), Some(average)) = (self.settings.ema, &mut self.average) {
            let (keep, rest) = (T::of(rate), T::of(1.0 - rate));
            blend(average, &self.sae, |mean, new| keep * mean + rest * new);
        }
    }

    /// Resamples the latents that were silent for the steps of the resampling window, from `inputs: (n, d)` in raw units;
    /// returns how many changed.
    ///
    /// # Errors
    /// Those of [`Sae::reconstruct`] and of [`resample`]; [`Error::Unsupported`] where the settings have no resampling.
    pub fn resample(&mut self, inputs: &ArrayRef2<T>) -> Result<usize> {
        let Some(resampling) = self.settings.resampling.clone() else {
            return Err(Error::Unsupported { what: "resampling without settings for it" });
        };
        let (x, _) = self.sae.normalisation.apply(inputs)?;
        let silent = |last: &u64| (self.step as u64).saturating_sub(*last) >= resampling.window as u64;
        let dead: Vec<bool> = self.last_fired_step.iter().map(silent).collect();
        let mut reconstruction = Array2::zeros((x.nrows(), self.sae.d_out()));
        // features of all inputs at once could be larger than everything else
        for (x, mut out) in
            x.axis_chunks_iter(Axis(0), TOGETHER).zip(reconstruction.axis_chunks_iter_mut(Axis(0), TOGETHER))
        {
            let features = self.sae.encode_normalised(&x, true)?;
            out.assign(&self.sae.decode_normalised(&features, Some(&x))?);
        }
        let chances = resample_probabilities(resampling.rule, &x, &reconstruction)?;
        let count = dead.iter().filter(|dead| **dead).count();
        let chosen = draw_inputs(&chances, count, self.settings.seed, self.step as u64);
        let changed = resample(&mut self.sae, Some(&mut self.moments), resampling.rule, &dead, &x, &chosen)?;
        for &latent in &changed {
            self.last_fired[latent] = self.tokens;
            self.last_fired_step[latent] = self.step as u64;
        }
        Ok(changed.len())
    }
}

/// `mean_b Σ f^p`, or the mean of its roots.
fn power_sum<T: Scalar>(features: &Array2<T>, p: f64, root: bool) -> f64 {
    let of_row = |row: ndarray::ArrayView1<'_, T>| {
        let total: f64 = row.iter().map(|f| f.as_f64()).filter(|f| *f > 0.0).map(|f| libm::pow(f, p)).sum();
        if root && total > 0.0 { libm::pow(total, 1.0 / p) } else { total }
    };
    features.rows().into_iter().map(of_row).sum::<f64>() / features.nrows().max(1) as f64
}

fn zeros_like<T: Scalar>(sae: &Sae<T>) -> Sae<T> {
    let mut zeros = sae.clone();
    blend(&mut zeros, sae, |_, _| T::zero());
    zeros
}

/// Replaces every parameter of `to` by `f(own, other)`.
fn blend<T: Scalar>(to: &mut Sae<T>, from: &Sae<T>, f: impl Fn(T, T) -> T) {
    to.w_enc.zip_mut_with(&from.w_enc, |a, &b| *a = f(*a, b));
    to.b_enc.zip_mut_with(&from.b_enc, |a, &b| *a = f(*a, b));
    to.w_dec.zip_mut_with(&from.w_dec, |a, &b| *a = f(*a, b));
    to.b_dec.zip_mut_with(&from.b_dec, |a, &b| *a = f(*a, b));
    if let (Some(to), Some(from)) = (&mut to.w_skip, &from.w_skip) {
        to.zip_mut_with(from, |a, &b| *a = f(*a, b));
    }
    match (&mut to.activation, &from.activation) {
        (Activation::JumpRelu { threshold: to }, Activation::JumpRelu { threshold: from }) => {
            to.zip_mut_with(from, |a, &b| *a = f(*a, b));
        }
        (Activation::Gated { b_mag, r_mag }, Activation::Gated { b_mag: from_b, r_mag: from_r }) => {
            b_mag.zip_mut_with(from_b, |a, &b| *a = f(*a, b));
            r_mag.zip_mut_with(from_r, |a, &b| *a = f(*a, b));
        }
        _ => {}
    }
}
