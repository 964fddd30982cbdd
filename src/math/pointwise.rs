//! Activation functions and their derivatives.
//!
//! ```text
//! relu x = max(x, 0), its derivative at 0 is 0      sigmoid x = 1/(1 + e^-x)      silu x = x sigmoid x
//! gelu x = x (1 + erf(x/√2))/2                      gelu_tanh x = x (1 + tanh(√(2/π) (x + 0.044715 x³)))/2
//! ```
//!
//! Everything is computed in double precision with `libm` and rounded once, so that every platform gives the same bits.
//! NaN stays NaN.
//!
//! Source: Hendrycks and Gimpel, "Gaussian Error Linear Units" (arXiv 1606.08415), for both forms of GELU and for SiLU.

use ndarray::{Array2, ArrayRef2};

use super::normal;
use crate::Scalar;
use crate::error::check_shape;
use crate::{Result, error::check_not_empty};

/// An activation function that acts on each element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Activation {
    /// `x`.
    #[default]
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `tanh x`.
    Tanh,
    /// `1/(1 + e^-x)`.
    Sigmoid,
    /// `x Φ(x)` with the normal distribution function.
    Gelu,
    /// The approximation of [`Activation::Gelu`] by a hyperbolic tangent.
    GeluTanh,
    /// `x sigmoid x`, also called swish.
    Silu,
}

const ROOT_HALF: f64 = core::f64::consts::FRAC_1_SQRT_2;
/// `√(2/π)`.
const TANH_SCALE: f64 = core::f64::consts::FRAC_2_SQRT_PI * ROOT_HALF;
const TANH_CUBE: f64 = 0.044_715;

impl Activation {
    /// Every activation.
    pub const ALL: [Self; 7] =
        [Self::Identity, Self::Relu, Self::Tanh, Self::Sigmoid, Self::Gelu, Self::GeluTanh, Self::Silu];

    /// The function at `x`.
    ///
    /// # Example
    /// ```
    /// use limpid::math::pointwise::Activation;
    /// assert_eq!(Activation::Relu.value(-2.0), 0.0);
    /// assert_eq!(Activation::Sigmoid.value(0.0), 0.5);
    /// ```
    #[must_use]
    pub fn value<T: Scalar>(self, x: T) -> T {
        if self == Self::Relu {
            return if x <= T::zero() { T::zero() } else { x };
        }
        let x = x.as_f64();
        T::of(match self {
            Self::Identity | Self::Relu => x,
            Self::Tanh => libm::tanh(x),
            Self::Sigmoid => sigmoid(x),
            Self::Gelu => x * normal::below(x),
            Self::GeluTanh => 0.5 * x * (1.0 + libm::tanh(TANH_SCALE * (x + TANH_CUBE * x * x * x))),
            Self::Silu => x * sigmoid(x),
        })
    }

    /// The derivative at `x`; 0 for [`Activation::Relu`] at 0.
    #[must_use]
    pub fn derivative<T: Scalar>(self, x: T) -> T {
        let x = x.as_f64();
        T::of(match self {
            Self::Identity => 1.0,
            Self::Relu if x.is_nan() => x,
            Self::Relu => f64::from(u8::from(x > 0.0)),
            Self::Tanh => {
                let cosh = libm::cosh(x);
                1.0 / (cosh * cosh)
            }
            Self::Sigmoid => sigmoid(x) * sigmoid(-x),
            Self::Gelu => normal::below(x) + finite_product(x, normal::density(x)),
            Self::GeluTanh => {
                let inner = TANH_SCALE * (x + TANH_CUBE * x * x * x);
                let (tanh, cosh) = (libm::tanh(inner), libm::cosh(inner));
                let slope = TANH_SCALE * (1.0 + 3.0 * TANH_CUBE * x * x);
                0.5 * (1.0 + tanh) + 0.5 * finite_product(x * slope, 1.0 / (cosh * cosh))
            }
            Self::Silu => sigmoid(x) + finite_product(x, sigmoid(x) * sigmoid(-x)),
        })
    }

    /// The function at every element of `x: (b, n)`.
    #[must_use]
    pub fn forward<T: Scalar>(self, x: &ArrayRef2<T>) -> Array2<T> {
        x.mapv(|x| self.value(x))
    }

    /// Gradient `(b, n)` by `x: (b, n)` from the gradient by the output, `by_output: (b, n)`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape).
    pub fn backward<T: Scalar>(self, x: &ArrayRef2<T>, by_output: &ArrayRef2<T>) -> Result<Array2<T>> {
        check_shape("by_output", by_output, x.shape())?;
        let mut gradient = x.mapv(|x| self.derivative(x));
        gradient.zip_mut_with(by_output, |slope, &g| *slope *= g);
        Ok(gradient)
    }
}

