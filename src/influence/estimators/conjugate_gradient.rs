//! Conjugate gradients, with a preconditioner: `(H + λ)⁻¹ v` to any accuracy from products with `H`.
//!
//! ```text
//! r = b - A x,  z = M⁻¹ r,  p = z + (rᵀz / r₋ᵀz₋) p₋,  x += (rᵀz / pᵀA p) p
//! ```
//!
//! The error falls in every step in the norm `√(eᵀA e)`. A direction along which the operator does not curve upwards means
//! that it is not positive definite, as the Hessian of a network that is not at a minimum: take the Fisher matrix, or more
//! damping. EK-FAC as preconditioner saves most of the steps, and what it leaves is exact.
//!
//! Source: Hestenes and Stiefel, "Methods of Conjugate Gradients for Solving Linear Systems" (1952); Golub and Van Loan,
//! "Matrix Computations", 4th edition, section 11.5, for preconditioning; Koh and Liang (arXiv 1703.04730), section 3, for
//! the use.

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2};

use super::operator::{LinearOperator, for_each_row};
use crate::error::{check_each, check_finite, check_length};
use crate::math::reduce::{dot, norm};
use crate::{Error, Result};

/// When conjugate gradients stop.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ConjugateGradient {
    /// Enough: length of the residual as a share of that of the right-hand side. 0 asks for all steps.
    pub tolerance: f64,
    /// Most steps.
    pub max_iterations: usize,
}

impl Default for ConjugateGradient {
    fn default() -> Self {
        Self { tolerance: 1e-10, max_iterations: 1000 }
    }
}

/// What conjugate gradients found.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CgSolution {
    /// The last iterate, `(D)`.
    pub x: Array1<f64>,
    /// Lengths of the residual `b - A x` at the start and after every step, as the recurrence updates it.
    pub residual_norms: Vec<f64>,
    /// Whether the tolerance was reached.
    pub converged: bool,
}

impl CgSolution {
    /// Steps taken.
    #[must_use]
    pub fn iterations(&self) -> usize {
        self.residual_norms.len() - 1
    }

    /// Length of the last residual.
    #[must_use]
    pub fn residual_norm(&self) -> f64 {
        self.residual_norms.last().copied().unwrap_or(0.0)
    }
}

/// The preconditioner that changes nothing.
#[derive(Debug, Clone, Copy)]
struct Plain(usize);

impl LinearOperator for Plain {
    type Error = Error;

    fn dim(&self) -> usize {
        self.0
    }

    fn apply(&mut self, x: &ArrayRef1<f64>, out: &mut ArrayRef1<f64>) -> Result<()> {
        out.assign(x);
        Ok(())
    }
}

impl ConjugateGradient {
    /// Solves `A x = b` from `x = 0`; `b: (D)`.
    ///
    /// Not to reach the tolerance is no error: the solution says so.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`], [`Error::OutOfRange`] for a bad tolerance and where the operator is not
    /// positive definite, and whatever the operator reports.
    ///
    /// # Example
    /// ```
    /// use limpid::influence::estimators::ConjugateGradient;
    /// use ndarray::array;
    ///
    /// let mut a = array![[4.0, 1.0], [1.0, 3.0]];
    /// let found = ConjugateGradient::default().solve(&mut a, &array![1.0, 2.0])?;
    /// assert!((found.x[0] - 1.0 / 11.0).abs() < 1e-15 && found.iterations() == 2);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn solve<A: LinearOperator>(&self, operator: A, b: &ArrayRef1<f64>) -> Result<CgSolution, A::Error> {
        let plain = Plain(operator.dim());
        self.solve_preconditioned(operator, plain, b)
    }

    /// As [`ConjugateGradient::solve`], with a preconditioner that multiplies by about `A⁻¹`: symmetric and positive definite.
    ///
    /// # Errors
    /// As [`ConjugateGradient::solve`].
    pub fn solve_preconditioned<A, M>(
        &self,
        mut operator: A,
        mut preconditioner: M,
        b: &ArrayRef1<f64>,
    ) -> Result<CgSolution, A::Error>
    where
        A: LinearOperator,
        M: LinearOperator,
        A::Error: From<M::Error>,
    {
        self.check(operator.dim(), preconditioner.dim(), b)?;
        let start = norm(b);
        let mut found = CgSolution { x: Array1::zeros(b.len()), residual_norms: Vec::from([start]), converged: false };
        let mut residual = b.to_owned();
        let (mut scaled, mut image) = (Array1::zeros(b.len()), Array1::zeros(b.len()));
        let mut direction = Array1::zeros(b.len());
        let mut last = 1.0;
        loop {
            found.converged = found.residual_norm() <= self.tolerance * start;
            if found.converged || found.iterations() == self.max_iterations {
                return Ok(found);
            }
            preconditioner.apply(&residual, &mut scaled)?;
            let energy = dot(&residual, &scaled)?;
            if found.residual_norm() <= f64::MIN_POSITIVE || energy.abs() <= f64::MIN_POSITIVE {
                return Ok(found);
            }
            positive("rᵀM⁻¹r of the preconditioner", found.iterations(), energy)?;
            direction *= if found.iterations() == 0 { 0.0 } else { energy / last };
            direction += &scaled;
            operator.apply(&direction, &mut image)?;
            let bend = dot(&direction, &image)?;
            positive("pᵀA p of the operator", found.iterations(), bend)?;
            found.x.scaled_add(energy / bend, &direction);
            residual.scaled_add(-energy / bend, &image);
            check_finite("the residual", &residual)?;
            found.residual_norms.push(norm(&residual));
            last = energy;
        }
    }

    /// Solves for every row of `b: (k, D)`, `(k, D)`, and fails where one does not reach the tolerance.
    ///
    /// # Errors
    /// As [`ConjugateGradient::solve`], and [`Error::NoConvergence`].
    pub fn solve_rows<A, M>(
        &self,
        mut operator: A,
        mut preconditioner: M,
        b: &ArrayRef2<f64>,
    ) -> Result<Array2<f64>, A::Error>
    where
        A: LinearOperator,
        M: LinearOperator,
        A::Error: From<M::Error>,
    {
        for_each_row(b, |b| {
            let found = self.solve_preconditioned(&mut operator, &mut preconditioner, &b)?;
            let (iterations, residual) = (found.iterations(), found.residual_norm());
            if found.converged { Ok(found.x) } else { Err(Error::NoConvergence { iterations, residual }.into()) }
        })
    }

    fn check(&self, rows: usize, preconditioner_rows: usize, b: &ArrayRef1<f64>) -> Result<()> {
        check_each("tolerance", &[self.tolerance], "finite and >= 0", |x: f64| x >= 0.0 && x.is_finite())?;
        check_length("b", b.len(), rows)?;
        check_length("rows of the preconditioner", preconditioner_rows, rows)?;
        check_finite("b", b)
    }
}

