//! Lanczos: the largest eigenvalues of a curvature and their vectors, and with them a low-rank inverse.
//!
//! ```text
//! A Q_k = Q_k T_k + β_k q_{k+1} e_kᵀ,  T_k tridiagonal = Z diag(l) Zᵀ,  u_j = Q_k z_j
//! (A + λ)⁻¹ ≈ Σ_j u_j u_jᵀ/(l_j + λ)  [ + (1/λ)(I - Σ_j u_j u_jᵀ) ]
//! ```
//!
//! Every new vector is orthogonalised against all earlier ones, twice: rounding would otherwise bring found directions back.
//! The iteration ends early where the Krylov space of the start is exhausted. The term in brackets treats what lies outside
//! of the kept vectors as having eigenvalue 0; without it, gradients outside have no influence at all, which is why
//! truncated inverses score poorly.
//!
//! Source: Schioppa et al., "Scaling Up Influence Functions" (arXiv 2112.03052), there as Arnoldi's iteration; Golub
//! and Van Loan, "Matrix Computations", 4th edition, section 10.3, for Lanczos and re-orthogonalisation.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis, Slice};

use super::layers::{MAX_VALUES, check_like, inner};
use super::operator::LinearOperator;
use crate::error::{check_each, check_finite, check_length, check_limit};
use crate::influence::LayerRows;
use crate::math::eigen::tridiagonal_eigen;
use crate::math::gemm::product;
use crate::math::random::fill_normal;
use crate::math::reduce::{dot, norm};
use crate::{Result, Scalar, Seed};

/// Purpose of the random start.
const PURPOSE: u64 = 0x6c61_6e63;

/// What is left of a vector, as a share of the largest seen, that counts as nothing: the Krylov space is exhausted.
const EXHAUSTED: f64 = 1e-12;

/// How far the iteration goes, and what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Lanczos {
    /// Products with the operator, and dimensions of the Krylov space.
    pub steps: usize,
    /// Eigenvalues that are kept, the largest first.
    pub keep: usize,
    /// Seed of the start.
    pub seed: Seed,
}

impl Default for Lanczos {
    fn default() -> Self {
        Self { steps: 200, keep: 50, seed: Seed(0) }
    }
}

/// The largest eigenvalues of an operator, with their vectors.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LowRankCurvature {
    /// Eigenvalues, descending, `(k)`; without damping.
    pub values: Array1<f64>,
    /// Their vectors in the rows, of length 1, `(k, D)`.
    pub vectors: Array2<f64>,
    /// Dimensions of the Krylov space that was used.
    pub steps: usize,
}

/// What becomes of directions outside of the kept vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Complement {
    /// Their eigenvalue is taken as 0: they keep `1/λ`.
    Kept,
    /// They are projected away.
    Dropped,
}

/// The basis in rows, the diagonal of `T`, and what stands beside it.
type Krylov = (Array2<f64>, Vec<f64>, Vec<f64>);

