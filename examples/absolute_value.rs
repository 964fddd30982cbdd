//! Computation in superposition: absolute values with fewer neurons than they need (Toy Models of Superposition). About 15 s
//! on two cores.

#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

use limpid::superposition::geometry::{polysemanticity, rescale_neurons};
use limpid::superposition::importance::geometric;
use limpid::superposition::{Architecture, Joint, Problem, Start, ToyModel, Trained, Training, Value};
use ndarray::{Array1, Array2, Axis};

use support::figure::{heat_maps, order, stacked_bars};
use support::training::{law, problems, settings, train, weight};
use support::{cli::Options, report::Report};

const ABOUT: &str = "y = |x| from ReLU neurons: 3 features with 6 neurons, 100 features with 40 neurons at seven densities, and 10\n\
features with 10 neurons, where neurons come in asymmetric pairs (figures of the section \"Computation in Superposition\"\n\
of Toy Models of Superposition). About 15 s on two cores.";

const DENSITIES: [f32; 7] = [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001];

fn main() -> ExitCode {
    support::run("absolute_value", ABOUT, (6, 10_000), experiment)
}

fn experiment(options: &Options) -> limpid::Result<Report> {
    let mut report = Report::new("Computing absolute values in superposition", &options.out);
    pairs(options, &mut report)?;
    crowd(options, &mut report)?;
    motif(options, &mut report)?;
    Ok(report)
}

/// As many neurons as it takes: one for each sign of each feature.
fn pairs(options: &Options, report: &mut Report) -> limpid::Result<()> {
    let best = trained(options, 6, &Array1::ones(3), &[1.0], (options.restarts, options.steps))?.remove(0);
    report.at_most("3 features, 6 neurons: loss", best.evaluation.loss, 1e-4);
    let [encoder, decoder] = rescaled(&best)?;
    let off = encoder.iter().map(|w| w.abs()).filter(|w| *w < 0.999_999).fold(0.0, f64::max);
    report.at_most("3 features, 6 neurons: largest encoder weight besides those of 1 and -1", off, 0.1);
    draw(report, encoder, ("decoder", decoder), "\"Basic Results\": one neuron for each sign of each feature");
    Ok(())
}

/// Too few neurons for the features: polysemantic ones appear with sparsity.
fn crowd(options: &Options, report: &mut Report) -> limpid::Result<()> {
    let importance = geometric::<f32>(100, 0.8, 1)?;
    let models = trained(options, 40, &importance, &DENSITIES, (1, options.steps / 2))?;
    let (mut stacks, mut rows, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    for (&p, model) in DENSITIES.iter().zip(&models) {
        let [encoder, _] = rescaled(model)?;
        let share = model.evaluation.loss / f64::from(importance.sum() * (p / 3.0 - p * p / 4.0));
        let monosemantic = polysemanticity(&encoder, 0.2)?.monosemantic;
        rows.push(vec![p.to_string(), format!("{share:.4}"), monosemantic.to_string()]);
        stacks.push((format!("density {p}"), encoder.abs()));
        alone.push(monosemantic as f64);
        if [0.1, 0.01].contains(&p) {
            report.at_most(&format!("100 features, density {p}: loss / that of the mean"), share, 0.05);
        }
    }
    report.table("100 features 40 neurons", &["density", "loss / that of the mean", "monosemantic neurons"], rows);
    for (index, bar) in [(0, 36.0..=40.0), (1, 30.0..=40.0), (4, 0.0..=5.0), (6, 0.0..=5.0)] {
        let p = DENSITIES[index];
        report.within(&format!("100 features, density {p}: monosemantic neurons"), alone[index], &bar);
    }
    let caption = "Figure of \"Superposition vs Sparsity\": sizes of the encoder weights of 40 neurons over 100 features, each \
                   neuron rescaled so that its largest is 1; one colour per feature (dark: important).";
    report.figure(stacked_bars(&stacks, 4), caption);
    Ok(())
}

/// A neuron that speaks for a second feature, and one that inhibits what it says too much.
fn motif(options: &Options, report: &mut Report) -> limpid::Result<()> {
    let runs = (options.restarts, options.steps);
    let [encoder, decoder] = rescaled(&trained(options, 10, &geometric(10, 0.8, 0)?, &[0.15], runs)?[0])?;
    let (e, d) = (|k: usize, i: usize| encoder[[k, i]], |k: usize, i: usize| decoder[[k, i]]);
    let together = |k, l| (0..10).any(|i| e(k, i).abs() > 0.99 && e(k, i) * e(l, i) > 0.2);
    let loud = |k, j| (0.1..0.7).contains(&e(k, j).abs()) && d(k, j) > 1.5;
    let inhibited = |k, l| l != k && together(k, l) && (0..10).any(|j| loud(k, j) && d(l, j) < -1.0);
    let found = (0..10).filter(|&k| (0..10).any(|l| inhibited(k, l))).count();
    report.at_least("10 features, 10 neurons: asymmetric motifs", found as f64, 1.0);
    let caption = "\"The Asymmetric Superposition Motif\": a neuron answers to a second feature weakly and speaks for it \
                   loudly, and another takes back what it says for the first";
    draw(report, encoder, ("decoder / 4", decoder / 4.0), caption);
    Ok(())
}

fn draw(report: &mut Report, encoder: Array2<f64>, decoder: (&str, Array2<f64>), caption: &str) {
    let panels = [("encoder".to_owned(), encoder, None), (decoder.0.to_owned(), decoder.1, None)];
    let caption = format!("Figure of {caption} (features across, neurons down).");
    report.figure(heat_maps(&panels, 2), &caption);
}

fn trained(
    options: &Options,
    m: usize,
    importance: &Array1<f32>,
    densities: &[f32],
    (restarts, steps): (usize, usize),
) -> limpid::Result<Vec<Trained<f32>>> {
    let n = importance.len();
    // from small weights features take their neurons one after another; with a positive decoder no output starts silent
    let model = ToyModel::untied(Array2::zeros((m, n)), Array2::from_elem((n, m), 0.02), Array1::zeros(n))?;
    let start = Start::Model { model, noise: 0.02 };
    let untied = |problem| Problem { architecture: Architecture::AbsoluteValue, start: start.clone(), ..problem };
    let tied = problems(m, importance, densities, law(Value::Symmetric, Joint::Independent))?;
    let settings = Training { restarts, steps, ..settings(options, 3e-3) };
    train(&tied.into_iter().map(untied).collect::<Vec<_>>(), &settings, &format!("{n} features, {m} neurons"))
}

/// Encoder and decoder `(neurons, features)` of the same function: the largest weight of each neuron is 1, and neurons are
/// in the order of the feature with that weight.
fn rescaled(trained: &Trained<f32>) -> limpid::Result<[Array2<f64>; 2]> {
    let decoder = trained.model.decoder.as_ref().map_or_else(|| Array2::zeros((0, 0)), |d| d.mapv(f64::from));
    let (encoder, decoder) = rescale_neurons(&weight(trained), &decoder)?;
    let order = order(&encoder);
    Ok([encoder.select(Axis(0), &order), decoder.t().select(Axis(0), &order)])
}
