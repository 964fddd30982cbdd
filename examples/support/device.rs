//! Training of toy models on a graphics adapter, for figures that are asked for with `--gpu`.

use limpid::Result;
use limpid::superposition::{Problem, Trained, Training};

use super::support::cli::Options;
use super::support::training;

/// As [`training::train`], on the device where the command line says so: then in single precision.
pub(crate) fn train(
    options: &Options,
    problems: &[Problem<f64>],
    settings: &Training,
    what: &str,
) -> Result<Vec<Trained<f64>>> {
    if options.gpu { on_device(problems, settings, what) } else { training::train(problems, settings, what) }
}

#[cfg(not(feature = "gpu"))]
fn on_device(_: &[Problem<f64>], _: &Training, _: &str) -> Result<Vec<Trained<f64>>> {
    Err(limpid::Error::Unsupported { what: "--gpu without the feature: cargo run --features gpu" })
}

#[cfg(feature = "gpu")]
fn on_device(problems: &[Problem<f64>], settings: &Training, what: &str) -> Result<Vec<Trained<f64>>> {
    use limpid::gpu::{GpuContext, GpuSettings, toy::train_every_restart_blocking};

    use super::support::progress::Bar;

    let gpu = GpuContext::new(GpuSettings::default())?;
    let what = format!("{what}, {} through {}", gpu.adapter(), gpu.backend());
    let narrow = problems.iter().map(single::problem).collect::<Result<Vec<_>>>()?;
    let every = train_every_restart_blocking(&gpu, &narrow, settings, Bar::new(&what).callback())?;
    Ok(every.into_iter().filter_map(|restarts| restarts.into_iter().next()).map(single::wide).collect())
}

/// Problems in single precision, and models back.
#[cfg(feature = "gpu")]
mod single {
    use limpid::superposition::{Data, FeatureDistribution, Problem, Start, ToyModel, Trained};
    use limpid::{Error, Result, Scalar};

    pub(crate) fn problem(problem: &Problem<f64>) -> Result<Problem<f32>> {
        let (Data::Sampled(law), Start::Xavier) = (&problem.data, &problem.start) else {
            return Err(Error::Unsupported { what: "this problem on the device" });
        };
        let law = FeatureDistribution::new(law.probability().mapv(f32::of), law.value(), law.joint())?;
        let own = Problem::new(problem.n_hidden, problem.importance.mapv(f32::of), law);
        Ok(Problem { architecture: problem.architecture, hidden_l1: f32::of(problem.hidden_l1), ..own })
    }

    pub(crate) fn wide(trained: Trained<f32>) -> Trained<f64> {
        let ToyModel { architecture, weight, bias, .. } = trained.model;
        Trained {
            model: ToyModel { architecture, weight: weight.mapv(f64::from), decoder: None, bias: bias.mapv(f64::from) },
            evaluation: trained.evaluation,
            restart: trained.restart,
            restart_losses: trained.restart_losses,
            curve: trained.curve,
            snapshots: Vec::new(),
            steps: trained.steps,
            seed: trained.seed,
        }
    }
}
