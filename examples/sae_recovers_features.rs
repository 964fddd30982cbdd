//! Sparse autoencoders take features out of superposition (Sharkey, Braun and Millidge 2022): 40 features in 10 dimensions
//! come back within a band of L1 coefficients, and do not outside of it. About 15 s on two cores.

#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

use limpid::Seed;
use limpid::superposition::geometry::represented_features;
use limpid::superposition::recovery::match_dictionaries;
use limpid::superposition::{FeatureDistribution, Training};
use ndarray::{Array1, Array2};

use support::figure::{Axis, Curve, curves, heat_maps};
use support::recovery::{Hidden, Learned, by_match, learn, principal_directions, random_directions};
use support::training::{problems, settings, train, weight};
use support::{cli::Options, report::Report, report::number};

const ABOUT: &str = "a toy model keeps 40 equally important features in 10 dimensions; ReLU autoencoders with 40 latents are\n\
trained on its hidden activations for a band of L1 coefficients, and their dictionaries compared with the columns of W\n\
(mean of the largest cosines, MMCS). Beside them: random directions, principal components, and data with the same mean and\n\
covariance but no sparse features. About 15 s on two cores.";

const FEATURES: usize = 40;
const DENSITY: f32 = 0.05;
/// Coefficients `c` of `mean_b ‖x - x'‖² + c mean_b Σ f`.
const BAND: [f64; 10] = [TOO_LITTLE, 0.05, 0.1, 0.15, RIGHT, 0.25, 0.3, 0.4, 0.6, TOO_MUCH];
const TOO_LITTLE: f64 = 0.02;
const RIGHT: f64 = 0.2;
const TOO_MUCH: f64 = 1.2;

fn main() -> ExitCode {
    support::run("sae_recovers_features", ABOUT, (2, 8000), experiment)
}

fn experiment(options: &Options) -> limpid::Result<Report> {
    let problem = problems(10, &Array1::ones(FEATURES), &[DENSITY], FeatureDistribution::uniform)?;
    let toy = train(&problem, &Training { batch: 1024, ..settings(options, 5e-3) }, "toy model")?.remove(0);
    let (truth, seed) = (toy.model.weight.t().to_owned(), Seed(options.seed));
    let sparse = Hidden { weight: toy.model.weight.clone(), density: DENSITY, dense: false };
    let dense = Hidden { dense: true, ..sparse.clone() };
    let steps = options.steps * 5 / 8;
    let band = BAND.iter().map(|&l1| learn(&sparse, &truth, FEATURES, (l1, steps, seed)));
    let band = band.collect::<limpid::Result<Vec<_>>>()?;
    let twice = learn(&sparse, &truth, 2 * FEATURES, (RIGHT, steps, seed))?;
    let control = learn(&dense, &truth, FEATURES, (RIGHT, steps, seed))?;
    let random = match_dictionaries(&truth, &random_directions(FEATURES, 10, seed), 0.95)?.mmcs;
    let principal = match_dictionaries(&truth, &principal_directions(&sparse, seed)?, 0.95)?.mmcs;

    let mut report = Report::new("40 features in 10 dimensions: autoencoders bring them back", &options.out);
    let mut rows: Vec<_> = band.iter().map(|learned| learned.row("40 latents")).collect();
    rows.extend([twice.row("80 latents"), control.row("control, 40 latents")]);
    let baselines = [("random directions", random), ("principal components, both signs", principal)];
    rows.extend(baselines.map(|(what, mmcs)| vec![what.to_owned(), String::new(), number(mmcs.into())]));
    report.table("dictionaries", &Learned::HEAD, rows);
    draw(&mut report, &truth, &band, &control, random.into())?;
    report.exactly("features that the toy model keeps", represented_features(&weight(&toy), 0.5)?, FEATURES);
    check(&mut report, &band, &twice, &control);
    report.at_most("baselines: the larger MMCS", random.max(principal).into(), 0.8);
    Ok(report)
}

fn check(report: &mut Report, band: &[Learned], twice: &Learned, control: &Learned) {
    let [little, right, much] = [0, 4, 9].map(|index| &band[index]);
    report.at_least(&format!("L1 {RIGHT}: MMCS"), right.found.mmcs.into(), 0.99);
    report.at_least(&format!("L1 {RIGHT}: MMCS from learned to true"), right.found.reverse_mmcs.into(), 0.99);
    let recovered = right.found.fraction_recovered;
    report.at_least(&format!("L1 {RIGHT}: share of features with a cosine above 0.95"), recovered.into(), 1.0);
    report.at_least(&format!("L1 {RIGHT}, 80 latents: MMCS"), twice.found.mmcs.into(), 0.99);
    report.at_most(&format!("L1 {TOO_LITTLE}: MMCS"), little.found.mmcs.into(), 0.8);
    report.at_least(&format!("L1 {TOO_LITTLE}: explained variance all the same"), little.explained, 0.99);
    report.at_most(&format!("L1 {TOO_MUCH}: MMCS"), much.found.mmcs.into(), 0.98);
    report.at_most("control without sparse features: MMCS", control.found.mmcs.into(), 0.8);
}

fn draw(
    report: &mut Report,
    truth: &Array2<f32>,
    band: &[Learned],
    control: &Learned,
    random: f64,
) -> limpid::Result<()> {
    let shown = [("", &band[0]), ("", &band[4]), ("", &band[9]), ("control, ", control)];
    let panel = |(what, learned): (&str, &Learned)| -> limpid::Result<_> {
        Ok((format!("{what}L1 {}", learned.l1), by_match(truth, &learned.sae.w_dec)?, None))
    };
    let panels = shown.into_iter().map(panel).collect::<limpid::Result<Vec<_>>>()?;
    report.figure(
        heat_maps(&panels, 4),
        "Cosines of true features (rows) and dictionary vectors (columns, each where the feature that it is matched with \
         stands), -1 blue, 1 red. A red diagonal: every feature has a latent of its own; the rest is the superposition.",
    );
    let curve = |of: fn(&Learned) -> f64| -> Curve { band.iter().map(|learned| (learned.l1, of(learned))).collect() };
    let series = vec![
        ("MMCS", curve(|learned| learned.found.mmcs.into())),
        ("explained variance", curve(|learned| learned.explained)),
        ("dead latents", curve(|learned| learned.dead)),
        ("L0 / 40", curve(|learned| learned.l0 / FEATURES as f64)),
    ];
    let x = Axis::log("L1 coefficient", 0.018, 1.35);
    report.figure(
        curves(&x, &Axis::linear("share", 0.0, 1.02), series, &[("random", random)]),
        "The band of L1 coefficients in which the features come back. To its left the reconstruction is nearly perfect, and \
         the dictionary no better than random directions: explained variance does not show whether features were found.",
    );
    Ok(())
}
