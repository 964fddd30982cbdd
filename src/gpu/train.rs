//! Training of sparse autoencoders on the device: the sparse step of [`Trainer`], nothing read back.
//!
//! ```text
//! select    x̄ W_encᵀ in tiles of latents, the k best of each sample
//! decode    x' = b_dec + Σ f_i w_dec_i,  G = ∂L/∂x',  ∂L/∂z_i = [f_i > 0] (G · w_dec_i + c/b)
//! aux       the dead latents of largest score fit x - x':  E = Σ g w_dec - (x - x'),  L_aux = s mean ‖E‖²
//! latents   tile by tile: ∂L/∂w_dec_i = Σ f G, projected,  ∂L/∂w_enc_i = Σ ∂L/∂z x̄,  Adam, unit rows
//! ```
//!
//! Equal to the processor's step up to the rounding of its sums: every gradient is within a few `γ` of the exact one in
//! single precision (see [`gemm`](super::gemm) and [`sparse`](super::sparse)). Adam divides by the root of the second moment,
//! so that an element whose gradient is no larger than its rounding may move by up to the learning rate either way.
//!
//! A batch that exceeds what a kernel sees of an array goes some samples after the other, and their gradients are added in that
//! order, so that it is still one step.
//!
//! A loss that is not finite changes nothing on the device, as on the processor, and shows when the step is read.
//!
//! Source: as [`sae::train`](crate::sae::train).

use alloc::vec::Vec;
use core::ops::Range;

use ndarray::{Array1, Array2, ArrayRef2, ArrayView2, Axis};

use super::array::{GpuArray, Reading, Receive};
use super::context::{GpuContext, pieces};
use super::encode::search;
use super::gemm::{Product, multiply_into};
use super::optim::{Guard, Moments, adam_rows, normalise_unless, project_gradient};
use super::pointwise::{blend, centre, follow, share, times};
use super::reduce::{Term, add_column_sums, add_total, total};
use super::sae::GpuSae;
use super::select::{Rules, TopK};
use super::sparse::{Uses, add_counts, by_features, by_signed_features, decode, residual};
use crate::error::check_not_empty;
use crate::math::optim::AdamStep;
use crate::sae::train::{Pair, SaeStep, SaeTraining, Trainer};
use crate::sae::{Activation, AuxK, AuxNormalisation, Loss, LossTerms, Sae, Sparsity};
use crate::sae::{aux, fused};
use crate::{Error, Result, Scalar};

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
    /// Loss, and of that the penalty and the auxiliary term; active features; dead latents: `(1, 1)` each.
    loss: GpuArray<f32>,
    penalty: GpuArray<f32>,
    auxiliary: GpuArray<f32>,
    active: GpuArray<f32>,
    dead: GpuArray<f32>,
    step: usize,
    rows: usize,
    learning_rate: f64,
}

/// Active features, and the gradients that they pass on.
struct Part {
    uses: Uses,
    codes: TopK,
    by_z: GpuArray<f32>,
    by_output: GpuArray<f32>,
}

/// Some samples of a batch: inputs, and what their step has found so far.
struct Samples {
    x: GpuArray<f32>,
    /// `None` where it is `x`.
    centred: Option<GpuArray<f32>>,
}

impl Samples {
    fn centred(&self) -> &GpuArray<f32> {
        self.centred.as_ref().unwrap_or(&self.x)
    }
}

/// What some samples pass on.
struct Portion<'a> {
    samples: &'a Samples,
    part: Part,
    /// Chosen dead latents, until the auxiliary term has taken them up.
    chosen: Option<TopK>,
    /// Of dead latents.
    auxiliary: Option<Part>,
}

/// All parts of a step, with the inputs that they belong to.
fn parts<'a>(portions: &'a [Portion<'_>]) -> impl Iterator<Item = (&'a Part, &'a GpuArray<f32>)> {
    portions.iter().flat_map(|portion| {
        let of_portion = core::iter::once(&portion.part).chain(&portion.auxiliary);
        of_portion.map(|part| (part, portion.samples.centred()))
    })
}

