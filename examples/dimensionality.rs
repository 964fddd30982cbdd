//! Dimensions per feature and the polytopes they stick to (Toy Models of Superposition, "The Geometry of Superposition").
//! About 10 s on two cores.

#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

use limpid::superposition::geometry::{dimensions_per_feature, feature_dimensionality, represented_features};
use limpid::superposition::{FeatureDistribution, Trained, Training};
use ndarray::Array1;

use support::figure::{Axis, Curve, Mark, chart, curves};
use support::training::{problems, settings, train, weight};
use support::{cli::Options, report::Report};

const ABOUT: &str = "60 equally important features in 6 dimensions: dimensions per feature D*, and the dimensionality D_i of\n\
every feature, over sparsity (figures of the sections \"Uniform Superposition\" and \"Feature Dimensionality\" of Toy\n\
Models of Superposition). About 10 s on two cores.";

/// Density, and D* of a reference run.
const REFERENCE: [(f32, f64); 7] =
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
    let between = REFERENCE.windows(2).map(|pair| (pair[0].0 * pair[1].0).sqrt());
    let mut densities: Vec<f32> = REFERENCE.iter().map(|&(p, _)| p).chain(between).collect();
    densities.sort_by(|a, b| b.total_cmp(a));
    let problems = problems(6, &Array1::ones(60), &densities, FeatureDistribution::uniform)?;
    let models = train(&problems, &Training { batch: 512, ..settings(options, 3e-3) }, "training")?;
    report(options, &densities, &models)
}

fn report(options: &Options, densities: &[f32], models: &[Trained<f32>]) -> limpid::Result<Report> {
    let mut report = Report::new("Dimensions per feature, and the polytopes that features form", &options.out);
    let (mut curve, mut points, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for (&p, trained) in densities.iter().zip(models) {
        let w = weight(trained);
        let star = dimensions_per_feature(&w)?.unwrap_or(f64::NAN);
        let shares = feature_dimensionality(&w)?;
        let rarity = f64::from(1.0 / p);
        curve.push((rarity, star));
        // spread out sideways, so that features with one dimensionality do not cover each other
        points.extend(shares.iter().enumerate().map(|(i, &d)| (rarity * (1.0 + 0.0025 * (i as f64 - 30.0)), d)));
        let kept = represented_features(&w, 0.5)?;
        rows.push(vec![format!("{p:.4}"), format!("{star:.3}"), kept.to_string(), format!("{:.3}", shares.sum())]);
        if let Some(&(_, reference)) = REFERENCE.iter().find(|(density, _)| *density == p) {
            let what = format!("density {p}: D* / that of the reference");
            report.within(&what, star / reference, &(0.93..=1.07));
        }
        if p <= 0.5 {
            report.within(&format!("density {p:.3}: sum of D_i"), shares.sum(), &(5.95..=6.000_001));
        }
    }
    report.table("models", &["density", "D*", "features with norm > 0.5", "sum of D_i"], rows);
    draw(&mut report, curve, points);
    Ok(report)
}

fn draw(report: &mut Report, curve: Curve, points: Curve) {
    let x = Axis::log("1 / density", 0.9, 60.0);
    let levels = [("1", 1.0), ("1/2", 0.5)];
    let curve = vec![("dimensions per feature", curve)];
    report.figure(
        curves(&x, &Axis::linear("D* = m / |W|²", 0.0, 1.1), curve, &levels),
        "Figure of \"Uniform Superposition\": dimensions per feature over sparsity. It starts at 1, sticks to 1/2 where \
         features pair up, and falls.",
    );
    let marks = [("features", Mark::Points(points))];
    report.figure(
        chart(&x, &Axis::linear("D_i", 0.0, 1.05), &marks, &POLYTOPES),
        "Figure of \"Feature Dimensionality\": the dimensionality of every feature, with the lines of the polytopes that \
         features cluster on.",
    );
}
