//! Input normalisation: what is done to an input before encoding, and undone after decoding.
//!
//! ```text
//! scale           x' = s x                              undone by division
//! constant_norm   x' = x √d/‖x‖ per sample              undone by division
//! layer_norm      x' = (x - μ)/(σ + ε) per sample       undone as y σ + μ
//! ```
//!
//! It belongs to the weights: an autoencoder that was trained on scaled inputs is a different function on raw ones.
//! [`expected_average_scale`] is `√d / mean ‖x‖`, [`unit_mean_square_scale`] is `1/√(mean ‖x‖²)`.
//!
//! Source: Conerly et al., "Circuits Updates, April 2024" for the scale; Gao et al. (arXiv 2406.04093) for the layer norm,
//! whose deviation is the unbiased one and whose ε is not put back.

use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef1, ArrayRef2, Axis, CowArray, Ix2};

use crate::error::{check_each, check_finite, check_not_empty};
use crate::math::reduce::{norm, sum};
use crate::{Error, Result, Scalar};

/// What is done to inputs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum InputNormalisation<T> {
    /// Nothing.
    #[default]
    None,
    /// One scale for all inputs.
    Scale(T),
    /// Every sample to the length `√d`.
    ConstantNorm,
    /// Every sample to mean 0 and deviation 1.
    LayerNorm {
        /// Added to the deviation.
        epsilon: T,
        /// Whether the deviation divides by `d - 1`.
        unbiased: bool,
    },
}

/// How to undo a normalisation: `y ↦ y · scale + shift`, per sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Restore<T> {
    /// `(scale, shift)` per sample.
    pub samples: Vec<(T, T)>,
}

impl<T: Scalar> InputNormalisation<T> {
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::None | Self::ConstantNorm => Ok(()),
            Self::Scale(scale) => {
                check_each("input scale", &[*scale], "finite and > 0", |s: T| s > T::zero() && s.is_finite())
            }
            Self::LayerNorm { epsilon, .. } => {
                check_each("epsilon of the layer norm", &[*epsilon], "finite and >= 0", |e: T| {
                    e >= T::zero() && e.is_finite()
                })
            }
        }
    }

    /// Normalised inputs `(b, d)` of `x: (b, d)`, row-major whatever the layout of `x`, and how to come back.
    ///
    /// # Errors
    /// [`Error::NotFinite`]; [`Error::Singular`] for a sample without length or deviation.
    ///
    /// # Example
    /// ```
    /// use limpid::sae::InputNormalisation;
    /// use ndarray::array;
    ///
    /// let (x, _) = InputNormalisation::ConstantNorm.apply(&array![[3.0, 4.0]])?;
    /// assert!((x[[0, 0]] * x[[0, 0]] + x[[0, 1]] * x[[0, 1]] - 2.0_f64).abs() < 1e-12);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn apply(&self, x: &ArrayRef2<T>) -> Result<(Array2<T>, Restore<T>)> {
        self.check()?;
        check_finite("x", x)?;
        let mut out = x.as_standard_layout().into_owned();
        let samples = out.rows_mut().into_iter().map(|mut row| self.apply_row(&mut row)).collect::<Result<_>>()?;
        Ok((out, Restore { samples }))
    }

    /// The inputs of [`Self::apply`], without a copy where they are as they should be.
    pub(super) fn seen<'a>(&self, x: &'a ArrayRef2<T>) -> Result<CowArray<'a, T, Ix2>> {
        if *self == Self::None && x.is_standard_layout() {
            check_finite("x", x)?;
            return Ok(x.view().into());
        }
        Ok(self.apply(x)?.0.into())
    }

    /// Normalises one finite sample in place; gives the scale and the shift that undo it.
    pub(super) fn apply_row(&self, x: &mut ArrayRef1<T>) -> Result<(T, T)> {
        match *self {
            Self::None => Ok((T::one(), T::zero())),
            Self::Scale(scale) => {
                *x *= scale;
                Ok((scale.recip(), T::zero()))
            }
            Self::ConstantNorm => {
                let back = positive(norm(x) / T::of(libm::sqrt(x.len() as f64)))?;
                *x /= back;
                Ok((back, T::zero()))
            }
            Self::LayerNorm { epsilon, unbiased } => {
                let mean = sum(x) / T::of(x.len() as f64);
                *x -= mean;
                let count = if unbiased { x.len().saturating_sub(1) } else { x.len() };
                let root = T::of(libm::sqrt(count as f64));
                let deviation = if count == 0 { T::zero() } else { norm(x) / root };
                *x /= positive(deviation + epsilon)?;
                Ok((deviation, mean))
            }
        }
    }
}

