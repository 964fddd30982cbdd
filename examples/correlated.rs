//! Correlated features lie side by side or orthogonal, anti-correlated ones opposite (Toy Models of Superposition,
//! "Correlated Features"). About 10 s on two cores.
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
use limpid::superposition::geometry::{canonical_2d, interference};
use limpid::superposition::{FeatureDistribution, Joint, Problem, Reduction, Trained, Training, Value, train};
use ndarray::{Array1, Array2};

use support::{cli::Options, figure, progress::Bar, report::Report};

const ABOUT: &str = "correlated and anti-correlated pairs in two dimensions, three correlated pairs up to their collapse into\n\
principal components, and two sets of ten in ten dimensions (figures of the section \"Correlated Features\" of Toy\n\
Models of Superposition). About 10 s on two cores.";

fn main() -> ExitCode {
    support::run("correlated", ABOUT, (16, 8000), experiment)
}

fn experiment(options: &Options) -> limpid::Result<Report> {
    let mut report = Report::new("Correlated and anti-correlated features", &options.out);
    let pairs = Joint::Correlated { size: 2 };
    let correlated = trained(options, (4, 2), pairs, &[0.05, 0.02, 0.01, 0.005, 0.0025])?;
    arrows(&mut report, &correlated, "two correlated pairs (partners have one colour): partners are orthogonal")?;
    let exclusive = trained(options, (4, 2), Joint::OneOfSet { size: 2 }, &[0.2, 0.15, 0.1, 0.06, 0.03])?;
    arrows(&mut report, &exclusive, "two anti-correlated pairs: partners are opposite")?;
    let three = trained(options, (6, 2), pairs, &[0.01, 0.03, 0.08, 0.2, 0.5, 0.7])?;
    arrows(&mut report, &three, "three correlated pairs: side by side, then collapsed one after another")?;
    let sets = trained(options, (20, 10), Joint::Correlated { size: 10 }, &[0.05])?;
    let w = sets[0].1.model.weight.mapv(f64::from);
    let gram = interference(&w)?.gram;
    let bias = Some(sets[0].1.model.bias.mapv(f64::from));
    report.figure(
        figure::heat_maps(&[("W^T W".to_owned(), gram.clone(), bias)], 1),
        "Two sets of ten correlated features in ten dimensions: each set forms an almost orthogonal basis, interference is across.",
    );
    for (p, model) in &correlated {
        let worst = [(0, 1), (2, 3)].iter().map(|&(i, j)| cosine(model, i, j).abs()).fold(0.0, f64::max);
        report.check(&format!("correlated at {p}: largest |cos| of partners"), worst, "below 0.1", worst < 0.1);
    }
    for (p, model) in &exclusive {
        let worst = [(0, 1), (2, 3)].iter().map(|&(i, j)| cosine(model, i, j)).fold(-1.0, f64::max);
        report.check(&format!("anti-correlated at {p}: largest cos of partners"), worst, "below -0.9", worst < -0.9);
    }
    let collapsed = |model: &Trained<f32>| (0..3).filter(|&k| cosine(model, 2 * k, 2 * k + 1) > 0.95).count();
    let (sparse, dense) = (collapsed(&three[0].1), collapsed(&three[4].1));
    report.check("three pairs at 0.01: pairs collapsed", sparse as f64, "0", sparse == 0);
    report.check("three pairs at 0.5: pairs collapsed", dense as f64, "3", dense == 3);
    let within = off_diagonal(&gram, |i, j| i / 10 == j / 10);
    let across = off_diagonal(&gram, |i, j| i / 10 != j / 10);
    report.check(
        "two sets of ten: interference within / across",
        within / across,
        "below 0.25",
        within < 0.25 * across,
    );
    Ok(report)
}

type Models = Vec<(f32, Trained<f32>)>;

fn trained(options: &Options, (n, m): (usize, usize), joint: Joint, densities: &[f32]) -> limpid::Result<Models> {
    let problem = |&p: &f32| {
        let law = FeatureDistribution::new(Array1::from_elem(n, p), Value::Uniform, joint)?;
        Ok(Problem::new(m, Array1::ones(n), law))
    };
    let problems = densities.iter().map(problem).collect::<limpid::Result<Vec<_>>>()?;
    let settings = Training {
        steps: options.steps,
        learning_rate: 5e-3,
        schedule: Schedule::QuarterCosine,
        optimizer: Optimizer::adam(),
        reduction: Reduction::FeatureSum,
        restarts: options.restarts,
        seed: Seed(options.seed),
        record_every: 0,
        ..Training::default()
    };
    let models = train(&problems, &settings, Bar::new(&format!("{n} features, {joint:?}")).callback())?;
    Ok(densities.iter().copied().zip(models).collect())
}

fn arrows(report: &mut Report, models: &Models, caption: &str) -> limpid::Result<()> {
    let panel = |(p, trained): &(f32, Trained<f32>)| {
        Ok((format!("density {p}"), canonical_2d(&trained.model.weight.mapv(f64::from))?))
    };
    let panels = models.iter().map(panel).collect::<limpid::Result<Vec<_>>>()?;
    let colour: Array1<f64> = (0..panels[0].1.ncols()).map(|i| 1.0 - 0.4 * (i / 2) as f64).collect();
    report.figure(figure::vectors(&panels, &colour, 6), caption);
    Ok(())
}

fn cosine(trained: &Trained<f32>, i: usize, j: usize) -> f64 {
    let w = trained.model.weight.mapv(f64::from);
    let (a, b) = (w.column(i), w.column(j));
    a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
}

/// Root of the summed squares over the off-diagonal entries that `take` selects.
fn off_diagonal(gram: &Array2<f64>, take: impl Fn(usize, usize) -> bool) -> f64 {
    gram.indexed_iter().filter(|&((i, j), _)| i != j && take(i, j)).map(|(_, g)| g * g).sum::<f64>().sqrt()
}
