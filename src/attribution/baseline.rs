//! Baselines: the inputs that stand for "nothing to see here".

use core::fmt;

use ndarray::{Array1, Array2, ArrayRef2, ArrayView1};

use crate::error::{check_finite, check_not_empty, check_shape};
use crate::{Result, Scalar};

/// What an input is compared with.
#[derive(Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub enum Baseline<T> {
    /// Zeros.
    #[default]
    Zeros,
    /// One row `(n)` for all inputs.
    Row(Array1<T>),
    /// A row of its own for each input, `(b, n)`.
    Rows(Array2<T>),
}

/// Says which kind it is and not its numbers: settings are recorded with every result.
impl<T> fmt::Debug for Baseline<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zeros => "Zeros",
            Self::Row(_) => "Row",
            Self::Rows(_) => "Rows",
        })
    }
}

impl<T> From<Array1<T>> for Baseline<T> {
    fn from(row: Array1<T>) -> Self {
        Self::Row(row)
    }
}

impl<T> From<Array2<T>> for Baseline<T> {
    fn from(rows: Array2<T>) -> Self {
        Self::Rows(rows)
    }
}

impl<T: Scalar> Baseline<T> {
    /// The baseline of every row of `x: (b, n)`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Error::NotFinite`](crate::Error::NotFinite).
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::Baseline;
    /// use ndarray::array;
    ///
    /// let x = array![[1.0, 2.0], [3.0, 4.0]];
    /// assert_eq!(Baseline::Zeros.of(&x)?, array![[0.0, 0.0], [0.0, 0.0]]);
    /// assert_eq!(Baseline::from(array![5.0, 6.0]).of(&x)?, array![[5.0, 6.0], [5.0, 6.0]]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn of(&self, x: &ArrayRef2<T>) -> Result<Array2<T>> {
        let rows = self.rows(x)?;
        Ok(Array2::from_shape_fn(x.dim(), |(row, feature)| rows.row(row)[feature]))
    }

    /// The same without a copy of shared rows.
    pub(crate) fn rows<'a>(&'a self, x: &ArrayRef2<T>) -> Result<BaselineRows<'a, T>> {
        Ok(match self {
            Self::Zeros => BaselineRows::Zeros(Array1::zeros(x.ncols())),
            Self::Row(row) => {
                check_shape("baseline", row, &[x.ncols()])?;
                check_finite("baseline", row)?;
                BaselineRows::Row(row)
            }
            Self::Rows(rows) => {
                check_shape("baseline", rows, x.shape())?;
                check_finite("baseline", rows)?;
                BaselineRows::Rows(rows)
            }
        })
    }
}

/// Checks that `rows: (k, n)` can stand for the inputs of a model: at least one, of `n` features, all finite.
pub(crate) fn check_background<T: Scalar>(what: &'static str, rows: &ArrayRef2<T>, n: usize) -> Result<()> {
    check_shape(what, rows, &[rows.nrows(), n])?;
    check_not_empty(what, rows)?;
    check_finite(what, rows)
}

/// Baselines that fit an input, row by row.
#[derive(Debug)]
pub(crate) enum BaselineRows<'a, T> {
    Zeros(Array1<T>),
    Row(&'a Array1<T>),
    Rows(&'a Array2<T>),
}

impl<T> BaselineRows<'_, T> {
    pub(crate) fn row(&self, row: usize) -> ArrayView1<'_, T> {
        match self {
            Self::Zeros(zeros) => zeros.view(),
            Self::Row(shared) => shared.view(),
            Self::Rows(rows) => rows.row(row),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use alloc::format;
    use ndarray::array;

    #[test]
    fn a_baseline_must_fit() {
        let x = array![[1.0, 2.0], [3.0, 4.0]];
        assert!(matches!(Baseline::from(array![1.0]).of(&x), Err(Error::Shape { what: "baseline", .. })));
        assert!(matches!(Baseline::from(array![[1.0, 2.0]]).of(&x), Err(Error::Shape { .. })));
        assert!(matches!(Baseline::from(array![1.0, f64::NAN]).of(&x), Err(Error::NotFinite { index: 1, .. })));
    }

    #[test]
    fn settings_that_are_printed_stay_short() {
        assert_eq!(format!("{:?}", Baseline::from(array![[1.0, 2.0]])), "Rows");
    }
}