/// Softmax `e^x_j / Σ_k e^x_k` of every row of `x: (b, c)`, shifted by the largest entry so that nothing overflows.
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty) for rows without entries.
pub fn softmax<T: Scalar>(x: &ArrayRef2<T>) -> Result<Array2<T>> {
    check_not_empty("x", x)?;
    let mut out = x.to_owned();
    for mut row in out.rows_mut() {
        let largest = row.iter().fold(f64::NEG_INFINITY, |largest, x| largest.max(x.as_f64()));
        let total: f64 = row.iter().map(|x| libm::exp(x.as_f64() - largest)).sum();
        row.mapv_inplace(|x| T::of(libm::exp(x.as_f64() - largest) / total));
    }
    Ok(out)
}

/// Gradient `(b, c)` by the input of [`softmax`] from its output `y: (b, c)` and the gradient by it, `by_output: (b, c)`:
/// `y ⊙ (g - Σ_k g_k y_k)`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape).
pub fn softmax_backward<T: Scalar>(y: &ArrayRef2<T>, by_output: &ArrayRef2<T>) -> Result<Array2<T>> {
    check_shape("by_output", by_output, y.shape())?;
    let mut gradient = by_output.to_owned();
    for (mut g, y) in gradient.rows_mut().into_iter().zip(y.rows()) {
        let mean = T::of(g.iter().zip(y).map(|(&g, &y)| g.as_f64() * y.as_f64()).sum());
        g.zip_mut_with(&y, |g, &y| *g = y * (*g - mean));
    }
    Ok(gradient)
}

/// `1/(1 + e^-x)`.
pub(crate) fn sigmoid(x: f64) -> f64 {
    // the exponential of a negative number never overflows
    let e = libm::exp(-x.abs());
    if x >= 0.0 || x.is_nan() { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

/// `a b` where `b` vanishes faster than `a` grows: 0, not NaN, for an infinite `a`.
fn finite_product(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a * b }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::array;

    #[test]
    fn known_values() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-15, "{a} {b}");
        close(Activation::Gelu.value(1.0), 0.841_344_746_068_542_9);
        close(Activation::GeluTanh.value(1.0), 0.841_191_990_608_276_8);
        close(Activation::Silu.value(1.0), 0.731_058_578_630_004_9);
        close(Activation::Tanh.value(0.5), 0.462_117_157_260_009_8);
        assert_eq!(Activation::Relu.derivative(0.0), 0.0);
    }

    #[test]
    fn derivatives_are_slopes() {
        for f in Activation::ALL {
            for x in [-7.0_f64, -1.3, -0.2, 0.1, 0.9, 4.0] {
                let slope = (f.value(x + 1e-6) - f.value(x - 1e-6)) / 2e-6;
                assert!((f.derivative(x) - slope).abs() < 1e-9, "{f:?} {x}");
            }
        }
    }

    #[test]
    fn extremes_stay_numbers_and_nan_stays_nan() {
        for f in Activation::ALL {
            for x in [f64::MAX, 1e3, -1e3, f64::MIN] {
                assert!(!f.value(x).is_nan() && f.derivative(x).is_finite(), "{f:?} {x}");
            }
            assert!(f.value(f64::NAN).is_nan(), "{f:?}");
            assert!(f == Activation::Identity || f.derivative(f32::NAN).is_nan(), "{f:?}");
        }
        assert_eq!(softmax(&array![[1e300, 0.0]]).unwrap(), array![[1.0, 0.0]]);
    }

    #[test]
    fn gradients_pass_back_through_rows() {
        let (x, g) = (array![[0.3, -0.2, 0.9]], array![[0.5, -1.0, 2.0]]);
        let objective = |x: &Array2<f64>| (&softmax(x).unwrap() * &g).sum() + (Activation::Gelu.forward(x) * &g).sum();
        let gradient =
            softmax_backward(&softmax(&x).unwrap(), &g).unwrap() + Activation::Gelu.backward(&x, &g).unwrap();
        for i in 0..3 {
            let (mut up, mut down) = (x.clone(), x.clone());
            up[[0, i]] += 1e-6;
            down[[0, i]] -= 1e-6;
            assert!((gradient[[0, i]] - (objective(&up) - objective(&down)) / 2e-6).abs() < 1e-9);
        }
        assert!(matches!(softmax_backward(&x, &array![[1.0]]), Err(Error::Shape { .. })));
        assert!(softmax(&Array2::<f32>::zeros((2, 0))).is_err());
    }
}
