//! Aggregation: many scores to one, over the last axis or over groups of columns.
//!
//! ```text
//! sum Σ x_i    mean Σ x_i/n    product Π x_i    min, max    norm √(Σ x_i²)
//! absmax       the x_i of the largest |x_i|, with its sign, the first of equals
//! ```
//!
//! The norm is what is usual over the width of embeddings, absmax over tokens: a sum over a span would grow with its
//! length, and a mean would hide one strong token among weak ones.

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, ArrayRef3, Axis};

use crate::error::{check_finite, check_not_empty};
use crate::math::reduce::{norm, sum};
use crate::{Dims, Error, Result, Scalar};

/// How many scores become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Aggregation {
    /// `Σ x_i`: keeps totals, and with them completeness.
    Sum,
    /// `Σ x_i/n`.
    Mean,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The largest magnitude with its sign, the first of equals: the usual choice over spans of tokens.
    #[default]
    AbsMax,
    /// Euclidean length: the usual choice over the width of embeddings. Loses the sign.
    Norm,
    /// `Π x_i`: what probabilities of a span are merged by.
    Product,
}

impl Aggregation {
    /// The one score of `values: (n)`.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::NotFinite`], also where the result leaves the range of `T`.
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::aggregate::Aggregation;
    /// use ndarray::array;
    ///
    /// assert_eq!(Aggregation::AbsMax.of(&array![1.0, -3.0, 3.0])?, -3.0);
    /// assert_eq!(Aggregation::Norm.of(&array![3.0, -4.0])?, 5.0);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn of<T: Scalar>(self, values: &ArrayRef1<T>) -> Result<T> {
        check_not_empty("values", values)?;
        check_finite("values", values)?;
        let value = self.merge(values);
        if value.is_finite() { Ok(value) } else { Err(Error::NotFinite { what: "aggregate", index: 0 }) }
    }

    /// [`Self::of`] without checks.
    fn merge<T: Scalar>(self, values: &ArrayRef1<T>) -> T {
        let folded = |choose: fn(T, T) -> T| values.iter().copied().reduce(choose).unwrap_or_else(T::zero);
        match self {
            Self::Sum => sum(values),
            Self::Mean => sum(values) / T::of(values.len() as f64),
            Self::Min => folded(|a, b| if b < a { b } else { a }),
            Self::Max => folded(|a, b| if b > a { b } else { a }),
            Self::AbsMax => folded(|a, b| if b.abs() > a.abs() { b } else { a }),
            Self::Norm => norm(values),
            Self::Product => folded(|a, b| a * b),
        }
    }
}

/// Merges the last axis of `x: (b, t, d)`, for example the width of embeddings, to `(b, t)`.
///
/// # Errors
/// [`Error::Empty`], [`Error::NotFinite`], also where a result leaves the range of `T`.
///
/// # Example
/// ```
/// use limpid::attribution::aggregate::{Aggregation, over_last_axis};
/// use ndarray::array;
///
/// let x = array![[[3.0, 4.0], [0.0, -2.0]]];
/// assert_eq!(over_last_axis(&x, Aggregation::Norm)?, array![[5.0, 2.0]]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn over_last_axis<T: Scalar>(x: &ArrayRef3<T>, how: Aggregation) -> Result<Array2<T>> {
    check_not_empty("x", x)?;
    check_finite("x", x)?;
    let merged = x.map_axis(Axis(2), |values| how.merge(&values));
    check_finite("aggregate", &merged)?;
    Ok(merged)
}

