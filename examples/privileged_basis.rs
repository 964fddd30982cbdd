//! Superposition in a privileged basis: neurons turn from monosemantic to polysemantic (Toy Models of Superposition). About
//! 10 s on two cores.

#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

use limpid::superposition::geometry::polysemanticity;
use limpid::superposition::importance::geometric;
use limpid::superposition::{Architecture, FeatureDistribution, Problem, Training};
use ndarray::{Array2, Axis};

use support::figure::{heat_maps, order, stacked_bars};
use support::training::{problems, settings, train, weight};
use support::{cli::Options, report::Report};

const ABOUT: &str = "10 features, 5 neurons with a ReLU on the hidden layer, importance 0.75^i, best of many starts at six\n\
densities: weights, and which features each neuron answers to (figures of the section \"Superposition in a\n\
Privileged Basis\" of Toy Models of Superposition). About 10 s on two cores.";

const DENSITIES: [f32; 6] = [0.75, 0.35, 0.15, 0.1, 0.06, 0.02];

fn main() -> ExitCode {
    support::run("privileged_basis", ABOUT, (100, 3000), experiment)
}

fn experiment(options: &Options) -> limpid::Result<Report> {
    let problems = problems(5, &geometric(10, 0.75, 0)?, &DENSITIES, FeatureDistribution::uniform)?;
    let hidden = |problem| Problem { architecture: Architecture::ReluHidden, ..problem };
    let problems: Vec<_> = problems.into_iter().map(hidden).collect();
    let models = train(&problems, &Training { batch: 512, ..settings(options, 1e-2) }, "training")?;
    let mut report = Report::new("Superposition in a privileged basis", &options.out);
    let (mut maps, mut stacks, mut rows, mut all) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (p, trained) in DENSITIES.iter().zip(&models) {
        let w = weight(trained);
        let w = w.select(Axis(0), &order(&w));
        let sharing = Sharing::of(&w);
        rows.push(vec![
            p.to_string(),
            format!("{:.5}", trained.evaluation.loss),
            sharing.alone.to_string(),
            format!("{} in {}", sharing.shared, 5 - sharing.alone),
            format!("{:.1}", polysemanticity(&w, 0.2)?.participation),
        ]);
        maps.push((format!("density {p}"), w.t().to_owned(), None));
        stacks.push((format!("density {p}"), w));
        all.push(sharing);
    }
    let head = ["density", "loss", "monosemantic neurons", "features in the others", "participation ratios"];
    report.table("models", &head, rows);
    let name = "Figure of \"Superposition in a Privileged Basis\"";
    report.figure(heat_maps(&maps, 6), &format!("{name}: W, features down, neurons across, -1 blue, 1 red."));
    let caption =
        "weights of each neuron as a stack, negative ones below the axis; one colour per feature (dark: important).";
    report.figure(stacked_bars(&stacks, 6), &format!("{name}: {caption}"));
    for (index, alone, shared) in [(0, 5, 0), (1, 3, 3), (2, 2, 5)] {
        let p = DENSITIES[index];
        report.exactly(&format!("density {p}: monosemantic neurons of 5"), all[index].alone, alone);
        report.exactly(&format!("density {p}: features that the other neurons share"), all[index].shared, shared);
    }
    report.exactly("density 0.02: monosemantic neurons of 5", all[5].alone, 0);
    Ok(report)
}

/// How the features divide the neurons among them.
struct Sharing {
    /// Neurons that answer to one feature.
    alone: usize,
    /// Features in neurons that answer to several.
    shared: usize,
}

impl Sharing {
    /// A represented feature has weights near 1: what counts is the size of a weight, not its share of the neuron, where a
    /// large inhibiting weight would hide the others.
    fn of(w: &Array2<f64>) -> Self {
        let features = |k: usize| (0..w.ncols()).filter(move |&i| w[[k, i]].abs() > 0.4);
        let (several, others): (Vec<usize>, Vec<usize>) = (0..w.nrows()).partition(|&k| features(k).count() > 1);
        let mut shared: Vec<usize> = several.into_iter().flat_map(features).collect();
        shared.sort_unstable();
        shared.dedup();
        Self { alone: others.len(), shared: shared.len() }
    }
}
