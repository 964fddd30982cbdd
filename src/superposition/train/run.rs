//! One run: one random start of one problem.

use alloc::vec::Vec;

use super::evaluate::{Evaluation, evaluate};
use super::problem::{Data, Problem};
use super::settings::Training;
use crate::math::block::BLOCK;
use crate::math::optim::OptimizerState;
use crate::math::par;
use crate::superposition::ToyModel;
use crate::superposition::backward::{BlockGradient, Objective, Parameters, Workspace, add_block, add_own_block};
use crate::superposition::expected::ExpectedLoss;
use crate::{Error, Result, Scalar, Seed};

const INSTANCE: u64 = 0x494e_5354;
const RESTART: u64 = 0x5253_5452;
/// Purpose of the streams of samples; their items count the blocks of all steps.
pub(crate) const STEP: u64 = 0x5354_4550;

/// Seed of one run.
pub(crate) fn seed_of(settings: &Training, instance: usize, restart: usize) -> Seed {
    settings.seed.child(INSTANCE, instance as u64).child(RESTART, restart as u64)
}

/// A model as it was at one moment of its training.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Snapshot<T> {
    /// Steps done.
    pub step: usize,
    /// Loss on the batch of the next step.
    pub loss: f64,
    /// The model.
    pub model: ToyModel<T>,
}

/// A trained model and how it came about.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Trained<T> {
    /// The model.
    pub model: ToyModel<T>,
    /// Its loss, in the reduction of the settings.
    pub evaluation: Evaluation,
    /// Which random start it came from.
    pub restart: usize,
    /// Losses of all restarts of its problem, from the smallest.
    pub restart_losses: Vec<f64>,
    /// Training loss before each recorded step.
    pub curve: Vec<(usize, f64)>,
    /// Snapshots, the first before any step.
    pub snapshots: Vec<Snapshot<T>>,
    /// Steps done.
    pub steps: usize,
    /// Seed of this run.
    pub seed: Seed,
}

/// Scratch of one block of samples.
#[derive(Debug)]
struct Shard<T> {
    workspace: Workspace<T>,
    gradient: BlockGradient<T>,
}

/// A run in progress.
#[derive(Debug)]
pub(super) struct Run<'a, T> {
    problem: &'a Problem<T>,
    instance: usize,
    restart: usize,
    /// Whether the blocks of a batch go to threads; a run among many keeps to its own.
    parallel: bool,
    seed: Seed,
    model: ToyModel<T>,
    parameters: Parameters<T>,
    objective: Objective<T>,
    states: [OptimizerState<T>; 3],
    shards: Vec<Shard<T>>,
    expected: Option<ExpectedLoss>,
    total: BlockGradient<T>,
    step: usize,
    loss: f64,
    curve: Vec<(usize, f64)>,
    snapshots: Vec<Snapshot<T>>,
    evaluation: Option<Result<Evaluation>>,
}

impl<'a, T: Scalar> Run<'a, T> {
    pub(super) fn new(problem: &'a Problem<T>, settings: &Training, instance: usize, restart: usize) -> Result<Self> {
        let seed = seed_of(settings, instance, restart);
        let (n, m) = (problem.data.n_features(), problem.n_hidden);
        let model = problem.start.model(problem.architecture, m, n, seed)?;
        let parameters = Parameters::new(&model);
        let rows = rows_of(problem, settings);
        let expected = match &problem.data {
            Data::Expected(law) => Some(ExpectedLoss::new(law.probability(), &problem.importance, settings.reduction)?),
            _ => None,
        };
        let state = |part: &[T]| OptimizerState::new(settings.optimizer, part.len());
        Ok(Self {
            problem,
            instance,
            restart,
            parallel: false,
            seed,
            states: [state(&parameters.encoder), state(&parameters.decoder_transposed), state(&parameters.bias)],
            objective: Objective::new(&problem.importance, problem.hidden_l1, settings.reduction, rows),
            total: BlockGradient::new(&parameters),
            shards: Vec::new(),
            expected,
            model,
            parameters,
            step: 0,
            loss: f64::NAN,
            curve: Vec::new(),
            snapshots: Vec::new(),
            evaluation: None,
        })
    }

    /// Gives the blocks of a batch to threads.
    pub(super) fn parallelise(&mut self) {
        self.parallel = true;
    }

    /// Trains until `until` steps are done or the loss is not finite.
    pub(super) fn advance(&mut self, settings: &Training, until: usize) {
        while self.step < until {
            if self.expected.is_some() {
                self.compute_expected_gradient();
            } else {
                self.compute_gradient(settings);
            }
            self.loss = self.total.loss;
            self.record(settings);
            if !self.loss.is_finite() {
                return;
            }
            self.update(settings);
            self.step += 1;
        }
    }

