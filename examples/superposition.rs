//! Superposition appears: five features in two dimensions, from dense to sparse (Toy Models of Superposition, first
//! figure). About 5 s on two cores.

#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

use limpid::superposition::geometry::{Polytope, canonical_2d, feature_norms, tegum_factors};
use limpid::superposition::importance::{density_grid, geometric};
use limpid::superposition::{Data, FeatureDistribution, Problem, Start, Trained, Training};
use ndarray::Array1;

use support::training::{problems, settings, train};
use support::{cli::Options, figure, report::Report};

const ABOUT: &str = "five features in two dimensions at ten sparsities, best of several starts (first figure of\n\
Toy Models of Superposition). Each model is checked against the smallest known expected loss. About 5 s on two cores.";

/// Smallest known expected losses (summed over features), by density.
const BEST_KNOWN: [f64; 10] = [
    0.18292500, 0.24199430, 0.20544306, 0.13316542, 0.08553981, 0.05584964, 0.03487389, 0.02049448, 0.01211404,
    0.00725519,
];

fn main() -> ExitCode {
    support::run("superposition", ABOUT, (16, 3000), experiment)
}

fn experiment(options: &Options) -> limpid::Result<Report> {
    let densities = density_grid::<f64>(20.0, 0.0, 1.0, 10)?;
    let importance = geometric::<f64>(5, 0.9, 0)?;
    let settings = Training { batch: 256, ..settings(options, 0.01) };
    let problems = problems(2, &importance, &densities.to_vec(), FeatureDistribution::uniform)?;
    let sampled = train(&problems, &settings, "training")?;
    let best = polish(problems, &sampled, &settings)?;
    report(options, &importance, &densities, &best)
}

/// A few hundred noiseless steps on the exact expected loss, from where training with samples ended.
fn polish(
    problems: Vec<Problem<f64>>,
    sampled: &[Trained<f64>],
    settings: &Training,
) -> limpid::Result<Vec<Trained<f64>>> {
    let exact = |(problem, trained): (Problem<f64>, &Trained<f64>)| match problem.data {
        Data::Sampled(law) => Problem {
            data: Data::Expected(law),
            start: Start::Model { model: trained.model.clone(), noise: 0.0 },
            ..problem
        },
        _ => problem,
    };
    let problems: Vec<_> = problems.into_iter().zip(sampled).map(exact).collect();
    train(&problems, &Training { steps: 300, restarts: 1, ..*settings }, "polishing")
}

fn report(
    options: &Options,
    importance: &Array1<f64>,
    densities: &Array1<f64>,
    best: &[Trained<f64>],
) -> limpid::Result<Report> {
    let mut report = Report::new("Five features in two dimensions: superposition appears with sparsity", &options.out);
    let (mut panels, mut rows) = (Vec::new(), Vec::new());
    for ((&p, trained), best_known) in densities.iter().zip(best).zip(BEST_KNOWN) {
        let w = canonical_2d(&trained.model.weight)?;
        let excess = 100.0 * (trained.evaluation.loss / best_known - 1.0);
        let norms: Vec<String> = feature_norms(&w)?.iter().map(|norm| format!("{norm:.3}")).collect();
        let shapes: Vec<Polytope> = tegum_factors(&w, 0.1)?.into_iter().map(|factor| factor.polytope).collect();
        let loss = format!("{:.6}", trained.evaluation.loss);
        rows.push(vec![format!("{p:.4}"), loss, format!("{excess:+.3}"), norms.join(" "), format!("{shapes:?}")]);
        report.at_most(&format!("loss above the best known at density {p:.3}, %"), excess, 1.0);
        panels.push((format!("density {p:.3}"), w));
    }
    let pentagon = tegum_factors(&panels[9].1, 0.1)?[0].polytope == Polytope::Pentagon;
    report.claim("the sparsest model is a pentagon", pentagon);
    let head = ["density", "expected loss", "above best, %", "feature norms", "polytopes"];
    report.table("models", &head, rows);
    report.figure(
        figure::vectors(&panels, importance, 5),
        "Columns of W for ten densities (density = 1 - sparsity); dark features are the most important. The first figure of \
         Toy Models of Superposition: two features alone, then antipodal pairs, then a pentagon.",
    );
    Ok(report)
}
