//! The slope of an activation between two points, without cancellation where they are close.
//!
//! ```text
//! s(a, b) = (φ(a) - φ(b))/(a - b),  φ'(a) where a = b         δ = a - b,  sinhc t = sinh t/t
//! tanh     sinhc(δ)/(cosh a cosh b)
//! sigmoid  sinhc(δ/2)/(4 cosh(a/2) cosh(b/2))
//! relu     1 or 0 where both points lie on one side, the quotient otherwise
//! others   the mean of φ' over [b, a] by Gauss-Legendre where |δ| < 0.01, the quotient otherwise
//! ```
//!
//! The plain quotient in single precision is wrong by several per cent for `δ` near 10⁻⁶, where libraries with a threshold
//! of 10⁻¹⁰ still use it.
//!
//! Source: derived here from the addition theorems of the hyperbolic functions.

use crate::Scalar;
use crate::math::pointwise::Activation;

/// Slope of `activation` between `a` and `b`.
///
/// # Example
/// ```
/// use limpid::attribution::rules::secant;
/// use limpid::math::pointwise::Activation;
///
/// assert!((secant(Activation::Tanh, 1.0, -1.0) - 1.0_f64.tanh()).abs() < 1e-15);
/// // the derivative in the limit
/// assert!((secant(Activation::Tanh, 0.3, 0.3) - (1.0 - 0.3_f64.tanh().powi(2))).abs() < 1e-15);
/// ```
#[must_use]
pub fn secant<T: Scalar>(activation: Activation, a: T, b: T) -> T {
    if activation == Activation::Relu {
        return relu(a, b);
    }
    let (a, b) = (a.as_f64(), b.as_f64());
    let delta = a - b;
    T::of(match activation {
        Activation::Identity => 1.0,
        // far apart nothing cancels, and the hyperbolic functions would overflow
        Activation::Tanh if delta.abs() <= 1.0 => sinhc(delta) / (libm::cosh(a) * libm::cosh(b)),
        Activation::Sigmoid if delta.abs() <= 1.0 => {
            0.25 * sinhc(0.5 * delta) / (libm::cosh(0.5 * a) * libm::cosh(0.5 * b))
        }
        _ if delta.abs() < 1e-2 => mean_derivative(activation, a, b),
        _ => (activation.value(a) - activation.value(b)) / delta,
    })
}

/// Multiplies each of `m` by the slope between the values of `a` and `b` at its place.
pub(super) fn multiply_by_secants<'a, T: Scalar>(
    activation: Activation,
    m: impl IntoIterator<Item = &'a mut T>,
    ends: impl IntoIterator<Item = (&'a T, &'a T)>,
) {
    let pairs = m.into_iter().zip(ends);
    if activation == Activation::Relu {
        return pairs.for_each(|(m, (&a, &b))| *m *= relu(a, b));
    }
    pairs.for_each(|(m, (&a, &b))| *m *= secant(activation, a, b));
}

/// Without branches, so that a loop over it becomes one over vectors.
fn relu<T: Scalar>(a: T, b: T) -> T {
    let (first, second) = (a > T::zero(), b > T::zero());
    let same = if first { T::one() } else { T::zero() };
    let quotient = (a.max(T::zero()) - b.max(T::zero())) / (a - b);
    if first == second { same } else { quotient }
}

fn sinhc(t: f64) -> f64 {
    if t.abs() < 1e-4 { 1.0 + t * t / 6.0 } else { libm::sinh(t) / t }
}

/// Nodes in `[0, 1]` and weights of five-point Gauss-Legendre quadrature: exact to rounding on short intervals.
const GAUSS: [(f64, f64); 5] = [
    (0.046_910_077_030_668, 0.118_463_442_528_094_54),
    (0.230_765_344_947_158_46, 0.239_314_335_249_683_23),
    (0.5, 0.284_444_444_444_444_44),
    (0.769_234_655_052_841_5, 0.239_314_335_249_683_23),
    (0.953_089_922_969_332, 0.118_463_442_528_094_54),
];

fn mean_derivative(activation: Activation, a: f64, b: f64) -> f64 {
    GAUSS.iter().map(|(point, weight)| weight * activation.derivative(b + point * (a - b))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_points_give_the_quotient() {
        for activation in Activation::ALL {
            for (a, b) in [(2.0_f64, -1.0), (0.3, 0.9), (-3.0, -0.5), (40.0, -60.0), (1e3, -1e3)] {
                let quotient = (activation.value(a) - activation.value(b)) / (a - b);
                assert!((secant(activation, a, b) - quotient).abs() < 1e-14, "{activation:?} {a} {b}");
                assert_eq!(secant(activation, a, b), secant(activation, b, a), "{activation:?}");
            }
        }
        assert!((secant::<f64>(Activation::Sigmoid, 2.0, -1.0) - 0.203_951_885_535_96).abs() < 1e-14);
    }

    #[test]
    fn near_points_give_the_slope() {
        for activation in Activation::ALL {
            for a in [-2.0_f64, -0.1, 0.7, 3.0, 900.0] {
                for delta in [0.0, 1e-13, 1e-9, 1e-6, 5e-3] {
                    let slope = activation.derivative(a + 0.5 * delta);
                    // up to a third derivative times δ²/24
                    assert!(
                        (secant(activation, a + delta, a) - slope).abs() < 0.1 * delta * delta + 1e-14,
                        "{activation:?} {a} {delta}"
                    );
                }
            }
        }
    }

    #[test]
    fn single_precision_keeps_its_digits() {
        let (a, b) = (0.3_f32, 0.300_001_f32);
        let exact = secant(Activation::Tanh, f64::from(a), f64::from(b));
        assert!((f64::from(secant(Activation::Tanh, a, b)) - exact).abs() < 1e-7);
        let quotient = (a.tanh() - b.tanh()) / (a - b);
        assert!((f64::from(quotient) - exact).abs() > 1e-3, "the plain quotient is off: {quotient} against {exact}");
    }
}