/// What a batch is measured by.
#[derive(Clone, Copy)]
struct Batch<'a> {
    rows: usize,
    loss: &'a Loss,
    /// What squared errors are multiplied with.
    scale: f32,
    /// `mean ‖x - mean x‖²`, where the auxiliary term is measured by it.
    variance: f32,
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
    /// activations other than top-k, penalties other than a plain L1, multi-top-k terms, running averages,
    /// annealed powers, resampling.
    pub fn new(context: &GpuContext, sae: Sae<f32>, settings: SaeTraining) -> Result<Self> {
        Self::go_on(context, &Trainer::new(sae, settings)?)
    }

    /// A run that the processor has begun.
    ///
    /// # Errors
    /// As [`GpuTrainer::new`].
    pub fn go_on(context: &GpuContext, trainer: &Trainer<f32>) -> Result<Self> {
        let (sae, settings) = (trainer.sae(), trainer.settings().clone());
        check_covered(&sae, &settings)?;
        let sae = GpuSae::new(context, &sae)?;
        let from = trainer.moments();
        let most = u64::from(u32::MAX);
        let silent =
            trainer.silence().iter().map(|&silent| u32::try_from(silent.min(most)).unwrap_or(u32::MAX)).collect();
        let dead = trainer.dead().iter().map(|&dead| if dead { 1.0 } else { 0.0 }).collect();
        Ok(Self {
            w_enc: upload(context, &from.w_enc, sae.w_enc.dim())?,
            b_enc: upload(context, &from.b_enc, sae.b_enc.dim())?,
            w_dec: upload(context, &from.w_dec, sae.w_dec.dim())?,
            b_dec: upload(context, &from.b_dec, sae.b_dec.dim())?,
            silent: context.upload_vector::<u32>(&Array1::from_vec(silent))?,
            dead: context.upload_vector::<f32>(&Array1::from_vec(dead))?,
            step: trainer.steps_done(),
            tokens: trainer.tokens(),
            sae,
            settings,
        })
    }

    /// The run as it is now, to go on with on the processor, or to save.
    ///
    /// # Errors
    /// [`Error::Gpu`]; those of [`Trainer::from_parts`] where a step has made a weight infinite.
    pub async fn download(&self) -> Result<Trainer<f32>> {
        let (context, sae) = (&self.sae.context, self.sae.download().await?);
        let of_device = [&self.w_enc, &self.b_enc, &self.w_dec, &self.b_dec];
        let first = of_device.map(|moments| Reading::new(&moments.first));
        let second = of_device.map(|moments| Reading::new(&moments.second));
        let (mut numbers, mut silent) = ([first, second], Reading::new(&self.silent));
        let mut readings: Vec<&mut dyn Receive> = alloc::vec![&mut silent];
        readings.extend(numbers.as_flattened_mut().iter_mut().map(|reading| reading as &mut dyn Receive));
        context.fill(&mut readings).await?;
        let mut moments = crate::sae::train::Moments::new(&sae);
        let to = [&mut moments.w_enc, &mut moments.b_enc, &mut moments.w_dec, &mut moments.b_dec];
        let [first, second] = numbers;
        for (to, (first, second)) in to.into_iter().zip(first.into_iter().zip(second)) {
            (to.first, to.second) = (first.finish()?.into_iter().collect(), second.finish()?.into_iter().collect());
        }
        let silence: Vec<u64> = silent.finish()?.into_iter().map(u64::from).collect();
        Trainer::from_parts(sae, self.settings.clone(), moments, &silence, (self.step, self.tokens))
    }

    /// As [`GpuTrainer::download`], and waits.
    ///
    /// # Errors
    /// As [`GpuTrainer::download`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn download_blocking(&self) -> Result<Trainer<f32>> {
        pollster::block_on(self.download())
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
    /// without variance, [`Error::TooLarge`] where a sample or a number for each latent does not fit a binding, [`Error::Gpu`].
    pub fn step(&mut self, x: &ArrayRef2<f32>) -> Result<PendingStep> {
        check_not_empty("x", x)?;
        let loss = self.settings.loss_at(self.step, None);
        let normalised = self.sae.normalised(x)?;
        let scale = fused::scale(&loss, &normalised)?;
        let context = self.sae.context.clone();
        let by_data = loss.aux.is_some_and(|aux| aux.normalisation == AuxNormalisation::DataVariance);
        let variance = if by_data { aux::variance(&normalised) } else { 1.0 };
        let batch = Batch { rows: x.nrows(), loss: &loss, scale, variance };
        // what does not fit a binding goes some samples after the other
        let at_once = context.rows_at_once(self.widest(&loss)?)?;
        let samples = pieces(batch.rows, at_once).map(|rows| {
            let x = context.upload(&normalised.slice_axis(Axis(0), rows.into()))?;
            Ok(Samples { centred: self.sae.centred(&x)?, x })
        });
        let pending = self.step_on(&context, &samples.collect::<Result<Vec<_>>>()?, batch)?;
        self.step += 1;
        self.tokens += batch.rows as u64;
        context.submit()?;
        Ok(pending)
    }

    /// Most numbers that a step holds for a sample in one array.
    fn widest(&self, loss: &Loss) -> Result<usize> {
        let dead = loss.aux.map_or(0, |aux| aux.k.min(self.sae.latents()));
        Ok(self.sae.w_enc.columns().max(self.k()?).max(dead))
    }

    /// Features of a sample at this step.
    fn k(&self) -> Result<usize> {
        match self.settings.activation_at(self.step, self.sae.activation(), self.sae.latents()) {
            Activation::TopK { k, .. } => Ok(k),
            _ => Err(Error::Unsupported { what: "training of this activation on the device" }),
        }
    }

    fn step_on(&mut self, context: &GpuContext, samples: &[Samples], batch: Batch<'_>) -> Result<PendingStep> {
        let Batch { rows, loss, scale, .. } = batch;
        let per_feature = l1(loss).map_or(0.0, |coefficient| f32::of(coefficient / rows as f64));
        let (mut value, mut penalty) = (context.zeros(1, 1)?, context.zeros(1, 1)?);
        let (mut portions, mut errors) = (Vec::with_capacity(samples.len()), Vec::with_capacity(samples.len()));
        let norms = self.sae.norms()?;
        for samples in samples {
            let (portion, squares) = self.decode(context, samples, batch, (per_feature, norms.as_ref()))?;
            if per_feature != 0.0 {
                add_total(context, &portion.part.codes.values, Term::Value, per_feature, &mut penalty)?;
            }
            portions.push(portion);
            errors.push(squares);
        }
        if per_feature != 0.0 {
            add_total(context, &penalty, Term::Value, 1.0, &mut value)?;
        }
        let mut auxiliary = context.zeros(1, 1)?;
        if let Some(aux) = loss.aux {
            self.fit_residual(context, batch, aux, &mut portions, &mut auxiliary)?;
            add_total(context, &auxiliary, Term::Value, 1.0, &mut value)?;
        }
        for squares in &errors {
            add_total(context, squares, Term::Value, scale, &mut value)?;
        }
        let learning_rate = self.update(context, &portions, &value)?;
        self.follow(context, &portions, &value, rows)?;
        let mut active = context.zeros(1, 1)?;
        for portion in &portions {
            add_total(context, &portion.part.codes.values, Term::Active, 1.0, &mut active)?;
        }
        let dead = total(context, &self.dead, Term::Active)?;
        Ok(PendingStep { loss: value, penalty, auxiliary, active, dead, step: self.step, rows, learning_rate })
    }

    /// Features of some samples and what they pass on, and the squares of their errors.
    fn decode<'s>(
        &self,
        context: &GpuContext,
        samples: &'s Samples,
        batch: Batch<'_>,
        (per_feature, norms): (f32, Option<&GpuArray<f32>>),
    ) -> Result<(Portion<'s>, GpuArray<f32>)> {
        let (codes, chosen) = self.choose(context, samples, batch.loss, norms)?;
        let mut by_output = decode(context, &codes, &self.sae.w_dec, &self.sae.b_dec)?;
        let squares = residual(context, &mut by_output, &samples.x, 2.0 * batch.scale)?;
        let by_z = by_features(context, &codes, &self.sae.w_dec, &by_output, per_feature, None)?;
        let part = Part { uses: Uses::new(context, &codes, self.sae.latents())?, codes, by_z, by_output };
        Ok((Portion { samples, part, chosen, auxiliary: None }, squares))
    }

    /// Takes up which latents fired.
    fn follow(
        &mut self,
        context: &GpuContext,
        portions: &[Portion<'_>],
        loss: &GpuArray<f32>,
        rows: usize,
    ) -> Result<()> {
        let joined;
        let uses = match portions {
            [portion] => &portion.part.uses.counts,
            _ => {
                let mut counts = context.zeros(1, self.sae.latents())?;
                for portion in portions {
                    add_counts(context, &portion.part.codes, &mut counts)?;
                }
                joined = counts;
                &joined
            }
        };
        follow(context, (uses, loss), (&mut self.silent, &mut self.dead), rows, self.settings.dead_after)
    }

    /// The features of this step, and those of dead latents for the auxiliary term.
    fn choose(
        &self,
        context: &GpuContext,
        samples: &Samples,
        loss: &Loss,
        norms: Option<&GpuArray<f32>>,
    ) -> Result<(TopK, Option<TopK>)> {
        let rules = Rules { scale: norms, rectify: true, ..Rules::default() };
        let dead = loss.aux.map(|aux| {
            let rules = Rules { eligible: Some(&self.dead), rectify: aux.rectify, ..rules };
            (aux.k.min(self.sae.latents()), rules)
        });
        let choices: Vec<_> = core::iter::once((self.k()?, rules)).chain(dead).collect();
        let mut found = search(context, samples.centred(), self.sae.encoder(), &choices)?.into_iter();
        Ok((found.next().ok_or(Error::Empty { what: "choices" })?, found.next()))
    }

    /// The auxiliary term, written to `value`, and what it passes on.
    ///
    /// Without dead latents every feature is 0 and so is the weight of the term.
    fn fit_residual(
        &self,
        context: &GpuContext,
        batch: Batch<'_>,
        aux: AuxK,
        portions: &mut [Portion<'_>],
        value: &mut GpuArray<f32>,
    ) -> Result<()> {
        let (rows, slope) = (batch.rows as f64, 2.0 * batch.scale);
        let divisor = self.divisor(context, batch, aux, portions)?;
        let dead = total(context, &self.dead, Term::Active)?;
        let most = aux.scale_by_dead.then_some(aux.k);
        let weight = share(context, &divisor, (&dead, most), f32::of(aux.coefficient / rows))?;
        let origin = context.zeros(1, self.sae.w_dec.columns())?;
        for portion in portions {
            let Some(codes) = portion.chosen.take() else { continue };
            let mut error = decode(context, &codes, &self.sae.w_dec, &origin)?;
            blend(context, &portion.part.by_output, slope.recip(), &mut error)?;
            add_total(context, &error, Term::Square, 1.0, value)?;
            times(context, &weight, 2.0, &mut error)?;
            let by_z = if aux.rectify {
                by_features(context, &codes, &self.sae.w_dec, &error, 0.0, None)?
            } else {
                by_signed_features(context, &codes, &self.sae.w_dec, &error)?
            };
            let uses = Uses::new(context, &codes, self.sae.latents())?;
            portion.auxiliary = Some(Part { uses, codes, by_z, by_output: error });
        }
        times(context, &weight, 1.0, value)
    }

    /// What the auxiliary term is measured by, `(1, 1)`.
    fn divisor(
        &self,
        context: &GpuContext,
        batch: Batch<'_>,
        aux: AuxK,
        portions: &[Portion<'_>],
    ) -> Result<GpuArray<f32>> {
        let mut divisor = context.zeros(1, 1)?;
        if aux.normalisation != AuxNormalisation::ResidualVariance {
            divisor.write(&Array2::from_elem((1, 1), batch.variance))?;
            return Ok(divisor);
        }
        let (rows, slope) = (batch.rows as f64, f64::from(2.0 * batch.scale));
        let mut mean = context.zeros(1, self.sae.w_dec.columns())?;
        for Portion { part, .. } in portions {
            add_column_sums(context, &part.by_output, Term::Value, f32::of(1.0 / rows), &mut mean)?;
        }
        let scale = f32::of(1.0 / (rows * slope * slope));
        for Portion { part, .. } in portions {
            add_total(context, &centre(context, &part.by_output, &mean)?, Term::Square, scale, &mut divisor)?;
        }
        Ok(divisor)
    }

    /// Moves all parameters; returns the learning rate.
    fn update(&mut self, context: &GpuContext, portions: &[Portion<'_>], loss: &GpuArray<f32>) -> Result<f64> {
        let (m, d) = self.sae.w_enc.dim();
        let mut by_b_enc = context.zeros(1, m)?;
        for (part, _) in parts(portions) {
            part.uses.weigh(context, &part.by_z, true, &mut by_b_enc)?;
        }
        let mut by_b_dec = context.zeros(1, d)?;
        for Portion { part, .. } in portions {
            add_column_sums(context, &part.by_output, Term::Value, 1.0, &mut by_b_dec)?;
        }
        if self.sae.centres() {
            let through = Product { alpha: -1.0, add: true, ..Product::new(&by_b_enc, &self.sae.w_enc) };
            multiply_into(context, &through, &mut by_b_dec)?;
        }
        let together = LATENTS.min(context.rows_at_once(d)?).min(m);
        let squares = match self.settings.clip_norm {
            None => None,
            Some(clip) => Some((f32::of(clip), self.squares(context, portions, [&by_b_enc, &by_b_dec], together)?)),
        };
        let guard = Guard { loss, clip: squares.as_ref().map(|(clip, squares)| (*clip, squares)) };
        let (learning_rate, adam) = self.settings.adam_at(self.step);
        self.move_latents(context, portions, Move { adam: &adam, guard }, together)?;
        adam_rows(context, (&self.sae.b_enc, &self.b_enc), 0..1, (&by_b_enc, 0), &adam, guard)?;
        adam_rows(context, (&self.sae.b_dec, &self.b_dec), 0..1, (&by_b_dec, 0), &adam, guard)?;
        Ok(learning_rate)
    }

    /// Encoder and decoder, some latents after the other.
    fn move_latents(
        &mut self,
        context: &GpuContext,
        portions: &[Portion<'_>],
        by: Move<'_>,
        together: usize,
    ) -> Result<()> {
        let (m, d) = self.sae.w_enc.dim();
        let [mut by_dec, mut by_enc] = self.gradients(context, together, d)?;
        for latents in pieces(m, together) {
            self.differentiate(context, portions, latents.clone(), [&mut by_dec, &mut by_enc])?;
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
        portions: &[Portion<'_>],
        latents: Range<usize>,
        [by_dec, by_enc]: [&mut GpuArray<f32>; 2],
    ) -> Result<()> {
        for (index, (part, centred)) in parts(portions).enumerate() {
            let (range, add) = (latents.clone(), index > 0);
            part.uses.accumulate(context, (&part.codes.values, &part.by_output), range.clone(), add, by_dec)?;
            part.uses.accumulate(context, (&part.by_z, centred), range, add, by_enc)?;
        }
        if self.settings.unit_norm_decoder {
            project_gradient(context, &self.sae.w_dec, latents, by_dec)?;
        }
        Ok(())
    }

    /// The square `(1, 1)` of the length of all gradients together.
    fn squares(
        &self,
        context: &GpuContext,
        portions: &[Portion<'_>],
        biases: [&GpuArray<f32>; 2],
        together: usize,
    ) -> Result<GpuArray<f32>> {
        let mut squares = context.zeros(1, 1)?;
        let (m, d) = self.sae.w_enc.dim();
        for latents in pieces(m, together) {
            let [mut by_dec, mut by_enc] = self.gradients(context, latents.len(), d)?;
            self.differentiate(context, portions, latents, [&mut by_dec, &mut by_enc])?;
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
        let PendingStep { loss, penalty, auxiliary, active, dead, .. } = pending;
        let numbers = context.read_many([loss, penalty, auxiliary, active, dead]).await?;
        let [loss, sparsity, auxiliary, active, dead] = numbers.map(|number| number[[0, 0]]);
        if !loss.is_finite() {
            return Err(Error::Diverged { step: pending.step, instance: 0 });
        }
        Ok(SaeStep {
            step: pending.step + 1,
            terms: LossTerms { reconstruction: loss - sparsity - auxiliary, sparsity, auxiliary, pre_activation: 0.0 },
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

/// Moments of a parameter of this shape.
fn upload(context: &GpuContext, pair: &Pair<f32>, shape: (usize, usize)) -> Result<Moments> {
    let array = |values: &[f32]| {
        let values = ArrayView2::from_shape(shape, values).map_err(|_| Error::Empty { what: "moments" })?;
        context.upload(&values)
    };
    Ok(Moments { first: array(&pair.first)?, second: array(&pair.second)? })
}

/// Coefficient of a plain L1 penalty.
fn l1(loss: &Loss) -> Option<f64> {
    match loss.sparsity {
        Sparsity::Lp { coefficient, .. } => Some(coefficient),
        _ => None,
    }
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
        (loss.multi_top_k.is_empty(), "multi-top-k on the device"),
        (settings.ema.is_none(), "a running average on the device"),
        (settings.resampling.is_none(), "resampling on the device"),
        (sae.d_in() == sae.d_out(), "training of a transcoder on the device"),
    ];
    match reasons.iter().find(|(covered, _)| !covered) {
        Some((_, what)) => Err(Error::Unsupported { what }),
        None => Ok(()),
    }
}
