//! Cosines between directions, and the nearest direction; directions are rows.
//!
//! ```text
//! cos(a, b) = a·b / (‖a‖ ‖b‖)        nearest(a) = argmax_j cos(a, b_j)
//! ```
//!
//! A zero row has no direction: its cosines are 0, and it is never the nearest.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2, ArrayView1, Axis, Slice};

use super::gemm::{Workspace, product};
use super::{par, reduce};
use crate::error::{check_finite, check_shape};
use crate::{Result, Scalar};

/// Rows and columns of the table of cosines that [`nearest`] holds at a time.
const ROWS: usize = 256;
const COLUMNS: usize = 2048;

/// Which cosine counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Cosine {
    /// The cosine itself: opposite directions are far apart.
    #[default]
    Signed,
    /// Its absolute value: opposite directions are the same.
    Absolute,
}

/// The direction nearest to another one.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Neighbour<T> {
    /// Its row; the first of equals.
    pub index: usize,
    /// The cosine that counted.
    pub cosine: T,
}

/// Euclidean norms `(n)` of `rows: (n, d)`.
#[must_use]
pub fn row_norms<T: Scalar>(rows: &ArrayRef2<T>) -> Array1<T> {
    rows.map_axis(Axis(1), |row| reduce::norm(&row))
}

/// Rows of `rows: (n, d)` at length 1; zero rows stay.
///
/// # Example
/// ```
/// use limpid::math::directions::unit_rows;
/// use ndarray::array;
///
/// assert_eq!(unit_rows(&array![[3.0, -4.0], [0.0, 0.0]]), array![[0.6, -0.8], [0.0, 0.0]]);
/// ```
#[must_use]
pub fn unit_rows<T: Scalar>(rows: &ArrayRef2<T>) -> Array2<T> {
    let mut unit = rows.to_owned();
    for mut row in unit.rows_mut() {
        let mut norm = reduce::norm(&row);
        if norm.is_infinite() {
            // finite entries whose norm is too large for the precision
            row.mapv_inplace(|x| x * T::epsilon());
            norm = reduce::norm(&row);
        }
        if norm > T::zero() {
            row.mapv_inplace(|x| x / norm);
        }
    }
    unit
}

/// All cosines `(n, k)` between the rows of `a: (n, d)` and of `b: (k, d)`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape), [`Error::NotFinite`](crate::Error::NotFinite).
///
/// # Example
/// ```
/// use limpid::math::directions::cosines;
/// use ndarray::array;
///
/// assert_eq!(cosines(&array![[2.0, 0.0]], &array![[3.0, -4.0], [0.0, 1.0]])?, array![[0.6, 0.0]]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn cosines<T: Scalar>(a: &ArrayRef2<T>, b: &ArrayRef2<T>) -> Result<Array2<T>> {
    check(a, b)?;
    product(&unit_rows(a), &unit_rows(b).t())
}

/// Nearest row of `b: (k, d)` to each row of `a: (n, d)`, without ever holding all cosines; `None` for a zero row, and
/// where `b` has no direction to offer.
///
/// # Errors
/// As [`cosines`].
///
/// # Example
/// ```
/// use limpid::math::directions::{Cosine, Neighbour, nearest};
/// use ndarray::array;
///
/// let found = nearest(&array![[1.0, 0.0]], &array![[0.6, 0.8], [-2.0, 0.0]], Cosine::Absolute)?;
/// assert_eq!(found, [Some(Neighbour { index: 1, cosine: 1.0 })]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn nearest<T: Scalar>(a: &ArrayRef2<T>, b: &ArrayRef2<T>, kind: Cosine) -> Result<Vec<Option<Neighbour<T>>>> {
    check(a, b)?;
    search(&unit_rows(a), &unit_rows(b), kind, false)
}

/// Nearest other row to each row of `rows: (n, d)`, as [`nearest`].
///
/// # Errors
/// As [`nearest`].
pub fn nearest_other<T: Scalar>(rows: &ArrayRef2<T>, kind: Cosine) -> Result<Vec<Option<Neighbour<T>>>> {
    check(rows, rows)?;
    let unit = unit_rows(rows);
    search(&unit, &unit, kind, true)
}

/// Index and value of the largest entry, the first of equals; negative infinity where there is none.
#[must_use]
pub fn largest<T: Scalar>(values: ArrayView1<'_, T>) -> (usize, T) {
    let start = (0, T::neg_infinity());
    values.iter().enumerate().fold(start, |best, (j, &x)| if x > best.1 { (j, x) } else { best })
}

fn check<T: Scalar>(a: &ArrayRef2<T>, b: &ArrayRef2<T>) -> Result<()> {
    check_shape("directions", b, &[b.nrows(), a.ncols()])?;
    check_finite("directions", a)?;
    check_finite("directions", b)
}