impl Lanczos {
    /// Runs from a random start.
    ///
    /// # Errors
    /// As [`Lanczos::run_from`].
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::influence::estimators::Lanczos;
    /// use ndarray::{Array2, array};
    ///
    /// let mut a = Array2::from_diag(&array![3.0, 1.0, 5.0]);
    /// let found = Lanczos { steps: 3, keep: 2, seed: Seed(1) }.run(&mut a)?;
    /// assert!((found.values[0] - 5.0).abs() < 1e-12 && (found.values[1] - 3.0).abs() < 1e-12);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn run<A: LinearOperator>(&self, operator: A) -> Result<LowRankCurvature, A::Error> {
        check_limit("parameters", operator.dim(), MAX_VALUES)?;
        let mut start = vec![0.0; operator.dim()];
        fill_normal(&mut self.seed.stream(PURPOSE, 0), 1.0, &mut start);
        self.run_from(operator, &Array1::from(start))
    }

    /// Runs from `start: (D)`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Error::NotFinite`](crate::Error::NotFinite), [`Error::OutOfRange`](crate::Error::OutOfRange) for a start of length 0, [`Error::TooLarge`](crate::Error::TooLarge) for more
    /// than 2²⁸ numbers, [`Error::NoConvergence`](crate::Error::NoConvergence), and whatever the operator reports.
    pub fn run_from<A: LinearOperator>(
        &self,
        mut operator: A,
        start: &ArrayRef1<f64>,
    ) -> Result<LowRankCurvature, A::Error> {
        let dim = operator.dim();
        check_length("start", start.len(), dim)?;
        check_finite("start", start)?;
        check_each("length of the start", &[norm(start)], "finite and > 0", |x: f64| x > 0.0 && x.is_finite())?;
        check_limit("numbers of the basis", self.steps.min(dim).saturating_mul(dim), MAX_VALUES)?;
        let (basis, diagonal, off_diagonal) = self.krylov(&mut operator, start)?;
        let k = diagonal.len();
        let between: Array1<f64> = off_diagonal.into_iter().take(k.saturating_sub(1)).collect();
        let eigen = tridiagonal_eigen(&Array1::from(diagonal), &between)?;
        let keep = self.keep.min(k);
        let largest: Vec<usize> = (k - keep..k).rev().collect();
        let vectors = product(&eigen.vectors.select(Axis(1), &largest).t(), &basis)?;
        Ok(LowRankCurvature { values: eigen.values.select(Axis(0), &largest), vectors, steps: k })
    }

    fn krylov<A: LinearOperator>(&self, operator: &mut A, start: &ArrayRef1<f64>) -> Result<Krylov, A::Error> {
        let (dim, steps) = (start.len(), self.steps.min(start.len()));
        let mut basis = Array2::zeros((steps, dim));
        let (mut diagonal, mut off_diagonal) = (Vec::new(), Vec::new());
        let (mut next, mut image, mut largest) = (start / norm(start), Array1::zeros(dim), 0.0_f64);
        for step in 0..steps {
            basis.row_mut(step).assign(&next);
            operator.apply(&next, &mut image)?;
            check_finite("the operator times a vector", &image)?;
            largest = largest.max(norm(&image));
            diagonal.push(dot(&next, &image)?);
            let known = basis.slice_axis(Axis(0), Slice::from(0..=step));
            // once takes away what is there, twice what rounding left of it
            for _ in 0..2 {
                let column = image.view().insert_axis(Axis(1));
                let shares = product(&known, &column)?;
                let inside = product(&known.t(), &shares)?;
                image -= &inside.index_axis(Axis(1), 0);
            }
            let left = norm(&image);
            if left <= EXHAUSTED * largest || left <= f64::MIN_POSITIVE {
                break;
            }
            off_diagonal.push(left);
            next = &image / left;
        }
        let used = basis.slice_axis(Axis(0), Slice::from(0..diagonal.len())).to_owned();
        Ok((used, diagonal, off_diagonal))
    }
}

impl LowRankCurvature {
    /// `(A + λ)⁻¹` of every row of `v: (q, D)`, `(q, D)`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Error::NotFinite`](crate::Error::NotFinite), [`Error::OutOfRange`](crate::Error::OutOfRange) for a damping that is negative, or that leaves an
    /// eigenvalue or the complement without an inverse.
    pub fn solve(&self, v: &ArrayRef2<f64>, damping: f64, complement: Complement) -> Result<Array2<f64>> {
        check_length("columns of v", v.ncols(), self.vectors.ncols())?;
        check_finite("v", v)?;
        let (inverse, outside) = self.inverse(damping, complement)?;
        let shares = product(v, &self.vectors.t())?;
        let mut solved = product(&(&shares * &(&inverse - outside)), &self.vectors)?;
        solved.scaled_add(outside, v);
        Ok(solved)
    }

