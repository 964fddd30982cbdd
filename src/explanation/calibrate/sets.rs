//! The texts that a map is fitted on, and the texts that are scored: two types, so that one is never taken for the other.

use alloc::vec::Vec;

use ndarray::Array1;

use super::map::Calibrated;
use crate::explanation::score::{PairStats, Scores, Sequence, SplitScores, pooled};
use crate::{Result, Scalar};

/// Texts that a map is fitted on. They cannot be scored.
#[derive(Debug, Clone, PartialEq)]
pub struct CalibrationSet<T> {
    sequences: Vec<Sequence<T>>,
}

/// Texts that are scored. No map can be fitted on them.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredSet<T> {
    sequences: Vec<Sequence<T>>,
}

/// Puts every text into one of the two sets: into the first where `calibrates` says so of its index.
///
/// # Example
/// ```
/// use limpid::explanation::calibrate::{Calibration, split};
/// use limpid::explanation::score::Sequence;
/// use ndarray::array;
///
/// let text = || Sequence::new(array![0.0, 2.0, 4.0], array![1.0, 2.0, 3.0]);
/// let (calibration, scored) = split([text()?, text()?], |index| index % 2 == 0);
/// let map = Calibration::LeastSquares.fit(&calibration).unwrap();
/// assert_eq!((map.slope(), map.intercept()), (Some(2.0), Some(-2.0)));
/// assert_eq!(scored.calibrated(&map).pooled().r2, Ok(1.0));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn split<T: Scalar>(
    sequences: impl IntoIterator<Item = Sequence<T>>,
    mut calibrates: impl FnMut(usize) -> bool,
) -> (CalibrationSet<T>, ScoredSet<T>) {
    let (mut calibration, mut scored) = (Vec::new(), Vec::new());
    for (index, sequence) in sequences.into_iter().enumerate() {
        if calibrates(index) { calibration.push(sequence) } else { scored.push(sequence) }
    }
    (CalibrationSet { sequences: calibration }, ScoredSet { sequences: scored })
}

impl<T: Scalar> CalibrationSet<T> {
    /// Texts that were set aside for calibration.
    #[must_use]
    pub fn new(sequences: Vec<Sequence<T>>) -> Self {
        Self { sequences }
    }

    /// Number of texts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sequences.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sequences.is_empty()
    }

    /// Statistics of all tokens.
    #[must_use]
    pub fn stats(&self) -> PairStats {
        PairStats::pool(&self.sequences.iter().map(Sequence::stats).collect::<Vec<_>>())
    }

    /// All pairs of a prediction and the truth, in double precision.
    pub(super) fn points(&self) -> Vec<(f64, f64)> {
        let points = |text: &Sequence<T>| {
            text.prediction().iter().zip(text.truth()).map(|(s, t)| (s.as_f64(), t.as_f64())).collect::<Vec<_>>()
        };
        self.sequences.iter().flat_map(points).collect()
    }
}

impl<T: Scalar> ScoredSet<T> {
    /// Texts that no map was fitted on.
    #[must_use]
    pub fn new(sequences: Vec<Sequence<T>>) -> Self {
        Self { sequences }
    }

    /// The texts.
    #[must_use]
    pub fn sequences(&self) -> &[Sequence<T>] {
        &self.sequences
    }

    /// The same texts with predictions mapped by `map`.
    #[must_use]
    pub fn calibrated(&self, map: &Calibrated) -> Self {
        let mapped = |text: &Sequence<T>| {
            let prediction: Array1<T> = text.prediction().mapv(|s| T::of(map.at(s.as_f64())));
            // both have the length that the text has
            Sequence::new(text.truth().clone(), prediction).unwrap_or_else(|_| text.clone())
        };
        Self { sequences: self.sequences.iter().map(mapped).collect() }
    }

    /// Scores of all tokens of all texts together.
    #[must_use]
    pub fn pooled(&self) -> Scores {
        pooled(&self.sequences)
    }

    /// Scores of the first `top` texts, of the rest, and of all.
    ///
    /// # Errors
    /// As [`SplitScores::of`].
    pub fn split_scores(&self, top: usize) -> Result<SplitScores> {
        SplitScores::of(&self.sequences, top)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explanation::calibrate::Calibration;
    use ndarray::array;

    #[test]
    fn every_text_is_in_one_set() {
        let texts = (0..7).map(|i| Sequence::new(array![f64::from(i)], array![0.0]).unwrap());
        let (calibration, scored) = split(texts, |index| index < 3);
        assert_eq!((calibration.len(), scored.sequences().len(), calibration.is_empty()), (3, 4, false));
        assert_eq!(calibration.stats().mean_true, 1.0);
        assert_eq!(scored.sequences()[0].truth()[0], 3.0);
    }

    #[test]
    fn the_line_that_was_fitted_explains_the_square_of_the_correlation() {
        let text = Sequence::new(array![0.0, 0.0, 1.0, 4.0, 2.0], array![0.0, 1.0, 1.0, 3.0, 2.0]).unwrap();
        let (set, scored) = (CalibrationSet::new(alloc::vec![text.clone()]), ScoredSet::new(alloc::vec![text]));
        let r = scored.pooled().pearson.unwrap();
        let of = |method: Calibration| scored.calibrated(&method.fit(&set).unwrap()).pooled();
        assert!((of(Calibration::LeastSquares).r2.unwrap() - r * r).abs() < 1e-14);
        assert!((of(Calibration::VarianceMatched).r2.unwrap() - (2.0 * r - 1.0)).abs() < 1e-14);
        assert!((of(Calibration::VarianceMatched).pearson.unwrap() - r).abs() < 1e-14);
        assert_eq!(scored.split_scores(1).unwrap().top, scored.pooled());
    }
}
