//! Superposition makes models vulnerable to small attacks (Toy Models of Superposition, "Superposition and Adversarial
//! Examples"). About 10 s on two cores.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    reason = "a program with figures"
)]

#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

use limpid::Seed;
use limpid::math::optim::Optimizer;
use limpid::math::schedule::Schedule;
use limpid::superposition::adversarial::{AttackScope, attack, vulnerability};
use limpid::superposition::geometry::features_per_dimension;
use limpid::superposition::{Architecture, FeatureDistribution, Problem, Reduction, ToyModel, Training, train};
use ndarray::{Array1, Array2};

use support::figure::{Axis, Mark, chart};
use support::{cli::Options, progress::Bar, report::Report};

const ABOUT: &str = "60 features in 6 dimensions over sparsity: loss that the worst of all feature directions causes, relative to a\n\
model without superposition, beside features per dimension (figure of the section \"Superposition and Adversarial\n\
Examples\" of Toy Models of Superposition). About 10 s on two cores.";

const DENSITIES: [f64; 9] = [1.0, 0.7, 0.5, 0.3, 0.15, 0.08, 0.05, 0.04, 0.02];
const FEATURES: usize = 60;
const HIDDEN: usize = 6;

fn main() -> ExitCode {
    support::run("adversarial", ABOUT, (2, 8000), experiment)
}

fn experiment(options: &Options) -> limpid::Result<Report> {
    let laws = DENSITIES.map(|p| FeatureDistribution::uniform(FEATURES, p as f32));
    let laws = laws.into_iter().collect::<limpid::Result<Vec<_>>>()?;
    let problems: Vec<_> = laws.iter().map(|law| Problem::new(HIDDEN, Array1::ones(FEATURES), law.clone())).collect();
    let settings = Training {
        steps: options.steps,
        batch: 512,
        learning_rate: 3e-3,
        schedule: Schedule::QuarterCosine,
        optimizer: Optimizer::adam(),
        reduction: Reduction::FeatureSum,
        restarts: options.restarts,
        seed: Seed(options.seed),
        ..Training::default()
    };
    let models = train(&problems, &settings, Bar::new("training").callback())?;
    let (mut attacked, mut packed, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for ((p, law), trained) in DENSITIES.iter().zip(&laws).zip(&models) {
        let x = law.sample(4000, Seed(options.seed.wrapping_add(1)))?;
        let run = |model: &ToyModel<f32>| attack(model, &x, &Array1::ones(FEATURES), 0.1, AttackScope::Shared);
        let ratio = vulnerability(&run(&trained.model)?, &run(&orthogonal(*p as f32)?)?).map_or(f64::NAN, f64::from);
        let features = f64::from(features_per_dimension(&trained.model.weight)?);
        attacked.push((1.0 / p, ratio));
        packed.push((1.0 / p, features));
        rows.push(vec![p.to_string(), format!("{ratio:.3}"), format!("{features:.3}")]);
    }
    let mut report = Report::new("Superposition and adversarial examples", &options.out);
    report.table("models", &["density", "vulnerability", "features per dimension"], rows);
    let rise = attacked[6].1 / attacked[0].1;
    let growing = attacked.windows(2).filter(|pair| pair[1].1 >= pair[0].1 - 0.1).count();
    let axes = (Axis::log("1 / density", 1.0, 60.0), Axis::linear("relative to no superposition", 0.0, 10.0));
    let marks = [("vulnerability", Mark::Line(attacked)), ("features per dimension", Mark::Line(packed))];
    report.figure(
        chart(&axes.0, &axes.1, &marks, &[("1", 1.0)]),
        "Vulnerability to an attack of a tenth of the mean input, relative to a model without superposition: it rises as superposition forms.",
    );
    report.check("vulnerability at density 0.05 / at density 1", rise, "at least 2.5", rise >= 2.5);
    report.check("steps of density at which it does not fall, of 8", growing as f64, "at least 7", growing >= 7);
    Ok(report)
}

/// The top features alone, the others at their mean: no interference at all.
fn orthogonal(p: f32) -> limpid::Result<ToyModel<f32>> {
    let w = Array2::from_shape_fn((HIDDEN, FEATURES), |(d, i)| f32::from(u8::from(d == i)));
    let bias = (0..FEATURES).map(|i| if i < HIDDEN { 0.0 } else { p / 2.0 }).collect();
    ToyModel::new(Architecture::ReluOutput, w, bias)
}
