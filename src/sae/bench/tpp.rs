//! Targeted probe perturbation: removing the latents of one class should hurt the probe of that class alone.
//!
//! ```text
//! ablated[c, j]   accuracy of the probe of class j after the latents of class c were removed
//! score_c = (clean_c - ablated[c, c]) - mean_{j≠c} (clean_j - ablated[c, j])        score = mean_c score_c
//! ```
//!
//! The latents of a class come from [`effects`](super::effects) with [`Effect::Positive`](super::effects::Effect), the
//! change of the activations from [`edit`](super::edit) with [`Edit::Zero`](super::edit::Edit).
//!
//! Source: `SAEBench` (arXiv 2503.09532), "targeted probe perturbation".

use ndarray::{Array1, ArrayRef1, ArrayRef2};

use crate::error::{check_each, check_shape};
use crate::{Error, Result};

/// How well removals hit what they aim at.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Tpp {
    /// Loss of accuracy on the class itself, `(c)`.
    pub intended: Array1<f64>,
    /// Mean loss of accuracy on the other classes, `(c)`.
    pub unintended: Array1<f64>,
    /// `intended - unintended`, `(c)`.
    pub per_class: Array1<f64>,
    /// Mean of `per_class`.
    pub score: f64,
}

/// Scores from the accuracies `clean: (c)` before and `ablated: (c, c)` after the removals, where row `c` belongs to the
/// latents of class `c`.
///
/// # Errors
/// [`Error::Unsupported`] for fewer than two classes, [`Error::Shape`], [`Error::OutOfRange`] for accuracies outside
/// `[0, 1]`.
///
/// # Example
/// ```
/// use limpid::sae::bench::tpp::tpp;
/// use ndarray::array;
///
/// let found = tpp(&array![1.0, 0.75], &array![[0.5, 0.75], [0.875, 0.5]])?;
/// assert_eq!((found.per_class, found.score), (array![0.5, 0.125], 0.3125));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn tpp(clean: &ArrayRef1<f64>, ablated: &ArrayRef2<f64>) -> Result<Tpp> {
    let classes = clean.len();
    if classes < 2 {
        return Err(Error::Unsupported { what: "targeted perturbation of fewer than two classes" });
    }
    check_shape("ablated", ablated, &[classes, classes])?;
    let is_share = |x: f64| (0.0..=1.0).contains(&x);
    check_each("clean", clean, "0 <= accuracy <= 1", is_share)?;
    check_each("ablated", ablated, "0 <= accuracy <= 1", is_share)?;
    let loss = |c: usize, j: usize| clean[j] - ablated[[c, j]];
    let others = |c: usize| (0..classes).filter(|&j| j != c).map(|j| loss(c, j)).sum::<f64>() / (classes - 1) as f64;
    let intended: Array1<f64> = (0..classes).map(|c| loss(c, c)).collect();
    let unintended: Array1<f64> = (0..classes).map(others).collect();
    let per_class = &intended - &unintended;
    let score = per_class.sum() / classes as f64;
    Ok(Tpp { intended, unintended, per_class, score })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn what_hurts_all_alike_is_not_targeted() {
        let found = tpp(&array![0.9, 0.8, 0.7], &(Array2::<f64>::zeros((3, 3)) + array![0.5, 0.4, 0.3])).unwrap();
        assert!(found.score.abs() < 1e-15 && found.intended.iter().all(|x| (x - 0.4).abs() < 1e-15));
    }

    #[test]
    fn bad_input_is_named() {
        assert!(matches!(tpp(&array![0.5], &array![[0.5]]), Err(Error::Unsupported { .. })));
        assert!(matches!(tpp(&array![0.5, 0.5], &array![[0.5, 0.5]]), Err(Error::Shape { what: "ablated", .. })));
        let nan = array![[0.5, 0.5], [f64::NAN, 0.5]];
        assert!(matches!(tpp(&array![0.5, 0.5], &nan), Err(Error::OutOfRange { what: "ablated", index: 2, .. })));
    }
}
