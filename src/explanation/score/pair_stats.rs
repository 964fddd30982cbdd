//! Scores that follow from statistics of pairs alone: these merge over texts and shards, the texts are not needed again.

pub use crate::math::pairs::PairStats;

use crate::explanation::{Defined, Undefined};
use crate::math::correlation::of_moments;

/// A score that sums of pairs determine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Statistic {
    /// `Σ (t - t̄)(s - s̄)/√(Σ (t - t̄)² Σ (s - s̄)²)`: agreement up to scale and offset.
    #[default]
    Pearson,
    /// `1 - Σ (t - s)²/Σ (t - t̄)²`: explained variance.
    R2,
    /// `1 - Σ (t - s)²/Σ t²`: against the prediction of 0, as the explained variance of the first published scorer.
    R2AboutZero,
    /// `1 - Σ |t - s|/Σ |t|`: explained absolute deviation, against the prediction of 0.
    AbsoluteDeviation,
}

impl Statistic {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Pearson, Self::R2, Self::R2AboutZero, Self::AbsoluteDeviation];

    /// The score that `stats` determine.
    ///
    /// # Errors
    /// [`Undefined::NotFinite`] where a pair is not finite, [`Undefined::Empty`], [`Undefined::TooFew`],
    /// [`Undefined::ConstantTruth`], [`Undefined::ConstantPrediction`] (the correlation), [`Undefined::AllZero`] (the two
    /// against 0), [`Undefined::OutOfRange`] where a sum overflows.
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::Undefined;
    /// use limpid::explanation::score::{PairStats, Statistic};
    /// use ndarray::array;
    ///
    /// let stats = PairStats::of(&array![0.0, 1.0, 2.0], &array![5.0, 7.0, 9.0])?;
    /// assert_eq!(Statistic::Pearson.of(&stats), Ok(1.0));
    /// let still = PairStats::of(&array![0.0, 1.0, 2.0], &array![5.0, 5.0, 5.0])?;
    /// assert_eq!(Statistic::Pearson.of(&still), Err(Undefined::ConstantPrediction));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn of(self, stats: &PairStats) -> Defined<f64> {
        if stats.not_finite > 0 {
            return Err(Undefined::NotFinite);
        }
        if stats.count == 0 || stats.weight <= 0.0 {
            return Err(Undefined::Empty);
        }
        let about_mean = matches!(self, Self::Pearson | Self::R2);
        let reasons = [
            (about_mean && stats.count < 2, Undefined::TooFew),
            (about_mean && stats.m2_true == 0.0, Undefined::ConstantTruth),
            (!about_mean && stats.sum_absolute_true == 0.0, Undefined::AllZero),
            (self == Self::Pearson && stats.m2_predicted == 0.0, Undefined::ConstantPrediction),
        ];
        if let Some((_, reason)) = reasons.iter().find(|(holds, _)| *holds) {
            return Err(*reason);
        }
        let value = match self {
            Self::Pearson => {
                let spreads = [stats.m2_true, stats.m2_predicted].iter().all(|m2| m2.is_finite());
                let r = of_moments(stats.cross_moment, stats.m2_true, stats.m2_predicted);
                r.filter(|_| spreads).unwrap_or(f64::NAN)
            }
            Self::R2 => 1.0 - stats.sum_square_error / stats.m2_true,
            Self::R2AboutZero => 1.0 - stats.sum_square_error / stats.sum_square_true(),
            Self::AbsoluteDeviation => 1.0 - stats.sum_absolute_error / stats.sum_absolute_true,
        };
        if value.is_finite() { Ok(value) } else { Err(Undefined::OutOfRange) }
    }
}

/// The four scores that statistics of pairs determine.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MomentScores {
    /// [`Statistic::Pearson`].
    pub pearson: Defined<f64>,
    /// [`Statistic::R2`].
    pub r2: Defined<f64>,
    /// [`Statistic::R2AboutZero`].
    pub r2_about_zero: Defined<f64>,
    /// [`Statistic::AbsoluteDeviation`].
    pub absolute_deviation: Defined<f64>,
    /// Tokens behind them.
    pub tokens: u64,
}

impl MomentScores {
    /// The scores that `stats` determine.
    #[must_use]
    pub fn of(stats: &PairStats) -> Self {
        Self::each(stats.count, |statistic| statistic.of(stats))
    }

    /// Every statistic by `score`.
    pub(super) fn each(tokens: u64, score: impl Fn(Statistic) -> Defined<f64>) -> Self {
        let [pearson, r2, r2_about_zero, absolute_deviation] = Statistic::ALL.map(score);
        Self { pearson, r2, r2_about_zero, absolute_deviation, tokens }
    }

    /// One of them.
    ///
    /// # Errors
    /// The reason that it is undefined.
    pub fn get(&self, statistic: Statistic) -> Defined<f64> {
        match statistic {
            Statistic::Pearson => self.pearson,
            Statistic::R2 => self.r2,
            Statistic::R2AboutZero => self.r2_about_zero,
            Statistic::AbsoluteDeviation => self.absolute_deviation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, array};

    fn of(t: &Array1<f64>, s: &Array1<f64>) -> MomentScores {
        MomentScores::of(&PairStats::of(t, s).unwrap())
    }

    #[test]
    fn scores_by_hand() {
        // Σ(t-s)² = 2, Σt² = 21, Σ(t-t̄)² = 11.2, Σ|t-s| = 2, Σ|t| = 7
        let found = of(&array![0.0, 0.0, 1.0, 4.0, 2.0], &array![0.0, 1.0, 1.0, 3.0, 2.0]);
        let close = |a: Defined<f64>, b: f64| assert!((a.unwrap() - b).abs() < 1e-14, "{a:?} {b}");
        close(found.r2, 1.0 - 2.0 / 11.2);
        close(found.r2_about_zero, 1.0 - 2.0 / 21.0);
        close(found.absolute_deviation, 1.0 - 2.0 / 7.0);
        // 7.2/√(11.2 · 5.2)
        close(found.pearson, 7.2 / libm::sqrt(11.2 * 5.2));
        assert!(Statistic::ALL.iter().all(|statistic| found.get(*statistic).is_ok()));
    }

    #[test]
    fn every_reason_is_told() {
        let none: Array1<f64> = array![];
        assert_eq!(of(&none, &none).absolute_deviation, Err(Undefined::Empty));
        let one = of(&array![3.0], &array![2.5]);
        assert_eq!((one.pearson, one.r2), (Err(Undefined::TooFew), Err(Undefined::TooFew)));
        assert!(one.r2_about_zero.is_ok());
        let zero = of(&array![0.0, 0.0], &array![0.0, 1.0]);
        assert_eq!((zero.r2_about_zero, zero.pearson), (Err(Undefined::AllZero), Err(Undefined::ConstantTruth)));
        let bad = of(&array![0.0, f64::NAN, 1.0], &array![0.0, 1.0, 1.0]);
        assert!(Statistic::ALL.iter().all(|statistic| bad.get(*statistic) == Err(Undefined::NotFinite)));
        let huge = of(&array![1e200, -1e200], &array![1.0, 2.0]);
        assert_eq!((huge.pearson, huge.r2), (Err(Undefined::OutOfRange), Err(Undefined::OutOfRange)));
        assert_eq!(of(&array![1.0, 2.0], &array![3.0, 3.0]).pearson, Err(Undefined::ConstantPrediction));
    }
}
