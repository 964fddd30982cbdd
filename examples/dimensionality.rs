//! Dimensions per feature and the polytopes they stick to (Toy Models of Superposition, "The Geometry of Superposition").
//! About 15 s on two cores.
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
use limpid::superposition::geometry::{dimensions_per_feature, feature_dimensionality, represented_features};
use limpid::superposition::{FeatureDistribution, Problem, Reduction, Trained, Training, train};
use ndarray::Array1;

use support::figure::{Axis, Mark, chart};
use support::{cli::Options, progress::Bar, report::Report};

const ABOUT: &str = "60 equally important features in 6 dimensions: dimensions per feature D*, and the dimensionality D_i of\n\
every feature, over sparsity (figures of the sections \"Uniform Superposition\" and \"Feature Dimensionality\" of Toy\n\
Models of Superposition). About 15 s on two cores.";

/// Density, and D* of a reference run.
const REFERENCE: [(f64, f64); 7] =
    [(1.0, 1.004), (0.5, 0.578), (0.3, 0.490), (0.15, 0.300), (0.08, 0.204), (0.04, 0.154), (0.02, 0.111)];

const POLYTOPES: [(&str, f64); 6] = [
    ("tetrahedron 3/4", 0.75),
    ("triangle 2/3", 2.0 / 3.0),
    ("digon 1/2", 0.5),
    ("pentagon 2/5", 0.4),
    ("antiprism 3/8", 0.375),
    ("2/7", 2.0 / 7.0),
];

fn main() -> ExitCode {
    support::run("dimensionality", ABOUT, (2, 8000), experiment)
}

fn experiment(options: &Options) -> limpid::Result<Report> {
    let between: Vec<f64> = REFERENCE.windows(2).map(|pair| (pair[0].0 * pair[1].0).sqrt()).collect();
    let mut densities: Vec<f64> = REFERENCE.iter().map(|&(p, _)| p).chain(between).collect();
    densities.sort_by(|a, b| b.total_cmp(a));
    let problem = |&p: &f64| Ok(Problem::new(6, Array1::ones(60), FeatureDistribution::uniform(60, p as f32)?));
    let problems = densities.iter().map(problem).collect::<limpid::Result<Vec<_>>>()?;
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
    report(options, &densities, &models)
}

fn report(options: &Options, densities: &[f64], models: &[Trained<f32>]) -> limpid::Result<Report> {
    let mut report = Report::new("Dimensions per feature, and the polytopes that features form", &options.out);
    let (mut curve, mut points, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for (&p, trained) in densities.iter().zip(models) {
        let w = trained.model.weight.mapv(f64::from);
        let star = dimensions_per_feature(&w)?.unwrap_or(f64::NAN);
        let shares = feature_dimensionality(&w)?;
        curve.push((1.0 / p, star));
        // spread out sideways, so that features with one dimensionality do not cover each other
        points.extend(shares.iter().enumerate().map(|(i, &d)| (1.0 / p * (1.0 + 0.0025 * (i as f64 - 30.0)), d)));
        let kept = represented_features(&w, 0.5)?;
        rows.push(vec![format!("{p:.4}"), format!("{star:.3}"), kept.to_string(), format!("{:.3}", shares.sum())]);
        if let Some(&(_, reference)) = REFERENCE.iter().find(|(density, _)| *density == p) {
            let ratio = star / reference;
            report.check(
                &format!("D* at density {p}, beside the reference"),
                ratio,
                "0.93 to 1.07",
                (ratio - 1.0).abs() <= 0.07,
            );
        }
        if p <= 0.5 {
            let (sum, holds) = (shares.sum(), (5.9..=6.0001).contains(&shares.sum()));
            report.check(&format!("sum of D_i at density {p:.3}"), sum, "5.9 to 6", holds);
        }
    }
    report.table("models", &["density", "D*", "features with norm > 0.5", "sum of D_i"], rows);
    let x = || Axis::log("1 / density", 1.0, 60.0);
    let levels = [("1", 1.0), ("1/2", 0.5)];
    report.figure(
        chart(
            &x(),
            &Axis::linear("D* = m / |W|²", 0.0, 1.1),
            &[("dimensions per feature", Mark::Line(curve))],
            &levels,
        ),
        "Dimensions per feature over sparsity: it stays at 1, sticks to 1/2 where features pair up, and falls.",
    );
    report.figure(
        chart(&x(), &Axis::linear("D_i", 0.0, 1.05), &[("features", Mark::Points(points))], &POLYTOPES),
        "Dimensionality of every feature, with the lines of the polytopes: features cluster on them.",
    );
    Ok(report)
}
