//! Learning dynamics: dimensionalities jump between energy levels (Toy Models of Superposition, "Superposition and Learning
//! Dynamics"). About 5 s on two cores.

#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

use limpid::superposition::geometry::{align, interference};
use limpid::superposition::{FeatureDistribution, Joint, Value};
use ndarray::{Array2, array};

use support::figure::{oblique, vectors};
use support::history::History;
use support::training::law;
use support::{cli::Options, report::Report};

const ABOUT: &str = "dimensionality of every feature and the loss during training: a model that ends in digons, and two sets of\n\
three correlated features that end as an octahedron (figures of the section \"Superposition and Learning Dynamics\" of\n\
Toy Models of Superposition). About 5 s on two cores.";

fn main() -> ExitCode {
    support::run("dynamics", ABOUT, (6, 6000), experiment)
}

fn experiment(options: &Options) -> limpid::Result<Report> {
    let mut report = Report::new("Learning dynamics of superposition", &options.out);
    digons(options, &mut report)?;
    octahedron(options, &mut report)?;
    Ok(report)
}

fn digons(options: &Options, report: &mut Report) -> limpid::Result<()> {
    let history = History::of(options, (6, options.steps), &FeatureDistribution::uniform(60, 0.27)?)?;
    history.draw(report, "Figure of \"Discrete Energy Level Jumps\", 60 features in 6 dimensions");
    let last = &history.shares[history.end()];
    let paired = |shares: &[f64]| shares.iter().filter(|&&d| (d - 0.5).abs() < 0.03).count();
    report.exactly("features that end in digons", paired(last), 12);
    report.exactly(
        "features that end elsewhere above 0.1",
        last.iter().filter(|&&d| d > 0.1).count() - paired(last),
        0,
    );
    let large: Vec<f64> = history.shares.concat().into_iter().filter(|&d| d > 0.2).collect();
    let resting = paired(&large) as f64 / large.len() as f64;
    report.at_least("share of the time that a D_i above 0.2 rests on 1/2", resting, 0.75);
    report.at_least("loss at the start / at the end", history.losses[0] / history.losses[history.end()], 1.2);
    Ok(())
}

fn octahedron(options: &Options, report: &mut Report) -> limpid::Result<()> {
    let law = law(Value::Uniform, Joint::Correlated { size: 3 })(6, 0.02)?;
    let history = History::of(options, (3, options.steps.div_ceil(2)), &law)?;
    history.draw(report, "Figure of \"Learning as Geometric Transformations\", two sets of three correlated features");
    let off = history.shares[history.end()].iter().map(|d| (d - 0.5).abs()).fold(0.0, f64::max);
    report.at_most("octahedron: largest distance of D_i from 1/2", off, 0.05);
    let gram = interference(&history.weights[history.end()])?.gram;
    let cosine = |i: usize, j: usize| gram[[i, j]] / (gram[[i, i]] * gram[[j, j]]).sqrt();
    let antipodes = [0, 1, 2].map(|i| (3..6).fold(3, |best, j| if cosine(i, j) < cosine(i, best) { j } else { best }));
    let worst = (0..3).map(|i| cosine(i, antipodes[i])).fold(-1.0, f64::max);
    report.at_most("octahedron: largest cosine to the antipode in the other set", worst, -0.85);
    let panels = stages(&history, antipodes)?;
    report.figure(
        vectors(&panels, &array![1.0, 1.0, 1.0, 0.3, 0.3, 0.3], 5),
        "Figure of \"Learning as Geometric Transformations\": the six features on their way, in 3-D seen at an angle and \
         turned to the axes of the last; each set has its colour.",
    );
    Ok(())
}

/// Five moments of an octahedron that forms, turned so that the first set comes to lie on the axes.
fn stages(history: &History, antipodes: [usize; 3]) -> limpid::Result<Vec<(String, Array2<f64>)>> {
    let mut target = Array2::zeros((3, 6));
    for (i, j) in antipodes.into_iter().enumerate() {
        target[[i, i]] = 1.0;
        target[[i, j]] = -1.0;
    }
    let panel =
        |at: usize| Ok((format!("step {}", history.steps[at]), oblique(&align(&history.weights[at], &target)?)));
    history.stages(5).into_iter().map(panel).collect()
}
