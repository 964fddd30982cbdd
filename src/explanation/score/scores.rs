//! Six scores of a predicted activation against the true one.

use alloc::vec::Vec;

use ndarray::{Array1, ArrayRef1};

use super::pair_stats::{MomentScores, PairStats, Statistic};
use crate::error::check_shape;
use crate::explanation::{Defined, Undefined};
use crate::math::rank;
use crate::{Result, Scalar};

/// True and predicted activations of one text.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence<T> {
    truth: Array1<T>,
    prediction: Array1<T>,
}

impl<T: Scalar> Sequence<T> {
    /// A text with `truth, prediction: (t)`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if the lengths differ.
    pub fn new(truth: Array1<T>, prediction: Array1<T>) -> Result<Self> {
        check_shape("prediction", &prediction, &[truth.len()])?;
        Ok(Self { truth, prediction })
    }

    /// True activations, `(t)`.
    #[must_use]
    pub fn truth(&self) -> &Array1<T> {
        &self.truth
    }

    /// Predicted activations, `(t)`.
    #[must_use]
    pub fn prediction(&self) -> &Array1<T> {
        &self.prediction
    }

    /// What scores need of it.
    #[must_use]
    pub fn stats(&self) -> PairStats {
        // the shapes are equal, by construction
        PairStats::of(&self.truth, &self.prediction).unwrap_or_default()
    }

    /// All tokens of all texts in one.
    pub(in crate::explanation) fn joined<'a>(sequences: impl IntoIterator<Item = &'a Self, IntoIter: Clone>) -> Self {
        let sequences = sequences.into_iter();
        let join = |side: fn(&Self) -> &Array1<T>| sequences.clone().flat_map(|s| side(s).iter().copied()).collect();
        Self { truth: join(Self::truth), prediction: join(Self::prediction) }
    }
}

/// The six scores.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Scores {
    /// Correlation of the values, the usual score of an explanation.
    pub pearson: Defined<f64>,
    /// Correlation of their mid-ranks. Its scale is another one: where most activations are 0, a prediction of "on" and
    /// "off" reaches almost 1.
    pub spearman: Defined<f64>,
    /// Explained variance, against the mean.
    pub r2: Defined<f64>,
    /// The same against 0.
    pub r2_about_zero: Defined<f64>,
    /// Explained absolute deviation, against 0.
    pub absolute_deviation: Defined<f64>,
    /// The same against the median.
    pub d2_absolute_error: Defined<f64>,
    /// Tokens behind them.
    pub tokens: u64,
}

/// The two scores that need the values in order.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RankScores {
    /// Correlation of the mid-ranks.
    pub spearman: Defined<f64>,
    /// Explained absolute deviation, against the median.
    pub d2_absolute_error: Defined<f64>,
}

/// Scores of `prediction: (t)` against `truth: (t)`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if the lengths differ. What is undefined says so itself.
///
/// # Example
/// ```
/// use limpid::explanation::score::score;
/// use ndarray::array;
///
/// let found = score(&array![0.0, 0.0, 1.0, 4.0, 2.0], &array![0.0, 1.0, 1.0, 3.0, 2.0])?;
/// assert!((found.pearson.unwrap() - 0.943_456).abs() < 1e-6);
/// assert!((found.r2_about_zero.unwrap() - 19.0 / 21.0).abs() < 1e-12);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn score<T: Scalar>(truth: &ArrayRef1<T>, prediction: &ArrayRef1<T>) -> Result<Scores> {
    let stats = PairStats::of(truth, prediction)?;
    Ok(Scores::new(&stats, RankScores::of(truth, prediction, &stats)))
}

impl Scores {
    /// Scores of one text.
    #[must_use]
    pub fn of<T: Scalar>(sequence: &Sequence<T>) -> Self {
        let stats = sequence.stats();
        Self::new(&stats, RankScores::of(&sequence.truth, &sequence.prediction, &stats))
    }

    fn new(stats: &PairStats, ranks: RankScores) -> Self {
        let MomentScores { pearson, r2, r2_about_zero, absolute_deviation, tokens } = MomentScores::of(stats);
        let RankScores { spearman, d2_absolute_error } = ranks;
        Self { pearson, spearman, r2, r2_about_zero, absolute_deviation, d2_absolute_error, tokens }
    }
}

