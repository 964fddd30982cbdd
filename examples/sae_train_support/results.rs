//! What a run came to, as a table, and what must hold where the directions behind the file are known.

use std::path::Path;

use limpid::formats::{Hint, disk};
use limpid::sae::metrics::{Defined, Metrics};
use limpid::sae::train::Preset;
use limpid::superposition::recovery::match_dictionaries;

use super::Result;
use super::data::{Data, known_dictionary};
use super::options::Options;
use super::run::{Outcome, evaluate, train};
use crate::support::report::{Report, number};

/// Lines of the table of results.
pub fn results(outcome: &Outcome, metrics: &Metrics) -> Vec<Vec<String>> {
    let share = |x: Defined| x.map_or_else(|why| why.to_string(), number);
    let silent = outcome.trainer.dead().iter().filter(|dead| **dead).count() as f64 / metrics.density.len() as f64;
    let window = outcome.trainer.settings().dead_after;
    [
        ("explained variance, held out (ratio of means)", share(metrics.explained_variance.ratio_of_means)),
        ("explained variance, held out (of the residual)", share(metrics.explained_variance.of_residual)),
        ("mean squared error per entry, held out", number(metrics.mse_mean)),
        ("L0, held out", number(metrics.l0)),
        (&format!("share of latents silent on {} held-out rows", metrics.samples), number(metrics.dead_fraction)),
        (&format!("share of latents silent over the last {window} training rows"), number(silent)),
        ("steps", number(outcome.trainer.steps_done() as f64)),
        ("training rows in all", number(outcome.trainer.tokens() as f64)),
        ("wall time of this process, s", number(outcome.seconds)),
        ("training rows per second", number(outcome.samples as f64 / outcome.seconds)),
    ]
    .map(|(what, value)| vec![what.to_owned(), value])
    .to_vec()
}

/// What must hold on the file that was made here: a folder that loads as what was saved, a stop that changes nothing, and for
/// the preset whose numbers suit the file, quality and the known directions.
pub fn check(
    report: &mut Report,
    options: &Options,
    file: &Path,
    (whole, metrics): (&Outcome, &Metrics),
) -> Result<()> {
    let mut data = Data::open(file, options)?;
    let (loaded, rows) = (disk::load::<f32>(options.out.join("sae"), &Hint::default())?.sae, data.held_out(usize::MAX));
    let change = evaluate(&loaded, &mut data, rows)?.mse_sum / metrics.mse_sum - 1.0;
    report.at_most("saved and loaded: change of the error, %", 100.0 * change.abs(), 0.1);
    let part = Options { out: options.out.join("stopped"), resume: false, ..options.clone() };
    train(&part, file, Some(options.steps / 2 + 7))?;
    let resumed = train(&Options { resume: true, ..part }, file, None)?;
    report.claim("stopped and resumed: the same bits", resumed.trainer.checkpoint() == whole.trainer.checkpoint());
    if options.preset == Preset::TopK {
        let found = match_dictionaries(&known_dictionary(), &whole.trainer.sae().w_dec, 0.9)?;
        report.at_least("explained variance", metrics.explained_variance.ratio_of_means?, 0.9);
        report.at_least("MMCS with the known directions", found.mmcs.into(), 0.95);
        // a quarter of the latents has no feature to find
        report.at_most("share of silent latents", metrics.dead_fraction, 0.3);
    }
    Ok(())
}
