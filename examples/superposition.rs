//! Superposition appears: five features in two dimensions, from dense to sparse (Toy Models of Superposition, first
//! figure). About 5 s on two cores.

#[path = "support/device.rs"]
mod device;
#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

use limpid::superposition::geometry::{Polytope, canonical_2d, feature_dimensionality, feature_norms, tegum_factors};
use limpid::superposition::importance::{density_grid, geometric};
use limpid::superposition::{Data, FeatureDistribution, Problem, Start, Trained, Training};
use ndarray::{Array1, array};

use support::training::{problems, settings, train};
use support::{cli::Options, figure, report::Report};

const ABOUT: &str = "five features in two dimensions at ten sparsities, best of several starts (first figure of\n\
Toy Models of Superposition). Each model is checked against the smallest known expected loss. About 5 s on two cores.";

/// Smallest known expected losses (summed over features), by density.
const BEST_KNOWN: [f64; 10] = [
    0.18292500, 0.24199430, 0.20544306, 0.13316542, 0.08553981, 0.05584964, 0.03486157, 0.02048863, 0.01211093,
    0.00725519,
];

fn main() -> ExitCode {
    support::run("superposition", ABOUT, (16, 3000), experiment)
}

fn experiment(options: &Options) -> limpid::Result<Report> {
    let densities = density_grid::<f64>(20.0, 0.0, 1.0, 10)?;
    let importance = geometric::<f64>(5, 0.9, 0)?;
    let best = trained(options, &importance, &densities, "importance 0.9^i")?;
    let mut report = Report::new("Five features in two dimensions: superposition appears with sparsity", &options.out);
    show(&mut report, &importance, &densities, &best)?;
    check_dense(&mut report, &best[0])?;
    let equal = trained(options, &Array1::ones(5), &array![0.05], "equal importance")?;
    report.at_most("equal importance: loss / the best known", equal[0].evaluation.loss / 0.0089036, 1.005);
    let off = feature_dimensionality(&equal[0].model.weight)?.iter().map(|d| (d - 0.4).abs()).fold(0.0, f64::max);
    report.at_most("equal importance: largest distance of D_i from 2/5", off, 0.01);
    Ok(report)
}

/// Training on samples, then a few hundred noiseless steps on the exact expected loss.
fn trained(
    options: &Options,
    importance: &Array1<f64>,
    densities: &Array1<f64>,
    what: &str,
) -> limpid::Result<Vec<Trained<f64>>> {
    let settings = Training { batch: 256, ..settings(options, 0.01) };
    let problems = problems(2, importance, &densities.to_vec(), FeatureDistribution::uniform)?;
    let sampled = device::train(options, &problems, &settings, what)?;
    let polished = problems.into_iter().zip(sampled).map(|(problem, trained)| {
        let start = Start::Model { model: trained.model, noise: 0.0 };
        let Data::Sampled(law) = problem.data else { return Problem { start, ..problem } };
        Problem { data: Data::Expected(law), start, ..problem }
    });
    train(&polished.collect::<Vec<_>>(), &Training { steps: 300, restarts: 1, ..settings }, what)
}

/// Dense features: two have a direction each, the others none.
fn check_dense(report: &mut Report, dense: &Trained<f64>) -> limpid::Result<()> {
    let w = &dense.model.weight;
    let norms = feature_norms(w)?;
    report.within("density 1: norms of the first two features, the smaller", norms[0].min(norms[1]), &(0.98..=1.02));
    report.within("density 1: norms of the first two features, the larger", norms[0].max(norms[1]), &(0.98..=1.02));
    report.at_most("density 1: largest norm of the others", norms.iter().skip(2).fold(0.0, |a, &b| a.max(b)), 0.05);
    let cosine = w.column(0).dot(&w.column(1)) / (norms[0] * norms[1]);
    report.at_most("density 1: |cos| of the first two features", cosine.abs(), 0.05);
    Ok(())
}

fn show(
    report: &mut Report,
    importance: &Array1<f64>,
    densities: &Array1<f64>,
    best: &[Trained<f64>],
) -> limpid::Result<()> {
    let (mut panels, mut rows) = (Vec::new(), Vec::new());
    for ((&p, trained), best_known) in densities.iter().zip(best).zip(BEST_KNOWN) {
        let w = canonical_2d(&trained.model.weight)?;
        let excess = 100.0 * (trained.evaluation.loss / best_known - 1.0);
        let norms: Vec<String> = feature_norms(&w)?.iter().map(|norm| format!("{norm:.3}")).collect();
        let shapes: Vec<Polytope> = tegum_factors(&w, 0.1)?.into_iter().map(|factor| factor.polytope).collect();
        let loss = format!("{:.6}", trained.evaluation.loss);
        rows.push(vec![format!("{p:.4}"), loss, format!("{excess:+.3}"), norms.join(" "), format!("{shapes:?}")]);
        report.at_most(&format!("density {p:.3}: loss above the best known, %"), excess, 1.0);
        panels.push((format!("density {p:.3}"), w));
    }
    let pentagon = tegum_factors(&panels[9].1, 0.1)?[0].polytope == Polytope::Pentagon;
    report.claim("density 0.050: a pentagon", pentagon);
    let head = ["density", "expected loss", "above best, %", "feature norms", "polytopes"];
    report.table("models", &head, rows);
    report.figure(
        figure::vectors(&panels, importance, 5),
        "Columns of W for ten densities (density = 1 - sparsity); dark features are the most important. The first figure of \
         Toy Models of Superposition: two features alone, then antipodal pairs, then a pentagon.",
    );
    Ok(())
}
