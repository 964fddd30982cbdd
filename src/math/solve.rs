//! Small dense linear systems with a symmetric positive definite matrix.
//!
//! ```text
//! A = L Lᵀ,  L lower triangular        A x = b:  L y = b,  Lᵀ x = y
//! ```
//!
//! In double precision. A pivot that has lost all its digits says that the matrix is singular.
//!
//! Source: Golub and Van Loan, "Matrix Computations", 4th edition, section 4.2.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::ArrayRef2;

use crate::error::{check_finite, check_shape};
use crate::{Dims, Error, Result};

/// The Cholesky factor `L: (n, n)` of a symmetric positive definite matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Cholesky {
    n: usize,
    /// `(n, n)`, row-major.
    factor: Vec<f64>,
}

impl Cholesky {
    /// Factors `a: (n, n)`, of which the lower triangle is read; `what` names it in errors.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`], and [`Error::Singular`] where a pivot is not above the rounding of its
    /// diagonal entry.
    ///
    /// # Example
    /// ```
    /// use limpid::math::solve::Cholesky;
    /// use ndarray::array;
    ///
    /// let mut x = [2.0, 3.0];
    /// Cholesky::new(&array![[2.0, 1.0], [1.0, 2.0]], "a")?.solve(&mut x)?;
    /// assert!((x[0] - 1.0 / 3.0).abs() < 1e-15 && (x[1] - 4.0 / 3.0).abs() < 1e-15);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new(a: &ArrayRef2<f64>, what: &'static str) -> Result<Self> {
        let n = a.nrows();
        check_shape(what, a, &[n, n])?;
        check_finite(what, a)?;
        let mut factor = vec![0.0; n * n];
        for i in 0..n {
            let (above, row) = factor.split_at_mut(i * n);
            for j in 0..i {
                let line = &above[j * n..];
                row[j] = (a[[i, j]] - dot(&row[..j], &line[..j])) / line[j];
            }
            let rest = a[[i, i]] - dot(&row[..i], &row[..i]);
            if rest <= n as f64 * f64::EPSILON * a[[i, i]].abs() || rest.is_nan() {
                return Err(Error::Singular { what });
            }
            row[i] = num_traits::Float::sqrt(rest);
        }
        Ok(Self { n, factor })
    }

    /// Turns `b: (n)` into the solution `x` of `A x = b`.
    ///
    /// # Errors
    /// [`Error::Shape`].
    pub fn solve(&self, b: &mut [f64]) -> Result<()> {
        let (l, n) = (&self.factor, self.n);
        if b.len() != n {
            return Err(Error::Shape { what: "b", expected: Dims::new(&[n]), got: Dims::new(&[b.len()]) });
        }
        for i in 0..n {
            let row = &l[i * n..];
            b[i] = (b[i] - dot(&row[..i], &b[..i])) / row[i];
        }
        for i in (0..n).rev() {
            let inner: f64 = (i + 1..n).map(|k| l[k * n + i] * b[k]).sum();
            b[i] = (b[i] - inner) / l[i * n + i];
        }
        Ok(())
    }

    /// [`Self::solve`] for every column of `b: (n, count)`, side by side; the same floats.
    ///
    /// # Errors
    /// [`Error::Shape`].
    pub(crate) fn solve_columns(&self, b: &mut ArrayRef2<f64>) -> Result<()> {
        check_shape("b", b, &[self.n, b.ncols()])?;
        let Some(b) = b.as_slice_mut().filter(|b| !b.is_empty()) else {
            return b.columns_mut().into_iter().try_for_each(|mut column| {
                let mut owned = column.to_vec();
                self.solve(&mut owned)?;
                column.iter_mut().zip(owned).for_each(|(to, from)| *to = from);
                Ok(())
            });
        };
        let (l, n, count) = (&self.factor, self.n, b.len() / self.n);
        let mut inner = vec![0.0; count];
        for i in 0..n {
            let (before, now) = b.split_at_mut(i * count);
            weighted_rows(before, &l[i * n..i * n + i], &mut inner);
            now.iter_mut().zip(&inner).for_each(|(b, inner)| *b = (*b - inner) / l[i * n + i]);
        }
        let mut column = vec![0.0; n];
        for i in (0..n).rev() {
            let (now, after) = b.split_at_mut((i + 1) * count);
            column.iter_mut().enumerate().skip(i).for_each(|(k, weight)| *weight = l[k * n + i]);
            weighted_rows(after, &column[i + 1..], &mut inner);
            now[i * count..].iter_mut().zip(&inner).for_each(|(b, inner)| *b = (*b - inner) / column[i]);
        }
        Ok(())
    }
}

/// `Σ weight row` in order; `rows: (weights, sums)`.
fn weighted_rows(rows: &[f64], weights: &[f64], sums: &mut [f64]) {
    // what a sum of nothing is, so that signs of zeros agree too
    sums.fill(-0.0);
    for (row, weight) in rows.chunks_exact(sums.len()).zip(weights) {
        sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += weight * x);
    }
}

/// In order, so that a factor has the floats of its definition.
fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, Array2, array};

    #[test]
    fn a_solution_solves() {
        let root = Array2::from_shape_fn((5, 5), |(i, j)| libm::sin(1.0 + 3.0 * i as f64 + 0.7 * (j * j) as f64));
        let a = root.dot(&root.t()) + Array2::<f64>::eye(5);
        let b: Array1<f64> = (0..5).map(|i| i as f64 - 1.5).collect();
        let mut x = b.to_vec();
        Cholesky::new(&a, "a").unwrap().solve(&mut x).unwrap();
        assert!((a.dot(&Array1::from(x)) - &b).iter().all(|e| e.abs() < 1e-13));
        let factor = Cholesky::new(&a, "a").unwrap();
        let many = Array2::from_shape_fn((5, 3), |(i, j)| b[i] * (1.0 + 2.0 * j as f64) - 0.3 * j as f64);
        let mut side_by_side = many.clone();
        factor.solve_columns(&mut side_by_side).unwrap();
        let mut transposed = many.t().as_standard_layout().into_owned();
        factor.solve_columns(&mut transposed.view_mut().reversed_axes()).unwrap();
        assert_eq!(transposed.t(), side_by_side);
        for (column, found) in many.columns().into_iter().zip(side_by_side.columns()) {
            let mut alone = column.to_vec();
            factor.solve(&mut alone).unwrap();
            assert!(alone.iter().zip(found).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
        assert!(factor.solve_columns(&mut Array2::zeros((4, 3))).is_err());
        factor.solve_columns(&mut Array2::zeros((5, 0))).unwrap();
    }

    #[test]
    fn what_cannot_be_solved_is_named() {
        let singular = array![[1.0, 1.0], [1.0, 1.0]];
        assert_eq!(Cholesky::new(&singular, "gram"), Err(Error::Singular { what: "gram" }));
        assert!(matches!(Cholesky::new(&array![[1.0, 2.0]], "gram"), Err(Error::Shape { .. })));
        assert!(matches!(Cholesky::new(&array![[f64::NAN]], "gram"), Err(Error::NotFinite { .. })));
        assert!(Cholesky::new(&array![[4.0]], "gram").unwrap().solve(&mut [1.0, 2.0]).is_err());
    }
}
