//! Superposition in a privileged basis: neurons turn from monosemantic to polysemantic (Toy Models of Superposition). About
//! 15 s on two cores.
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
use limpid::superposition::geometry::polysemanticity;
use limpid::superposition::importance::geometric;
use limpid::superposition::{Architecture, FeatureDistribution, Problem, Reduction, Training, train};

use support::{cli::Options, figure, progress::Bar, report::Report};

const ABOUT: &str = "10 features, 5 neurons with a ReLU on the hidden layer, importance 0.75^i, best of many starts at six\n\
densities: weights, and which features each neuron answers to (figures of the section \"Superposition in a\n\
Privileged Basis\" of Toy Models of Superposition). About 15 s on two cores.";

const DENSITIES: [f32; 6] = [0.75, 0.35, 0.15, 0.1, 0.06, 0.02];

fn main() -> ExitCode {
    support::run("privileged_basis", ABOUT, (100, 3000), experiment)
}

fn experiment(options: &Options) -> limpid::Result<Report> {
    let importance = geometric::<f32>(10, 0.75, 0)?;
    let problem = |p: f32| {
        let law = FeatureDistribution::uniform(10, p)?;
        Ok(Problem { architecture: Architecture::ReluHidden, ..Problem::new(5, importance.clone(), law) })
    };
    let problems = DENSITIES.into_iter().map(problem).collect::<limpid::Result<Vec<_>>>()?;
    let settings = Training {
        steps: options.steps,
        batch: 512,
        learning_rate: 1e-2,
        schedule: Schedule::QuarterCosine,
        optimizer: Optimizer::adam(),
        reduction: Reduction::FeatureSum,
        restarts: options.restarts,
        seed: Seed(options.seed),
        record_every: 0,
        ..Training::default()
    };
    let models = train(&problems, &settings, Bar::new("training").callback())?;
    let mut report = Report::new("Superposition in a privileged basis", &options.out);
    let (mut maps, mut stacks, mut rows, mut alone) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (p, trained) in DENSITIES.iter().zip(&models) {
        let w = trained.model.weight.mapv(f64::from);
        let neurons = polysemanticity(&w, 0.2)?;
        rows.push(vec![
            p.to_string(),
            format!("{:.5}", trained.evaluation.loss),
            format!("{:?}", neurons.features_per_neuron),
        ]);
        maps.push((format!("density {p}"), w.t().to_owned(), None));
        stacks.push((format!("density {p}"), w));
        alone.push(neurons.monosemantic);
    }
    report.table("models", &["density", "loss", "features per neuron"], rows);
    report.figure(figure::heat_maps(&maps, 6), "W: features down, neurons across, -1 blue, 1 red.");
    report.figure(
        figure::stacked_bars(&stacks, 6),
        "Which features each neuron answers to: one bar per neuron, one colour per feature.",
    );
    report.check("monosemantic neurons of 5 at density 0.75", alone[0] as f64, "5", alone[0] == 5);
    report.check("monosemantic neurons of 5 at density 0.02", alone[5] as f64, "0", alone[5] == 0);
    let mixed = (1..5).any(|i| (1..5).contains(&alone[i]));
    report.check("a density with both kinds of neurons", f64::from(u8::from(mixed)), "1", mixed);
    Ok(report)
}
