//! Superposition as a phase change: two features in one dimension, three in two (Toy Models of Superposition). About 15 s.
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
use limpid::superposition::phase::{Phase, three_in_two, two_in_one};
use limpid::superposition::{
    Architecture, Data, FeatureDistribution, Problem, Reduction, Start, ToyModel, Trained, Training, train,
};
use ndarray::{Array1, Array2, array};

use support::{cli::Options, figure, progress::Bar, report::Report};

const ABOUT: &str = "phase diagrams over density and importance of the extra feature: trained on samples, trained on the exact\n\
expected loss, and theory (figures of the section \"Superposition as a Phase Change\" of Toy Models of\n\
Superposition). About 15 s on two cores.";

const NAMES: [&str; 3] = ["extra not represented", "superposition", "extra has its own dimension"];

fn main() -> ExitCode {
    support::run("phase_diagram", ABOUT, (8, 1500), experiment)
}

fn experiment(options: &Options) -> limpid::Result<Report> {
    let side = if options.quick { 12 } else { 24 };
    let cells: Vec<(f64, f64)> = (0..side * side)
        .map(|cell| {
            let along = |i: usize| i as f64 / (side - 1) as f64;
            (10.0_f64.powf(-2.0 + 2.0 * along(cell / side)), 10.0_f64.powf(-1.0 + 2.0 * along(cell % side)))
        })
        .collect();
    let mut report = Report::new("Superposition as a phase change", &options.out);
    for (n, m, what) in [(2, 1, "two features in one dimension"), (3, 2, "three features in two dimensions")] {
        diagram(&mut report, options, &cells, side, (n, m), what)?;
    }
    Ok(report)
}

fn diagram(
    report: &mut Report,
    options: &Options,
    cells: &[(f64, f64)],
    side: usize,
    (n, m): (usize, usize),
    what: &str,
) -> limpid::Result<()> {
    let settings = Training {
        steps: options.steps,
        batch: 256,
        learning_rate: 0.02,
        schedule: Schedule::QuarterCosine,
        optimizer: Optimizer::adam(),
        reduction: Reduction::FeatureSum,
        restarts: options.restarts,
        seed: Seed(options.seed),
        record_every: 0,
        ..Training::default()
    };
    let problems =
        |exact: bool| cells.iter().map(|&cell| problem(cell, n, m, exact)).collect::<limpid::Result<Vec<_>>>();
    let sampled = train(&problems(false)?, &settings, Bar::new(&format!("{n} in {m}, samples")).callback())?;
    let exact_settings = Training { steps: 600, ..settings };
    let exact = train(&problems(true)?, &exact_settings, Bar::new(&format!("{n} in {m}, exact")).callback())?;
    let map = |classes: Vec<usize>| Array2::from_shape_vec((side, side), classes).unwrap_or_default();
    let classes = |models: &[Trained<f64>]| map(models.iter().map(|trained| classify(&trained.model)).collect());
    let theory: Vec<usize> = cells.iter().map(|&cell| theory(cell, n)).collect::<limpid::Result<_>>()?;
    let panels = [
        ("samples".to_owned(), classes(&sampled)),
        ("exact".to_owned(), classes(&exact)),
        ("theory".to_owned(), map(theory.clone())),
    ];
    report.figure(
        figure::class_maps(&panels, &NAMES, ("importance of the extra feature, 0.1 to 10", "density, 0.01 to 1")),
        &format!("{what}: what becomes of the extra feature. Both axes are logarithmic; the theory compares fixed solutions, and rounds off near its triple point."),
    );
    // polishing the theory's own solutions gives a bound that random starts have to reach
    let bound =
        train(&starts(cells, n, m)?, &Training { restarts: 1, ..exact_settings }, Bar::new("bound").callback())?;
    let per_cell = bound.len() / cells.len();
    let share = |holds: &dyn Fn(usize) -> bool| {
        100.0 * (0..cells.len()).filter(|&c| holds(c)).count() as f64 / cells.len() as f64
    };
    let smallest =
        |c: usize| bound[c * per_cell..(c + 1) * per_cell].iter().map(|b| b.evaluation.loss).fold(f64::MAX, f64::min);
    let reached = share(&|c| exact[c].evaluation.loss <= 1.02 * smallest(c) + 1e-12);
    report.check(&format!("{what}: cells within 2 % of the exact minimum, %"), reached, "at least 98", reached >= 98.0);
    let far = |c: usize| !((0.25..0.95).contains(&cells[c].0) && (0.3..3.4).contains(&cells[c].1));
    let agree = share(&|c| !far(c) || classify(&exact[c].model) == theory[c]);
    report.check(
        &format!("{what}: cells that agree with theory away from the triple point, %"),
        agree,
        "at least 90",
        agree >= 90.0,
    );
    Ok(())
}

fn problem((p, r): (f64, f64), n: usize, m: usize, exact: bool) -> limpid::Result<Problem<f64>> {
    let mut importance = Array1::ones(n);
    importance[n - 1] = r;
    let law = FeatureDistribution::uniform(n, p)?;
    let data = if exact { Data::Expected(law.clone()) } else { Data::Sampled(law.clone()) };
    Ok(Problem { data, ..Problem::new(m, importance, law) })
}

/// Problems that start from the theory's solutions, those of one cell together.
fn starts(cells: &[(f64, f64)], n: usize, m: usize) -> limpid::Result<Vec<Problem<f64>>> {
    let solutions: Vec<Array2<f64>> = if n == 2 {
        vec![array![[1.0, 0.0]], array![[1.0, -1.0]], array![[0.0, 1.0]]]
    } else {
        let plain = |rows: [[f64; 3]; 2]| Array2::from(rows.to_vec());
        vec![
            plain([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
            plain([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]),
            plain([[1.0, 0.0, -1.0], [0.0, 1.0, 0.0]]),
            plain([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]]),
        ]
    };
    let from = |(&cell, w): (&(f64, f64), &Array2<f64>)| {
        let model = ToyModel::new(Architecture::ReluOutput, w.clone(), Array1::from_elem(n, cell.0 / 10.0))?;
        Ok(Problem { start: Start::Model { model, noise: 1e-3 }, ..problem(cell, n, m, true)? })
    };
    cells.iter().flat_map(|cell| solutions.iter().map(move |w| (cell, w))).map(from).collect()
}

/// What became of the last feature: 0 not represented, 1 in superposition, 2 alone in its direction.
fn classify(model: &ToyModel<f64>) -> usize {
    let extra = model.weight.column(model.n_features() - 1);
    if extra.dot(&extra) < 0.25 {
        return 0;
    }
    let others = model.weight.columns().into_iter().take(model.n_features() - 1);
    usize::from(others.map(|w| w.dot(&extra).abs()).fold(0.0, f64::max) < 0.3) + 1
}

fn theory((p, r): (f64, f64), n: usize) -> limpid::Result<usize> {
    if n == 2 {
        return Ok(match two_in_one(&array![p], &array![r])?.winner()[0] {
            Phase::Ignored => 0,
            Phase::Antipodal => 1,
            Phase::Dedicated => 2,
        });
    }
    let t = three_in_two(&array![p], &array![r])?;
    let losses = [t.ignored[0], t.antipodal[0], t.other_ignored[0].min(t.others_antipodal[0])];
    Ok((0..3).fold(0, |best, i| if losses[i] < losses[best] { i } else { best }))
}
