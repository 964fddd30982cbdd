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
        assert!((a.dot(&Array1::from(x)) - b).iter().all(|e| e.abs() < 1e-13));
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
