//! One feature made sparser or denser: a pentagon gives way to two digons (Toy Models of Superposition, "Non-Uniform
//! Superposition"). About 5 s on two cores.
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
use limpid::superposition::geometry::canonical_2d;
use limpid::superposition::geometry::polytope::{cross_polytope, polygon};
use limpid::superposition::{
    Architecture, Data, FeatureDistribution, Joint, Problem, Reduction, Start, ToyModel, Trained, Training, Value,
    train,
};
use ndarray::{Array1, Array2};

use support::figure::{Axis, Mark, chart, vectors};
use support::{cli::Options, progress::Bar, report::Report};

const ABOUT: &str = "five equal features in two dimensions; the density of one is varied around 0.05: exact expected loss of the\n\
pentagon and of two digons, and where they cross (figure of the section \"Perturbing a Single Feature\" of Toy\n\
Models of Superposition). About 5 s on two cores.";

fn main() -> ExitCode {
    support::run("perturb", ABOUT, (1, 800), experiment)
}

fn experiment(options: &Options) -> limpid::Result<Report> {
    let ratios: Vec<f64> = (0..25).map(|i| 10.0_f64.powf(-1.0 + 1.5 * f64::from(i) / 24.0)).collect();
    let densities: Vec<Array1<f64>> = ratios.iter().map(|&ratio| with_first(0.05 * ratio)).collect();
    let [pentagon, square] = branches(options, &densities, "one feature varied")?;
    let mut report = Report::new("One feature perturbed: pentagon or two digons", &options.out);
    let loss = |models: &[Trained<f64>]| -> Vec<f64> { models.iter().map(|m| m.evaluation.loss).collect() };
    let curve = |models: &[Trained<f64>]| Mark::Line(ratios.iter().copied().zip(loss(models)).collect());
    let marks = [("pentagon", curve(&pentagon)), ("two digons", curve(&square))];
    let axes = (Axis::log("density of the varied feature / 0.05", 0.1, 3.2), Axis::linear("expected loss", 0.0, 0.05));
    report
        .figure(chart(&axes.0, &axes.1, &marks, &[]), "Exact loss of both solutions over the density of one feature.");
    let panel = |i: usize| -> limpid::Result<(String, Array2<f64>)> {
        let best = if loss(&pentagon)[i] < loss(&square)[i] { &pentagon[i] } else { &square[i] };
        Ok((format!("ratio {:.2}", ratios[i]), canonical_2d(&best.model.weight)?))
    };
    let panels = [0, 5, 8, 12, 16, 20, 24].into_iter().map(panel).collect::<limpid::Result<Vec<_>>>()?;
    let marked = Array1::from_vec(vec![1.0, 0.2, 0.2, 0.2, 0.2]);
    report.figure(vectors(&panels, &marked, 7), "The better solution; the varied feature is dark.");
    let rows = (0..25).map(|i| {
        vec![format!("{:.3}", ratios[i]), format!("{:.6}", loss(&pentagon)[i]), format!("{:.6}", loss(&square)[i])]
    });
    report.table("losses", &["ratio", "pentagon", "two digons"], rows.collect());
    let at = crossing(&ratios, &loss(&pentagon), &loss(&square));
    report.check("density ratio at which both are equal", at, "0.2689 within 0.01", (at - 0.2689).abs() <= 0.01);
    let common: Vec<f64> = (0..21).map(|i| 0.19 + 0.0035 * f64::from(i)).collect();
    let densities: Vec<_> = common.iter().map(|&p| Array1::from_elem(5, p)).collect();
    let [pentagon, square] = branches(options, &densities, "all features")?;
    let at = crossing(&common, &loss(&pentagon), &loss(&square));
    report.check("common density at which both are equal", at, "0.2249 within 0.001", (at - 0.2249).abs() <= 0.001);
    Ok(report)
}

fn with_first(p: f64) -> Array1<f64> {
    let mut probability = Array1::from_elem(5, 0.05);
    probability[0] = p;
    probability
}

/// The pentagon and the two digons, each followed to its own minimum at every density.
fn branches(options: &Options, densities: &[Array1<f64>], what: &str) -> limpid::Result<[Vec<Trained<f64>>; 2]> {
    let mut square = Array2::zeros((2, 5));
    for (i, column) in cross_polytope::<f64>(2).columns().into_iter().enumerate() {
        square.column_mut(i + 1).assign(&column);
    }
    let settings = Training {
        steps: options.steps.max(600),
        learning_rate: 0.01,
        schedule: Schedule::QuarterCosine,
        optimizer: Optimizer::adam(),
        reduction: Reduction::FeatureSum,
        seed: Seed(options.seed),
        ..Training::default()
    };
    let branch = |w: &Array2<f64>, b: f64| -> limpid::Result<Vec<Trained<f64>>> {
        let model = ToyModel::new(Architecture::ReluOutput, w.clone(), Array1::from_elem(5, b))?;
        let problem = |p: &Array1<f64>| {
            let law = FeatureDistribution::new(p.clone(), Value::Uniform, Joint::Independent)?;
            let start = Start::Model { model: model.clone(), noise: 0.0 };
            Ok(Problem { data: Data::Expected(law.clone()), start, ..Problem::new(2, Array1::ones(5), law) })
        };
        let problems = densities.iter().map(problem).collect::<limpid::Result<Vec<_>>>()?;
        train(&problems, &settings, Bar::new(what).callback())
    };
    Ok([branch(&(polygon(5) * 1.1), -0.2)?, branch(&square, 0.01)?])
}

/// Where two curves cross, by linear interpolation; NaN where they do not.
fn crossing(x: &[f64], a: &[f64], b: &[f64]) -> f64 {
    let gap = |i: usize| a[i] - b[i];
    // far out one solution is no longer stable and turns into the other: the same losses are no crossing
    let apart = |i: usize| gap(i).abs() > 1e-6;
    let at = (1..x.len()).find(|&i| gap(i - 1) * gap(i) < 0.0 && apart(i - 1) && apart(i));
    at.map_or(f64::NAN, |i| x[i - 1] + (x[i] - x[i - 1]) * gap(i - 1) / (gap(i - 1) - gap(i)))
}
