//! Feature norms: how strongly each feature is represented.
//!
//! ```text
//! ‖W_i‖ = √(Σ_d W_di²)        ‖W‖_F² = Σ_i ‖W_i‖²
//! ```
//!
//! Source: Elhage et al. (2022), section "Demonstrating Superposition". With a negative bias norms exceed 1, so `‖W‖_F²`
//! over-counts features; [`represented_features`] counts norms above a threshold instead.

use ndarray::{Array1, ArrayRef2, Axis};

use super::check_weight;
use crate::error::check_each;
use crate::{Result, Scalar};

/// Euclidean norm `(n)` of each column of `w: (m, n)`.
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty), [`Error::NotFinite`](crate::Error::NotFinite).
///
/// # Example
/// ```
/// use limpid::superposition::geometry::feature_norms;
/// use ndarray::array;
///
/// assert_eq!(feature_norms(&array![[3.0, 0.0], [4.0, 1.0]])?, array![5.0, 1.0]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn feature_norms<T: Scalar>(w: &ArrayRef2<T>) -> Result<Array1<T>> {
    check_weight(w)?;
    Ok(w.map_axis(Axis(0), |column| column.iter().map(|&x| x * x).sum::<T>().sqrt()))
}

/// Number of features of `w: (m, n)` whose norm is above `threshold`; the paper's figures use 0.5.
///
/// # Errors
/// As [`feature_norms`], and [`Error::OutOfRange`](crate::Error::OutOfRange) for a threshold that is not a number.
pub fn represented_features<T: Scalar>(w: &ArrayRef2<T>, threshold: T) -> Result<usize> {
    check_each("threshold", &[threshold], "a number", |x| !x.is_nan())?;
    Ok(feature_norms(w)?.iter().filter(|&&norm| norm > threshold).count())
}

/// Squared Frobenius norm of `w: (m, n)`, the paper's count of represented features.
///
/// # Errors
/// As [`feature_norms`].
pub fn frobenius_squared<T: Scalar>(w: &ArrayRef2<T>) -> Result<T> {
    check_weight(w)?;
    Ok(w.iter().map(|&x| x * x).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::{Array2, array};

    #[test]
    fn counts_and_sums() {
        let w = array![[0.6, 0.0, 0.3], [0.8, 0.0, 0.4]];
        assert_eq!(represented_features(&w, 0.5).unwrap(), 1);
        assert!((frobenius_squared(&w).unwrap() - 1.25_f64).abs() < 1e-15);
    }

    #[test]
    fn nothing_is_an_error() {
        assert_eq!(feature_norms(&Array2::<f32>::zeros((0, 3))), Err(Error::Empty { what: "w" }));
        assert!(represented_features(&array![[1.0]], f64::NAN).is_err());
    }
}
