//! Training of sparse autoencoders on the device: the sparse step of [`Trainer`](crate::sae::train::Trainer), nothing read back.
//!
//! ```text
//! select    x̄ W_encᵀ in tiles of latents, the k best of each sample
//! decode    x' = b_dec + Σ f_i w_dec_i,  G = ∂L/∂x',  ∂L/∂z_i = [f_i > 0] (G · w_dec_i + c/b)
//! latents   tile by tile: ∂L/∂w_dec_i = Σ f G, projected,  ∂L/∂w_enc_i = Σ ∂L/∂z x̄,  Adam, unit rows
//! ```
//!
//! Equal to the processor's step up to the rounding of its sums: every gradient is within a few `γ` of the exact one in
//! single precision (see [`gemm`](super::gemm) and [`sparse`](super::sparse)). Adam divides by the root of the second moment,
//! so that an element whose gradient is no larger than its rounding may move by up to the learning rate either way.
//!
//! A loss that is not finite changes nothing on the device, as on the processor, and shows when the step is read.
//!
//! Source: as [`sae::train`](crate::sae::train).

use core::ops::Range;

use ndarray::ArrayRef2;

use super::array::GpuArray;
use super::context::GpuContext;
use super::encode::search;
use super::gemm::{Product, multiply_into};
use super::optim::{Guard, Moments, adam_rows, normalise_unless, project_gradient};
use super::pointwise::follow;
use super::reduce::{Term, add_total, column_sums};
use super::sae::GpuSae;
use super::select::{Rules, TopK};
use super::sparse::{Uses, by_features, decode, residual};
use crate::error::check_not_empty;
use crate::math::optim::AdamStep;
use crate::sae::fused;
use crate::sae::train::{Adam, SaeStep, SaeTraining};
use crate::sae::{Activation, Loss, LossTerms, Sae, Sparsity};
use crate::{Error, Result};

/// Latents whose gradients are held at once.
const LATENTS: usize = 4096;

/// An autoencoder that is being trained on a device.
#[derive(Debug)]
pub struct GpuTrainer {
    sae: GpuSae,
    settings: SaeTraining,
    w_enc: Moments,
    b_enc: Moments,
    w_dec: Moments,
    b_dec: Moments,
    /// Samples since each latent last fired, `(1, m)`.
    silent: GpuArray<u32>,
    /// 1 for latents that count as dead, `(1, m)`.
    dead: GpuArray<f32>,
    step: usize,
    tokens: u64,
}

/// A step whose numbers are still on the device.
#[derive(Debug)]
pub struct PendingStep {
    /// Loss, and of that the penalty; active features; dead latents: `(1, 1)` each.
    loss: GpuArray<f32>,
    penalty: GpuArray<f32>,
    active: GpuArray<f32>,
    dead: GpuArray<f32>,
    step: usize,
    rows: usize,
    learning_rate: f64,
}

/// What the gradients of latents are made of.
struct Source<'a> {
    uses: &'a Uses,
    codes: &'a TopK,
    by_z: &'a GpuArray<f32>,
    by_output: &'a GpuArray<f32>,
    centred: &'a GpuArray<f32>,
}

/// How a step moves the parameters.
#[derive(Clone, Copy)]
struct Move<'a> {
    adam: &'a AdamStep<f32>,
    guard: Guard<'a>,
}

