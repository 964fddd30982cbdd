//! Multipliers of an operation that has no rule of its own: its derivative averaged over the straight path.
//!
//! ```text
//! m = ∫₀¹ J(x_r + α (x - x_r))ᵀ g dα         <m, x - x_r> = <g, f(x) - f(x_r)>
//! ```
//!
//! The identity on the right is what DeepLIFT asks of a rule. It also tells the error of the quadrature: each row is
//! refined until the identity holds to rounding.

use alloc::vec::Vec;

use crate::math::quadrature::Rule;
use crate::{Result, Scalar};

/// Points of Gauss-Legendre quadrature on each part of the path.
const POINTS: usize = 4;

/// Most parts that the path is cut into.
const MOST_PARTS: usize = 256;

/// The averaged gradient from `from` to `to`; `gradient(x, out)` adds to nothing and writes all of `out`. `change` is what
/// the result must give when multiplied with `to - from`.
pub(super) fn average<T: Scalar>(
    from: &[T],
    to: &[T],
    change: f64,
    mut gradient: impl FnMut(&[T], &mut [T]) -> Result<()>,
) -> Result<Vec<T>> {
    let (mut point, mut slope) = (from.to_vec(), from.to_vec());
    let (rule, mut parts) = (Rule::GaussLegendre.nodes::<f64>(POINTS)?, 1);
    loop {
        let mut sum = alloc::vec![0.0; from.len()];
        for part in 0..parts {
            for (node, weight) in rule.points.iter().zip(&rule.weights) {
                let alpha = T::of((part as f64 + node) / parts as f64);
                for ((point, &from), &to) in point.iter_mut().zip(from).zip(to) {
                    *point = from + alpha * (to - from);
                }
                gradient(&point, &mut slope)?;
                sum.iter_mut().zip(&slope).for_each(|(sum, slope)| *sum += weight / parts as f64 * slope.as_f64());
            }
        }
        let terms = || sum.iter().zip(from.iter().zip(to)).map(|(m, (from, to))| m * (to.as_f64() - from.as_f64()));
        let (found, size) = (terms().sum::<f64>(), terms().map(f64::abs).sum::<f64>());
        let rounding = 16.0 * T::epsilon().as_f64() * (size + change.abs());
        if (found - change).abs() <= rounding || parts >= MOST_PARTS {
            return Ok(sum.into_iter().map(T::of).collect());
        }
        parts *= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cubic_is_met_at_once_and_a_steep_step_by_refining() {
        let mut calls = 0;
        let cubic = average(&[0.0], &[2.0], 8.0, |x, out| {
            calls += 1;
            out[0] = 3.0 * x[0] * x[0];
            Ok(())
        });
        assert!((cubic.unwrap()[0] - 4.0_f64).abs() < 1e-14 && calls == 4);
        let change = libm::tanh(60.0) - libm::tanh(-30.0);
        let steep = average(&[-1.0], &[2.0], change, |x: &[f64], out| {
            let c = libm::cosh(30.0 * x[0]);
            out[0] = 30.0 / (c * c);
            Ok(())
        });
        assert!((3.0 * steep.unwrap()[0] - change).abs() < 1e-12);
    }
}
