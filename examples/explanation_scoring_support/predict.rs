//! Everything that predicts a neuron, on the same texts.

use limpid::Seed;
use limpid::explanation::ActivationRecord;
use limpid::explanation::discretize::{Rounding, discretize, largest};
use limpid::explanation::score::PairStats;
use limpid::explanation::simulate::{Keyword, NgramSettings, Oracle, ShuffledTokens, Simulator, TokenTable, Unseen};

use super::Outcome;

/// Statistics of each of `test` under one simulator.
pub fn statistics<S: Simulator<f64>>(
    simulator: &mut S,
    explanation: &str,
    test: &[ActivationRecord<f64>],
) -> Outcome<Vec<PairStats>>
where
    S::Error: std::error::Error + 'static,
{
    let of = |record: &ActivationRecord<f64>| {
        let found = simulator.simulate(explanation, &record.tokens)?;
        Ok(PairStats::of(&record.activations, &found.filled(0.0))?)
    };
    test.iter().map(of).collect()
}

/// Statistics of the simulators that have seen `train`, and of a ceiling and a floor.
pub fn without_words(
    train: &[ActivationRecord<f64>],
    test: &[ActivationRecord<f64>],
    truth: &str,
    seed: Seed,
) -> Outcome<[Vec<PairStats>; 4]> {
    let tallest = test.iter().map(|record| largest(&record.activations)).collect::<limpid::Result<Vec<_>>>()?;
    let most = tallest.into_iter().fold(0.0, f64::max);
    let digits = |x: &ndarray::ArrayRef1<f64>| {
        discretize(x, most, 10, Rounding::Floor).map_or_else(|_| x.mapv(|_| 0.0), |digits| digits.mapv(f64::from))
    };
    let mut table = TokenTable::fit(train, Unseen::Zero)?;
    let mut ngram = NgramSettings::default().fit(train)?;
    let mut oracle = Oracle::new(test, digits)?;
    let mut shuffled = ShuffledTokens { simulator: Keyword::default(), seed };
    Ok([
        statistics(&mut table, "", test)?,
        statistics(&mut ngram, "", test)?,
        statistics(&mut oracle, "", test)?,
        statistics(&mut shuffled, truth, test)?,
    ])
}
