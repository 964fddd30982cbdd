//! Computing in superposition: absolute values with fewer neurons than they need (Toy Models of Superposition). About 20 s
//! on two cores.
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
use limpid::superposition::geometry::{polysemanticity, rescale_neurons};
use limpid::superposition::importance::geometric;
use limpid::superposition::{
    Architecture, FeatureDistribution, Joint, Problem, Reduction, Start, Trained, Training, Value, train,
};
use ndarray::{Array1, Array2};

use support::{cli::Options, figure, progress::Bar, report::Report};

const ABOUT: &str = "y = |x| from ReLU neurons: 3 features with 6 neurons, 100 features with 40 neurons at seven densities, and 10\n\
features with 10 neurons, where neurons come in asymmetric pairs (figures of the section \"Computing in Superposition\"\n\
of Toy Models of Superposition). About 20 s on two cores.";

const DENSITIES: [f32; 7] = [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001];

fn main() -> ExitCode {
    support::run("absolute_value", ABOUT, (6, 10_000), experiment)
}

fn experiment(options: &Options) -> limpid::Result<Report> {
    let mut report = Report::new("Computing absolute values in superposition", &options.out);
    let enough = trained(options, (3, 6), 1.0, &[1.0], (options.restarts, options.steps))?;
    let loss = enough[0].evaluation.loss;
    report.check("3 features, 6 neurons: loss", loss, "below 1e-4", loss < 1e-4);
    let off = distance_from_pairs(&enough[0])?;
    report.check("3 features, 6 neurons: largest weight besides the pairs", off, "below 0.1", off < 0.1);
    let sparse = trained(options, (100, 40), 0.8, &DENSITIES, (1, options.steps / 2))?;
    let (mut stacks, mut rows) = (Vec::new(), Vec::new());
    let mut alone = Vec::new();
    for (&p, model) in DENSITIES.iter().zip(&sparse) {
        let w = model.model.weight.mapv(f64::from);
        let neurons = polysemanticity(&w, 0.2)?;
        let silent = mean_baseline(p)?;
        rows.push(vec![
            p.to_string(),
            format!("{:.3e}", model.evaluation.loss),
            format!("{silent:.3e}"),
            neurons.monosemantic.to_string(),
        ]);
        stacks.push((format!("density {p}"), w));
        alone.push(neurons.monosemantic);
        if [0.1, 0.01].contains(&p) {
            let ratio = model.evaluation.loss / silent;
            report.check(
                &format!("100 features at density {p}: loss / that of the mean"),
                ratio,
                "below 0.65",
                ratio < 0.65,
            );
        }
    }
    report.table("100 features 40 neurons", &["density", "loss", "loss of the mean", "monosemantic neurons"], rows);
    let (dense, rare) = (alone[0] as f64, alone[6] as f64);
    report.check("100 features: monosemantic neurons at density 1", dense, "at least 30", dense >= 30.0);
    report.check("100 features: monosemantic neurons at density 0.001", rare, "at most 5", rare <= 5.0);
    report.figure(
        figure::heat_maps(
            &[
                ("encoder".to_owned(), rescaled(&enough[0])?.0, None),
                ("decoder".to_owned(), rescaled(&enough[0])?.1.reversed_axes(), None),
            ],
            2,
        ),
        "3 features, 6 neurons, rescaled: one neuron for each sign of each feature.",
    );
    report.figure(
        figure::stacked_bars(&stacks, 4),
        "Encoder weights of 40 neurons over 100 features, from dense to sparse.",
    );
    let motif = trained(options, (10, 10), 0.8, &[0.3], (options.restarts, options.steps))?;
    let (encoder, decoder) = rescaled(&motif[0])?;
    let inhibits = decoder.iter().filter(|&&w| w < -0.3).count();
    report.check("10 features, 10 neurons: inhibiting decoder weights", inhibits as f64, "at least 1", inhibits >= 1);
    let panels = [
        ("encoder, rescaled".to_owned(), encoder, None),
        ("decoder, rescaled".to_owned(), decoder.reversed_axes() / 4.0, None),
    ];
    report.figure(figure::heat_maps(&panels, 2), "10 features, 10 neurons (neurons down, features across): neurons that serve two features come with one that inhibits.");
    Ok(report)
}

fn trained(
    options: &Options,
    (n, m): (usize, usize),
    ratio: f64,
    densities: &[f32],
    (restarts, steps): (usize, usize),
) -> limpid::Result<Vec<Trained<f32>>> {
    let importance = geometric::<f32>(n, ratio, usize::from(n == 100))?;
    let problem = |&p: &f32| {
        let law = FeatureDistribution::new(Array1::from_elem(n, p), Value::Symmetric, Joint::Independent)?;
        let problem = Problem::new(m, importance.clone(), law);
        Ok(Problem { architecture: Architecture::AbsoluteValue, start: Start::KaimingUniform, ..problem })
    };
    let problems = densities.iter().map(problem).collect::<limpid::Result<Vec<_>>>()?;
    let settings = Training {
        steps,
        learning_rate: 3e-3,
        schedule: Schedule::QuarterCosine,
        optimizer: Optimizer::adam(),
        reduction: Reduction::FeatureSum,
        restarts,
        seed: Seed(options.seed),
        ..Training::default()
    };
    train(&problems, &settings, Bar::new(&format!("training {n} features, {m} neurons")).callback())
}

fn rescaled(trained: &Trained<f32>) -> limpid::Result<(Array2<f64>, Array2<f64>)> {
    let decoder = trained.model.decoder.as_ref().map_or_else(|| Array2::zeros((0, 0)), |d| d.mapv(f64::from));
    rescale_neurons(&trained.model.weight.mapv(f64::from), &decoder)
}

/// Largest rescaled encoder weight of a neuron besides its own feature.
fn distance_from_pairs(trained: &Trained<f32>) -> limpid::Result<f64> {
    Ok(rescaled(trained)?.0.iter().map(|w| w.abs()).filter(|w| *w < 0.999_999).fold(0.0, f64::max))
}

/// Loss of a model that always answers the mean of |x|: the variance, weighted by importance.
fn mean_baseline(p: f32) -> limpid::Result<f64> {
    let p = f64::from(p);
    Ok(geometric::<f64>(100, 0.8, 1)?.sum() * (p / 3.0 - p * p / 4.0))
}