impl<T: Scalar> Restore<T> {
    /// Brings reconstructions `y: (b, d)` of normalised inputs back to raw units.
    pub fn undo(&self, y: &mut ArrayRef2<T>) {
        for (mut row, &(scale, shift)) in y.rows_mut().into_iter().zip(&self.samples) {
            if (scale, shift) != (T::one(), T::zero()) {
                row.mapv_inplace(|v| v * scale + shift);
            }
        }
    }
}

fn positive<T: Scalar>(x: T) -> Result<T> {
    if x > T::zero() { Ok(x) } else { Err(Error::Singular { what: "normalisation of a sample" }) }
}

/// The scale `√d / mean ‖x‖` of `x: (b, d)`.
///
/// # Errors
/// [`Error::Empty`], [`Error::NotFinite`]; [`Error::Singular`] where all samples are 0.
pub fn expected_average_scale<T: Scalar>(x: &ArrayRef2<T>) -> Result<T> {
    scale(x, |lengths, d| libm::sqrt(d) / (lengths.iter().sum::<f64>() / lengths.len() as f64))
}

/// The scale `1/√(mean ‖x‖²)` of `x: (b, d)`.
///
/// # Errors
/// As [`expected_average_scale`].
pub fn unit_mean_square_scale<T: Scalar>(x: &ArrayRef2<T>) -> Result<T> {
    scale(x, |lengths, _| libm::sqrt(lengths.len() as f64 / lengths.iter().map(|l| l * l).sum::<f64>()))
}

fn scale<T: Scalar>(x: &ArrayRef2<T>, of: impl Fn(&[f64], f64) -> f64) -> Result<T> {
    check_not_empty("x", x)?;
    check_finite("x", x)?;
    let lengths: Vec<f64> = x.axis_iter(Axis(0)).map(|row| norm(&row).as_f64()).collect();
    let scale = of(&lengths, x.ncols() as f64);
    if scale.is_finite() { Ok(T::of(scale)) } else { Err(Error::Singular { what: "scale of inputs that are all 0" }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn every_kind_comes_back() {
        let x = array![[1.0, -0.5, 2.0], [0.5, 1.5, -1.0]];
        let kinds = [
            InputNormalisation::None,
            InputNormalisation::Scale(0.3),
            InputNormalisation::ConstantNorm,
            InputNormalisation::LayerNorm { epsilon: 0.0, unbiased: true },
        ];
        for kind in kinds {
            let (mut y, restore) = kind.apply(&x).unwrap();
            restore.undo(&mut y);
            assert!((&y - &x).iter().all(|e: &f64| e.abs() < 1e-14), "{kind:?}");
        }
    }

    #[test]
    fn samples_without_extent_are_errors() {
        let zero = array![[0.0, 0.0]];
        assert!(matches!(InputNormalisation::ConstantNorm.apply(&zero), Err(Error::Singular { .. })));
        let strict = InputNormalisation::LayerNorm { epsilon: 0.0, unbiased: false };
        assert!(strict.apply(&array![[2.0, 2.0]]).is_err());
        assert!(expected_average_scale(&zero).is_err() && unit_mean_square_scale(&zero).is_err());
        assert!(InputNormalisation::Scale(-1.0).apply(&zero).is_err());
    }
}
