//! Scores made comparable: by the size of the example, by both sizes, by leverage, by the number of examples.
//!
//! ```text
//! θ-RelatIF   s(q, i) / ‖φ(C) g_i‖                 change of the query per change of the parameters
//! l-RelatIF   s(q, i) / √(g_iᵀ φ(C) g_i)           change of the query per change of the example's own loss
//! cosine      s(q, i) / √(g_qᵀ φ g_q · g_iᵀ φ g_i)  in [-1, 1]
//! leverage    s(q, i) / (1 - h_i)                   leaving out instead of down-weighting, one step, exact for θ of a ridge
//! ```
//!
//! Source: Barshan, Brunet and Dziugaite, "RelatIF: identifying explanatory training examples via relative influence"
//! (2020), <https://arxiv.org/abs/2003.11630>; the leverage form is the classical leave-one-out formula of linear models.

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2};

use crate::error::{check_each, check_finite, check_shape};
use crate::{Error, Result, Scalar};

/// What a score counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Scale {
    /// `g_qᵀ (C + λ)⁻¹ g_i`, for a curvature that is a mean over examples.
    #[default]
    Raw,
    /// Divided by this number of training examples: about how much the query rises when the example is removed.
    PerExample(u64),
}

impl Scale {
    /// Scores in this scale.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for 0 examples.
    pub fn apply<T: Scalar>(self, scores: &ArrayRef2<T>) -> Result<Array2<T>> {
        match self {
            Self::Raw => Ok(scores.to_owned()),
            Self::PerExample(0) => {
                Err(Error::OutOfRange { what: "examples", index: 0, value: 0.0, expected: "at least 1" })
            }
            Self::PerExample(n) => Ok(scores.mapv(|s| s / T::of(n as f64))),
        }
    }
}

/// Divides `scores: (q, n)` by the roots of `squares: (n)`, one per example: those of
/// [`Curvature::squared_norms`](super::Curvature::squared_norms) give θ-RelatIF,
/// [`Curvature::self_scores`](super::Curvature::self_scores) l-RelatIF. `None` for an example of size 0.
///
/// # Errors
/// [`Error::Shape`], [`Error::NotFinite`], [`Error::OutOfRange`] for a negative square.
///
/// # Example
/// ```
/// use limpid::influence::relative_scores;
/// use ndarray::array;
///
/// let relative = relative_scores(&array![[6.0, 0.0]], &array![9.0, 0.0])?;
/// assert_eq!(relative, array![[Some(2.0), None]]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn relative_scores<T: Scalar>(scores: &ArrayRef2<T>, squares: &ArrayRef1<f64>) -> Result<Array2<Option<f64>>> {
    cosine_scores(scores, &Array1::ones(scores.nrows()), squares)
}

/// Divides `scores: (q, n)` by the roots of the self-scores of the queries `(q)` and of the examples `(n)`. `None` where
/// one of them is 0.
///
/// # Errors
/// As [`relative_scores`].
pub fn cosine_scores<T: Scalar>(
    scores: &ArrayRef2<T>,
    queries: &ArrayRef1<f64>,
    examples: &ArrayRef1<f64>,
) -> Result<Array2<Option<f64>>> {
    check_finite("scores", scores)?;
    check_shape("self-scores of the queries", queries, &[scores.nrows()])?;
    check_shape("sizes of the examples", examples, &[scores.ncols()])?;
    let accepts = |x: f64| x >= 0.0 && x.is_finite();
    check_each("self-scores of the queries", queries, "a finite number >= 0", accepts)?;
    check_each("sizes of the examples", examples, "a finite number >= 0", accepts)?;
    Ok(Array2::from_shape_fn(scores.raw_dim(), |(q, i)| {
        let size = libm::sqrt(queries[q]) * libm::sqrt(examples[i]);
        (size > 0.0).then(|| scores[[q, i]].as_f64() / size)
    }))
}

/// Leverage `h_i = f_iᵀ C⁻¹ f_i / N` from the self-scores `(n)` of rows whose gradient `f_i` is that of the prediction and
/// not of the loss (times the root of the loss' second derivative): how much of an example its own prediction is.
///
/// # Errors
/// [`Error::OutOfRange`] for no examples.
pub fn leverage(self_scores: &ArrayRef1<f64>, examples: u64) -> Result<Array1<f64>> {
    if examples == 0 {
        return Err(Error::OutOfRange { what: "examples", index: 0, value: 0.0, expected: "at least 1" });
    }
    Ok(self_scores.mapv(|s| s / examples as f64))
}

/// Scores `(q, n)` divided by `1 - h_i`: the change of the parameters that leaving out causes is then exact for least
/// squares, with or without ridge. `None` where the leverage is 1 or more, where nothing of the example can be predicted
/// from the others.
///
/// # Errors
/// [`Error::Shape`], [`Error::NotFinite`], [`Error::OutOfRange`] for a negative leverage.
pub fn leverage_corrected<T: Scalar>(scores: &ArrayRef2<T>, leverage: &ArrayRef1<f64>) -> Result<Array2<Option<f64>>> {
    check_finite("scores", scores)?;
    check_shape("leverage", leverage, &[scores.ncols()])?;
    check_each("leverage", leverage, "a finite number >= 0", |h: f64| h >= 0.0 && h.is_finite())?;
    Ok(Array2::from_shape_fn(scores.raw_dim(), |(q, i)| {
        let left = 1.0 - leverage[i];
        (left > 0.0).then(|| scores[[q, i]].as_f64() / left)
    }))
}
