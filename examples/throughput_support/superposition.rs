//! Training of many toy models at once, as the published notebook does it.

use core::ops::ControlFlow;
use std::time::Instant;

use limpid::superposition::importance::density_grid;
use limpid::superposition::{FeatureDistribution, Problem, Start, Training, train};
use ndarray::Array1;
use serde_json::json;

use super::Measured;
use super::options::Options;

pub fn run(options: &Options) -> Result<String, String> {
    let [instances, features, hidden, batch, steps] = options.sizes([
        ("instances", 10, 10),
        ("features", 5, 5),
        ("hidden", 2, 2),
        ("batch", 1024, 256),
        ("steps", 1000, 200),
    ])?;
    let text = |error: limpid::Error| error.to_string();
    let densities = density_grid::<f32>(20.0, 0.0, 1.0, instances).map_err(text)?;
    let problems = densities
        .iter()
        .map(|&p| {
            let problem = Problem::new(hidden, Array1::ones(features), FeatureDistribution::uniform(features, p)?);
            Ok(Problem { start: Start::NotebookXavier { instances }, ..problem })
        })
        .collect::<limpid::Result<Vec<_>>>()
        .map_err(text)?;
    // the loss curve ends one step before the last, so that its end is the loss that a user would see
    let settings = Training { steps, batch, record_every: 1, ..Training::default() };
    let mut seconds = 0.0;
    let start = Instant::now();
    let trained = train(&problems, &settings, |progress| {
        // what follows the last step is evaluation, not training
        if progress.step == progress.steps {
            seconds = start.elapsed().as_secs_f64();
        }
        ControlFlow::Continue(())
    })
    .map_err(text)?;
    let last = trained.iter().filter_map(|model| model.curve.last()).map(|(_, loss)| loss).sum::<f64>();
    let per_second = steps as f64 / seconds;
    Ok(Measured {
        workload: "superposition",
        sizes: json!({"instances": instances, "features": features, "hidden": hidden, "batch": batch, "steps": steps}),
        seconds,
        per_second,
        // five products of two operations per weight and sample, as a dense implementation has them
        flops: per_second * (10 * instances * batch * features * hidden) as f64,
        checks: json!({"loss": last / instances as f64}),
    }
    .line())
}