impl RankScores {
    /// Of values of equal number, of which `stats` tell how many are not finite.
    pub(super) fn of<T: Scalar>(truth: &ArrayRef1<T>, prediction: &ArrayRef1<T>, stats: &PairStats) -> Self {
        let reason = match (stats.not_finite, truth.len()) {
            (1.., _) => Some(Undefined::NotFinite),
            (0, 0) => Some(Undefined::Empty),
            (0, 1) => Some(Undefined::TooFew),
            _ if truth.iter().all(|t| *t == truth[0]) => Some(Undefined::ConstantTruth),
            _ => None,
        };
        if let Some(reason) = reason {
            return Self { spearman: Err(reason), d2_absolute_error: Err(reason) };
        }
        let spearman = match rank::spearman(truth, prediction) {
            Ok(found) => found.ok_or(Undefined::ConstantPrediction),
            Err(_) => Err(Undefined::TooMany),
        };
        Self { spearman, d2_absolute_error: d2_absolute_error(truth, prediction) }
    }
}

/// `1 - Σ |t - s|/Σ |t - median t|` of values that are not all equal.
fn d2_absolute_error<T: Scalar>(truth: &ArrayRef1<T>, prediction: &ArrayRef1<T>) -> Defined<f64> {
    let mut sorted: Vec<f64> = truth.iter().map(|t| t.as_f64()).collect();
    let median = rank::quantile(&mut sorted, 0.5).ok_or(Undefined::Empty)?;
    let spread: f64 = truth.iter().map(|t| (t.as_f64() - median).abs()).sum();
    let error: f64 = truth.iter().zip(prediction).map(|(t, s)| (t.as_f64() - s.as_f64()).abs()).sum();
    let value = 1.0 - error / spread;
    if value.is_finite() { Ok(value) } else { Err(Undefined::OutOfRange) }
}

impl From<Scores> for MomentScores {
    fn from(scores: Scores) -> Self {
        Self::each(scores.tokens, |statistic| match statistic {
            Statistic::Pearson => scores.pearson,
            Statistic::R2 => scores.r2,
            Statistic::R2AboutZero => scores.r2_about_zero,
            Statistic::AbsoluteDeviation => scores.absolute_deviation,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn ranks_and_median_by_hand() {
        // median 1, Σ|t - 1| = 6, Σ|t - s| = 2; mid-ranks (1.5, 1.5, 3, 5, 4) and (1, 2.5, 2.5, 5, 4)
        let found = score(&array![0.0, 0.0, 1.0, 4.0, 2.0], &array![0.0, 1.0, 1.0, 3.0, 2.0]).unwrap();
        assert!((found.d2_absolute_error.unwrap() - (1.0 - 2.0 / 6.0)).abs() < 1e-15);
        assert!((found.spearman.unwrap() - 8.75 / 9.5).abs() < 1e-15);
        assert_eq!(MomentScores::from(found).pearson, found.pearson);
    }

    #[test]
    fn on_and_off_has_another_scale_by_rank() {
        let truth: Array1<f64> = (0..64).map(|i| if i < 60 { 0.0 } else { f64::from(2 * (i - 59)) }).collect();
        let found = score(&truth, &truth.mapv(|t| if t > 0.0 { 10.0 } else { 0.0 })).unwrap();
        assert!((found.pearson.unwrap() - 0.907_841_299_003_203_7).abs() < 1e-12);
        assert!((found.spearman.unwrap() - 0.999_349_593_427_127_4).abs() < 1e-12);
    }

    #[test]
    fn reasons_of_the_two_by_order() {
        let reasons = |t: &Array1<f64>, s: &Array1<f64>| {
            let found = score(t, s).unwrap();
            (found.spearman.err(), found.d2_absolute_error.err())
        };
        let both = |reason| (Some(reason), Some(reason));
        assert_eq!(reasons(&array![], &array![]), both(Undefined::Empty));
        assert_eq!(reasons(&array![1.0], &array![1.0]), both(Undefined::TooFew));
        assert_eq!(reasons(&array![0.1, 0.1], &array![1.0, 2.0]), both(Undefined::ConstantTruth));
        assert_eq!(reasons(&array![1.0, 2.0], &array![0.1, 0.1]), (Some(Undefined::ConstantPrediction), None));
        assert_eq!(reasons(&array![1.0, 2.0], &array![0.1, f64::INFINITY]), both(Undefined::NotFinite));
        assert!(score(&array![1.0], &array![1.0, 2.0]).is_err() && Sequence::new(array![1.0], array![]).is_err());
    }
}
