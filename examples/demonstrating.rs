//! Linear models keep the most important features, ReLU models superpose them (Toy Models of Superposition,
//! "Demonstrating Superposition"). About 20 s on two cores.

#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

use limpid::Seed;
use limpid::superposition::expected::linear_optimum;
use limpid::superposition::geometry::{
    feature_dimensionality, feature_norms, interference, represented_features, superposition_per_feature,
};
use limpid::superposition::importance::geometric;
use limpid::superposition::{Architecture, FeatureDistribution, Problem, Reduction, Trained, Training};

use support::training::{problems, settings, train, weight};
use support::{cli::Options, figure, report::Report};

const ABOUT: &str = "20 features in 5 dimensions, importance 0.7^i, a linear and a ReLU model at seven sparsities, and 80\n\
features in 20 dimensions: W^T W with bias, and norm bars coloured by superposition (figures of the section\n\
\"Demonstrating Superposition\" of Toy Models of Superposition). About 20 s on two cores.";

const NAME: &str = "Figure of \"Demonstrating Superposition\"";
const DENSITIES: [f32; 7] = [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001];

fn main() -> ExitCode {
    support::run("demonstrating", ABOUT, (16, 10_000), experiment)
}

fn experiment(options: &Options) -> limpid::Result<Report> {
    let mut report = Report::new("Demonstrating superposition", &options.out);
    let small = trained(options, (20, 5), 0.7, (options.restarts, options.steps))?;
    show(&mut report, &small, "20 features in 5 dimensions")?;
    check(&mut report, &small)?;
    let large = trained(options, (80, 20), 0.9, (1, options.steps / 2))?;
    show(&mut report, &large, "80 features in 20 dimensions")?;
    Ok(report)
}

/// The linear model on dense data first, then the ReLU models from dense to sparse.
fn trained(
    options: &Options,
    (n, m): (usize, usize),
    ratio: f64,
    (restarts, steps): (usize, usize),
) -> limpid::Result<Vec<Trained<f32>>> {
    let importance = geometric::<f32>(n, ratio, 0)?;
    let linear = Problem::new(m, importance.clone(), FeatureDistribution::uniform(n, 1.0)?);
    let mut all = vec![Problem { architecture: Architecture::Linear, ..linear }];
    all.extend(problems(m, &importance, &DENSITIES, FeatureDistribution::uniform)?);
    let settings = Training { restarts, steps, batch: 512, ..settings(options, 3e-3) };
    train(&all, &settings, &format!("training {n} in {m}"))
}

fn title(index: usize) -> String {
    if index == 0 { "linear".to_owned() } else { format!("ReLU, density {}", DENSITIES[index - 1]) }
}

fn show(report: &mut Report, models: &[Trained<f32>], what: &str) -> limpid::Result<()> {
    let (mut maps, mut bars, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for (index, trained) in models.iter().enumerate() {
        let w = weight(trained);
        let gram = interference(&w)?.gram;
        maps.push((title(index), gram, Some(trained.model.bias.mapv(f64::from))));
        let norms = feature_norms(&w)?;
        let kept = represented_features(&w, 0.5)?;
        let dimensions = feature_dimensionality(&w)?.sum();
        bars.push((title(index), norms, superposition_per_feature(&w, 1e-5)?));
        let loss = format!("{:.3e}", trained.evaluation.loss);
        rows.push(vec![title(index), loss, kept.to_string(), format!("{dimensions:.3}")]);
    }
    report.table(&format!("{what} models"), &["model", "loss", "features with norm > 0.5", "sum of D_i"], rows);
    report.figure(
        figure::heat_maps(&maps, 4),
        &format!("{NAME}, {what}: W^T W with the bias beside it, -1 blue, 1 red."),
    );
    let caption = "feature norms from the most important at the top, dark where a feature has its direction to itself, \
                   light where it is superposed.";
    report.figure(figure::norm_bars(&bars, 8), &format!("{NAME}, {what}: {caption}"));
    Ok(())
}

fn check(report: &mut Report, models: &[Trained<f32>]) -> limpid::Result<()> {
    let importance = geometric::<f64>(20, 0.7, 0)?;
    let excess = 100.0 * (models[0].evaluation.loss / linear_optimum(5, 1.0, &importance)? - 1.0);
    report.at_most("linear: loss above the closed-form optimum, %", excess, 1.0);
    let gram = interference(&models[0].model.weight)?.gram;
    let ideal = |(i, j): (usize, usize)| f32::from(u8::from(i == j && i < 5));
    let off = gram.indexed_iter().map(|(at, &g)| f64::from((g - ideal(at)).abs())).fold(0.0, f64::max);
    report.at_most("linear: largest distance of W^T W from the identity of the top 5", off, 0.02);
    for (index, published) in [(1, 0.0464), (2, 0.0335), (3, 0.00764), (4, 0.00136)] {
        // the samples that chose the best start are too few for a loss to a percent
        let x = FeatureDistribution::uniform(20, DENSITIES[index - 1])?.sample(300_000, Seed(1))?;
        let importance = geometric(20, 0.7, 0)?;
        let (loss, _) = models[index].model.loss_and_gradient(&x, &importance, Reduction::FeatureSum)?;
        report.at_most(&format!("{}: loss / that of the reference", title(index)), f64::from(loss) / published, 1.04);
    }
    for (index, kept) in [(1, 5.0..=5.0), (2, 6.0..=8.0), (3, 8.0..=10.0), (4, 10.0..=12.0)] {
        let got = represented_features(&models[index].model.weight, 0.5)?;
        report.within(&format!("{}: features kept", title(index)), got as f64, &kept);
    }
    Ok(())
}
