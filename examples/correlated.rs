//! Correlated features lie side by side or orthogonal, anti-correlated ones opposite (Toy Models of Superposition,
//! "Correlated and Anticorrelated Features"). About 10 s on two cores.

#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

use limpid::superposition::geometry::{canonical_2d, interference};
use limpid::superposition::{Joint, Trained, Training, Value};
use ndarray::{Array1, Array2};

use support::training::{law, problems, settings, train, weight};
use support::{cli::Options, figure, report::Report};

const ABOUT: &str = "correlated and anti-correlated pairs in two dimensions, three correlated pairs up to their collapse into\n\
principal components, and two sets of ten in ten dimensions (figures of the section \"Correlated and\n\
Anticorrelated Features\" of Toy Models of Superposition). About 10 s on two cores.";

fn main() -> ExitCode {
    support::run("correlated", ABOUT, (16, 8000), experiment)
}

fn experiment(options: &Options) -> limpid::Result<Report> {
    let mut report = Report::new("Correlated and anti-correlated features", &options.out);
    let pairs = Joint::Correlated { size: 2 };
    let correlated = trained(options, (4, 2), pairs, &[0.05, 0.02, 0.01, 0.005, 0.0025], "correlated pairs")?;
    arrows(
        &mut report,
        &correlated,
        "\"Organization of Correlated and Anticorrelated Features\", two pairs (partners have one colour): partners are orthogonal",
    )?;
    for (p, model) in &correlated {
        let worst = [(0, 1), (2, 3)].iter().map(|&(i, j)| cosine(model, i, j).abs()).fold(0.0, f64::max);
        report.at_most(&format!("correlated at {p}: largest |cos| of partners"), worst, 0.1);
    }
    let exclusive = Joint::OneOfSet { size: 2 };
    let exclusive = trained(options, (4, 2), exclusive, &[0.2, 0.15, 0.1, 0.06, 0.03], "anti-correlated pairs")?;
    arrows(
        &mut report,
        &exclusive,
        "\"Organization of Correlated and Anticorrelated Features\", two anti-correlated pairs: partners are opposite",
    )?;
    for (p, model) in &exclusive {
        let worst = [(0, 1), (2, 3)].iter().map(|&(i, j)| cosine(model, i, j)).fold(-1.0, f64::max);
        report.at_most(&format!("anti-correlated at {p}: largest cos of partners"), worst, -0.9);
    }
    let three = trained(options, (6, 2), pairs, &[0.01, 0.03, 0.1, 0.18, 0.45, 0.7], "three pairs")?;
    arrows(
        &mut report,
        &three,
        "\"Collapsing of Correlated Features\", three pairs: side by side, then merged one after another",
    )?;
    let collapsed = |model: &Trained<f32>| (0..3).filter(|&k| cosine(model, 2 * k, 2 * k + 1) > 0.95).count();
    for (index, bar) in [(0, 0), (2, 1), (3, 2), (4, 3)] {
        let (p, model) = &three[index];
        report.exactly(&format!("three pairs at {p}: pairs collapsed"), collapsed(model), bar);
    }
    two_sets(options, &mut report)?;
    Ok(report)
}

/// Two sets of ten features: each gets an almost orthogonal basis.
fn two_sets(options: &Options, report: &mut Report) -> limpid::Result<()> {
    let sets = trained(options, (20, 10), Joint::Correlated { size: 10 }, &[0.02], "sets of ten")?;
    let gram = interference(&weight(&sets[0].1))?.gram;
    let within = off_diagonal(&gram, |i, j| i / 10 == j / 10);
    let across = off_diagonal(&gram, |i, j| i / 10 != j / 10);
    report.at_most("two sets of ten: interference within / across", within / across, 0.1);
    let bias = Some(sets[0].1.model.bias.mapv(f64::from));
    report.figure(
        figure::heat_maps(&[("W^T W".to_owned(), gram, bias)], 1),
        "Figure of \"Local Almost-Orthogonal Bases\": two sets of ten correlated features in ten dimensions. Each set is \
         almost orthogonal, interference is across.",
    );
    Ok(())
}

type Models = Vec<(f32, Trained<f32>)>;

fn trained(
    options: &Options,
    (n, m): (usize, usize),
    joint: Joint,
    densities: &[f32],
    what: &str,
) -> limpid::Result<Models> {
    let problems = problems(m, &Array1::ones(n), densities, law(Value::Uniform, joint))?;
    let models = train(&problems, &Training { batch: 512, ..settings(options, 5e-3) }, what)?;
    Ok(densities.iter().copied().zip(models).collect())
}

fn arrows(report: &mut Report, models: &Models, caption: &str) -> limpid::Result<()> {
    let panel = |(p, trained): &(f32, Trained<f32>)| Ok((format!("density {p}"), canonical_2d(&weight(trained))?));
    let panels = models.iter().map(panel).collect::<limpid::Result<Vec<_>>>()?;
    let colour: Array1<f64> = (0..panels[0].1.ncols()).map(|i| 1.0 - 0.4 * (i / 2) as f64).collect();
    report.figure(figure::vectors(&panels, &colour, 6), &format!("Figure of {caption}."));
    Ok(())
}

fn cosine(trained: &Trained<f32>, i: usize, j: usize) -> f64 {
    let w = weight(trained);
    let (a, b) = (w.column(i), w.column(j));
    a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
}

/// Root of the summed squares over the off-diagonal entries that `take` selects.
fn off_diagonal(gram: &Array2<f64>, take: impl Fn(usize, usize) -> bool) -> f64 {
    gram.indexed_iter().filter(|&((i, j), _)| i != j && take(i, j)).map(|(_, g)| g * g).sum::<f64>().sqrt()
}
