//! Superposition makes models vulnerable to small attacks (Toy Models of Superposition, "Relationship to Adversarial
//! Robustness"). About 10 s on two cores.

#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

use limpid::Seed;
use limpid::superposition::adversarial::{AttackScope, attack, vulnerability};
use limpid::superposition::geometry::features_per_dimension;
use limpid::superposition::{Architecture, FeatureDistribution, ToyModel, Trained, Training};
use ndarray::{Array1, Array2};

use support::figure::{Axis, curves};
use support::training::{problems, settings, train};
use support::{cli::Options, report::Report};

const ABOUT: &str = "60 features in 6 dimensions over sparsity: loss that the worst of all feature directions causes, relative to a\n\
model without superposition, beside features per dimension (figures of the section \"Relationship to Adversarial\n\
Robustness\" of Toy Models of Superposition). About 10 s on two cores.";

const DENSITIES: [f32; 9] = [1.0, 0.7, 0.5, 0.3, 0.15, 0.08, 0.05, 0.04, 0.02];
const FEATURES: usize = 60;
const HIDDEN: usize = 6;

fn main() -> ExitCode {
    support::run("adversarial", ABOUT, (2, 8000), experiment)
}

fn experiment(options: &Options) -> limpid::Result<Report> {
    let problems = problems(HIDDEN, &Array1::ones(FEATURES), &DENSITIES, FeatureDistribution::uniform)?;
    let models = train(&problems, &Training { batch: 512, ..settings(options, 3e-3) }, "training")?;
    let (mut attacked, mut packed, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for (&p, trained) in DENSITIES.iter().zip(&models) {
        let ratio = relative_vulnerability(p, trained, Seed(options.seed).child(1, 0))?;
        let features = f64::from(features_per_dimension(&trained.model.weight)?);
        attacked.push((f64::from(1.0 / p), ratio));
        packed.push((f64::from(1.0 / p), features));
        rows.push(vec![p.to_string(), format!("{ratio:.3}"), format!("{features:.3}")]);
    }
    let mut report = Report::new("Superposition and adversarial examples", &options.out);
    report.table("models", &["density", "vulnerability", "features per dimension"], rows);
    // single sparse models differ by how regular their packing is: their mean is what the seed does not change
    let sparse = attacked[5..].iter().map(|(_, ratio)| ratio).sum::<f64>() / 4.0;
    report.at_least("mean vulnerability at densities 0.08 to 0.02 / at density 1", sparse / attacked[0].1, 2.5);
    let rising = attacked[..5].windows(2).all(|pair| pair[1].1 > pair[0].1);
    report.claim("vulnerability rises at every step from density 1 to 0.15", rising);
    let axes = (Axis::log("1 / density", 0.9, 60.0), Axis::linear("relative to no superposition", 0.0, 10.0));
    let both = vec![("vulnerability", attacked), ("features per dimension", packed)];
    report.figure(
        curves(&axes.0, &axes.1, both, &[("1", 1.0)]),
        "Figure of \"Relationship to Adversarial Robustness\": vulnerability to an attack of a tenth of the mean input, \
         relative to a model without superposition. It rises as superposition forms.",
    );
    Ok(report)
}

/// How much more loss an attack causes than in a model without superposition.
fn relative_vulnerability(p: f32, trained: &Trained<f32>, seed: Seed) -> limpid::Result<f64> {
    let x = FeatureDistribution::uniform(FEATURES, p)?.sample(10_000, seed)?;
    let run = |model: &ToyModel<f32>| attack(model, &x, &Array1::ones(FEATURES), 0.1, AttackScope::Shared);
    Ok(vulnerability(&run(&trained.model)?, &run(&orthogonal(p)?)?).map_or(f64::NAN, f64::from))
}

/// The top features alone, the others at their mean: no interference at all.
fn orthogonal(p: f32) -> limpid::Result<ToyModel<f32>> {
    let w = Array2::from_shape_fn((HIDDEN, FEATURES), |(d, i)| f32::from(u8::from(d == i)));
    let bias = (0..FEATURES).map(|i| if i < HIDDEN { 0.0 } else { p / 2.0 }).collect();
    ToyModel::new(Architecture::ReluOutput, w, bias)
}
