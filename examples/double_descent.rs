//! Memorisation, features, and the double descent between them (Superposition, Memorization, and Double Descent). About
//! 60 s on two cores, 20 s with --quick.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    reason = "a program with figures"
)]

#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::sync::Arc;

use limpid::Seed;
use limpid::math::optim::Optimizer;
use limpid::math::schedule::Schedule;
use limpid::superposition::geometry::{data_dimensionality, feature_dimensionality};
use limpid::superposition::{Data, FeatureDistribution, FixedDataset, Problem, Reduction, Trained, Training, train};
use ndarray::{Array1, Array2};

use support::figure::{Axis, Mark, chart, vectors};
use support::{cli::Options, progress::Bar, report::Report};

const ABOUT: &str = "1000 sparse features, two hidden dimensions, a fixed dataset of T points of unit length: hidden vectors and\n\
features, dimensionalities, and train and test loss over T (figures of \"Superposition, Memorization, and Double\n\
Descent\", scaled down). About 60 s on two cores, 20 s with --quick.";

const FEATURES: usize = 1000;
const SIZES: [usize; 9] = [3, 5, 8, 15, 30, 100, 300, 700, 2000];

fn main() -> ExitCode {
    support::run("double_descent", ABOUT, (4, 6000), experiment)
}

fn experiment(options: &Options) -> limpid::Result<Report> {
    let law = FeatureDistribution::uniform(FEATURES, 0.01_f32)?;
    let sizes = if options.quick { &SIZES[..8] } else { &SIZES[..] };
    let seed = Seed(options.seed);
    let data = |&t: &usize| Ok(FixedDataset::on_unit_sphere(&law, t, seed.child(1, t as u64))?.into());
    let data = sizes.iter().map(data).collect::<limpid::Result<Vec<Arc<FixedDataset<f32>>>>>()?;
    let problem = |points: &Arc<FixedDataset<f32>>| {
        let problem = Problem::new(2, Array1::ones(FEATURES), law.clone());
        Problem { data: Data::Fixed(points.clone()), ..problem }
    };
    let problems: Vec<_> = data.iter().map(problem).collect();
    let steps = options.steps;
    let settings = Training {
        steps,
        learning_rate: 1e-2,
        schedule: Schedule::WarmupCosine { warmup: steps / 20 },
        optimizer: Optimizer::AdamW { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.01 },
        reduction: Reduction::FeatureSum,
        restarts: options.restarts,
        seed,
        record_every: 0,
        ..Training::default()
    };
    let models = train(&problems, &settings, Bar::new("training").callback())?;
    let test = FixedDataset::on_unit_sphere(&law, 1000, seed.child(2, 0))?;
    report(options, sizes, &data, &models, test.points())
}

fn report(
    options: &Options,
    sizes: &[usize],
    data: &[Arc<FixedDataset<f32>>],
    models: &[Trained<f32>],
    test: &Array2<f32>,
) -> limpid::Result<Report> {
    let mut report = Report::new("Memorisation, features and double descent", &options.out);
    let (mut points, mut features, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    let (mut train_curve, mut test_curve, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for ((&size, data), trained) in sizes.iter().zip(data).zip(models) {
        let hidden = trained.model.forward(data.points())?.hidden.mapv(f64::from);
        let ones = Array1::ones(FEATURES);
        let (test_loss, _) = trained.model.loss_and_gradient(test, &ones, Reduction::FeatureSum)?;
        let examples = median(data_dimensionality(&hidden)?.to_vec());
        let own = feature_dimensionality(&trained.model.weight.mapv(f64::from))?;
        let largest = own.iter().copied().fold(0.0, f64::max);
        let t = size as f64;
        train_curve.push((t, trained.evaluation.loss));
        test_curve.push((t, f64::from(test_loss)));
        shares.push((t, examples));
        let cells = [t, trained.evaluation.loss, f64::from(test_loss), examples, 2.0 / t, largest];
        rows.push(cells.iter().map(|cell| format!("{cell:.4}")).collect());
        let scale = hidden.iter().fold(1e-9, |m: f64, x| m.max(x.abs())) / 1.4;
        points.push((format!("{size} points"), hidden.t().mapv(|x| x / scale)));
        let w = trained.model.weight.mapv(f64::from);
        let scale = w.iter().fold(1e-9, |m: f64, x| m.max(x.abs())) / 1.4;
        features.push((format!("{size} points"), w.mapv(|x| x / scale)));
        if [5, 8].contains(&size) {
            let ratio = examples * t / 2.0;
            report.check(
                &format!("{size} points: their median dimensionality / (2/T)"),
                ratio,
                "0.95 to 1.05",
                (ratio - 1.0).abs() <= 0.05,
            );
        }
    }
    report.table(
        "models",
        &["T", "train loss", "test loss", "median D of points", "2/T", "largest D of features"],
        rows,
    );
    let small = test_curve.iter().filter(|(t, _)| *t <= 30.0).map(|(_, loss)| *loss).fold(0.0, f64::max);
    let peak = test_curve.iter().fold((0.0, 0.0), |best, &point| if point.1 > best.1 { point } else { best });
    report.check("points at the peak of the test loss", peak.0, "100 to 800", (100.0..=800.0).contains(&peak.0));
    report.check("test loss at the peak / up to 30 points", peak.1 / small, "at least 1.5", peak.1 >= 1.5 * small);
    let colour = |n: usize| Array1::from_elem(n, 1.0);
    let most = points.iter().map(|(_, w)| w.ncols()).max().unwrap_or(0);
    report.figure(
        vectors(&points, &colour(most), 5),
        "Hidden vectors of the training points, scaled: few points form a regular polygon.",
    );
    report.figure(vectors(&features, &colour(FEATURES), 5), "Features (columns of W), scaled.");
    let x = || Axis::log("training points T", 2.5, 2500.0);
    let high = 1.1 * peak.1;
    let losses = [("train loss", Mark::Line(train_curve)), ("test loss", Mark::Line(test_curve))];
    report.figure(
        chart(&x(), &Axis::linear("loss", 0.0, high), &losses, &[]),
        "Train and test loss: the test loss peaks between memorising and finding features.",
    );
    let theory = Mark::Line(sizes.iter().map(|&t| (t as f64, 2.0 / t as f64)).collect());
    let marks = [("median D of points", Mark::Line(shares)), ("2/T", theory)];
    report.figure(
        chart(&x(), &Axis::log("dimensionality", 1e-4, 1.0), &marks, &[]),
        "Dimensionality of training points beside that of a regular polygon.",
    );
    Ok(report)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
