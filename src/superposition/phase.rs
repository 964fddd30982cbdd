//! Phase theory: expected losses of the candidate solutions for two features in one dimension and three in two.
//!
//! With density `p` for all features, importance 1 for the others and `r` for the extra feature, `v = p/3 - p²/4` the
//! variance of a feature:
//!
//! ```text
//! two in one     ignored r v        antipodal (1 + r) p²/6     dedicated v
//! three in two   ignored r v        other_ignored v            antipodal (1 + r) p²/6    others_antipodal p²/3
//! confused       W = [1, 1]/√2, b = 0:  (1 + r) (p (1 - p)/6 + p²/24)
//! boundaries     ignored until r = 2p/(4 - 5p), dedicated from r = 2/p - 5/2; they meet at p = 4/7, r = 1
//! ```
//!
//! Near the triple point the true optimum, whose bias and norms adapt, lies up to 14 % lower than these fixed
//! configurations; see [`expected`](crate::superposition::expected).
//!
//! Source: Elhage et al. (2022), "Superposition as a Phase Change"; the confused solution is in McGrath's comment there.

use alloc::vec::Vec;

use ndarray::{Array1, ArrayRef1};

use crate::error::{check_each, check_shape};
use crate::{Result, Scalar};

/// Density at the triple point of [`boundaries`].
pub const TRIPLE_POINT_PROBABILITY: f64 = 4.0 / 7.0;
/// Relative importance at the triple point of [`boundaries`].
pub const TRIPLE_POINT_IMPORTANCE: f64 = 1.0;

/// Which configuration of two features in one dimension has the smallest loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The extra feature is not represented.
    Ignored,
    /// Both features share the dimension.
    Antipodal,
    /// The extra feature has the dimension to itself.
    Dedicated,
}

/// Losses for two features in one dimension, all `(c)`.
#[derive(Debug, Clone, PartialEq)]
pub struct TwoInOne<T> {
    /// `W = [1, 0]`.
    pub ignored: Array1<T>,
    /// `W = [1, -1]`.
    pub antipodal: Array1<T>,
    /// `W = [0, 1]`.
    pub dedicated: Array1<T>,
}

/// Losses for three features in two dimensions, all `(c)`.
#[derive(Debug, Clone, PartialEq)]
pub struct ThreeInTwo<T> {
    /// The others are orthogonal, the extra is not represented.
    pub ignored: Array1<T>,
    /// One of the others is not represented.
    pub other_ignored: Array1<T>,
    /// The extra is antipodal to one of the others.
    pub antipodal: Array1<T>,
    /// The others are antipodal, the extra has a dimension to itself.
    pub others_antipodal: Array1<T>,
}

impl<T: Scalar> TwoInOne<T> {
    /// The phase with the smallest loss per cell; the earlier of equals.
    #[must_use]
    pub fn winner(&self) -> Vec<Phase> {
        let cells = self.ignored.iter().zip(&self.antipodal).zip(&self.dedicated);
        cells
            .map(|((ignored, antipodal), dedicated)| {
                if ignored <= antipodal && ignored <= dedicated {
                    Phase::Ignored
                } else if antipodal <= dedicated {
                    Phase::Antipodal
                } else {
                    Phase::Dedicated
                }
            })
            .collect()
    }
}

/// Losses of two features in one dimension for densities `probability: (c)` and importances `relative: (c)`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape), [`Error::OutOfRange`](crate::Error::OutOfRange) for a probability outside
/// `[0, 1]` or an importance below 0.
///
/// # Example
/// ```
/// use limpid::superposition::phase::{Phase, two_in_one};
/// use ndarray::array;
///
/// let losses = two_in_one(&array![1.0, 0.1], &array![0.5, 1.0])?;
/// assert_eq!(losses.winner(), [Phase::Ignored, Phase::Antipodal]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn two_in_one<T: Scalar>(probability: &ArrayRef1<T>, relative: &ArrayRef1<T>) -> Result<TwoInOne<T>> {
    check_cells(probability, relative)?;
    Ok(TwoInOne {
        ignored: cells(probability, relative, |p, r| r * variance(p)),
        antipodal: cells(probability, relative, antipodal),
        dedicated: cells(probability, relative, |p, _| variance(p)),
    })
}

