//! What is said of a neuron, and how good it is.

use limpid::Seed;
use limpid::explanation::ActivationRecord;
use limpid::explanation::score::{Bootstrap, PairStats, Statistic};
use limpid::explanation::simulate::Keyword;
use limpid::math::merge::Merge;

use super::Outcome;
use super::neurons::{NEURONS, Neuron, UNTRUE};
use super::predict::{statistics, without_words};

/// Texts of either kind that a score is of.
pub const PER_SPLIT: usize = 10;

/// Names of the predictions that [`judge`] gives, in its order.
pub const PREDICTORS: [&str; 6] =
    ["true explanation", "best untrue one", "token table", "pairs of tokens", "oracle in digits", "shuffled"];

/// A score with its interval.
pub type Scored = (f64, f64, f64);

/// Statistics of all predictions, in the order of [`PREDICTORS`].
pub fn judge(
    neuron: &Neuron,
    train: &[ActivationRecord<f64>],
    test: &[ActivationRecord<f64>],
    seed: Seed,
) -> Outcome<Vec<Vec<PairStats>>> {
    let mut keyword = Keyword::default();
    let truth = statistics(&mut keyword, neuron.truth, test)?;
    let others = NEURONS.iter().map(|other| other.truth).filter(|truth| *truth != neuron.truth).chain(UNTRUE);
    let mut best: Option<(f64, Vec<PairStats>)> = None;
    for untrue in others {
        let found = statistics(&mut keyword, untrue, test)?;
        let score = Statistic::Pearson.of(&pooled(&found)?).unwrap_or(f64::NEG_INFINITY);
        if best.as_ref().is_none_or(|(most, _)| score > *most) {
            best = Some((score, found));
        }
    }
    let [table, pairs, oracle, shuffled] = without_words(train, test, neuron.truth, seed)?;
    Ok(vec![truth, best.ok_or("no untrue explanation")?.1, table, pairs, oracle, shuffled])
}

fn pooled(stats: &[PairStats]) -> limpid::Result<PairStats> {
    let mut all = PairStats::default();
    stats.iter().try_for_each(|stats| all.merge(stats)).map(|()| all)
}

/// Resampled texts, top and random ones each on their own.
pub fn bootstrap(seed: Seed) -> Bootstrap {
    Bootstrap { strata: vec![PER_SPLIT; 2], seed, ..Bootstrap::default() }
}

/// The pooled correlation and its interval.
pub fn scored(stats: &[PairStats], seed: Seed) -> Outcome<Scored> {
    let score = Statistic::Pearson.of(&pooled(stats)?)?;
    let interval = bootstrap(seed).interval(stats)??;
    Ok((score, interval.low, interval.high))
}
