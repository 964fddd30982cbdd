//! Training of toy models of superposition on the device, all runs side by side.
//!
//! Starts, seeds, optimiser and evaluation are those of [`superposition::train`](mod@crate::superposition::train). Samples are made on
//! the device from the same random words, one per cell: where every density is at least 0.08 they are the processor's samples,
//! bit by bit; sparser features, which the processor skips through, get other samples of the same law. Sums are of single
//! precision: a gradient over `b` samples is within `2 b u Σ|terms|` of the exact one, `u = 2⁻²⁴`, so that runs agree for some
//! hundred steps and then in their law.
//!
//! Source: as [`superposition::train`](mod@crate::superposition::train).

use alloc::vec::Vec;
use core::ops::ControlFlow;

use ndarray::{Array2, ArrayView1};

use super::array::GpuArray;
use super::context::{GpuContext, grid, word};
use super::kernels::TOY;
use super::optim::{Guard, Moments, adam_rows, adam_step};
use super::random::{Streams, keys};
use super::reduce::{Term, add_total, row_sums};
use crate::error::{check_length, check_limit};
use crate::math::block::BLOCK;
use crate::math::optim::Optimizer;
use crate::superposition::backward::Objective;
use crate::superposition::train::evaluate::evaluate;
use crate::superposition::train::ranked;
use crate::superposition::train::run::{STEP, seed_of};
use crate::superposition::{
    Architecture, Data, FeatureDistribution, Joint, Problem, Progress, Snapshot, ToyModel, Trained, Training, Value,
};
use crate::{Error, Result, Seed};

/// Parts of a run between two reports.
const REPORTS: usize = 100;

