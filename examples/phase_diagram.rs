//! Superposition as a phase change: two features in one dimension, three in two (Toy Models of Superposition). About 20 s
//! on two cores.

#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

use limpid::superposition::geometry::{feature_dimensionality, feature_norms};
use limpid::superposition::{Architecture, Data, FeatureDistribution, Problem, Start, ToyModel, Trained, Training};
use ndarray::Array1;

use support::figure::{Axis, class_maps};
use support::training::{settings, train};
use support::{cli::Options, report::Report, theory};

const ABOUT: &str = "phase diagrams over density and importance of the extra feature: trained on samples, trained on the exact\n\
expected loss, and theory (figures of the section \"Superposition as a Phase Change\" of Toy Models of\n\
Superposition). About 20 s on two cores.";

const CLASSES: [&str; 3] = ["extra not represented", "superposition", "extra has its own dimension"];

fn main() -> ExitCode {
    support::run("phase_diagram", ABOUT, (8, 1000), experiment)
}

fn experiment(options: &Options) -> limpid::Result<Report> {
    let side = if options.quick { 12 } else { 20 };
    let mut report = Report::new("Superposition as a phase change", &options.out);
    diagram(options, &mut report, &Grid::new(2, side), "two features in one dimension")?;
    diagram(options, &mut report, &Grid::new(3, side), "three features in two dimensions")?;
    Ok(report)
}

fn diagram(options: &Options, report: &mut Report, grid: &Grid, what: &str) -> limpid::Result<()> {
    let settings = Training { batch: 256, ..settings(options, 0.05) };
    let sampled = train(&grid.problems(false, &Start::Xavier)?, &settings, &format!("{what}, samples"))?;
    let settings = Training { steps: 400, ..settings };
    let exact = train(&grid.problems(true, &Start::Xavier)?, &settings, &format!("{what}, exact loss"))?;
    let classes = |models: &[Trained<f64>]| models.iter().map(class).collect::<limpid::Result<Vec<_>>>();
    let maps = [
        ("trained on samples", classes(&sampled)?),
        ("trained on the exact loss", classes(&exact)?),
        ("theory: the best of fixed solutions", theory::phases(grid.n, &grid.p, &grid.r)?),
    ];
    let axes = (Axis::log("importance of the extra feature", 0.1, 10.0), Axis::log("density", 0.01, 1.0));
    let caption = format!("Figure of \"Superposition as a Phase Change\", {what}: what becomes of the extra feature.");
    report.figure(class_maps(&maps, &CLASSES, &axes.0, &axes.1), &caption);
    let (bound, all) = (grid.bound(&settings, what)?, grid.p.len());
    let share = |holds: &dyn Fn(usize) -> bool| (0..all).filter(|&c| holds(c)).count() as f64 / all as f64;
    for (models, name, bar) in [(&exact, "exact loss", 0.98), (&sampled, "samples", 0.95)] {
        let near = share(&|c| models[c].evaluation.loss <= 1.02 * bound[c] + 1e-12);
        report.at_least(&format!("{what}, {name}: share of cells within 2 % of the smallest loss"), near, bar);
    }
    // near its triple point the true diagram is rounder than theory
    let close = |c: usize| (0.25..0.95).contains(&grid.p[c]) && (0.3..3.4).contains(&grid.r[c]);
    let agree = share(&|c| close(c) || maps[1].1[c] == maps[2].1[c]);
    report.at_least(&format!("{what}: share of cells as in theory, besides those near the triple point"), agree, 0.9);
    Ok(())
}

/// `n` features in `n - 1` dimensions, over density `p` and importance `r` of the last.
struct Grid {
    n: usize,
    /// In the middle of each cell, row by row from the sparsest.
    p: Array1<f64>,
    r: Array1<f64>,
}

impl Grid {
    fn new(n: usize, side: usize) -> Self {
        let power = |low: f64, i: usize| 10.0_f64.powf(low + 2.0 * (i as f64 + 0.5) / side as f64);
        let cells = || 0..side * side;
        Self {
            n,
            p: cells().map(|c| power(-2.0, c / side)).collect(),
            r: cells().map(|c| power(-1.0, c % side)).collect(),
        }
    }

    fn problems(&self, exact: bool, start: &Start<f64>) -> limpid::Result<Vec<Problem<f64>>> {
        let problem = |(&p, &r): (&f64, &f64)| {
            let importance = (1..=self.n).map(|i| if i == self.n { r } else { 1.0 }).collect();
            let law = FeatureDistribution::uniform(self.n, p)?;
            let data = if exact { Data::Expected(law.clone()) } else { Data::Sampled(law.clone()) };
            Ok(Problem { data, start: start.clone(), ..Problem::new(self.n - 1, importance, law) })
        };
        self.p.iter().zip(&self.r).map(problem).collect()
    }

    /// Smallest loss of each cell from the theory's own solutions: a bound that random starts have to reach.
    fn bound(&self, settings: &Training, what: &str) -> limpid::Result<Vec<f64>> {
        let mut smallest = vec![f64::INFINITY; self.p.len()];
        for w in theory::solutions(self.n) {
            let model = ToyModel::new(Architecture::ReluOutput, w, Array1::zeros(self.n))?;
            let problems = self.problems(true, &Start::Model { model, noise: 1e-3 })?;
            let models = train(&problems, &Training { restarts: 1, ..*settings }, &format!("{what}, bound"))?;
            smallest.iter_mut().zip(models).for_each(|(least, model)| *least = least.min(model.evaluation.loss));
        }
        Ok(smallest)
    }
}

/// What became of the last feature, as an index of [`CLASSES`].
fn class(trained: &Trained<f64>) -> limpid::Result<usize> {
    let (norms, shares) = (feature_norms(&trained.model.weight)?, feature_dimensionality(&trained.model.weight)?);
    let last = norms.len() - 1;
    Ok(if norms[last] < 0.5 { 0 } else { 1 + usize::from(shares[last] > 0.9) })
}
