//! Pearson's correlation, and the interval that independent pairs would give it.
//!
//! ```text
//! r = Σ (x - x̄)(y - ȳ) / √(Σ (x - x̄)² Σ (y - ȳ)²)
//! tanh(atanh r ± z/√(n - 3)),  z = normal quantile at (1 + level)/2
//! ```
//!
//! Source: Fisher, "On the 'probable error' of a coefficient of correlation deduced from a small sample", Metron 1, 1921, for
//! the interval.

use alloc::vec::Vec;

use super::normal::quantile;
use crate::Result;
use crate::error::check_each;

/// Spread in units of the rounding of one value below which numbers count as equal.
const ROUNDINGS: f64 = 4.0;

/// Ends of the interval of Fisher's `z` around a correlation `r` of `n` pairs; `None` for `n <= 3`.
///
/// It is right for pairs that are independent of each other. Tokens of one text are not, and the interval is then too
/// narrow: resample whole texts instead ([`super::bootstrap`]).
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for a correlation outside `[-1, 1]` or a level outside `[0, 1)`.
///
/// # Example
/// ```
/// let (low, high) = limpid::math::correlation::fisher_interval(0.8, 640, 0.95)?.unwrap();
/// assert!((low - 0.770_255_5).abs() < 1e-7 && (high - 0.826_271_4).abs() < 1e-7);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn fisher_interval(r: f64, n: u64, level: f64) -> Result<Option<(f64, f64)>> {
    check_each("r", &[r], "-1 <= r <= 1", |r: f64| (-1.0..=1.0).contains(&r))?;
    check_level(level)?;
    if n <= 3 {
        return Ok(None);
    }
    if r.abs() >= 1.0 {
        return Ok(Some((r, r)));
    }
    let (centre, reach) = (libm::atanh(r), quantile(0.5 * (1.0 + level)) / libm::sqrt((n - 3) as f64));
    Ok(Some((libm::tanh(centre - reach), libm::tanh(centre + reach))))
}

/// Checks a confidence level.
pub(crate) fn check_level(level: f64) -> Result<()> {
    check_each("level", &[level], "0 <= level < 1", |level: f64| (0.0..1.0).contains(&level))
}

/// `both/√(of_x of_y)`; `None` where a side does not vary.
pub(crate) fn of_moments(both: f64, of_x: f64, of_y: f64) -> Option<f64> {
    let product = of_x * of_y;
    // one root of the product is exact where the sides are equal; two roots never overflow
    let length = if product.is_normal() { libm::sqrt(product) } else { libm::sqrt(of_x) * libm::sqrt(of_y) };
    (of_x > 0.0 && of_y > 0.0).then(|| (both / length).clamp(-1.0, 1.0))
}

/// Pearson's correlation of two lists of equal length, each with the rounding of its values; `None` for fewer than two, or
/// where one side does not vary by more than rounding.
pub(crate) fn pearson((x, of_x): (&[f64], f64), (y, of_y): (&[f64], f64)) -> Option<f64> {
    let varies = |values: &[f64], rounding: f64| {
        let (low, high) =
            values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(*v), high.max(*v)));
        high - low > ROUNDINGS * rounding
    };
    if !varies(x, of_x) || !varies(y, of_y) {
        return None;
    }
    let (x, y) = (centred(x), centred(y));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    of_moments(product(&x, &y), product(&x, &x), product(&y, &y))
}

/// Distances from the mean, the largest brought to about 1 so that squares neither overflow nor vanish.
fn centred(values: &[f64]) -> Vec<f64> {
    let count = values.len() as f64;
    let mean: f64 = values.iter().map(|value| value / count).sum();
    let largest = values.iter().map(|value| (value - mean).abs()).fold(0.0, f64::max);
    values.iter().map(|value| (value - mean) / largest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_no_variation() {
        let exact = |x: &[f64], y: &[f64]| pearson((x, 0.0), (y, 0.0));
        assert!(exact(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]).unwrap() > 1.0 - 1e-15);
        assert_eq!((exact(&[1.0, 1.0], &[1.0, 2.0]), exact(&[1.0], &[1.0]), exact(&[], &[])), (None, None, None));
        assert_eq!(pearson((&[1.0, 1.0 + 1e-16, 1.0 + 4e-16], f64::EPSILON), (&[0.0, 1.0, 2.0], 0.0)), None);
        assert_eq!(exact(&[1e300, -1e300], &[1e-300, -1e-300]), Some(1.0));
    }

    #[test]
    fn moments_of_any_size_correlate() {
        assert_eq!(of_moments(1e200, 1e200, 1e200), Some(1.0));
        assert!((of_moments(-1e-200, 1e-200, 1e-200).unwrap() + 1.0).abs() < 1e-15);
        assert_eq!((of_moments(0.0, 0.0, 1.0), of_moments(1.0, 1.0, f64::NAN)), (None, None));
    }

    #[test]
    fn intervals_of_independent_pairs() {
        let close = |r, n, level, low: f64, high: f64| {
            let (a, b) = fisher_interval(r, n, level).unwrap().unwrap();
            assert!((a - low).abs() < 1e-12 && (b - high).abs() < 1e-12, "{a} {b}");
        };
        close(0.1, 640, 0.95, 0.022_674_859_957_168_506, 0.176_135_804_339_234_34);
        close(-0.35, 50, 0.9, -0.540_859_937_217_538_9, -0.124_862_165_224_136_66);
        close(0.5, 4, 0.95, -0.887_633_746_430_115_4, 0.986_858_570_398_514_5);
        assert_eq!(fisher_interval(1.0, 20, 0.95), Ok(Some((1.0, 1.0))));
        assert_eq!(fisher_interval(0.5, 3, 0.95), Ok(None));
        assert!(fisher_interval(1.5, 9, 0.95).is_err() && fisher_interval(0.0, 9, 1.0).is_err());
    }
}