    /// Scores of `train` for `query`, `(queries, examples)`; no minus sign, no `1/N`.
    ///
    /// # Errors
    /// As [`LowRankCurvature::solve`].
    pub fn scores<T: Scalar>(
        &self,
        query: &[LayerRows<'_, T>],
        train: &[LayerRows<'_, T>],
        damping: f64,
        complement: Complement,
    ) -> Result<Array2<f64>> {
        check_like("query", query, train)?;
        let (inverse, outside) = self.inverse(damping, complement)?;
        let (of_query, of_train) = (self.embed(query)?, self.embed(train)?);
        let mut scores = product(&(&of_query * &(&inverse - outside)), &of_train.t())?;
        if complement == Complement::Kept {
            for (query, train) in query.iter().zip(train) {
                scores.scaled_add(outside, &query.gram(train)?);
            }
        }
        Ok(scores)
    }

    /// Gradients in the coordinates of the kept vectors, `(examples, k)`: short vectors that any index can hold.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Error::TooLarge`](crate::Error::TooLarge).
    pub fn embed<T: Scalar>(&self, layers: &[LayerRows<'_, T>]) -> Result<Array2<f64>> {
        let n = super::layers::check_layers("layers", layers)?;
        check_limit("numbers of all coordinates", n.saturating_mul(self.values.len()), MAX_VALUES)?;
        let mut out = Array2::zeros((n, self.values.len()));
        for (vector, mut column) in self.vectors.rows().into_iter().zip(out.columns_mut()) {
            column.assign(&inner(layers, &vector)?);
        }
        Ok(out)
    }

    /// `1/(l + λ)` of every kept vector, and that of the complement.
    fn inverse(&self, damping: f64, complement: Complement) -> Result<(Array1<f64>, f64)> {
        check_each("damping", &[damping], "finite and >= 0", |x: f64| x >= 0.0 && x.is_finite())?;
        let inverse = self.values.mapv(|l| 1.0 / (l + damping));
        let damped = self.values.mapv(|l| l + damping);
        check_each("an eigenvalue with damping", &damped, "> 0", |x: f64| x > 0.0 && (1.0 / x).is_finite())?;
        if complement == Complement::Dropped {
            return Ok((inverse, 0.0));
        }
        check_each("damping of the complement", &[damping], "> 0", |x: f64| x > 0.0 && (1.0 / x).is_finite())?;
        Ok((inverse, 1.0 / damping))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::influence::estimators::testing::{layers, noise_layers};
    use crate::influence::estimators::{DualFisher, FisherOperator};
    use crate::influence::testing::noise;

    fn spectrum(values: &[f64]) -> Array2<f64> {
        let n = values.len();
        let q = crate::math::eigen::symmetric_eigen(&noise(n, n, 99)).unwrap().vectors;
        (&q * &Array1::from(values.to_vec())).dot(&q.t())
    }

    #[test]
    fn a_full_space_has_all_eigenvalues() {
        let values = [0.254_718_759_826, 1.822_717_080_887, 3.177_282_919_113, 4.745_281_240_174];
        let found = Lanczos { steps: 9, keep: 9, seed: Seed(4) }.run(spectrum(&values)).unwrap();
        assert_eq!(found.steps, 4);
        assert!(found.values.iter().rev().zip(values).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        let gram = found.vectors.dot(&found.vectors.t());
        assert!((gram - Array2::<f64>::eye(4)).iter().all(|e| e.abs() < 1e-13));
    }

    #[test]
    fn vectors_stay_orthogonal_over_a_graded_spectrum() {
        let values: Vec<f64> = (0..60).map(|i| libm::pow(10.0, -f64::from(i) / 4.0)).collect();
        let found = Lanczos { steps: 50, keep: 10, seed: Seed(0) }.run(spectrum(&values)).unwrap();
        assert!(
            found.values.iter().zip(&values).all(|(a, b)| (a - b).abs() < 1e-9 * b.max(1e-3)),
            "{:?}",
            found.values
        );
        let gram = found.vectors.dot(&found.vectors.t());
        assert!((gram - Array2::<f64>::eye(10)).iter().all(|e| e.abs() < 1e-12));
    }

    #[test]
    fn an_exhausted_space_ends_the_iteration() {
        let mut a = Array2::zeros((6, 6));
        a[[0, 0]] = 2.0;
        let found = Lanczos { steps: 6, keep: 6, seed: Seed(0) }.run(&mut a).unwrap();
        assert_eq!(found.steps, 2);
        assert!((found.values[0] - 2.0).abs() < 1e-12 && found.values[1].abs() < 1e-12);
        assert_eq!(Lanczos::default().run(Array2::zeros((3, 3))).unwrap().values, Array1::zeros(1));
    }

    #[test]
    fn with_all_vectors_and_the_complement_the_inverse_is_exact() {
        let (data, other) = (noise_layers(6, 3), noise_layers(3, 4));
        let (train, query) = (layers(&data), layers(&other));
        let found = Lanczos { steps: 30, keep: 30, seed: Seed(5) }.run(FisherOperator::new(&train).unwrap()).unwrap();
        let exact = DualFisher::new(&train, 0.3).unwrap().scores(&query, &train).unwrap();
        let scores = found.scores(&query, &train, 0.3, Complement::Kept).unwrap();
        assert!((&scores - &exact).iter().all(|e| e.abs() < 1e-9), "{scores} {exact}");
        let gradients = crate::influence::estimators::gradients(&query).unwrap();
        let solved = found.solve(&gradients, 0.3, Complement::Kept).unwrap();
        let again = crate::influence::estimators::solution_scores(&solved, &train).unwrap();
        assert!((again - exact).iter().all(|e| e.abs() < 1e-9));
    }

    #[test]
    fn bad_input_is_named() {
        let lanczos = Lanczos::default();
        let from = |start: &Array1<f64>| lanczos.run_from(Array2::eye(2), start);
        assert!(matches!(from(&Array1::zeros(2)), Err(Error::OutOfRange { what: "length of the start", .. })));
        assert!(matches!(from(&Array1::zeros(3)), Err(Error::Shape { .. })));
        assert!(matches!(lanczos.run(Array2::from_elem((1, 1), f64::NAN)), Err(Error::NotFinite { .. })));
        let found = lanczos.run(Array2::zeros((2, 2))).unwrap();
        let solve = |damping, complement| found.solve(&Array2::ones((1, 2)), damping, complement);
        assert!(solve(0.0, Complement::Dropped).is_err() && solve(-1.0, Complement::Kept).is_err());
        assert!(solve(0.5, Complement::Kept).unwrap().iter().all(|x| (x - 2.0).abs() < 1e-12));
    }
}