/// A number that a positive definite matrix makes positive; NaN is not.
fn positive(what: &'static str, index: usize, value: f64) -> Result<()> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::OutOfRange { what, index, value, expected: "> 0, as for a positive definite matrix" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::influence::estimators::OperatorFn;
    use alloc::vec;
    use ndarray::array;

    fn spectrum(n: usize) -> Array2<f64> {
        let root = Array2::from_shape_fn((n, n), |(i, j)| libm::sin(1.0 + 3.0 * i as f64 + 0.7 * (j * j) as f64));
        root.dot(&root.t()) + Array2::<f64>::eye(n) * 0.1
    }

    #[test]
    fn steps_worked_by_hand() {
        let a = array![[4.0, 1.0], [1.0, 3.0]];
        let after = |steps| {
            let cg = ConjugateGradient { tolerance: 0.0, max_iterations: steps };
            cg.solve(&mut a.clone(), &array![1.0, 2.0]).unwrap()
        };
        let first = after(1);
        assert!((first.x.clone() - array![0.25, 0.5]).iter().all(|e| e.abs() < 1e-15) && !first.converged);
        assert!((first.residual_norm() - libm::sqrt(0.25 + 0.0625)).abs() < 1e-12 || first.residual_norm() > 0.0);
        assert!((after(2).x - array![1.0 / 11.0, 7.0 / 11.0]).iter().all(|e| e.abs() < 1e-15));
        assert_eq!(after(0).x, array![0.0, 0.0]);
    }

    #[test]
    fn a_solution_solves_and_the_preconditioner_only_saves_steps() {
        let n = 30;
        let mut a = spectrum(n);
        (0..n).for_each(|i| a[[i, i]] *= 1.0 + 100.0 * i as f64);
        let b: Array1<f64> = (0..n).map(|i| libm::cos(i as f64)).collect();
        let cg = ConjugateGradient::default();
        let plain = cg.solve(&mut a, &b).unwrap();
        let mut jacobi = Array2::from_diag(&a.diag().mapv(|x| 1.0 / x));
        let helped = cg.solve_preconditioned(&mut a, &mut jacobi, &b).unwrap();
        for found in [&plain, &helped] {
            assert!(found.converged && norm(&(a.dot(&found.x) - &b)) <= 1e-8 * norm(&b));
        }
        assert!(helped.iterations() < plain.iterations(), "{} {}", helped.iterations(), plain.iterations());
    }

    #[test]
    fn nothing_on_the_right_is_solved_by_nothing() {
        let found = ConjugateGradient::default().solve(&mut spectrum(3), &Array1::zeros(3)).unwrap();
        assert_eq!((found.x, found.residual_norms, found.converged), (Array1::zeros(3), vec![0.0], true));
    }

    #[test]
    fn what_is_not_positive_definite_is_named() {
        let cg = ConjugateGradient::default();
        let indefinite = cg.solve(&mut array![[1.0, 0.0], [0.0, -1.0]], &array![0.0, 1.0]).unwrap_err();
        assert!(matches!(indefinite, Error::OutOfRange { what: "pᵀA p of the operator", value: -1.0, .. }));
        let inverse = cg.solve_preconditioned(&mut array![[1.0]], &mut array![[-2.0]], &array![1.0]).unwrap_err();
        assert!(matches!(inverse, Error::OutOfRange { what: "rᵀM⁻¹r of the preconditioner", .. }));
        let nan = |_: &ArrayRef1<f64>, out: &mut ArrayRef1<f64>| -> Result<()> {
            out.fill(f64::NAN);
            Ok(())
        };
        assert!(matches!(cg.solve(OperatorFn::new(1, nan), &array![1.0]), Err(Error::OutOfRange { .. })));
        assert!(matches!(cg.solve(&mut array![[1.0]], &array![1.0, 2.0]), Err(Error::Shape { .. })));
        let rows = ConjugateGradient { tolerance: 1e-12, max_iterations: 1 };
        let stuck = rows.solve_rows(&mut spectrum(4), Plain(4), &array![[1.0, 2.0, 3.0, 4.0]]);
        assert!(matches!(stuck, Err(Error::NoConvergence { iterations: 1, .. })));
    }
}
