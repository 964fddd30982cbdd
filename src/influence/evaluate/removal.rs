//! Removal curves (brittleness): retrain without the examples that are said to matter most, and see what becomes of a query.
//!
//! ```text
//! measured(k)   after training without the k examples of the largest score
//! random_r(k)   after training without k random ones: what removing anything does
//! predicted(k)  Σ of the k largest scores / N
//! ```
//!
//! Source: Park et al., "TRAK" (arXiv 2303.14186), for counterfactuals; Koh et al., "On the Accuracy of Influence
//! Functions for Measuring Group Effects" (arXiv 1905.13289), for sums of scores as predictions.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::ArrayRef1;

use crate::error::{check_finite, check_limit};
use crate::math::random::choose;
use crate::math::rank::largest_first;
use crate::{Error, Scalar, Seed};

/// Purpose of the random streams.
const PURPOSE: u64 = 0x7265_6d6f_7665;

/// Which removals are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RemovalCurve {
    /// Numbers of examples to remove.
    pub counts: Vec<usize>,
    /// Random removals of each count, to compare with.
    pub random: usize,
    /// Seed of the random removals.
    pub seed: Seed,
}

/// What removing a number of examples did.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RemovalPoint {
    /// Examples removed.
    pub removed: usize,
    /// Change that the scores predict: their sum over the number of examples.
    pub predicted: f64,
    /// Measured without the examples of the largest scores.
    pub measured: f64,
    /// Measured without random examples.
    pub random: Vec<f64>,
}

/// Trains without the best examples by `scores: (n)`; `train` gets a flag for each example that is to be kept and returns
/// what the new model gives for the query.
///
/// # Errors
/// [`Error::NotFinite`] for a score, [`Error::TooLarge`] for more removals than examples, and whatever `train` reports.
///
/// # Example
/// ```
/// use limpid::influence::evaluate::{RemovalCurve, removal_curve};
/// use limpid::{Error, Seed};
/// use ndarray::array;
///
/// let curve = RemovalCurve { counts: vec![0, 1], random: 2, seed: Seed(0) };
/// let y = [1.0, 5.0, 2.0];
/// // the "model" is a sum
/// let train = |kept: &[bool]| Ok::<_, Error>(y.iter().zip(kept).filter(|(_, k)| **k).map(|(y, _)| y).sum());
/// let points = removal_curve(&array![1.0, 5.0, 2.0], &curve, train)?;
/// assert_eq!((points[0].measured, points[1].measured), (8.0, 3.0));
/// # Ok::<(), Error>(())
/// ```
pub fn removal_curve<T: Scalar, E: From<Error>>(
    scores: &ArrayRef1<T>,
    curve: &RemovalCurve,
    mut train: impl FnMut(&[bool]) -> Result<f64, E>,
) -> Result<Vec<RemovalPoint>, E> {
    let n = scores.len();
    check_finite("scores", scores)?;
    for &count in &curve.counts {
        check_limit("removed examples", count, n)?;
    }
    let order = largest_first(scores, n);
    let mut without = |removed: &[usize]| {
        let mut kept = vec![true; n];
        removed.iter().for_each(|&example| kept[example] = false);
        train(&kept)
    };
    let mut points = Vec::with_capacity(curve.counts.len());
    for (point, &removed) in curve.counts.iter().enumerate() {
        let sum: f64 = order[..removed].iter().map(|&example| scores[example].as_f64()).sum();
        let measured = without(&order[..removed])?;
        let random = (0..curve.random).map(|repeat| {
            let mut examples: Vec<usize> = (0..n).collect();
            let item = (point as u64) << 32 | repeat as u64;
            choose(&mut curve.seed.stream(PURPOSE, item), removed, &mut examples);
            without(&examples[..removed])
        });
        let random = random.collect::<Result<_, E>>()?;
        points.push(RemovalPoint { removed, predicted: sum / n.max(1) as f64, measured, random });
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Result;
    use ndarray::array;

    fn curve(counts: &[usize]) -> RemovalCurve {
        RemovalCurve { counts: counts.to_vec(), random: 3, seed: Seed(2) }
    }

    #[test]
    fn the_best_go_first_and_random_ones_are_counted() {
        let mut seen = Vec::new();
        let train = |kept: &[bool]| -> Result<f64> {
            seen.push(kept.iter().filter(|&&kept| !kept).count());
            Ok(if kept[2] { 1.0 } else { 0.0 })
        };
        let points = removal_curve(&array![0.5, 1.0, 4.0, -2.0], &curve(&[1, 2]), train).unwrap();
        assert_eq!((points[0].measured, points[0].predicted, points[1].predicted), (0.0, 1.0, 1.25));
        assert_eq!(seen, [1, 1, 1, 1, 2, 2, 2, 2]);
    }

    #[test]
    fn failures_pass_through() {
        let failing = |_: &[bool]| Err(Error::Unsupported { what: "training" });
        assert_eq!(removal_curve(&array![1.0], &curve(&[1]), failing), Err(Error::Unsupported { what: "training" }));
        let fine = |_: &[bool]| Ok(0.0);
        assert!(matches!(removal_curve(&array![1.0], &curve(&[2]), fine), Err::<_, Error>(Error::TooLarge { .. })));
        assert!(matches!(
            removal_curve(&array![f64::NAN], &curve(&[1]), fine),
            Err::<_, Error>(Error::NotFinite { .. })
        ));
    }
}