impl GpuTrainer {
    /// A run before its first step.
    ///
    /// # Errors
    /// Those of [`SaeTraining::check`] and of [`GpuSae::new`]; [`Error::Unsupported`] for what only the processor trains:
    /// activations other than top-k, penalties other than a plain L1, auxiliary and multi-top-k terms, running averages,
    /// annealed powers, resampling.
    pub fn new(context: &GpuContext, mut sae: Sae<f32>, settings: SaeTraining) -> Result<Self> {
        settings.check(&sae)?;
        check_covered(&sae, &settings)?;
        if settings.unit_norm_decoder {
            crate::sae::decoder_norm::normalise_rows(&mut sae.w_dec);
        }
        let m = sae.latents();
        let sae = GpuSae::new(context, &sae)?;
        let moments = |array: &GpuArray<f32>| Moments::new(context, array);
        Ok(Self {
            w_enc: moments(&sae.w_enc)?,
            b_enc: moments(&sae.b_enc)?,
            w_dec: moments(&sae.w_dec)?,
            b_dec: moments(&sae.b_dec)?,
            silent: context.zeros(1, m)?,
            dead: context.zeros(1, m)?,
            step: 0,
            tokens: 0,
            sae,
            settings,
        })
    }

    /// The autoencoder as it is now.
    #[must_use]
    pub fn sae(&self) -> &GpuSae {
        &self.sae
    }

    /// Steps sent.
    #[must_use]
    pub fn steps_done(&self) -> usize {
        self.step
    }

