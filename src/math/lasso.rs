//! Sparse least squares from a Gram matrix: the lasso by coordinate descent, checked against its optimality conditions.
//!
//! ```text
//! minimise  ½ βᵀ Q β - cᵀ β + α ‖β‖₁
//! β_j <- S(c_j - Σ_{k≠j} Q_jk β_k, α) / Q_jj,   S(x, α) = sign(x) max(|x| - α, 0)
//! optimal where g = c - Q β has  g_j = α sign(β_j)  for β_j ≠ 0  and  |g_j| <= α  for β_j = 0
//! ```
//!
//! Source: Friedman, Hastie & Tibshirani, "Regularization Paths for Generalized Linear Models via Coordinate Descent",
//! Journal of Statistical Software 33 (2010), section 2, with covariance updates.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::ArrayRef2;

use crate::error::{check_each, check_finite, check_shape};
use crate::{Dims, Error, Result};

/// Rounds over all coordinates before giving up.
const MAX_ROUNDS: usize = 20_000;

/// Violation of the optimality conditions that is accepted, in units of the larger of `max |c|` and `α`.
const TOLERANCE: f64 = 1e-12;

/// The minimiser for `gram: (n, n)` symmetric and positive semidefinite, `c: (n)`, `alpha >= 0`.
///
/// A coordinate whose diagonal entry is 0 stays 0. Where the minimum is not unique, the one that the descent from zeros in
/// ascending order reaches is returned.
///
/// # Errors
/// [`Error::Shape`], [`Error::NotFinite`], [`Error::OutOfRange`] for a negative `alpha` or diagonal entry,
/// [`Error::NoConvergence`].
///
/// # Example
/// ```
/// use limpid::math::lasso::lasso;
/// use ndarray::array;
///
/// // orthogonal columns: every coordinate shrinks by itself
/// let beta = lasso(&array![[2.0, 0.0], [0.0, 2.0]], &[3.0, -0.5], 1.0)?;
/// assert_eq!(beta, [1.0, 0.0]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn lasso(gram: &ArrayRef2<f64>, c: &[f64], alpha: f64) -> Result<Vec<f64>> {
    check_shape("gram", gram, &[c.len(), c.len()])?;
    check_finite("gram", gram)?;
    check_each("c", c, "a finite number", f64::is_finite)?;
    check_each("alpha", &[alpha], ">= 0 and finite", |alpha: f64| alpha >= 0.0 && alpha.is_finite())?;
    check_each("gram", gram.diag(), ">= 0 on the diagonal", |entry: f64| entry >= 0.0)?;
    let accepted = TOLERANCE * c.iter().fold(alpha, |largest, c| largest.max(c.abs()));
    let (mut beta, mut gradient) = (vec![0.0; c.len()], c.to_vec());
    let mut violation = lasso_violation(&gradient, &beta, gram, alpha);
    for _ in 0..MAX_ROUNDS {
        if violation <= accepted {
            return Ok(beta);
        }
        for j in 0..c.len() {
            descend(j, gram, alpha, &mut beta, &mut gradient);
        }
        violation = lasso_violation(&gradient, &beta, gram, alpha);
        if violation <= accepted {
            // what the updates have lost to rounding must not count as optimal
            gradient = fresh_gradient(gram, c, &beta)?;
            violation = lasso_violation(&gradient, &beta, gram, alpha);
        }
    }
    Err(Error::NoConvergence { iterations: MAX_ROUNDS, residual: violation })
}

fn descend(j: usize, gram: &ArrayRef2<f64>, alpha: f64, beta: &mut [f64], gradient: &mut [f64]) {
    let own = gram[[j, j]];
    if own <= 0.0 {
        return;
    }
    let open = gradient[j] + own * beta[j];
    let moved = if open.abs() > alpha { (open - alpha.copysign(open)) / own } else { 0.0 };
    let step = moved - beta[j];
    if step != 0.0 {
        beta[j] = moved;
        gradient.iter_mut().zip(gram.row(j)).for_each(|(gradient, q)| *gradient -= step * q);
    }
}

/// `c - Q β`.
fn fresh_gradient(gram: &ArrayRef2<f64>, c: &[f64], beta: &[f64]) -> Result<Vec<f64>> {
    if beta.len() != c.len() {
        return Err(Error::Shape { what: "beta", expected: Dims::new(&[c.len()]), got: Dims::new(&[beta.len()]) });
    }
    let product = |row: usize| gram.row(row).iter().zip(beta).map(|(q, beta)| q * beta).sum::<f64>();
    Ok(c.iter().enumerate().map(|(row, c)| c - product(row)).collect())
}

/// Largest violation of the optimality conditions by `β` where `gradient` is `c - Q β`.
fn lasso_violation(gradient: &[f64], beta: &[f64], gram: &ArrayRef2<f64>, alpha: f64) -> f64 {
    let places = gradient.iter().zip(beta).zip(gram.diag());
    places.filter(|&(_, &own)| own > 0.0).fold(0.0, |worst: f64, ((&g, &beta), _)| {
        let violation = if beta == 0.0 { g.abs() - alpha } else { (g - alpha.copysign(beta)).abs() };
        worst.max(violation)
    })
}

/// By how much `beta: (n)` violates the optimality conditions of [`lasso`]; 0 at a minimum.
///
/// # Errors
/// [`Error::Shape`].
pub fn optimality(gram: &ArrayRef2<f64>, c: &[f64], alpha: f64, beta: &[f64]) -> Result<f64> {
    check_shape("gram", gram, &[c.len(), c.len()])?;
    Ok(lasso_violation(&fresh_gradient(gram, c, beta)?, beta, gram, alpha))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn a_pair_that_can_be_solved_by_hand() {
        // both positive: 2a + b = 3 - 1, a + 2b = 3 - 1
        let gram = array![[2.0, 1.0], [1.0, 2.0]];
        let beta = lasso(&gram, &[3.0, 3.0], 1.0).unwrap();
        assert!(beta.iter().all(|b| (b - 2.0 / 3.0).abs() < 1e-11));
        assert_eq!(lasso(&gram, &[0.5, -1.0], 1.0).unwrap(), [0.0, 0.0]);
        assert!(optimality(&gram, &[3.0, 3.0], 1.0, &beta).unwrap() < 1e-11);
        assert_eq!(optimality(&gram, &[3.0, 3.0], 1.0, &[0.0, 0.0]).unwrap(), 2.0);
    }

    #[test]
    fn tied_and_constant_columns() {
        // two equal columns and one that never varies: the first takes all
        let gram = array![[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]];
        let beta = lasso(&gram, &[2.0, 2.0, 0.0], 0.5).unwrap();
        assert_eq!(beta, [1.5, 0.0, 0.0]);
        assert_eq!(lasso(&Array2::zeros((0, 0)), &[], 0.5).unwrap(), Vec::<f64>::new());
    }

    #[test]
    fn bad_input_is_named() {
        let gram = array![[1.0]];
        assert!(matches!(lasso(&gram, &[1.0, 2.0], 0.0), Err(Error::Shape { .. })));
        assert!(matches!(lasso(&gram, &[1.0], -1.0), Err(Error::OutOfRange { what: "alpha", .. })));
        assert!(matches!(lasso(&gram, &[f64::NAN], 1.0), Err(Error::OutOfRange { what: "c", .. })));
        assert!(matches!(lasso(&array![[-1.0]], &[1.0], 1.0), Err(Error::OutOfRange { what: "gram", .. })));
    }
}
