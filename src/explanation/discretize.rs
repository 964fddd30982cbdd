//! Activations as whole numbers, which is what language models are shown and asked for.
//!
//! ```text
//! floor     min(L, ⌊L relu(x) / M⌋),  and L wherever x >= M > 0
//! nearest   min(L, ⌊L relu(x) / M + 1/2⌋)
//! ceil      clamp(⌈L x / max(M, 10⁻⁶)⌉, 0, L)
//! ```
//!
//! `L` is the number of levels (10 is usual), `M` the activation that becomes `L`. All but ceil give 0 where `M <= 0`.
//!
//! Source: S. Bills et al., "Language models can explain neurons in language models" (2023), where activations become
//! 0..10 of the neuron's largest.

use ndarray::{Array1, ArrayRef1};

use crate::error::{check_each, check_finite};
use crate::{Result, Scalar};

/// How fractions of a level are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Rounding {
    /// Down; the maximum is always the highest level.
    #[default]
    Floor,
    /// Down, as OpenAI's `automated-interpretability` computes it: rounding may give the maximum itself one level less.
    FloorCompat,
    /// Up, as `delphi` computes it: every positive activation is at least 1, also of a neuron that is never above 0.
    CeilCompat,
    /// To the nearest level, halves up.
    Nearest,
}

/// Largest activation above 0, 0 where there is none.
///
/// # Errors
/// [`Error::NotFinite`](crate::Error::NotFinite).
pub fn largest<T: Scalar>(activations: &ArrayRef1<T>) -> Result<T> {
    check_finite("activations", activations)?;
    Ok(activations.iter().fold(T::zero(), |largest, &x| largest.max(x)))
}

/// The levels `0..=levels` of `activations: (t)`, computed in double precision; `max` becomes the highest.
///
/// # Errors
/// [`Error::NotFinite`](crate::Error::NotFinite) for activations, [`Error::OutOfRange`](crate::Error::OutOfRange) for a `max`
/// that is not finite.
///
/// # Example
/// ```
/// use limpid::explanation::discretize::{Rounding, discretize, largest};
/// use ndarray::array;
///
/// let activations = array![-1.0, 0.2, 3.0, 4.0];
/// let max = largest(&activations)?;
/// assert_eq!(discretize(&activations, max, 10, Rounding::Floor)?, array![0, 0, 7, 10]);
/// assert_eq!(discretize(&activations, max, 10, Rounding::CeilCompat)?, array![0, 1, 8, 10]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn discretize<T: Scalar>(
    activations: &ArrayRef1<T>,
    max: T,
    levels: u32,
    rounding: Rounding,
) -> Result<Array1<u32>> {
    check_finite("activations", activations)?;
    check_each("max", &[max], "finite", |max: T| max.is_finite())?;
    let (max, top) = (max.as_f64(), f64::from(levels));
    let level = |x: f64| match rounding {
        Rounding::CeilCompat => libm::ceil(x * top / max.max(1e-6)),
        _ if max <= 0.0 => 0.0,
        Rounding::Floor if x >= max => top,
        Rounding::Floor | Rounding::FloorCompat => libm::floor(top * x.max(0.0) / max),
        Rounding::Nearest => libm::floor(top * x.max(0.0) / max + 0.5),
    };
    Ok(activations.mapv(|x| whole(level(x.as_f64()).clamp(0.0, top))))
}

/// Share of levels that are not 0; `None` without any.
#[must_use]
pub fn nonzero_fraction(levels: &ArrayRef1<u32>) -> Option<f64> {
    let nonzero = levels.iter().filter(|level| **level > 0).count();
    (!levels.is_empty()).then(|| nonzero as f64 / levels.len() as f64)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and within 0..=levels")]
fn whole(level: f64) -> u32 {
    level as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_maximum_is_the_highest_level() {
        for max in [0.47, 0.94, 1.63, 1.79, 1.88] {
            let of = |rounding| discretize(&array![max, max / 2.0, 0.0], max, 10, rounding).unwrap()[0];
            assert_eq!((of(Rounding::FloorCompat), of(Rounding::Floor), of(Rounding::Nearest)), (9, 10, 10));
        }
    }

    #[test]
    fn a_neuron_that_is_never_positive_is_0() {
        let silent = array![-3.0_f32, -1.0, 0.0];
        assert_eq!(largest(&silent).unwrap(), 0.0);
        for rounding in [Rounding::Floor, Rounding::FloorCompat, Rounding::CeilCompat, Rounding::Nearest] {
            assert_eq!(discretize(&silent, 0.0, 10, rounding).unwrap(), array![0, 0, 0]);
        }
        assert_eq!(discretize(&array![1.0, f64::MAX], 0.0, 10, Rounding::CeilCompat).unwrap(), array![10, 10]);
        assert_eq!(discretize(&array![5e-324], 5e-324, u32::MAX, Rounding::Nearest).unwrap(), array![u32::MAX]);
    }

    #[test]
    fn what_is_not_finite_is_refused() {
        assert!(largest(&array![0.0, f64::NAN]).is_err());
        assert!(discretize(&array![f64::INFINITY], 1.0, 10, Rounding::Floor).is_err());
        assert!(discretize(&array![1.0], f64::NAN, 10, Rounding::Floor).is_err());
        assert_eq!(nonzero_fraction(&array![0, 2, 0, 1]), Some(0.5));
        assert_eq!(nonzero_fraction(&Array1::zeros(0)), None);
    }
}
