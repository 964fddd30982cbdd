//! All eigenvalues and eigenvectors of a real symmetric matrix, in double precision.
//!
//! ```text
//! A = Q diag(l) Qᵀ,  Qᵀ Q = I        l ascending, column j of Q belongs to l_j, its largest component is positive
//! A = P T Pᵀ  (Householder),  T = Z diag(l) Zᵀ  (implicit QL),  Q = P Z
//! ```
//!
//! Reflectors and rotations are applied in blocks, so that nearly all of the work is matrix products and rotations of data
//! that is in the cache. The number of iterations is limited: what does not converge is an error and never a hang.
//! In an eigenspace of more than one dimension the basis is one of many; nothing should depend on which.
//!
//! With the feature `faer` matrices from [`FAER_SIZE`] on are given to that library's divide and conquer. Eigenvalues then
//! agree to rounding, as do eigenvectors of eigenvalues that are alone; bases of eigenspaces may differ.
//!
//! Source: Golub and Van Loan, "Matrix Computations", 4th edition, section 8.3 (tridiagonalisation, implicit shifts);
//! Dongarra, Hammarling and Sorensen, "Block reduction of matrices to condensed forms for eigenvalue computations" (1989);
//! Bowdler, Martin, Reinsch and Wilkinson, "The QR and QL algorithms for symmetric matrices" (1968).

mod householder;
mod ql;
mod rotations;
mod truncated_svd;

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis};

use crate::Result;
use crate::error::{check_finite, check_limit, check_shape};
use crate::math::gemm::product;

pub use truncated_svd::TruncatedSvd;

/// Size from which the feature `faer` takes over.
pub const FAER_SIZE: usize = 512;

/// Largest matrix: its square still counts the bytes of a machine.
const MAX_SIZE: usize = 1 << 20;

/// Components that are as large as the largest but for this share of it may decide over the sign.
const TIE: f64 = 1e-9;

/// Eigenvalues, and the eigenvectors in the columns.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Eigen {
    /// Ascending, `(n)`.
    pub values: Array1<f64>,
    /// Column `j` belongs to value `j`, `(n, n)`.
    pub vectors: Array2<f64>,
}

/// How far a decomposition is from what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct EigenResidual {
    /// `‖A - Q diag(l) Qᵀ‖ / ‖A‖` in the Frobenius norm; without division where `A` is 0.
    pub reconstruction: f64,
    /// `‖Qᵀ Q - I‖ / ‖I‖` in the Frobenius norm.
    pub orthogonality: f64,
}

/// Decomposes `(A + Aᵀ)/2` of `a: (n, n)`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where `a` is not square, [`Error::NotFinite`](crate::Error::NotFinite), [`Error::TooLarge`](crate::Error::TooLarge), and [`Error::NoConvergence`](crate::Error::NoConvergence) where
/// the iteration limit is reached.
///
/// # Example
/// ```
/// use limpid::math::eigen::symmetric_eigen;
/// use ndarray::array;
///
/// let eigen = symmetric_eigen(&array![[2.0, 1.0], [1.0, 2.0]])?;
/// assert!((eigen.values[0] - 1.0).abs() < 1e-15 && (eigen.values[1] - 3.0).abs() < 1e-15);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn symmetric_eigen(a: &ArrayRef2<f64>) -> Result<Eigen> {
    let n = a.nrows();
    check_shape("a", a, &[n, n])?;
    check_limit("rows of a", n, MAX_SIZE)?;
    check_finite("a", a)?;
    // halves before the sum, which might overflow
    let mut symmetric = a.mapv(|x| 0.5 * x);
    symmetric += &symmetric.t().to_owned();
    let scale = normalise(&mut symmetric);
    let (values, vectors) = decompose(symmetric)?;
    Ok(finish(values, vectors, scale))
}

/// Decomposes the tridiagonal matrix with this `diagonal: (n)` and the entries `off_diagonal: (n - 1)` beside it.
///
/// # Errors
/// As [`symmetric_eigen`].
///
/// # Example
/// ```
/// use limpid::math::eigen::tridiagonal_eigen;
/// use ndarray::array;
///
/// let eigen = tridiagonal_eigen(&array![0.0, 0.0], &array![2.0])?;
/// assert!((eigen.values[0] + 2.0).abs() < 1e-15 && (eigen.values[1] - 2.0).abs() < 1e-15);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn tridiagonal_eigen(diagonal: &ArrayRef1<f64>, off_diagonal: &ArrayRef1<f64>) -> Result<Eigen> {
    let n = diagonal.len();
    check_limit("rows of the matrix", n, MAX_SIZE)?;
    check_shape("off_diagonal", off_diagonal, &[n.saturating_sub(1)])?;
    check_finite("diagonal", diagonal)?;
    check_finite("off_diagonal", off_diagonal)?;
    let largest = diagonal.iter().chain(off_diagonal).fold(0.0_f64, |largest, x| largest.max(x.abs()));
    let scale = if largest > 0.0 { largest } else { 1.0 };
    let d = diagonal.iter().map(|x| x / scale).collect();
    let e = off_diagonal.iter().map(|x| x / scale).collect();
    let (values, vectors) = ql::solve(d, e, Array2::eye(n))?;
    Ok(finish(values, vectors, scale))
}

