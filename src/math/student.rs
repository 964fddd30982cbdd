//! Quantiles of Student's t distribution: how many standard errors an interval has to reach from a mean of few values.
//!
//! ```text
//! P(|t| > x) = I_z(ν/2, 1/2),   z = ν/(ν + x²)
//! ```
//!
//! `I` is the regularised incomplete beta function, summed as a continued fraction; the quantile is found by bisection.
//!
//! Source: NIST Digital Library of Mathematical Functions, 8.17(v), <https://dlmf.nist.gov/8.17>.

use super::correlation::check_level;
use crate::error::check_each;
use crate::{Error, Result};

/// Terms of the continued fraction, many more than it needs below [`NORMAL_FROM`].
const TERMS: usize = 2000;

/// Degrees of freedom from which the distribution is normal to the precision of this file.
const NORMAL_FROM: f64 = 1e6;

/// The `x` with `P(|t| <= x) = level` for `degrees` degrees of freedom.
///
/// # Errors
/// [`Error::OutOfRange`] for a level outside `0 <= level < 1` or less than one degree of freedom.
///
/// # Example
/// ```
/// let x = limpid::math::student::two_sided_quantile(0.95, 9.0)?;
/// assert!((x - 2.262_157_162_740_99).abs() < 1e-9);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn two_sided_quantile(level: f64, degrees: f64) -> Result<f64> {
    check_level(level)?;
    check_each("degrees", &[degrees], ">= 1", |degrees: f64| degrees >= 1.0)?;
    let degrees = degrees.min(NORMAL_FROM);
    let (mut low, mut high) = (0.0, 1.0);
    while 1.0 - outside(high, degrees)? < level && high < f64::MAX / 4.0 {
        (low, high) = (high, high * 2.0);
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if 1.0 - outside(middle, degrees)? < level { low = middle } else { high = middle }
    }
    Ok(high)
}

/// `P(|t| > x)`.
fn outside(x: f64, degrees: f64) -> Result<f64> {
    incomplete_beta(degrees / (degrees + x * x), 0.5 * degrees, 0.5)
}

/// `I_z(a, b)`.
fn incomplete_beta(z: f64, a: f64, b: f64) -> Result<f64> {
    if z <= 0.0 || z >= 1.0 {
        return Ok(if z <= 0.0 { 0.0 } else { 1.0 });
    }
    let front =
        libm::exp(libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * libm::log(z) + b * libm::log1p(-z));
    // the fraction converges fast on one side of the mean only
    if z < (a + 1.0) / (a + b + 2.0) {
        Ok(front / a * fraction(z, a, b)?)
    } else {
        Ok(1.0 - front / b * fraction(1.0 - z, b, a)?)
    }
}

/// The continued fraction, by the modified Lentz method.
fn fraction(z: f64, a: f64, b: f64) -> Result<f64> {
    let safe = |x: f64| if x.abs() < 1e-300 { 1e-300 } else { x };
    let (mut c, mut d) = (1.0, 1.0 / safe(1.0 - (a + b) * z / (a + 1.0)));
    let mut value = d;
    for m in 1..=TERMS {
        let m = m as f64;
        let even = m * (b - m) * z / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * z / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            d = 1.0 / safe(1.0 + term * d);
            c = safe(1.0 + term / c);
            change = c * d;
            value *= change;
        }
        if (change - 1.0).abs() < 1e-15 {
            return Ok(value);
        }
    }
    Err(Error::NoConvergence { iterations: TERMS, residual: 1.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_the_tables() {
        let expected = [
            (0.95, 1.0, 12.706_204_736_432_1),
            (0.95, 2.0, 4.302_652_729_911_28),
            (0.95, 19.0, 2.093_024_054_408_26),
            (0.99, 5.0, 4.032_142_983_557_54),
            (0.5, 1.0, 1.0),
            (0.0, 3.0, 0.0),
        ];
        for (level, degrees, x) in expected {
            let found = two_sided_quantile(level, degrees).unwrap();
            assert!((found - x).abs() < 1e-9 * (1.0 + x), "{level} {degrees}: {found}");
        }
        assert!((two_sided_quantile(0.95, 1e9).unwrap() - 1.959_963_98).abs() < 1e-5);
        assert!(two_sided_quantile(1.0, 3.0).is_err() && two_sided_quantile(0.5, 0.0).is_err());
    }
}
