//! The loss that decides between restarts.

use super::problem::{Data, Problem};
use super::settings::Training;
use crate::math::block::BLOCK;
use crate::superposition::backward::{BlockGradient, Objective, Parameters, Workspace, add_block, add_own_block};
use crate::superposition::distribution::{FeatureDistribution, FixedDataset};
use crate::superposition::expected::ExpectedLoss;
use crate::superposition::{Architecture, Joint, ToyModel, Value};
use crate::{Result, Scalar};

const HELD_OUT: u64 = 0x4845_4c44;
/// Fewest and most held-out blocks of 256 samples.
const BLOCKS: (usize, usize) = (64, 2048);

/// Held-out blocks: where restarts compete, a twentieth of the samples that a restart is trained on, because the loss of
/// sparse data has a heavy tail and the luckiest of many starts would win instead of the best.
fn held_out_blocks(settings: &Training) -> usize {
    let competing =
        if settings.restarts > 1 { settings.steps.saturating_mul(settings.batch) / (20 * BLOCK) } else { 0 };
    competing.clamp(BLOCKS.0, BLOCKS.1)
}

/// Loss of a trained model and how far it can be trusted.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Evaluation {
    /// The loss, in the reduction of the settings (per sample for [`Reduction::Sum`](crate::superposition::Reduction)).
    pub loss: f64,
    /// Standard error of the loss; 0 where it is exact.
    pub standard_error: f64,
    /// Samples behind it; 0 where it is exact.
    pub samples: usize,
}

/// Evaluates `model` on its problem: exactly where the data are all known, otherwise on held-out samples that all restarts
/// of a problem share.
pub(crate) fn evaluate<T: Scalar>(
    problem: &Problem<T>,
    settings: &Training,
    model: &ToyModel<T>,
    instance: usize,
) -> Result<Evaluation> {
    match &problem.data {
        Data::Fixed(dataset) => Ok(on_dataset(problem, settings, model, dataset)),
        Data::Sampled(distribution) | Data::Expected(distribution) => {
            if let Some(mut expected) = closed_form(problem, settings, distribution) {
                let (loss, _) = expected.loss_and_gradient(model)?;
                return Ok(Evaluation { loss: loss.as_f64(), standard_error: 0.0, samples: 0 });
            }
            Ok(held_out(problem, settings, model, distribution, instance))
        }
    }
}

/// The expected loss of a problem, where it has a closed form that is cheap to evaluate.
fn closed_form<T: Scalar>(
    problem: &Problem<T>,
    settings: &Training,
    distribution: &FeatureDistribution<T>,
) -> Option<ExpectedLoss> {
    let largest = match problem.architecture {
        Architecture::Linear => 1024,
        Architecture::ReluOutput => 10,
        _ => 0,
    };
    if distribution.n_features() > largest || !has_closed_form(problem, distribution) {
        return None;
    }
    ExpectedLoss::new(distribution.probability(), &problem.importance, settings.reduction.per_sample()).ok()
}

/// Whether the data law and the penalty are those of the closed forms.
pub(super) fn has_closed_form<T: Scalar>(problem: &Problem<T>, distribution: &FeatureDistribution<T>) -> bool {
    distribution.joint() == Joint::Independent
        && distribution.value() == Value::Uniform
        && problem.hidden_l1 == T::zero()
}

fn objective<T: Scalar>(problem: &Problem<T>, settings: &Training, rows: usize) -> Objective<T> {
    Objective::new(&problem.importance, problem.hidden_l1, settings.reduction.per_sample(), rows)
}

fn on_dataset<T: Scalar>(
    problem: &Problem<T>,
    settings: &Training,
    model: &ToyModel<T>,
    dataset: &FixedDataset<T>,
) -> Evaluation {
    let rows = dataset.points().nrows();
    let (parameters, objective) = (Parameters::new(model), objective(problem, settings, rows));
    let mut workspace = Workspace::new(model.n_features(), model.n_hidden());
    let mut total = BlockGradient::new(&parameters);
    for index in 0..rows.div_ceil(BLOCK) {
        let live = BLOCK.min(rows - index * BLOCK);
        add_block(&parameters, &objective, dataset.block(index), live, &mut workspace, &mut total);
    }
    Evaluation { loss: total.loss, standard_error: 0.0, samples: rows }
}

fn held_out<T: Scalar>(
    problem: &Problem<T>,
    settings: &Training,
    model: &ToyModel<T>,
    distribution: &FeatureDistribution<T>,
    instance: usize,
) -> Evaluation {
    let (parameters, objective) = (Parameters::new(model), objective(problem, settings, BLOCK));
    let mut workspace = Workspace::new(model.n_features(), model.n_hidden());
    let mut gradient = BlockGradient::new(&parameters);
    let seed = settings.seed.child(HELD_OUT, instance as u64);
    let (mut sum, mut squares, blocks) = (0.0, 0.0, held_out_blocks(settings));
    for block in 0..blocks {
        gradient.clear();
        distribution.fill_block(&mut seed.stream(HELD_OUT, block as u64), BLOCK, &mut workspace.input);
        add_own_block(&parameters, &objective, BLOCK, &mut workspace, &mut gradient);
        sum += gradient.loss;
        squares += gradient.loss * gradient.loss;
    }
    let count = blocks as f64;
    let loss = sum / count;
    let variance = (squares / count - loss * loss).max(0.0) / (count - 1.0);
    Evaluation { loss, standard_error: libm::sqrt(variance), samples: blocks * BLOCK }
}