/// Losses of three features in two dimensions, the last of which has the importance `relative: (c)`.
///
/// # Errors
/// As [`two_in_one`].
pub fn three_in_two<T: Scalar>(probability: &ArrayRef1<T>, relative: &ArrayRef1<T>) -> Result<ThreeInTwo<T>> {
    check_cells(probability, relative)?;
    Ok(ThreeInTwo {
        ignored: cells(probability, relative, |p, r| r * variance(p)),
        other_ignored: cells(probability, relative, |p, _| variance(p)),
        antipodal: cells(probability, relative, antipodal),
        others_antipodal: cells(probability, relative, |p, _| p * p / T::of(3.0)),
    })
}

/// Loss `(c)` of the confused solution `W = [1, 1]/√2` without bias.
///
/// # Errors
/// As [`two_in_one`].
pub fn confused<T: Scalar>(probability: &ArrayRef1<T>, relative: &ArrayRef1<T>) -> Result<Array1<T>> {
    check_cells(probability, relative)?;
    let one = T::one();
    Ok(cells(probability, relative, |p, r| (one + r) * (p * (one - p) / T::of(6.0) + p * p / T::of(24.0))))
}

/// Relative importances up to which the extra feature is ignored, and from which it is dedicated, `(c)` each, for
/// densities `probability: (c)`. From 4/7 on there is no antipodal region and both are 1.
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for a probability outside `(0, 1]`.
pub fn boundaries<T: Scalar>(probability: &ArrayRef1<T>) -> Result<(Array1<T>, Array1<T>)> {
    check_each("probability", probability, "0 < p <= 1", |p| p > T::zero() && p <= T::one())?;
    let dense = |p: T| p.as_f64() >= TRIPLE_POINT_PROBABILITY;
    let (two, four, five) = (T::of(2.0), T::of(4.0), T::of(5.0));
    let ignored_until = probability.mapv(|p| if dense(p) { T::one() } else { two * p / (four - five * p) });
    let dedicated_from = probability.mapv(|p| if dense(p) { T::one() } else { two / p - five / two });
    Ok((ignored_until, dedicated_from))
}

fn check_cells<T: Scalar>(probability: &ArrayRef1<T>, relative: &ArrayRef1<T>) -> Result<()> {
    check_shape("relative importance", relative, probability.shape())?;
    check_each("probability", probability, "0 <= p <= 1", |p| p >= T::zero() && p <= T::one())?;
    check_each("relative importance", relative, "finite and >= 0", |r| r >= T::zero() && r.is_finite())
}

fn cells<T: Scalar>(p: &ArrayRef1<T>, r: &ArrayRef1<T>, loss: impl Fn(T, T) -> T) -> Array1<T> {
    p.iter().zip(r).map(|(&p, &r)| loss(p, r)).collect()
}

fn variance<T: Scalar>(p: T) -> T {
    p / T::of(3.0) - p * p / T::of(4.0)
}

fn antipodal<T: Scalar>(p: T, r: T) -> T {
    (T::one() + r) * p * p / T::of(6.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn all_three_meet_at_the_triple_point() {
        let losses = two_in_one(&array![TRIPLE_POINT_PROBABILITY], &array![TRIPLE_POINT_IMPORTANCE]).unwrap();
        assert!((losses.ignored[0] - losses.antipodal[0]).abs() < 1e-15);
        assert!((losses.dedicated[0] - losses.antipodal[0]).abs() < 1e-15);
    }

    #[test]
    fn boundaries_separate_the_winners() {
        let p = array![0.3, 0.3];
        let (low, high) = boundaries(&p).unwrap();
        let at = |r: Array1<f64>| two_in_one(&p, &r).unwrap().winner();
        assert_eq!(at(array![low[0] - 1e-9, low[0] + 1e-9]), [Phase::Ignored, Phase::Antipodal]);
        assert_eq!(at(array![high[0] - 1e-9, high[0] + 1e-9]), [Phase::Antipodal, Phase::Dedicated]);
    }

    #[test]
    fn bad_cells_are_named() {
        assert!(two_in_one(&array![0.5], &array![1.0, 2.0]).is_err());
        assert!(confused(&array![f64::NAN], &array![1.0]).is_err());
        assert!(boundaries(&array![0.0]).is_err());
    }
}
