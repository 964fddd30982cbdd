//! Memorisation, features, and the double descent between them (Superposition, Memorization, and Double Descent). About
//! 30 s on two cores, 10 s with --quick.

#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::sync::Arc;

use limpid::Seed;
use limpid::math::optim::Optimizer;
use limpid::math::schedule::Schedule;
use limpid::superposition::geometry::{data_dimensionality, feature_dimensionality};
use limpid::superposition::{Data, FeatureDistribution, FixedDataset, Problem, Reduction, Trained, Training};
use ndarray::{Array1, Array2};

use support::figure::{Axis, curves, scaled, vectors};
use support::training::{settings, train, weight};
use support::{
    cli::Options,
    report::{Report, number},
};

const ABOUT: &str = "1000 sparse features, two hidden dimensions, a fixed dataset of T points of unit length: hidden vectors and\n\
features, dimensionalities, and train and test loss over T (figures of \"Superposition, Memorization, and Double\n\
Descent\", scaled down). About 30 s on two cores, 10 s with --quick.";

const NAME: &str = "Figure of \"Superposition, Memorization, and Double Descent\"";
const FEATURES: usize = 1000;
const SIZES: [usize; 9] = [3, 5, 8, 15, 30, 100, 300, 700, 2000];
const HEAD: [&str; 6] = ["T", "train loss", "test loss", "median D of points", "2/T", "largest D of features"];

fn main() -> ExitCode {
    support::run("double_descent", ABOUT, (4, 6000), experiment)
}

fn experiment(options: &Options) -> limpid::Result<Report> {
    let sizes = SIZES.iter().filter(|&&size| size < 2000 || !options.quick);
    let cases = sizes.map(|&size| Case::train(options, size)).collect::<limpid::Result<Vec<_>>>()?;
    let mut report = Report::new("Memorisation, features and double descent", &options.out);
    report.table("models", &HEAD, cases.iter().map(|case| case.numbers.map(number).to_vec()).collect());
    check(&mut report, &cases);
    draw(&mut report, &cases);
    Ok(report)
}

/// A model of a fixed dataset.
struct Case {
    /// What [`HEAD`] names.
    numbers: [f64; 6],
    /// The points in the hidden space, `(2, T)`.
    hidden: Array2<f64>,
    /// Features, `(2, n)`.
    weight: Array2<f64>,
}

impl Case {
    fn train(options: &Options, size: usize) -> limpid::Result<Self> {
        let (law, seed) = (FeatureDistribution::uniform(FEATURES, 0.01)?, Seed(options.seed));
        let points = Arc::new(FixedDataset::on_unit_sphere(&law, size, seed.child(1, size as u64))?);
        let problem = Problem::new(2, Array1::ones(FEATURES), law.clone());
        let problem = Problem { data: Data::Fixed(points.clone()), ..problem };
        let schedule = Schedule::WarmupCosine { warmup: options.steps / 20 };
        let optimizer = Optimizer::AdamW { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.01 };
        // whether a polygon forms is a matter of luck, what many points lead to is not
        let restarts = if size <= 30 { options.restarts } else { options.restarts.div_ceil(4) };
        let settings = Training { schedule, optimizer, restarts, ..settings(options, 1e-2) };
        let best = train(&[problem], &settings, &format!("training on {size} points"))?.remove(0);
        let test = FixedDataset::on_unit_sphere(&law, 1000, seed.child(2, 0))?;
        Self::measure(&best, points.points(), test.points())
    }

    fn measure(trained: &Trained<f32>, points: &Array2<f32>, test: &Array2<f32>) -> limpid::Result<Self> {
        let hidden = trained.model.forward(points)?.hidden.mapv(f64::from);
        let (test_loss, _) = trained.model.loss_and_gradient(test, &Array1::ones(FEATURES), Reduction::FeatureSum)?;
        let (weight, t) = (weight(trained), points.nrows());
        let mut shares = data_dimensionality(&hidden)?.to_vec();
        shares.sort_by(f64::total_cmp);
        let largest = feature_dimensionality(&weight)?.into_iter().fold(0.0, f64::max);
        let (size, train_loss) = (t as f64, trained.evaluation.loss);
        let numbers = [size, train_loss, test_loss.into(), shares[t / 2], 2.0 / size, largest];
        Ok(Self { numbers, hidden: hidden.reversed_axes(), weight })
    }
}

fn check(report: &mut Report, cases: &[Case]) {
    for [t, _, _, share, polygon, largest] in cases.iter().map(|case| case.numbers) {
        if [5.0, 8.0].contains(&t) {
            report.within(&format!("{t} points: their median D / (2/T)"), share / polygon, &(0.95..=1.05));
        }
        if t >= 2000.0 {
            report.at_least(&format!("{t} points: largest D of a feature"), largest, 0.25);
        }
    }
    let tests = || cases.iter().map(|case| (case.numbers[0], case.numbers[2]));
    let few = tests().filter(|&(t, _)| t <= 30.0).fold(0.0, |most: f64, (_, loss)| most.max(loss));
    let peak = tests().fold((0.0, 0.0), |best, test| if test.1 > best.1 { test } else { best });
    report.within("points at the peak of the test loss", peak.0, &(100.0..=800.0));
    report.at_least("test loss at the peak / up to 30 points", peak.1 / few, 2.0);
}

fn draw(report: &mut Report, cases: &[Case]) {
    let panel = |case: &Case, w: &Array2<f64>| (format!("{} points", case.numbers[0]), scaled(w));
    let hidden: Vec<_> = cases.iter().map(|case| panel(case, &case.hidden)).collect();
    let features: Vec<_> = cases.iter().map(|case| panel(case, &case.weight)).collect();
    let alike = Array1::ones(2000);
    let caption = "hidden vectors of the training points, scaled. Few points form a regular polygon.";
    report.figure(vectors(&hidden, &alike, 5), &format!("{NAME}: {caption}"));
    report.figure(vectors(&features, &alike, 5), &format!("{NAME}: features (columns of W), scaled."));
    let curve = |of: usize| (HEAD[of], cases.iter().map(|case| (case.numbers[0], case.numbers[of])).collect());
    let x = Axis::log("training points T", 2.5, 2500.0);
    let caption =
        "train loss (at the edge below 0.001) and test loss, which peaks between memorising and finding features.";
    let losses = curves(&x, &Axis::log("loss", 1e-3, 100.0), vec![curve(1), curve(2)], &[]);
    report.figure(losses, &format!("{NAME}: {caption}"));
    let caption = "dimensionality of training points, beside that of a regular polygon, and of features.";
    let shares = curves(&x, &Axis::log("D", 5e-5, 1.0), vec![curve(3), curve(4), curve(5)], &[]);
    report.figure(shares, &format!("{NAME}: {caption}"));
}
