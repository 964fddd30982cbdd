//! Interference: how much features overlap.
//!
//! ```text
//! G = Wᵀ W             interference = G without its diagonal
//! normalised_ij = Ŵ_i · W_j  (i ≠ j)        coherence = max_{i≠j} |Ŵ_i · Ŵ_j|
//! s_i = Σ_{j≠i} (Ŵ_i · W_j)²                Ŵ_i = W_i / (‖W_i‖ + ε)
//! ```
//!
//! `s_i >= 1` means that the others together can activate a feature as strongly as it does itself. The notebook to the
//! paper plots `√s_i` and uses `ε = 1e-5`. `D_i = ‖W_i‖² / (‖W_i‖² + s_i)` at `ε = 0`.
//!
//! Source: Elhage et al. (2022), "Demonstrating Superposition".

use ndarray::{Array1, Array2, ArrayRef2};

use super::{feature_norms, gram};
use crate::error::check_each;
use crate::{Result, Scalar};

/// Overlaps of the features of one weight matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Interference<T> {
    /// `Wᵀ W`, `(n, n)`.
    pub gram: Array2<T>,
    /// The same with a zero diagonal.
    pub interference: Array2<T>,
    /// Row `i` of the interference divided by `‖W_i‖`; a zero column gives zeros.
    pub normalized: Array2<T>,
    /// Largest `|cos|` between two different features; 0 for fewer than two represented features.
    pub coherence: T,
}

/// All pairwise overlaps of the columns of `w: (m, n)`.
///
/// # Errors
/// [`Error::Empty`](crate::Error::Empty), [`Error::NotFinite`](crate::Error::NotFinite),
/// [`Error::TooLarge`](crate::Error::TooLarge) above [`MAX_GRAM`](super::MAX_GRAM) features.
///
/// # Example
/// ```
/// use limpid::superposition::geometry::interference;
/// use ndarray::array;
///
/// let overlaps = interference(&array![[1.0, -2.0]])?;
/// assert_eq!(overlaps.normalized, array![[0.0, -2.0], [-1.0, 0.0]]);
/// assert_eq!(overlaps.coherence, 1.0);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn interference<T: Scalar>(w: &ArrayRef2<T>) -> Result<Interference<T>> {
    let gram = gram(w)?;
    let norms = feature_norms(w)?;
    let mut interference = gram.clone();
    interference.diag_mut().fill(T::zero());
    let mut normalized = interference.clone();
    for (mut row, &norm) in normalized.rows_mut().into_iter().zip(&norms) {
        row.mapv_inplace(|x| if norm > T::zero() { x / norm } else { T::zero() });
    }
    let mut coherence = T::zero();
    for (row, _) in normalized.rows().into_iter().zip(&norms) {
        for (&x, &norm) in row.iter().zip(&norms).filter(|(_, norm)| **norm > T::zero()) {
            coherence = coherence.max((x / norm).abs());
        }
    }
    Ok(Interference { gram, interference, normalized, coherence })
}

/// Largest `|cos|` between two different columns of `w: (m, n)`.
///
/// # Errors
/// As [`interference`].
pub fn coherence<T: Scalar>(w: &ArrayRef2<T>) -> Result<T> {
    Ok(interference(w)?.coherence)
}

/// Superposition `s_i`, `(n)`, of every feature of `w: (m, n)`, not clamped; 0 for a zero column.
///
/// # Errors
/// As [`interference`], and [`Error::OutOfRange`](crate::Error::OutOfRange) for an `epsilon` below 0.
pub fn superposition_per_feature<T: Scalar>(w: &ArrayRef2<T>, epsilon: T) -> Result<Array1<T>> {
    check_each("epsilon", &[epsilon], "finite and >= 0", |x| x >= T::zero() && x.is_finite())?;
    let gram = gram(w)?;
    let norms = feature_norms(w)?;
    let score = |(i, &norm): (usize, &T)| {
        if norm <= T::zero() {
            return T::zero();
        }
        let row = gram.row(i);
        let others = row.iter().enumerate().filter(|&(j, _)| j != i).map(|(_, &g)| g / (norm + epsilon));
        others.map(|x| x * x).sum()
    };
    Ok(norms.iter().enumerate().map(score).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::superposition::geometry::feature_dimensionality;
    use approx::assert_relative_eq;
    use ndarray::array;

    #[test]
    fn dimensionality_follows_from_norm_and_superposition() {
        let w = array![[0.9, -0.3, 0.2], [0.1, 0.8, -0.7_f64]];
        let s = superposition_per_feature(&w, 0.0).unwrap();
        let squares = feature_norms(&w).unwrap().mapv(|x| x * x);
        assert_relative_eq!(feature_dimensionality(&w).unwrap(), &squares / (&squares + &s), epsilon = 1e-12);
    }

    #[test]
    fn a_zero_column_overlaps_with_nothing() {
        let overlaps = interference(&array![[1.0, 0.0, 1.0_f64]]).unwrap();
        assert_eq!(overlaps.normalized, array![[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]);
        assert_eq!(superposition_per_feature(&array![[1.0, 0.0, 1.0_f64]], 0.0).unwrap(), array![1.0, 0.0, 1.0]);
        assert!(superposition_per_feature(&array![[1.0]], f64::NAN).is_err());
    }
}