    fn record(&mut self, settings: &Training) {
        let due = |every: usize| every > 0 && self.step.is_multiple_of(every);
        if due(settings.record_every) {
            self.curve.push((self.step, self.loss));
        }
        if due(settings.snapshot_every) {
            let mut model = self.model.clone();
            self.parameters.write_to(&mut model);
            self.snapshots.push(Snapshot { step: self.step, loss: self.loss, model });
        }
    }

    /// Sums the gradients of all blocks of the batch in order, whichever thread computed them.
    fn compute_gradient(&mut self, settings: &Training) {
        let rows = rows_of(self.problem, settings);
        let blocks = rows.div_ceil(BLOCK);
        let wanted = if self.parallel { blocks } else { 1 };
        if self.shards.len() < wanted {
            self.shards.resize_with(wanted, || Shard {
                workspace: Workspace::new(self.parameters.bias.len(), self.problem.n_hidden),
                gradient: BlockGradient::new(&self.parameters),
            });
        }
        self.parameters.refresh();
        self.total.clear();
        let Self { problem, seed, parameters, objective, shards, total, step, parallel, .. } = self;
        let first = *step * blocks;
        let work = |index: usize, shard: &mut Shard<T>| {
            let live = BLOCK.min(rows - index * BLOCK);
            shard.compute(problem, parameters, objective, *seed, (first + index, index), live);
        };
        if *parallel {
            par::for_each_mut(shards, work);
            shards.iter().for_each(|shard| total.add(&shard.gradient));
        } else {
            for index in 0..blocks {
                work(index, &mut shards[0]);
                total.add(&shards[0].gradient);
            }
        }
    }

    fn compute_expected_gradient(&mut self) {
        let Self { expected, model, parameters, total, .. } = self;
        parameters.write_to(model);
        total.loss = f64::NAN;
        // the first step has checked the model; later it fails only by values that are not finite
        if let Some(Ok((loss, gradient))) = expected.as_mut().map(|expected| expected.loss_and_gradient(model)) {
            total.loss = loss.as_f64();
            total.encoder.iter_mut().zip(&gradient.weight).for_each(|(to, &from)| *to = from);
            total.bias.iter_mut().zip(&gradient.bias).for_each(|(to, &from)| *to = from);
        }
    }

    fn update(&mut self, settings: &Training) {
        let rate = settings.learning_rate * settings.schedule.factor::<f64>(self.step, settings.steps);
        let Self { parameters, total, states: [encoder, decoder, bias], .. } = self;
        for (state, parameter, gradient) in [
            (encoder, &mut parameters.encoder, &total.encoder),
            (decoder, &mut parameters.decoder_transposed, &total.decoder_transposed),
            (bias, &mut parameters.bias, &total.bias),
        ] {
            let stepped = state.step(parameter, gradient, rate);
            debug_assert!(stepped.is_ok(), "states are made with the lengths of their parameters");
        }
    }

    /// The error of a loss that is not finite.
    pub(super) fn outcome(&self) -> Result<()> {
        if self.loss.is_finite() {
            return Ok(());
        }
        Err(Error::Diverged { step: self.step, instance: self.instance })
    }

    pub(super) fn last_loss(&self) -> f64 {
        self.loss
    }

    pub(super) fn evaluate(&mut self, settings: &Training) {
        self.parameters.refresh();
        self.parameters.write_to(&mut self.model);
        self.evaluation = Some(evaluate(self.problem, settings, &self.model, self.instance));
    }

    /// The result, with the index of its problem.
    pub(super) fn finish(self) -> Result<(usize, Trained<T>)> {
        let evaluation = self.evaluation.unwrap_or(Err(Error::Empty { what: "evaluation" }))?;
        let trained = Trained {
            model: self.model,
            evaluation,
            restart: self.restart,
            restart_losses: Vec::new(),
            curve: self.curve,
            snapshots: self.snapshots,
            steps: self.step,
            seed: self.seed,
        };
        Ok((self.instance, trained))
    }
}

impl<T: Scalar> Shard<T> {
    /// Gradient of one block: `position` is its index among all blocks ever and within its batch.
    fn compute(
        &mut self,
        problem: &Problem<T>,
        parameters: &Parameters<T>,
        objective: &Objective<T>,
        seed: Seed,
        position: (usize, usize),
        rows: usize,
    ) {
        let Self { workspace, gradient } = self;
        gradient.clear();
        match &problem.data {
            Data::Fixed(dataset) => {
                add_block(parameters, objective, dataset.block(position.1), rows, workspace, gradient);
            }
            Data::Sampled(distribution) | Data::Expected(distribution) => {
                let mut stream = seed.stream(STEP, position.0 as u64);
                distribution.fill_block(&mut stream, rows, &mut workspace.input);
                add_own_block(parameters, objective, rows, workspace, gradient);
            }
        }
    }
}

/// Samples of one step.
fn rows_of<T: Scalar>(problem: &Problem<T>, settings: &Training) -> usize {
    match &problem.data {
        Data::Fixed(dataset) => dataset.points().nrows(),
        Data::Sampled(_) | Data::Expected(_) => settings.batch,
    }
}