impl Eigen {
    /// Compares with the matrix that was decomposed.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape).
    pub fn residual(&self, a: &ArrayRef2<f64>) -> Result<EigenResidual> {
        let n = self.values.len();
        check_shape("a", a, &[n, n])?;
        let norm = |x: &ArrayRef2<f64>| libm::sqrt(x.iter().map(|x| x * x).sum());
        let scale = a.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
        let scale = if scale > 0.0 && scale.is_finite() { scale } else { 1.0 };
        let scaled = product(&(&self.vectors * &(&self.values / scale)), &self.vectors.t())?;
        let a = a.mapv(|x| x / scale);
        let whole = norm(&a);
        let overlap = product(&self.vectors.t(), &self.vectors)? - Array2::<f64>::eye(n);
        let orthogonality = norm(&overlap) / libm::sqrt(n.max(1) as f64);
        let reconstruction = norm(&(scaled - a)) / if whole > 0.0 { whole } else { 1.0 };
        Ok(EigenResidual { reconstruction, orthogonality })
    }
}

/// Divides by the largest magnitude, which is returned; 1 for the zero matrix.
fn normalise(a: &mut Array2<f64>) -> f64 {
    let largest = a.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
    if largest > 0.0 {
        a.mapv_inplace(|x| x / largest);
        return largest;
    }
    1.0
}

/// Eigenvalues and eigenvectors in any order.
fn decompose(a: Array2<f64>) -> Result<(Vec<f64>, Array2<f64>)> {
    #[cfg(feature = "faer")]
    if a.nrows() >= FAER_SIZE {
        return by_faer(&a);
    }
    let (d, e, q) = householder::tridiagonalise(a)?;
    ql::solve(d, e, q)
}

#[cfg(feature = "faer")]
fn by_faer(a: &ArrayRef2<f64>) -> Result<(Vec<f64>, Array2<f64>)> {
    let n = a.nrows();
    let a = faer::Mat::from_fn(n, n, |i, j| a[[i, j]]);
    let eigen = a
        .self_adjoint_eigen(faer::Side::Lower)
        .map_err(|_| crate::Error::NoConvergence { iterations: 0, residual: f64::NAN })?;
    let values = (0..n).map(|i| eigen.S()[i]).collect();
    Ok((values, Array2::from_shape_fn((n, n), |(i, j)| eigen.U()[(i, j)])))
}

/// Ascending order, canonical signs, true scale.
fn finish(values: Vec<f64>, mut vectors: Array2<f64>, scale: f64) -> Eigen {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut sorted = Array2::zeros(vectors.raw_dim());
    let signs = signs(&vectors);
    vectors.axis_iter_mut(Axis(0)).zip(sorted.rows_mut()).for_each(|(from, mut to)| {
        to.iter_mut().zip(&order).for_each(|(to, &j)| *to = signs[j] * from[j]);
    });
    Eigen { values: order.iter().map(|&j| values[j] * scale).collect(), vectors: sorted }
}

