//! How good the explanations of each unit are, from the statistics of pairs alone.

use limpid::Seed;
use limpid::explanation::calibrate::Calibration;
use limpid::explanation::score::{Bootstrap, Difference, Interval, PairStats, Statistic};
use limpid::explanation::{Defined, Undefined};

use super::agreement::{Agreement, Document};
use super::means::KINDS;
use crate::Result;
use crate::support::progress::Bar;

/// Resamples of an interval.
const RESAMPLES: usize = 400;

/// What one explanation of a unit is worth.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judged {
    /// Correlation over all scored documents.
    pub(crate) score: Defined<f64>,
    /// Its interval, from resampled groups of documents.
    pub(crate) interval: Defined<Interval>,
    /// Share of the variance that is explained once predictions are mapped by a line from the calibration documents.
    pub(crate) explained: Defined<f64>,
    /// Correlation over the strongest and random documents.
    pub(crate) top_and_random: Defined<f64>,
    /// Correlation over the random ones.
    pub(crate) random: Defined<f64>,
}

/// What the explanations of a unit are worth.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verdict {
    pub(crate) of: [Judged; KINDS],
    /// How much better n-grams are than the token table.
    pub(crate) gain: Defined<Difference>,
}

/// Judges all units.
pub(crate) fn judge(agreement: &Agreement, seed: Seed) -> Result<Vec<Verdict>> {
    let bootstrap = Bootstrap { resamples: RESAMPLES, seed, ..Bootstrap::default() };
    let mut bar = Bar::new("intervals");
    let units = 0..agreement.len();
    let each = units.map(|unit| {
        bar.show(unit, agreement.len());
        verdict(agreement, unit, &bootstrap)
    });
    each.collect()
}

fn verdict(agreement: &Agreement, unit: usize, bootstrap: &Bootstrap) -> Result<Verdict> {
    let random: Vec<Document> = agreement.random(unit).collect();
    let groups: [Vec<PairStats>; KINDS] = std::array::from_fn(|kind| {
        agreement.groups(unit).iter().map(|pairs| pairs[kind]).filter(|stats| stats.count > 0).collect()
    });
    let judged = |kind: usize| -> Result<Judged> {
        let pooled = PairStats::pool(&groups[kind]);
        let of = |documents: &[&Document]| {
            Statistic::Pearson.of(&PairStats::pool(documents.iter().map(|document| &document.pairs[kind])))
        };
        let both: Vec<&Document> = agreement.top(unit).iter().chain(&random).collect();
        Ok(Judged {
            score: Statistic::Pearson.of(&pooled),
            interval: bootstrap.interval(&groups[kind])?,
            explained: explained(&agreement.calibration(unit)[kind], &pooled),
            top_and_random: of(&both),
            random: of(&random.iter().collect::<Vec<_>>()),
        })
    };
    Ok(Verdict { of: [judged(0)?, judged(1)?, judged(2)?], gain: bootstrap.difference(&groups[1], &groups[0])? })
}

/// ```text
/// 1 - Σ (t - a s - b)²/Σ (t - t̄)²        a, b of the calibration documents, a >= 0
/// ```
fn explained(calibration: &PairStats, scored: &PairStats) -> Defined<f64> {
    let line = Calibration::NonNegative.fit_stats(calibration)?;
    let (Some(a), Some(b)) = (line.slope(), line.intercept()) else { return Err(Undefined::NoPrediction) };
    // whether there is anything to explain
    Statistic::R2.of(scored)?;
    let off = scored.mean_true - a * scored.mean_predicted - b;
    let spread = scored.m2_true - 2.0 * a * scored.cross_moment + a * a * scored.m2_predicted;
    Ok(1.0 - (spread + scored.weight * off * off) / scored.m2_true)
}

#[cfg(test)]
mod tests {
    use limpid::explanation::calibrate::{CalibrationSet, ScoredSet};
    use limpid::explanation::score::Sequence;
    use ndarray::array;

    use super::*;

    #[test]
    fn the_variance_that_is_explained_is_that_of_mapped_predictions() {
        let calibration = Sequence::new(array![0.0, 1.0, 5.0, 2.0], array![0.5, 0.5, 3.0, 0.0]).unwrap();
        let scored = Sequence::new(array![0.0, 2.0, 1.0, 7.0], array![0.0, 1.0, 1.5, 2.0]).unwrap();
        let found = explained(&calibration.stats(), &scored.stats()).unwrap();
        let map = Calibration::NonNegative.fit(&CalibrationSet::new(vec![calibration])).unwrap();
        let expected = ScoredSet::new(vec![scored]).calibrated(&map).pooled().r2.unwrap();
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        let still = Sequence::new(array![1.0, 1.0], array![0.0, 1.0]).unwrap().stats();
        assert_eq!(explained(&still, &still), Err(Undefined::ConstantTruth));
    }
}