/// Merges columns of `x: (b, n)` that belong to one group, to `(b, groups)`.
///
/// `groups` has a group index for every column; every index from 0 to the largest must occur.
///
/// # Errors
/// [`Error::Empty`], [`Error::NotFinite`] as [`over_last_axis`]; [`Error::Shape`] unless there is an index for every column;
/// [`Error::OutOfRange`] for the first index below the largest that no column has.
///
/// # Example
/// ```
/// use limpid::attribution::aggregate::{Aggregation, over_groups};
/// use ndarray::array;
///
/// let x = array![[1.0, 2.0, 3.0]];
/// assert_eq!(over_groups(&x, &[1, 0, 1], Aggregation::Sum)?, array![[2.0, 4.0]]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn over_groups<T: Scalar>(x: &ArrayRef2<T>, groups: &[usize], how: Aggregation) -> Result<Array2<T>> {
    check_not_empty("x", x)?;
    check_finite("x", x)?;
    let members = members(groups, x.ncols())?;
    let mut merged = Array2::zeros((x.nrows(), members.len()));
    for (row, mut out) in x.rows().into_iter().zip(merged.rows_mut()) {
        for (members, out) in members.iter().zip(&mut out) {
            *out = how.merge(&members.iter().map(|&i| row[i]).collect::<Array1<T>>());
        }
    }
    check_finite("aggregate", &merged)?;
    Ok(merged)
}

/// The columns of each group, ascending.
fn members(groups: &[usize], n: usize) -> Result<Vec<Vec<usize>>> {
    if groups.len() != n {
        return Err(Error::Shape { what: "groups", expected: Dims::new(&[n]), got: Dims::new(&[groups.len()]) });
    }
    let absent = |index: usize| {
        let expected = "every group from 0 to the largest index to have a column";
        Error::OutOfRange { what: "groups", index, value: index as f64, expected }
    };
    let count = groups.iter().max().map_or(0, |largest| largest.saturating_add(1));
    // more groups than columns: one of the first n + 1 has none, and nothing of the claimed size is built
    let mut members = alloc::vec![Vec::new(); count.min(n + 1)];
    for (column, &group) in groups.iter().enumerate() {
        if let Some(members) = members.get_mut(group) {
            members.push(column);
        }
    }
    members.iter().position(Vec::is_empty).map_or(Ok(members), |group| Err(absent(group)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    const ALL: [Aggregation; 7] = [
        Aggregation::Sum,
        Aggregation::Mean,
        Aggregation::Min,
        Aggregation::Max,
        Aggregation::AbsMax,
        Aggregation::Norm,
        Aggregation::Product,
    ];

    #[test]
    fn every_function_is_its_definition() {
        let values = array![2.0, -4.0, 4.0, -1.0];
        let found = ALL.map(|how| how.of(&values).unwrap());
        assert_eq!(found, [1.0, 0.25, -4.0, 4.0, -4.0, 37.0_f64.sqrt(), 32.0]);
        assert_eq!(Aggregation::default().of(&array![3.0, -3.0]), Ok(3.0));
    }

    #[test]
    fn both_directions_give_the_same() {
        let x = array![[[1.0_f32, 5.0, -7.0], [0.5, 0.25, 0.125]]];
        let flat = array![[1.0_f32, 0.5, 5.0, 0.25, -7.0, 0.125]];
        for how in ALL {
            assert_eq!(over_last_axis(&x, how), over_groups(&flat, &[0, 1, 0, 1, 0, 1], how));
        }
    }

    #[test]
    fn what_cannot_be_merged_is_named() {
        assert_eq!(Aggregation::Sum.of(&Array1::<f64>::zeros(0)), Err(Error::Empty { what: "values" }));
        let product = Aggregation::Product.of(&array![1e200, 1e200]);
        assert_eq!(product, Err(Error::NotFinite { what: "aggregate", index: 0 }));
        assert!(matches!(over_last_axis(&array![[[f64::NAN]]], Aggregation::AbsMax), Err(Error::NotFinite { .. })));
        let x = array![[1.0, 2.0]];
        assert!(matches!(over_groups(&x, &[0], Aggregation::Sum), Err(Error::Shape { what: "groups", .. })));
        for groups in [[0, 2], [usize::MAX, 0]] {
            assert!(matches!(over_groups(&x, &groups, Aggregation::Sum), Err(Error::OutOfRange { index: 1, .. })));
        }
    }
}
