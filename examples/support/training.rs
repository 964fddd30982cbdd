//! How the figures train: the settings that they share, and one problem per density.

use limpid::math::optim::Optimizer;
use limpid::math::schedule::Schedule;
use limpid::superposition::{FeatureDistribution, Joint, Problem, Reduction, Trained, Training, Value};
use limpid::{Result, Scalar, Seed};
use ndarray::{Array1, Array2};

use super::cli::Options;
use super::progress::Bar;

/// Adam on the loss as the paper sums it, with a rate that falls along a quarter of a cosine; steps, starts and seed come
/// from the command line.
pub fn settings(options: &Options, learning_rate: f64) -> Training {
    Training {
        steps: options.steps,
        learning_rate,
        schedule: Schedule::QuarterCosine,
        optimizer: Optimizer::adam(),
        reduction: Reduction::FeatureSum,
        restarts: options.restarts,
        seed: Seed(options.seed),
        record_every: 0,
        ..Training::default()
    }
}

/// ReLU-output problems with `m` hidden dimensions, one per density; `law` takes the number of features and a density.
pub fn problems<T: Scalar>(
    m: usize,
    importance: &Array1<T>,
    densities: &[T],
    law: impl Fn(usize, T) -> Result<FeatureDistribution<T>>,
) -> Result<Vec<Problem<T>>> {
    densities.iter().map(|&p| Ok(Problem::new(m, importance.clone(), law(importance.len(), p)?))).collect()
}

/// The law of `n` features that are all active with probability `p`.
pub fn law<T: Scalar>(value: Value, joint: Joint) -> impl Fn(usize, T) -> Result<FeatureDistribution<T>> {
    move |n, p| FeatureDistribution::new(Array1::from_elem(n, p), value, joint)
}

/// Trains with a progress bar called `what`, and keeps the best start of each problem.
pub fn train<T: Scalar>(problems: &[Problem<T>], settings: &Training, what: &str) -> Result<Vec<Trained<T>>> {
    limpid::superposition::train(problems, settings, Bar::new(what).callback())
}

/// The weights in double precision, for geometry and figures.
pub fn weight(trained: &Trained<f32>) -> Array2<f64> {
    trained.model.weight.mapv(f64::from)
}