    /// Samples seen.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Sends one step on raw inputs `x: (b, d)` to the device; what it was like is known after [`GpuTrainer::read`].
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`], [`Error::Empty`] for the batch, [`Error::Singular`] for a fraction of variance
    /// without variance, [`Error::TooLarge`] where the batch does not fit a binding, [`Error::Gpu`].
    pub fn step(&mut self, x: &ArrayRef2<f32>) -> Result<PendingStep> {
        check_not_empty("x", x)?;
        let loss = self.settings.loss_at(self.step, None);
        let normalised = self.sae.normalised(x)?;
        let scale = fused::scale(&loss, &normalised)?;
        let context = self.sae.context.clone();
        let x = context.upload(&normalised)?;
        let centred = self.sae.centred(&x)?;
        let pending = self.step_on(&context, (&x, centred.as_ref().unwrap_or(&x)), &loss, scale)?;
        self.step += 1;
        self.tokens += x.rows() as u64;
        context.submit()?;
        Ok(pending)
    }

    fn step_on(
        &mut self,
        context: &GpuContext,
        (x, centred): (&GpuArray<f32>, &GpuArray<f32>),
        loss: &Loss,
        scale: f32,
    ) -> Result<PendingStep> {
        let (rows, m) = (x.rows(), self.sae.latents());
        let codes = self.choose(context, centred)?;
        let mut by_output = decode(context, &codes, &self.sae.w_dec, &self.sae.b_dec)?;
        let squares = residual(context, &mut by_output, x, 2.0 * scale)?;
        let (mut value, mut penalty) = (context.zeros(1, 1)?, context.zeros(1, 1)?);
        let per_feature = l1(loss).map_or(0.0, |coefficient| narrow(coefficient / rows as f64));
        if per_feature != 0.0 {
            add_total(context, &codes.values, Term::Value, per_feature, &mut penalty)?;
            add_total(context, &codes.values, Term::Value, per_feature, &mut value)?;
        }
        add_total(context, &squares, Term::Value, scale, &mut value)?;
        let by_z = by_features(context, &codes, &self.sae.w_dec, &by_output, per_feature, None)?;
        let uses = Uses::new(context, &codes, m)?;
        let source = Source { uses: &uses, codes: &codes, by_z: &by_z, by_output: &by_output, centred };
        let learning_rate = self.update(context, &source, &value)?;
        follow(context, (&uses.counts, &value), (&mut self.silent, &mut self.dead), rows, self.settings.dead_after)?;
        let mut active = context.zeros(1, 1)?;
        add_total(context, &codes.values, Term::Active, 1.0, &mut active)?;
        let mut dead = context.zeros(1, 1)?;
        add_total(context, &self.dead, Term::Active, 1.0, &mut dead)?;
        Ok(PendingStep { loss: value, penalty, active, dead, step: self.step, rows, learning_rate })
    }

    /// The features of this step.
    fn choose(&self, context: &GpuContext, centred: &GpuArray<f32>) -> Result<TopK> {
        let latents = self.sae.latents();
        let Activation::TopK { k, .. } = self.settings.activation_at(self.step, self.sae.activation(), latents) else {
            return Err(Error::Unsupported { what: "training of this activation on the device" });
        };
        let norms = self.sae.norms()?;
        let rules = Rules { scale: norms.as_ref(), rectify: true, ..Rules::default() };
        let found = search(context, centred, self.sae.encoder(), &[(k, rules)])?;
        found.into_iter().next().ok_or(Error::Empty { what: "choices" })
    }

    /// Moves all parameters; returns the learning rate.
    fn update(&mut self, context: &GpuContext, source: &Source<'_>, loss: &GpuArray<f32>) -> Result<f64> {
        let (m, d) = self.sae.w_enc.dim();
        let mut by_b_enc = context.zeros(1, m)?;
        source.uses.weigh(context, source.by_z, false, &mut by_b_enc)?;
        let mut by_b_dec = column_sums(context, source.by_output, Term::Value)?;
        if self.sae.centres() {
            let through = Product { alpha: -1.0, add: true, ..Product::new(&by_b_enc, &self.sae.w_enc) };
            multiply_into(context, &through, &mut by_b_dec)?;
        }
        let together = LATENTS.min(context.rows_at_once(d)?).min(m);
        let squares = match self.settings.clip_norm {
            None => None,
            Some(clip) => Some((narrow(clip), self.squares(context, source, [&by_b_enc, &by_b_dec], together)?)),
        };
        let guard = Guard { loss, clip: squares.as_ref().map(|(clip, squares)| (*clip, squares)) };
        let learning_rate = self.settings.learning_rate.at(self.step, self.settings.steps);
        let Adam { betas, epsilon } = self.settings.adam;
        let adam = AdamStep::new(learning_rate, betas, epsilon, (0.0, 0.0), self.step + 1);
        self.move_latents(context, source, Move { adam: &adam, guard }, together)?;
        adam_rows(context, (&self.sae.b_enc, &self.b_enc), 0..1, (&by_b_enc, 0), &adam, guard)?;
        adam_rows(context, (&self.sae.b_dec, &self.b_dec), 0..1, (&by_b_dec, 0), &adam, guard)?;
        Ok(learning_rate)
    }

    /// Encoder and decoder, some latents after the other.
    fn move_latents(&mut self, context: &GpuContext, source: &Source<'_>, by: Move<'_>, together: usize) -> Result<()> {
        let (m, d) = self.sae.w_enc.dim();
        let [mut by_dec, mut by_enc] = self.gradients(context, together, d)?;
        for first in (0..m).step_by(together) {
            let latents = first..m.min(first + together);
            self.differentiate(context, source, latents.clone(), [&mut by_dec, &mut by_enc])?;
            adam_rows(context, (&self.sae.w_dec, &self.w_dec), latents.clone(), (&by_dec, 0), by.adam, by.guard)?;
            adam_rows(context, (&self.sae.w_enc, &self.w_enc), latents, (&by_enc, 0), by.adam, by.guard)?;
        }
        if self.settings.unit_norm_decoder {
            normalise_unless(context, &mut self.sae.w_dec, by.guard.loss)?;
        }
        Ok(())
    }

    /// Room for the gradients by some dictionary and encoder vectors.
    fn gradients(&self, context: &GpuContext, together: usize, d: usize) -> Result<[GpuArray<f32>; 2]> {
        Ok([GpuArray::uninitialised(context, together, d)?, GpuArray::uninitialised(context, together, d)?])
    }

    /// Gradients by the dictionary and encoder vectors of some latents.
    fn differentiate(
        &self,
        context: &GpuContext,
        source: &Source<'_>,
        latents: Range<usize>,
        [by_dec, by_enc]: [&mut GpuArray<f32>; 2],
    ) -> Result<()> {
        let Source { uses, codes, by_z, by_output, centred } = *source;
        uses.accumulate(context, (&codes.values, by_output), latents.clone(), false, by_dec)?;
        if self.settings.unit_norm_decoder {
            project_gradient(context, &self.sae.w_dec, latents.clone(), by_dec)?;
        }
        uses.accumulate(context, (by_z, centred), latents, false, by_enc)
    }

    /// The square `(1, 1)` of the length of all gradients together.
    fn squares(
        &self,
        context: &GpuContext,
        source: &Source<'_>,
        biases: [&GpuArray<f32>; 2],
        together: usize,
    ) -> Result<GpuArray<f32>> {
        let mut squares = context.zeros(1, 1)?;
        let (m, d) = self.sae.w_enc.dim();
        for first in (0..m).step_by(together) {
            let latents = first..m.min(first + together);
            let [mut by_dec, mut by_enc] = self.gradients(context, latents.len(), d)?;
            self.differentiate(context, source, latents, [&mut by_dec, &mut by_enc])?;
            add_total(context, &by_dec, Term::Square, 1.0, &mut squares)?;
            add_total(context, &by_enc, Term::Square, 1.0, &mut squares)?;
        }
        for bias in biases {
            add_total(context, bias, Term::Square, 1.0, &mut squares)?;
        }
        Ok(squares)
    }

    /// What a step was like.
    ///
    /// # Errors
    /// [`Error::Diverged`] where its loss was not finite: it changed nothing on the device; [`Error::Gpu`].
    pub async fn read(&self, pending: &PendingStep) -> Result<SaeStep<f32>> {
        let context = &self.sae.context;
        let mut numbers = [0.0_f32; 4];
        for (to, from) in numbers.iter_mut().zip([&pending.loss, &pending.penalty, &pending.active, &pending.dead]) {
            *to = context.read(from).await?[[0, 0]];
        }
        let [loss, penalty, active, dead] = numbers;
        if !loss.is_finite() {
            return Err(Error::Diverged { step: pending.step, instance: 0 });
        }
        Ok(SaeStep {
            step: pending.step + 1,
            terms: LossTerms { reconstruction: loss - penalty, sparsity: penalty, ..LossTerms::default() },
            l0: f64::from(active) / pending.rows as f64,
            dead_fraction: f64::from(dead) / self.sae.latents() as f64,
            learning_rate: pending.learning_rate,
            fused: true,
        })
    }

    /// As [`GpuTrainer::read`], and waits.
    ///
    /// # Errors
    /// As [`GpuTrainer::read`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read_blocking(&self, pending: &PendingStep) -> Result<SaeStep<f32>> {
        pollster::block_on(self.read(pending))
    }
}

/// Coefficient of a plain L1 penalty.
fn l1(loss: &Loss) -> Option<f64> {
    match loss.sparsity {
        Sparsity::Lp { coefficient, .. } => Some(coefficient),
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to single precision is what is asked for")]
fn narrow(x: f64) -> f32 {
    x as f32
}

fn check_covered(sae: &Sae<f32>, settings: &SaeTraining) -> Result<()> {
    let loss = &settings.loss;
    let plain = match loss.sparsity {
        Sparsity::None => true,
        Sparsity::Lp { p, root, decoder_norm, .. } => p == 1.0 && !root && decoder_norm.is_none(),
        _ => false,
    };
    let reasons = [
        (matches!(sae.activation, Activation::TopK { .. }), "training of this activation on the device"),
        (plain && settings.p_annealing.is_none(), "this penalty on the device"),
        (loss.aux.is_none() && loss.multi_top_k.is_empty(), "auxiliary terms on the device"),
        (settings.ema.is_none(), "a running average on the device"),
        (settings.resampling.is_none(), "resampling on the device"),
        (sae.d_in() == sae.d_out(), "training of a transcoder on the device"),
    ];
    match reasons.iter().find(|(covered, _)| !covered) {
        Some((_, what)) => Err(Error::Unsupported { what }),
        None => Ok(()),
    }
}
