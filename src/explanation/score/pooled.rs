//! Many texts of one neuron: all their tokens as one, each text alone, or each as often as its kind occurs in the corpus.
//!
//! ```text
//! pooled                all tokens of all texts are concatenated, then scored once
//! mean of sequences     each text is scored alone, then the mean is taken over those that have a score
//! inverse probability   pooled, each text i counted 1/π_i times, π_i its chance of being chosen
//! ```
//!
//! Texts that were chosen because the neuron fires on them make every score of them look better or worse than one of the whole
//! corpus; the inverse probability undoes the choice.
//!
//! Source: Horvitz and Thompson, "A generalization of sampling without replacement from a finite universe", JASA 47(260),
//! 1952, section 3.

use alloc::vec::Vec;

use super::pair_stats::{MomentScores, PairStats, Statistic};
use super::scores::{Scores, Sequence};
use crate::error::check_each;
use crate::explanation::{Defined, Undefined};
use crate::{Dims, Error, Result, Scalar};

/// Scores of all tokens of all texts together.
///
/// # Example
/// ```
/// use limpid::explanation::score::{Sequence, pooled};
/// use ndarray::array;
///
/// let texts = [
///     Sequence::new(array![0.0, 0.0, 5.0, 0.0], array![0.0, 0.0, 10.0, 0.0])?,
///     Sequence::new(array![0.0, 1.0, 0.0, 0.0], array![0.0, 10.0, 0.0, 0.0])?,
/// ];
/// // each alone correlates perfectly, on scales that do not agree
/// assert!((pooled(&texts).pearson.unwrap() - 0.792_406).abs() < 1e-6);
/// # Ok::<(), limpid::Error>(())
/// ```
#[must_use]
pub fn pooled<'a, T: Scalar>(sequences: impl IntoIterator<Item = &'a Sequence<T>, IntoIter: Clone>) -> Scores {
    Scores::of(&Sequence::joined(sequences))
}

/// A score of each text (or neuron) alone, averaged over those that have one.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SequenceMean {
    /// The mean.
    pub mean: Defined<f64>,
    /// Texts with a score.
    pub defined: usize,
    /// Texts without one.
    pub undefined: usize,
}

impl SequenceMean {
    /// The mean of a score over texts with these statistics.
    #[must_use]
    pub fn of<'a>(statistic: Statistic, stats: impl IntoIterator<Item = &'a PairStats>) -> Self {
        Self::over(stats.into_iter().map(|part| statistic.of(part)))
    }

    /// The mean of those that are defined; the reason is that of the last where none is.
    pub(super) fn over(scores: impl IntoIterator<Item = Defined<f64>>) -> Self {
        let (mut sum, mut defined, mut undefined, mut last) = (0.0, 0_usize, 0_usize, Undefined::Empty);
        for score in scores {
            match score {
                Ok(score) => (sum, defined) = (sum + score, defined + 1),
                Err(reason) => (undefined, last) = (undefined + 1, reason),
            }
        }
        let mean = if defined > 0 { Ok(sum / defined as f64) } else { Err(last) };
        Self { mean, defined, undefined }
    }
}

/// Scores that a whole corpus would have, estimated from texts that were chosen with the chances `probability`.
///
/// # Errors
/// [`Error::Shape`], [`Error::OutOfRange`] for a chance outside `(0, 1]`.
///
/// # Example
/// ```
/// use limpid::explanation::score::{PairStats, inverse_probability};
/// use ndarray::array;
///
/// let top = PairStats::of(&array![0.0, 8.0], &array![0.0, 6.0])?;
/// let random = PairStats::of(&array![1.0, 0.0], &array![0.0, 1.0])?;
/// // one of a thousand texts is like the second
/// let corpus = inverse_probability(&[top, random], &[1.0, 1e-3])?;
/// assert!(corpus.pearson.unwrap() < 0.0);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn inverse_probability(stats: &[PairStats], probability: &[f64]) -> Result<MomentScores> {
    let weighted: Vec<PairStats> =
        stats.iter().zip(inverse_weights(stats.len(), probability)?).map(|(part, weight)| part.times(weight)).collect();
    Ok(MomentScores::of(&PairStats::pool(&weighted)))
}

/// `1/π_i`.
pub(super) fn inverse_weights(sequences: usize, probability: &[f64]) -> Result<Vec<f64>> {
    if probability.len() != sequences {
        let (expected, got) = (Dims::new(&[sequences]), Dims::new(&[probability.len()]));
        return Err(Error::Shape { what: "probability", expected, got });
    }
    // far from zero, so that weights stay finite
    check_each("probability", probability, "1e-300 <= p <= 1", |p: f64| (1e-300..=1.0).contains(&p))?;
    Ok(probability.iter().map(|p| 1.0 / p).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, array};

    fn texts() -> [Sequence<f64>; 3] {
        let text = |t: Array1<f64>, s| Sequence::new(t, s).unwrap();
        [
            text(array![0.0, 0.0, 5.0, 0.0], array![0.0, 0.0, 10.0, 0.0]),
            text(array![0.0, 1.0, 0.0, 0.0], array![0.0, 10.0, 0.0, 0.0]),
            text(array![0.0, 0.0, 0.0, 0.0], array![0.0, 0.0, 3.0, 0.0]),
        ]
    }

    #[test]
    fn pooled_is_not_the_mean() {
        let texts = texts();
        let stats = texts.each_ref().map(Sequence::stats);
        assert!((pooled(&texts).pearson.unwrap() - 0.787_490_904_706_243_1).abs() < 1e-14);
        let of_stats = MomentScores::of(&PairStats::pool(&stats));
        assert!((of_stats.pearson.unwrap() - pooled(&texts).pearson.unwrap()).abs() < 1e-14);
        assert!((of_stats.r2.unwrap() - pooled(&texts).r2.unwrap()).abs() < 1e-13);
        let mean = SequenceMean::of(Statistic::Pearson, &stats);
        assert_eq!((mean.mean, mean.defined, mean.undefined), (Ok(1.0), 2, 1));
        let none = SequenceMean::of(Statistic::Pearson, &stats[2..]);
        assert_eq!((none.mean, none.undefined), (Err(Undefined::ConstantTruth), 1));
        assert_eq!(SequenceMean::of(Statistic::R2, []).mean, Err(Undefined::Empty));
        assert_eq!(pooled::<f64>([]).tokens, 0);
    }

    #[test]
    fn certain_choice_weighs_nothing() {
        let stats = texts().map(|text| text.stats());
        assert_eq!(inverse_probability(&stats, &[1.0; 3]).unwrap(), MomentScores::of(&PairStats::pool(&stats)));
        // half the chance is the same text twice
        let halved = inverse_probability(&stats, &[1.0, 0.5, 1.0]).unwrap();
        let doubled = MomentScores::of(&PairStats::pool(&[stats[0], stats[1], stats[1], stats[2]]));
        assert!((halved.pearson.unwrap() - doubled.pearson.unwrap()).abs() < 1e-14);
        assert!((halved.r2.unwrap() - doubled.r2.unwrap()).abs() < 1e-13);
        assert!(inverse_probability(&stats, &[1.0]).is_err());
        assert!(inverse_probability(&stats, &[1.0, 0.0, 1.0]).is_err());
        assert!(inverse_probability(&stats, &[1.0, 1.5, f64::NAN]).is_err());
    }
}
