//! The normal distribution: density, distribution function and quantiles.
//!
//! ```text
//! φ(x) = e^(-x²/2)/√(2π)      Φ(x) = erfc(-x/√2)/2      Φ(quantile(p)) = p
//! ```
//!
//! The quantile starts from a rational approximation that is off by less than 4.5e-4, and takes Halley steps in the tail,
//! where nothing cancels.
//!
//! Source: Abramowitz and Stegun, "Handbook of Mathematical Functions" (1964), 26.2.23, for the start.

/// `1/√(2π)`.
const DENSITY_AT_0: f64 = 0.5 * core::f64::consts::FRAC_2_SQRT_PI * core::f64::consts::FRAC_1_SQRT_2;

/// Steps that triple the digits of the start each: two are enough.
const STEPS: usize = 3;

/// `φ(x)`.
#[must_use]
pub fn density(x: f64) -> f64 {
    DENSITY_AT_0 * libm::exp(-0.5 * x * x)
}

/// `Φ(x)`, the chance of a value below `x`.
#[must_use]
pub fn below(x: f64) -> f64 {
    0.5 * libm::erfc(-x * core::f64::consts::FRAC_1_SQRT_2)
}

/// The `x` with `Φ(x) = p`; infinite at the ends, NaN outside `0 <= p <= 1`.
///
/// # Example
/// ```
/// let x = limpid::math::normal::quantile(0.975);
/// assert!((x - 1.959_963_984_540_054).abs() < 1e-14);
/// ```
#[must_use]
pub fn quantile(p: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    // in the upper tail: p above the median mirrors the quantile of what is left
    let tail = p.min(1.0 - p);
    if tail <= 0.0 {
        return if p > 0.5 { f64::INFINITY } else { f64::NEG_INFINITY };
    }
    let t = libm::sqrt(-2.0 * libm::log(tail));
    let mut x =
        t - (2.515_517 + t * (0.802_853 + t * 0.010_328)) / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)));
    for _ in 0..STEPS {
        let step = (tail - below(-x)) / density(x);
        if !step.is_finite() {
            break;
        }
        x -= step / (1.0 + 0.5 * x * step);
    }
    if p > 0.5 { x } else { -x }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_the_tables() {
        let expected = [
            (0.5, 0.0),
            (0.975, 1.959_963_984_540_054),
            (0.95, 1.644_853_626_951_472_7),
            (0.01, -2.326_347_874_040_841),
            (1e-10, -6.361_340_902_404_056),
        ];
        for (p, x) in expected {
            assert!((quantile(p) - x).abs() < 1e-13 * (1.0 + f64::abs(x)), "{p}: {}", quantile(p));
        }
    }

    #[test]
    fn the_quantile_inverts_the_distribution() {
        for step in 1..1000 {
            let p = f64::from(step) / 1000.0;
            assert!((below(quantile(p)) - p).abs() < 1e-15 && (quantile(1.0 - p) + quantile(p)).abs() < 1e-13, "{p}");
        }
        let slope = (below(0.7 + 1e-6) - below(0.7 - 1e-6)) / 2e-6;
        assert!((density(0.7) - slope).abs() < 1e-10);
    }

    #[test]
    fn the_ends_are_infinite_and_what_is_outside_is_nan() {
        assert_eq!((quantile(0.0), quantile(1.0)), (f64::NEG_INFINITY, f64::INFINITY));
        assert!(quantile(f64::NAN).is_nan() && quantile(-0.1).is_nan() && quantile(1.1).is_nan());
        assert!(quantile(1e-300) < -37.0 && quantile(f64::from_bits(1)).is_finite());
    }
}
