//! Rows of different strength made comparable: shares of the total, or of the strongest.
//!
//! ```text
//! shares     y_i = x_i / Σ_j |x_j|        over the whole row, or over the rows of several blocks together
//! rescaled   y_i = x_i / max_j |x_j|
//! ```
//!
//! Signs stay. A row of zeros has no shares: it stays zero, and its divisor says so. Not for what adds up to an output, such
//! as completeness: this changes it.

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2, Axis};

use crate::error::{check_finite, check_shape};
use crate::math::reduce::sum;
use crate::{Error, Result, Scalar};

/// Rows that were divided, and what they were divided by.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Scaled<T> {
    /// Shape of the input.
    pub values: Array2<T>,
    /// Divisor of each row, `(b)`; 0 where the row is all zeros, and was left so.
    pub divisors: Array1<T>,
}

/// Divides each row of `x: (b, n)` by the sum of its magnitudes.
///
/// # Errors
/// [`Error::NotFinite`], also where a sum leaves the range of `T`.
///
/// # Example
/// ```
/// use limpid::attribution::aggregate::shares;
/// use ndarray::array;
///
/// let scaled = shares(&array![[1.0, -3.0], [0.0, 0.0]])?;
/// assert_eq!(scaled.values, array![[0.25, -0.75], [0.0, 0.0]]);
/// assert_eq!(scaled.divisors, array![4.0, 0.0]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn shares<T: Scalar>(x: &ArrayRef2<T>) -> Result<Scaled<T>> {
    check_finite("x", x)?;
    let divisors = totals(x);
    check_finite("sum of magnitudes", &divisors)?;
    Ok(Scaled { values: divided(x, &divisors), divisors })
}

/// Divides the rows of several blocks `(b, n_1)`, `(b, n_2)`, ... by the sum of magnitudes over all blocks: attributions to
/// a source and to the tokens generated so far, as shares of one whole.
///
/// # Errors
/// [`Error::Empty`] without blocks, [`Error::Shape`] where their numbers of rows differ, and as [`shares`].
///
/// # Example
/// ```
/// use limpid::attribution::aggregate::joint_shares;
/// use ndarray::array;
///
/// let (source, generated) = (array![[1.0, -1.0]], array![[2.0]]);
/// let scaled = joint_shares(&[&source, &generated])?;
/// assert_eq!(scaled[0].values, array![[0.25, -0.25]]);
/// assert_eq!(scaled[1].values, array![[0.5]]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn joint_shares<T: Scalar>(blocks: &[&ArrayRef2<T>]) -> Result<Vec<Scaled<T>>> {
    let first = blocks.first().ok_or(Error::Empty { what: "blocks" })?;
    let mut divisors = Array1::zeros(first.nrows());
    for block in blocks {
        check_shape("block", block, &[first.nrows(), block.ncols()])?;
        check_finite("block", block)?;
        divisors += &totals(block);
    }
    check_finite("sum of magnitudes", &divisors)?;
    let scaled = |block: &&ArrayRef2<T>| Scaled { values: divided(block, &divisors), divisors: divisors.clone() };
    Ok(blocks.iter().map(scaled).collect())
}

/// Divides each row of `x: (b, n)` by its largest magnitude.
///
/// # Errors
/// [`Error::NotFinite`].
pub fn rescale<T: Scalar>(x: &ArrayRef2<T>) -> Result<Scaled<T>> {
    check_finite("x", x)?;
    let divisors = x.map_axis(Axis(1), |row| row.iter().fold(T::zero(), |largest, x| largest.max(x.abs())));
    Ok(Scaled { values: divided(x, &divisors), divisors })
}

fn totals<T: Scalar>(x: &ArrayRef2<T>) -> Array1<T> {
    x.map_axis(Axis(1), |row| sum(&row.mapv(|x| x.abs())))
}

fn divided<T: Scalar>(x: &ArrayRef2<T>, divisors: &Array1<T>) -> Array2<T> {
    let mut values = x.to_owned();
    for (mut row, &divisor) in values.rows_mut().into_iter().zip(divisors) {
        if divisor > T::zero() {
            row.mapv_inplace(|x| x / divisor);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_strongest_becomes_one() {
        let scaled = rescale(&array![[1.0, -4.0], [0.0, 0.0]]).unwrap();
        assert_eq!(scaled.values, array![[0.25, -1.0], [0.0, 0.0]]);
        assert_eq!(scaled.divisors, array![4.0, 0.0]);
    }

    #[test]
    fn shares_of_blocks_are_those_of_one_wide_block() {
        let (a, b) = (array![[1.0, 2.0], [0.0, -1.0]], array![[5.0], [3.0]]);
        let wide = shares(&array![[1.0, 2.0, 5.0], [0.0, -1.0, 3.0]]).unwrap();
        let parts = joint_shares(&[&a, &b]).unwrap();
        assert_eq!(ndarray::concatenate![Axis(1), parts[0].values, parts[1].values], wide.values);
        assert_eq!(parts[1].divisors, wide.divisors);
    }

    #[test]
    fn what_has_no_finite_total_is_refused() {
        let huge = array![[f64::MAX, f64::MAX]];
        assert!(matches!(shares(&huge), Err(Error::NotFinite { what: "sum of magnitudes", .. })));
        assert_eq!(rescale(&huge).unwrap().values, array![[1.0, 1.0]]);
        assert_eq!(joint_shares::<f64>(&[]), Err(Error::Empty { what: "blocks" }));
        let (one, two) = (array![[1.0]], array![[1.0], [2.0]]);
        assert!(matches!(joint_shares(&[&one, &two]), Err(Error::Shape { what: "block", .. })));
    }
}
