//! Feature dimensionality: the share of a hidden dimension that each feature has to itself.
//!
//! ```text
//! D_i = ‖W_i‖² / Σ_j (Ŵ_i · W_j)²      Ŵ_i = W_i / ‖W_i‖,  j over all features, i included
//! D*  = m / ‖W‖_F²
//! ```
//!
//! 1 is a dimension of its own, 1/2 half of an antipodal pair, 2/5 a pentagon, 0 a feature that is not represented. The
//! sum over features never exceeds the rank of `W`.
//!
//! Source: Elhage et al. (2022), section "The Geometry of Superposition". Equal to the capacity `C_i` of Scherlis et al.
//! (arXiv 2210.01892). Two well-known implementations add 1e-6 or 1e-8 to a norm instead of saying what a zero column
//! means; here it is exactly 0.

use ndarray::{Array1, ArrayRef2, Axis};

use super::{frobenius_squared, gram};
use crate::{Result, Scalar};

/// Dimensionality `(n)` of every feature of `w: (m, n)`, each in `[0, 1]`.
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty), [`Error::NotFinite`](crate::Error::NotFinite),
/// [`Error::TooLarge`](crate::Error::TooLarge) above [`MAX_GRAM`](super::MAX_GRAM) features.
///
/// # Example
/// ```
/// use limpid::superposition::geometry::feature_dimensionality;
/// use ndarray::array;
///
/// // an antipodal pair shares one dimension, the third feature has one to itself
/// let w = array![[1.0, -1.0, 0.0], [0.0, 0.0, 2.0]];
/// assert_eq!(feature_dimensionality(&w)?, array![0.5, 0.5, 1.0]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn feature_dimensionality<T: Scalar>(w: &ArrayRef2<T>) -> Result<Array1<T>> {
    let largest = w.iter().fold(T::zero(), |largest, x| largest.max(x.abs()));
    if largest <= T::zero() || !largest.is_finite() {
        return Ok(gram(w)?.map_axis(Axis(0), |_| T::zero()));
    }
    // the ratio does not change with the scale, and fourth powers of raw weights could overflow
    let gram = gram(&w.mapv(|x| x / largest))?;
    Ok(gram.axis_iter(Axis(0)).enumerate().map(|(i, row)| share(row[i], row.iter().map(|&g| g * g).sum())).collect())
}

/// `‖W_i‖⁴ / Σ_j (W_i · W_j)²`, the same ratio without a division by the norm.
fn share<T: Scalar>(norm_squared: T, interference_squared: T) -> T {
    if interference_squared > T::zero() { norm_squared * norm_squared / interference_squared } else { T::zero() }
}

/// Capacity `C_i = (W_i·W_i)² / Σ_j (W_i·W_j)²`, `(n)`: another name for [`feature_dimensionality`].
///
/// Source: Scherlis et al., "Polysemanticity and Capacity in Neural Networks" (arXiv 2210.01892).
///
/// # Errors
/// As [`feature_dimensionality`].
pub fn capacity<T: Scalar>(w: &ArrayRef2<T>) -> Result<Array1<T>> {
    feature_dimensionality(w)
}

/// Features per dimension `‖W‖_F² / m` of `w: (m, n)`.
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty), [`Error::NotFinite`](crate::Error::NotFinite).
pub fn features_per_dimension<T: Scalar>(w: &ArrayRef2<T>) -> Result<T> {
    Ok(frobenius_squared(w)? / T::of(w.nrows() as f64))
}

/// Dimensions per feature `D* = m / ‖W‖_F²` of `w: (m, n)`; `None` where no feature is represented at all.
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty), [`Error::NotFinite`](crate::Error::NotFinite).
pub fn dimensions_per_feature<T: Scalar>(w: &ArrayRef2<T>) -> Result<Option<T>> {
    let total = frobenius_squared(w)?;
    Ok((total > T::zero()).then(|| T::of(w.nrows() as f64) / total))
}

/// Dimensionality `(t)` of training examples from their hidden vectors `hidden: (t, m)`.
///
/// The same ratio as [`feature_dimensionality`], over examples: a model that memorises `t` points gives each `m/t`.
///
/// Source: Henighan et al., "Superposition, Memorization, and Double Descent" (2023).
///
/// # Errors
/// As [`feature_dimensionality`].
pub fn data_dimensionality<T: Scalar>(hidden: &ArrayRef2<T>) -> Result<Array1<T>> {
    feature_dimensionality(&hidden.t())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::superposition::geometry::polytope::polygon;
    use approx::assert_relative_eq;
    use ndarray::array;

    #[test]
    fn a_polygon_shares_its_two_dimensions() {
        for k in 3..9 {
            let w = polygon::<f64>(k);
            assert_relative_eq!(
                feature_dimensionality(&w).unwrap(),
                Array1::from_elem(k, 2.0 / k as f64),
                epsilon = 1e-12
            );
        }
    }

    #[test]
    fn a_feature_that_is_not_represented_has_none() {
        assert_eq!(feature_dimensionality(&array![[0.0_f32, 3.0]]).unwrap(), array![0.0, 1.0]);
        assert_eq!(feature_dimensionality(&array![[0.0_f32, 0.0]]).unwrap(), array![0.0, 0.0]);
        assert_eq!(dimensions_per_feature(&array![[0.0_f32, 0.0]]).unwrap(), None);
    }

    #[test]
    fn huge_and_tiny_weights_do_not_overflow() {
        for scale in [1e30_f32, 1e-30] {
            let w = array![[scale, -scale, 0.0], [0.0, 0.0, scale]];
            assert_eq!(feature_dimensionality(&w).unwrap(), array![0.5, 0.5, 1.0]);
        }
    }

    #[test]
    fn a_bad_weight_is_named() {
        let w = array![[1.0, f64::NAN]];
        assert_eq!(feature_dimensionality(&w), Err(Error::NotFinite { what: "w", index: 1 }));
    }
}