/// The sign that makes the largest component of each column positive; the first of several that are as large decides.
fn signs(vectors: &ArrayRef2<f64>) -> Vec<f64> {
    let mut largest = alloc::vec![0.0_f64; vectors.ncols()];
    for row in vectors.rows() {
        largest.iter_mut().zip(row).for_each(|(largest, x)| *largest = largest.max(x.abs()));
    }
    let mut signs = alloc::vec![0.0; vectors.ncols()];
    for row in vectors.rows() {
        for ((sign, &largest), &x) in signs.iter_mut().zip(&largest).zip(row) {
            if *sign == 0.0 && x.abs() >= (1.0 - TIE) * largest {
                *sign = if x < 0.0 { -1.0 } else { 1.0 };
            }
        }
    }
    signs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Seed, math::random::fill_normal};
    use ndarray::array;

    fn noise(rows: usize, columns: usize) -> Array2<f64> {
        let mut x = Array2::zeros((rows, columns));
        fill_normal(&mut Seed(3).stream(rows as u64, columns as u64), 1.0, x.as_slice_mut().unwrap());
        x
    }

    fn check(a: &Array2<f64>) -> Eigen {
        let eigen = symmetric_eigen(a).unwrap();
        let residual = eigen.residual(a).unwrap();
        assert!(residual.reconstruction <= 1e-13 && residual.orthogonality <= 1e-13, "{} {residual:?}", a.nrows());
        assert!(eigen.values.windows(2).into_iter().all(|pair| pair[0] <= pair[1]));
        eigen
    }

    /// `Q diag(l) Qᵀ` with a random orthogonal `Q`.
    fn with_spectrum(values: &[f64]) -> Array2<f64> {
        let n = values.len();
        let x = noise(n, n);
        let q = symmetric_eigen(&(&x + &x.t())).unwrap().vectors;
        (&q * &Array1::from(values.to_vec())).dot(&q.t())
    }

    #[test]
    fn every_size_is_decomposed() {
        let largest = if cfg!(miri) { 5 } else { 150 };
        for n in (0..largest)
            .step_by(if cfg!(miri) { 2 } else { 7 })
            .chain([1, 2, 3, 33, 34, 65].into_iter().filter(|n| *n < largest))
        {
            let x = noise(n, n);
            check(&(&x + &x.t()));
            check(&x.dot(&x.t()));
        }
    }

    #[test]
    fn known_eigenvalues_come_back() {
        let n = if cfg!(miri) { 5 } else { 40 };
        let spectra: [Vec<f64>; 4] = [
            (0..n).map(|i| libm::exp2(-(i as f64))).collect(),
            (0..n).map(|i| 1.0 + f64::from(i > n / 2) + 1e-14 * i as f64).collect(),
            (0..n).map(|i| f64::from(i % 3 == 0)).collect(),
            (0..n).map(|i| i as f64 - 3.5).collect(),
        ];
        for spectrum in spectra {
            let eigen = check(&with_spectrum(&spectrum));
            let mut sorted = spectrum.clone();
            sorted.sort_by(f64::total_cmp);
            let largest = spectrum.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
            assert!(eigen.values.iter().zip(&sorted).all(|(x, y)| (x - y).abs() <= 1e-13 * largest));
        }
    }

    #[test]
    fn special_matrices() {
        assert_eq!(check(&Array2::zeros((0, 0))).values.len(), 0);
        assert_eq!(check(&array![[-3.0]]), Eigen { values: array![-3.0], vectors: array![[1.0]] });
        assert_eq!(check(&Array2::zeros((4, 4))).values, Array1::<f64>::zeros(4));
        assert_eq!(check(&Array2::eye(5)).values, Array1::<f64>::ones(5));
        assert_eq!(check(&Array2::from_diag(&array![3.0, -1.0, 2.0])).values, array![-1.0, 2.0, 3.0]);
        let graded = Array2::from_shape_fn((9, 9), |(i, j)| libm::exp10(-2.0 * (i + j) as f64));
        check(&graded);
        for scale in [1e-300, 1e300] {
            let x = noise(6, 6);
            let eigen = check(&((&x + &x.t()) * scale));
            assert!(eigen.values.iter().all(|x| x.is_finite()));
        }
        // nalgebra issue 1109 asks for such a matrix: a block of zeros beside couplings
        check(&array![[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]);
    }

    #[cfg(feature = "faer")]
    #[test]
    fn the_other_solver_agrees() {
        let x = noise(40, 40);
        let a = &x + &x.t();
        let (values, vectors) = by_faer(&a).unwrap();
        let (found, own) = (finish(values, vectors, 1.0), check(&a));
        assert!((&found.values - &own.values).iter().all(|x| x.abs() < 1e-12));
        assert!((&found.vectors - &own.vectors).iter().all(|x| x.abs() < 1e-9));
    }

    #[test]
    fn signs_are_canonical() {
        let x = noise(6, 6);
        let eigen = check(&(&x + &x.t()));
        for column in eigen.vectors.columns() {
            let largest = column.iter().fold(0.0_f64, |m, &x| if x.abs() > m.abs() { x } else { m });
            assert!(largest > 0.0);
        }
        let tie = check(&array![[2.0, -1.0], [-1.0, 2.0]]);
        assert!(tie.vectors.row(0).iter().all(|&x| x > 0.0));
    }

    #[test]
    fn a_tridiagonal_matrix_is_its_dense_self() {
        let n = if cfg!(miri) { 4 } else { 50 };
        let (d, e) = (noise(n, 1).column(0).to_owned(), noise(n - 1, 1).column(0).to_owned());
        let mut a = Array2::from_diag(&d);
        (0..n - 1).for_each(|i| (a[[i, i + 1]], a[[i + 1, i]]) = (e[i], e[i]));
        let (dense, thin) = (check(&a), tridiagonal_eigen(&d, &e).unwrap());
        assert!((&dense.values - &thin.values).iter().all(|x| x.abs() < 1e-13));
        assert!((&dense.vectors - &thin.vectors).iter().all(|x| x.abs() < 1e-9));
        assert_eq!(tridiagonal_eigen(&array![2.0], &Array1::zeros(0)).unwrap().values, array![2.0]);
        assert!(tridiagonal_eigen(&d, &d).is_err());
    }

    #[test]
    fn bad_matrices_are_refused() {
        assert!(matches!(symmetric_eigen(&Array2::zeros((2, 3))), Err(Error::Shape { .. })));
        assert!(matches!(symmetric_eigen(&array![[f64::NAN]]), Err(Error::NotFinite { .. })));
        let huge = symmetric_eigen(&array![[f64::MAX, f64::MAX], [f64::MAX, f64::MAX]]);
        assert!(huge.is_ok_and(|eigen| eigen.values[0].abs() < 1e293));
    }
}