/// As [`train_every_restart`](crate::superposition::train_every_restart), on the device. All problems have one size and
/// architecture.
///
/// # Errors
/// Those of the twin, where [`Error::Diverged`] has the step at which it was noticed; [`Error::Unsupported`] for what only the
/// processor trains: problems of different sizes, the absolute-value model, data that are fixed, expected or not independent, and
/// SGD; [`Error::TooLarge`] where one step of all runs does not fit a binding; [`Error::Gpu`].
pub async fn train_every_restart(
    context: &GpuContext,
    problems: &[Problem<f32>],
    settings: &Training,
    mut progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Vec<Vec<Trained<f32>>>> {
    let mut runs = Runs::new(context, problems, settings)?;
    let every = settings.steps.div_ceil(REPORTS).max(1);
    let mut done = 0;
    while done < settings.steps {
        runs.step(context, settings, done).await?;
        done += 1;
        if done.is_multiple_of(every) || done == settings.steps {
            let loss = runs.report(context, done - 1).await?;
            if progress(Progress { step: done, steps: settings.steps, loss }).is_break() {
                break;
            }
        }
    }
    runs.finish(context, problems, settings, done).await
}

/// As [`train_every_restart`], and waits.
///
/// # Errors
/// As [`train_every_restart`].
#[cfg(not(target_arch = "wasm32"))]
pub fn train_every_restart_blocking(
    context: &GpuContext,
    problems: &[Problem<f32>],
    settings: &Training,
    progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Vec<Vec<Trained<f32>>>> {
    pollster::block_on(train_every_restart(context, problems, settings, progress))
}

/// Most weights of a model whose gradients one workgroup sums.
const FEW: usize = 128;

/// Sizes that all runs share.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    runs: usize,
    n: usize,
    m: usize,
    batch: usize,
    architecture: Architecture,
    value: Value,
}

impl Sizes {
    fn blocks(&self) -> usize {
        self.batch.div_ceil(BLOCK)
    }

    /// Parameters of a run: weights and bias.
    fn parameters(&self) -> usize {
        (self.m + 1) * self.n
    }
}

/// All runs in progress.
struct Runs {
    sizes: Sizes,
    optimizer: Optimizer,
    /// Instance, restart and seed of each run.
    seeds: Vec<(usize, usize, Seed)>,
    keys: GpuArray<u32>,
    law: GpuArray<f32>,
    theta: GpuArray<f32>,
    moments: Moments,
    words: GpuArray<u32>,
    scratch: GpuArray<f32>,
    gradient: GpuArray<f32>,
    /// Of each block.
    losses: GpuArray<f32>,
    /// NaN since any loss was not finite.
    gate: GpuArray<f32>,
    curves: Vec<Vec<(usize, f64)>>,
    snapshots: Vec<Vec<Snapshot<f32>>>,
}

impl Runs {
    fn new(context: &GpuContext, problems: &[Problem<f32>], settings: &Training) -> Result<Self> {
        settings.check()?;
        let Some(first) = problems.first() else { return Err(Error::Empty { what: "problems" }) };
        let law = distribution(first)?;
        let sizes = Sizes {
            runs: problems.len().saturating_mul(settings.restarts),
            n: law.n_features(),
            m: first.n_hidden,
            batch: settings.batch,
            architecture: first.architecture,
            value: law.value(),
        };
        // refused before anything is allocated
        adam_step(&settings.optimizer, settings.learning_rate, 1)?;
        let (mut seeds, mut theta, mut laws) = (Vec::new(), Vec::new(), Vec::new());
        for (instance, problem) in problems.iter().enumerate() {
            problem.check(settings)?;
            check_same(problem, sizes)?;
            for restart in 0..settings.restarts {
                let seed = seed_of(settings, instance, restart);
                let model = problem.start.model(sizes.architecture, sizes.m, sizes.n, seed)?;
                theta.extend(model.weight.iter().chain(&model.bias));
                laws.extend(law_of(problem, settings)?);
                seeds.push((instance, restart, seed));
            }
        }
        let rows = |values: Vec<f32>| {
            let shape = (sizes.runs, values.len() / sizes.runs.max(1));
            Array2::from_shape_vec(shape, values).map_err(|_| Error::Empty { what: "runs" })
        };
        let theta = context.upload(&rows(theta)?)?;
        let blocks = sizes.runs.saturating_mul(sizes.blocks());
        let none = alloc::vec![Vec::new(); sizes.runs];
        Ok(Self {
            keys: keys(context, &seeds.iter().map(|(.., seed)| seed.key(STEP)).collect::<Vec<_>>())?,
            law: context.upload(&rows(laws)?)?,
            moments: Moments::new(context, &theta)?,
            words: GpuArray::uninitialised(context, blocks, sizes.n.saturating_mul(BLOCK))?,
            scratch: GpuArray::uninitialised(context, blocks, (2 * sizes.m + sizes.n).saturating_mul(BLOCK))?,
            gradient: GpuArray::uninitialised(context, sizes.runs, sizes.parameters())?,
            losses: context.zeros(sizes.runs, sizes.blocks())?,
            gate: context.zeros(1, 1)?,
            curves: none,
            snapshots: alloc::vec![Vec::new(); sizes.runs],
            optimizer: settings.optimizer,
            sizes,
            seeds,
            theta,
        })
    }

    /// One step of all runs; what is due to be recorded is read back.
    async fn step(&mut self, context: &GpuContext, settings: &Training, step: usize) -> Result<()> {
        self.differentiate(context, step)?;
        let due = |every: usize| every > 0 && step.is_multiple_of(every);
        if due(settings.record_every) || due(settings.snapshot_every) {
            let losses = row_sums(context, &self.losses, Term::Value)?;
            let (losses, models) = if due(settings.snapshot_every) {
                let [losses, theta] = context.read_many([&losses, &self.theta]).await?;
                (wide(&losses), self.models(&theta)?)
            } else {
                (wide(&context.read(&losses).await?), Vec::new())
            };
            if due(settings.record_every) {
                self.curves.iter_mut().zip(&losses).for_each(|(curve, &loss)| curve.push((step, loss)));
            }
            for ((kept, model), loss) in self.snapshots.iter_mut().zip(models).zip(losses) {
                kept.push(Snapshot { step, loss, model });
            }
        }
        let rate = settings.learning_rate * settings.schedule.factor::<f64>(step, settings.steps);
        let adam = adam_step(&self.optimizer, rate, step + 1)?;
        let guard = Guard { loss: &self.gate, clip: None };
        adam_rows(context, (&self.theta, &self.moments), 0..self.sizes.runs, (&self.gradient, 0), &adam, guard)
    }

    /// Samples, losses and gradients of a step.
    fn differentiate(&mut self, context: &GpuContext, step: usize) -> Result<()> {
        let Sizes { runs, n, m, .. } = self.sizes;
        let blocks = self.sizes.blocks();
        let first = (step as u64).wrapping_mul(blocks as u64);
        let streams = Streams { keys: &self.keys, first, per_key: blocks, batches: n, scale: 0.0 };
        streams.fill(context, "key_stream", &self.words, 0..runs * blocks)?;
        let [theta, law] = [self.theta.whole(context)?, self.law.whole(context)?];
        let (words, scratch) = (self.words.whole(context)?, self.scratch.whole(context)?);
        let (losses, gradient) = (self.losses.whole(context)?, self.gradient.whole(context)?);
        let [of_runs, of_n, of_m, of_blocks, batch] = [runs, n, m, blocks, self.sizes.batch].map(word);
        let (architecture, value) = codes(self.sizes)?;
        let parameters = [of_runs?, of_n?, of_m?, of_blocks?, batch?, architecture, value, 0, 0, 0, 0, 0];
        context.run(
            &TOY,
            "forward",
            &parameters,
            &[(1, theta), (2, law), (3, words), (4, scratch), (5, losses)],
            grid(runs * blocks)?,
        )?;
        // tiles would leave most threads of small models idle
        let (entry, groups) = if (1..=FEW).contains(&(n * m)) {
            ("gradients_few", runs)
        } else {
            ("gradients", runs * n.div_ceil(16) * m.div_ceil(16))
        };
        let windows = [(2, law), (3, words), (4, scratch), (5, gradient)];
        context.run(&TOY, entry, &parameters, &windows, grid(groups)?)?;
        // 0 times what is not finite is NaN, and stays
        add_total(context, &self.losses, Term::Value, 0.0, &mut self.gate)
    }

    /// Mean of the latest losses.
    async fn report(&self, context: &GpuContext, step: usize) -> Result<f64> {
        let losses = row_sums(context, &self.losses, Term::Value)?;
        let [losses, gate] = context.read_many([&losses, &self.gate]).await?;
        let losses = wide(&losses);
        if gate.iter().all(|gate| gate.is_finite()) {
            return Ok(losses.iter().sum::<f64>() / losses.len() as f64);
        }
        let run = losses.iter().position(|loss| !loss.is_finite()).unwrap_or(0);
        Err(Error::Diverged { step, instance: self.seeds.get(run).map_or(0, |(instance, ..)| *instance) })
    }

    /// The models whose parameters these are.
    fn models(&self, theta: &Array2<f32>) -> Result<Vec<ToyModel<f32>>> {
        theta.rows().into_iter().map(|row| model_of(self.sizes, row)).collect()
    }

    async fn finish(
        self,
        context: &GpuContext,
        problems: &[Problem<f32>],
        settings: &Training,
        steps: usize,
    ) -> Result<Vec<Vec<Trained<f32>>>> {
        let models = self.models(&context.read(&self.theta).await?)?;
        let recorded = self.curves.into_iter().zip(self.snapshots);
        let mut trained = Vec::with_capacity(models.len());
        for ((model, (curve, snapshots)), (instance, restart, seed)) in models.into_iter().zip(recorded).zip(self.seeds)
        {
            let Some(problem) = problems.get(instance) else { continue };
            let evaluation = evaluate(problem, settings, &model, instance)?;
            let restart_losses = Vec::new();
            let result = Trained { model, evaluation, restart, restart_losses, curve, snapshots, steps, seed };
            trained.push((instance, result));
        }
        Ok(ranked(trained))
    }
}

fn wide(losses: &Array2<f32>) -> Vec<f64> {
    losses.iter().map(|&loss| f64::from(loss)).collect()
}

fn distribution(problem: &Problem<f32>) -> Result<&FeatureDistribution<f32>> {
    match &problem.data {
        Data::Sampled(law) if law.joint() == Joint::Independent => Ok(law),
        _ => Err(Error::Unsupported { what: "data other than independent samples on the device" }),
    }
}

fn check_same(problem: &Problem<f32>, sizes: Sizes) -> Result<()> {
    let law = distribution(problem)?;
    check_length("features", law.n_features(), sizes.n)?;
    check_length("hidden dimensions", problem.n_hidden, sizes.m)?;
    check_limit("parameters", sizes.runs.saturating_mul(sizes.parameters()), u32::MAX as usize)?;
    if problem.architecture != sizes.architecture || law.value() != sizes.value {
        return Err(Error::Unsupported { what: "different architectures or values side by side on the device" });
    }
    codes(sizes).map(|_| ())
}

/// Densities, their inverses, weights of the errors, and the penalty of the hidden layer.
fn law_of(problem: &Problem<f32>, settings: &Training) -> Result<Vec<f32>> {
    let objective = Objective::new(&problem.importance, problem.hidden_l1, settings.reduction, settings.batch);
    let p = distribution(problem)?.probability();
    let inverses = p.iter().map(|&p| if p > 0.0 { 1.0 / p } else { 0.0 });
    Ok(p.iter().copied().chain(inverses).chain(objective.weight).chain([objective.hidden_l1]).collect())
}

/// Architecture and values as the kernel knows them.
fn codes(sizes: Sizes) -> Result<(u32, u32)> {
    let architecture = match sizes.architecture {
        Architecture::Linear => 0,
        Architecture::ReluOutput => 1,
        Architecture::ReluHidden => 2,
        Architecture::AbsoluteValue => {
            return Err(Error::Unsupported { what: "the absolute-value model on the device" });
        }
    };
    let value = match sizes.value {
        Value::Uniform => 0,
        Value::Symmetric => 1,
        Value::One => 2,
    };
    Ok((architecture, value))
}

fn model_of(sizes: Sizes, row: ArrayView1<'_, f32>) -> Result<ToyModel<f32>> {
    let (weight, bias) = row.split_at(ndarray::Axis(0), sizes.m * sizes.n);
    let weight = Array2::from_shape_fn((sizes.m, sizes.n), |(d, i)| weight[d * sizes.n + i]);
    ToyModel::new(sizes.architecture, weight, bias.to_owned())
}
