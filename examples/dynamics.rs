//! Learning dynamics: dimensionalities jump between energy levels (Toy Models of Superposition, "Superposition and Learning
//! Dynamics"). About 5 s on two cores.
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
use limpid::superposition::geometry::{feature_dimensionality, interference};
use limpid::superposition::{
    FeatureDistribution, Joint, Problem, Reduction, Start, Trained, Training, Value, train_every_restart,
};
use ndarray::Array1;

use support::figure::{Axis, Mark, chart};
use support::{cli::Options, progress::Bar, report::Report};

const ABOUT: &str = "dimensionality of every feature and the loss during training: a model that ends in digons, and two sets of\n\
three correlated features that end as an octahedron (figures of the section \"Superposition and Learning Dynamics\" of\n\
Toy Models of Superposition). About 5 s on two cores.";

fn main() -> ExitCode {
    support::run("dynamics", ABOUT, (6, 8000), experiment)
}

fn experiment(options: &Options) -> limpid::Result<Report> {
    let mut report = Report::new("Learning dynamics of superposition", &options.out);
    let law = FeatureDistribution::new(Array1::from_elem(60, 0.35_f32), Value::Uniform, Joint::Independent)?;
    let digons = trained(options, 6, law, options.steps)?;
    let (curves, losses) = show(&mut report, &digons, "60 features in 6 dimensions")?;
    let last = curves.last().map_or(&[][..], Vec::as_slice);
    let paired = last.iter().filter(|&&d| (d - 0.5).abs() < 0.03).count();
    report.check("features that end as digons, of 12", paired as f64, "at least 10", paired >= 10);
    let fall = losses[0] / losses[losses.len() - 1];
    report.check("loss at the start / at the end", fall, "above 1.2", fall > 1.2);
    let moves =
        curves.windows(2).flat_map(|pair| pair[0].iter().zip(&pair[1]).map(|(a, b)| (a - b).abs()).collect::<Vec<_>>());
    let moves: Vec<f64> = moves.collect();
    let still = moves.iter().filter(|&&step| step < 0.005).count() as f64 / moves.len() as f64;
    report.check("share of flat pieces in the curves", still, "at least 0.8", still >= 0.8);
    let law = FeatureDistribution::new(Array1::from_elem(6, 0.02_f32), Value::Uniform, Joint::Correlated { size: 3 })?;
    let octahedron = trained(options, 3, law, options.steps)?;
    let (curves, _) = show(&mut report, &octahedron, "two sets of three correlated features in 3 dimensions")?;
    let off = curves.last().map_or(1.0, |last| last.iter().map(|d| (d - 0.5).abs()).fold(0.0, f64::max));
    report.check("octahedron: largest distance of D_i from 1/2", off, "at most 0.05", off <= 0.05);
    let gram = interference(&octahedron.model.weight.mapv(f64::from))?.gram;
    let cosine = |i: usize, j: usize| gram[[i, j]] / (gram[[i, i]] * gram[[j, j]]).sqrt();
    let opposite = (0..3).all(|i| (3..6).any(|j| cosine(i, j) < -0.85));
    report.check(
        "octahedron: every feature has its antipode in the other set",
        f64::from(u8::from(opposite)),
        "1",
        opposite,
    );
    Ok(report)
}

/// The best of several starts, with snapshots.
fn trained(options: &Options, m: usize, law: FeatureDistribution<f32>, steps: usize) -> limpid::Result<Trained<f32>> {
    let n = law.n_features();
    let problem = Problem { start: Start::Normal(0.02), ..Problem::new(m, Array1::ones(n), law) };
    let settings = Training {
        steps,
        batch: 512,
        learning_rate: 3e-3,
        optimizer: Optimizer::adam(),
        reduction: Reduction::FeatureSum,
        restarts: options.restarts,
        seed: Seed(options.seed),
        snapshot_every: steps.div_ceil(160),
        ..Training::default()
    };
    Ok(train_every_restart(&[problem], &settings, Bar::new("training").callback())?.remove(0).remove(0))
}

type Curves = (Vec<Vec<f64>>, Vec<f64>);

/// Draws both curves; gives dimensionalities and losses of all snapshots.
fn show(report: &mut Report, trained: &Trained<f32>, what: &str) -> limpid::Result<Curves> {
    let share = |w: &ndarray::Array2<f32>| Ok(feature_dimensionality(&w.mapv(f64::from))?.to_vec());
    let curves = trained.snapshots.iter().map(|s| share(&s.model.weight)).collect::<limpid::Result<Vec<_>>>()?;
    let losses: Vec<f64> = trained.snapshots.iter().map(|snapshot| snapshot.loss).collect();
    let steps: Vec<f64> = trained.snapshots.iter().map(|snapshot| snapshot.step as f64).collect();
    let line = |i: usize| Mark::Line(steps.iter().zip(&curves).map(|(&step, shares)| (step, shares[i])).collect());
    let lines: Vec<(&str, Mark)> = (0..curves[0].len()).map(|i| ("", line(i))).collect();
    let time = || Axis::linear("step", 0.0, steps[steps.len() - 1].max(1.0));
    let levels = [("2/3", 2.0 / 3.0), ("1/2", 0.5), ("2/5", 0.4)];
    report.figure(
        chart(&time(), &Axis::linear("D_i", 0.0, 1.05), &lines, &levels),
        &format!("{what}: dimensionality of every feature during training; it rests on levels and jumps between them."),
    );
    let high = losses.iter().copied().fold(0.0, f64::max) * 1.05;
    let curve = Mark::Line(steps.iter().copied().zip(losses.iter().copied()).collect());
    report.figure(
        chart(&time(), &Axis::linear("loss", 0.0, high), &[("training loss", curve)], &[]),
        &format!("{what}: the loss falls when features move."),
    );
    Ok((curves, losses))
}
