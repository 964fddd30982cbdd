//! Importance curves and density grids: the axes of the published experiments.
//!
//! ```text
//! geometric   I_i = ratio^(i + offset)              log-spaced  I_i = last^(i/(n - 1)), 1 for a single point
//! density     p_i = base^-(from + (to - from) i/(count - 1)),  base^-from for a single point
//! ```
//!
//! Density is the probability that a feature is present: 1 minus the paper's sparsity.
//!
//! Source: Elhage et al. (2022) and its notebook.

use ndarray::Array1;

use crate::error::{check_each, check_limit};
use crate::{Result, Scalar};

const MAX_COUNT: usize = 1 << 28;

/// Importances `ratio^(i + offset)`, `(count)`.
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for a ratio that is not finite and above 0,
/// [`Error::TooLarge`](crate::Error::TooLarge) for an absurd count.
///
/// # Example
/// ```
/// use limpid::superposition::importance::geometric;
/// assert_eq!(geometric::<f64>(3, 0.5, 0)?, ndarray::array![1.0, 0.5, 0.25]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn geometric<T: Scalar>(count: usize, ratio: f64, offset: usize) -> Result<Array1<T>> {
    check_positive("ratio", ratio)?;
    check_limit("count", count, MAX_COUNT)?;
    Ok((0..count).map(|i| T::of(libm::pow(ratio, i.saturating_add(offset) as f64))).collect())
}

/// Importances that fall from 1 to `last` in equal ratios, `(count)`.
///
/// # Errors
/// As [`geometric`], for `last`.
pub fn log_spaced<T: Scalar>(count: usize, last: f64) -> Result<Array1<T>> {
    check_positive("last", last)?;
    check_limit("count", count, MAX_COUNT)?;
    Ok((0..count).map(|i| T::of(libm::pow(last, along(i, count)))).collect())
}

/// Densities `base^-t` for `count` equally spaced `t` between `from` and `to`, `(count)`.
///
/// # Errors
/// As [`geometric`], for `base`; [`Error::OutOfRange`](crate::Error::OutOfRange) for ends that are not finite.
pub fn density_grid<T: Scalar>(base: f64, from: f64, to: f64, count: usize) -> Result<Array1<T>> {
    check_positive("base", base)?;
    check_each("from and to", &[from, to], "finite", |x: f64| x.is_finite())?;
    check_limit("count", count, MAX_COUNT)?;
    Ok((0..count).map(|i| T::of(libm::pow(base, -(from + (to - from) * along(i, count))))).collect())
}

fn check_positive(what: &'static str, x: f64) -> Result<()> {
    check_each(what, &[x], "finite and > 0", |x: f64| x > 0.0 && x.is_finite())
}

/// Position of point `i` between the first (0) and the last (1).
fn along(i: usize, count: usize) -> f64 {
    if count > 1 { i as f64 / (count - 1) as f64 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn ends_and_single_points() {
        assert_eq!(log_spaced::<f64>(1, 0.1).unwrap(), array![1.0]);
        assert_eq!(log_spaced::<f64>(3, 0.25).unwrap(), array![1.0, 0.5, 0.25]);
        assert_eq!(density_grid::<f64>(4.0, 0.5, 1.0, 2).unwrap(), array![0.5, 0.25]);
        assert_eq!(density_grid::<f64>(4.0, 0.5, 1.0, 1).unwrap(), array![0.5]);
        assert!(geometric::<f32>(2, f64::NAN, 0).is_err() && geometric::<f32>(usize::MAX, 0.5, 0).is_err());
    }
}