/// Goes through the table of cosines block by block.
fn search<T: Scalar>(a: &Array2<T>, b: &Array2<T>, kind: Cosine, skip_self: bool) -> Result<Vec<Option<Neighbour<T>>>> {
    let has_direction = |rows: &Array2<T>| -> Vec<bool> {
        rows.rows().into_iter().map(|row| row.iter().any(|x| *x != T::zero())).collect()
    };
    let (from, to) = (has_direction(a), has_direction(b));
    let mut best = vec![None; a.nrows()];
    let mut workspace = Workspace::new();
    for top in (0..a.nrows()).step_by(ROWS) {
        let rows = a.slice_axis(Axis(0), Slice::from(top..a.nrows().min(top + ROWS)));
        for left in (0..b.nrows()).step_by(COLUMNS) {
            let columns = b.slice_axis(Axis(0), Slice::from(left..b.nrows().min(left + COLUMNS)));
            let mut table = Array2::zeros((rows.nrows(), columns.nrows()));
            workspace.product_into(&rows, &columns.t(), &mut table)?;
            par::for_each_chunk_mut(&mut best[top..top + rows.nrows()], 16, |chunk, best| {
                for (row, best) in best.iter_mut().enumerate().map(|(row, best)| (chunk * 16 + row, best)) {
                    let usable = |j: usize| from[top + row] && to[left + j] && !(skip_self && top + row == left + j);
                    improve(best, table.row(row), left, kind, usable);
                }
            });
        }
    }
    Ok(best)
}

/// Takes the nearest of `cosines`, which belong to the rows from `left` on, where it is nearer than `best`.
fn improve<T: Scalar>(
    best: &mut Option<Neighbour<T>>,
    cosines: ArrayView1<'_, T>,
    left: usize,
    kind: Cosine,
    usable: impl Fn(usize) -> bool,
) {
    for (j, &cosine) in cosines.iter().enumerate() {
        let cosine = if kind == Cosine::Absolute { cosine.abs() } else { cosine };
        if best.is_none_or(|best| cosine > best.cosine) && usable(j) {
            *best = Some(Neighbour { index: left + j, cosine });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Seed, math::random::fill_normal};
    use ndarray::array;

    fn noise(rows: usize, columns: usize, item: u64) -> Array2<f64> {
        let mut x = Array2::zeros((rows, columns));
        fill_normal(&mut Seed(3).stream(0, item), 1.0, x.as_slice_mut().unwrap());
        x
    }

    #[test]
    fn blocks_find_what_the_whole_table_holds() {
        let (n, k) = if cfg!(miri) { (20, 30) } else { (300, 2100) };
        let (mut a, b) = (noise(n, 3, 1), noise(k, 3, 2));
        a.row_mut(7).fill(0.0);
        let table = cosines(&a, &b).unwrap();
        for kind in [Cosine::Signed, Cosine::Absolute] {
            let found = nearest(&a, &b, kind).unwrap();
            for (row, found) in table.rows().into_iter().zip(&found) {
                let row = row.mapv(|c| if kind == Cosine::Absolute { c.abs() } else { c });
                let (index, cosine) = largest(row.view());
                assert_eq!(*found, (cosine != 0.0).then_some(Neighbour { index, cosine }));
            }
        }
    }

    #[test]
    fn a_row_is_not_its_own_neighbour() {
        let rows = array![[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [-1.0, 0.0]];
        let indices =
            |kind| nearest_other(&rows, kind).unwrap().into_iter().map(|n| n.map(|n| n.index)).collect::<Vec<_>>();
        assert_eq!(indices(Cosine::Signed), [Some(2), None, Some(0), Some(2)]);
        assert_eq!(indices(Cosine::Absolute), [Some(3), None, Some(0), Some(0)]);
        assert_eq!(nearest_other(&array![[1.0, 2.0]], Cosine::Signed).unwrap(), [None]);
    }

    #[test]
    fn extreme_lengths_keep_their_direction() {
        let huge = array![[3e38_f32, 3e38], [1e-40, 0.0]];
        let unit = unit_rows(&huge);
        assert!((unit[[0, 0]] - core::f32::consts::FRAC_1_SQRT_2).abs() < 1e-6 && unit[[1, 0]] == 1.0);
        assert_eq!(row_norms(&array![[3.0, 4.0], [0.0, 0.0]]), array![5.0, 0.0]);
    }

    #[test]
    fn bad_input_is_named() {
        assert!(matches!(cosines(&array![[1.0]], &array![[1.0, 2.0]]), Err(Error::Shape { .. })));
        let nan = array![[f64::NAN]];
        assert!(matches!(nearest_other(&nan, Cosine::Signed), Err(Error::NotFinite { index: 0, .. })));
    }
}
