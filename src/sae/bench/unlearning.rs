//! Unlearning: find the latents of what is to be forgotten, clamp them, and see what else is lost.
//!
//! ```text
//! sparsity_i = share of the tokens on which latent i fires
//! latents    = the top by sparsity on the text to forget, among those below a limit on the text to retain
//! edit       = f_i → -multiplier where f_i > 0, the error of the reconstruction kept, first tokens spared
//! score      = 1 - min over settings of the accuracy on what is to be forgotten; settings with side effects count as 1
//! ```
//!
//! Source: Farrell, Lau and Conmy, "Applying sparse autoencoders to unlearn knowledge in language models"
//! (arXiv 2410.19278); `SAEBench` (arXiv 2503.09532), "unlearning".

use alloc::vec::Vec;

use ndarray::ArrayRef1;

use super::edit::Edit;
use crate::error::{check_each, check_shape};
use crate::math::select::order;
use crate::{Error, Result, Scalar};

/// Limits on the sparsity over the text to retain that `SAEBench` tries.
pub const RETAIN_LIMITS: [f64; 2] = [0.001, 0.01];
/// Numbers of latents that `SAEBench` tries.
pub const LATENTS: [usize; 2] = [10, 20];
/// Multipliers that `SAEBench` tries.
pub const MULTIPLIERS: [f64; 4] = [25.0, 50.0, 100.0, 200.0];
/// Share of the accuracy on other questions that must remain.
pub const SIDE_EFFECT_LIMIT: f64 = 0.99;

/// The `top` latents to clamp, those with the largest sparsity `forget: (m)` first, among those whose sparsity
/// `retain: (m)` is below `limit`; latents that never fire on the text to forget are not among them, so there may be
/// fewer. Of equals the lower index comes first. The sparsities are those of
/// [`Metrics::density`](crate::sae::metrics::Metrics).
///
/// # Errors
/// [`Error::Shape`]; [`Error::OutOfRange`] for sparsities outside `[0, 1]` and a limit that is NaN.
///
/// # Example
/// ```
/// use limpid::sae::bench::unlearning::latents_to_clamp;
/// use ndarray::array;
///
/// let (forget, retain) = (array![0.1, 0.4, 0.0, 0.3], array![0.0, 0.2, 0.0, 0.005]);
/// assert_eq!(latents_to_clamp(&forget, &retain, 0.01, 10)?, [3, 0]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn latents_to_clamp<T: Scalar>(
    forget: &ArrayRef1<T>,
    retain: &ArrayRef1<T>,
    limit: f64,
    top: usize,
) -> Result<Vec<usize>> {
    check_shape("retain", retain, &[forget.len()])?;
    let is_share = |x: T| x >= T::zero() && x <= T::one();
    check_each("forget", forget, "0 <= sparsity <= 1", is_share)?;
    check_each("retain", retain, "0 <= sparsity <= 1", is_share)?;
    check_each("limit", &[limit], "a number", |limit: f64| !limit.is_nan())?;
    let fits = |&i: &usize| retain[i].as_f64() < limit && forget[i] > T::zero();
    let mut latents: Vec<usize> = (0..forget.len()).filter(fits).collect();
    latents.sort_unstable_by(|&a, &b| order((forget[a], a), (forget[b], b)));
    latents.truncate(top);
    Ok(latents)
}

/// The edit of the clamped latents: active ones become `-multiplier`.
#[must_use]
pub fn clamp<T: Scalar>(multiplier: T) -> Edit<T> {
    Edit::Clamp(-multiplier)
}

/// What one choice of latents and multiplier did.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Outcome {
    /// Accuracy on what is to be forgotten, of the questions that the untouched model answers.
    pub forget_accuracy: f64,
    /// Accuracy on other questions, of those that the untouched model answers.
    pub retain_accuracy: f64,
}

/// `1 - min forget_accuracy` over the outcomes whose `retain_accuracy` is at least `limit`
/// (see [`SIDE_EFFECT_LIMIT`]); 0 where there is none.
///
/// # Errors
/// [`Error::Empty`]; [`Error::OutOfRange`] for accuracies outside `[0, 1]` and a limit that is NaN.
///
/// # Example
/// ```
/// use limpid::sae::bench::unlearning::{Outcome, SIDE_EFFECT_LIMIT, score};
///
/// let mild = Outcome { forget_accuracy: 0.75, retain_accuracy: 1.0 };
/// let harsh = Outcome { forget_accuracy: 0.25, retain_accuracy: 0.9 };
/// assert_eq!(score(&[mild, harsh], SIDE_EFFECT_LIMIT)?, 0.25);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn score(outcomes: &[Outcome], limit: f64) -> Result<f64> {
    if outcomes.is_empty() {
        return Err(Error::Empty { what: "outcomes" });
    }
    check_each("limit", &[limit], "a number", |limit: f64| !limit.is_nan())?;
    for outcome in outcomes {
        let accuracies = [outcome.forget_accuracy, outcome.retain_accuracy];
        check_each("accuracy", &accuracies, "0 <= accuracy <= 1", |x: f64| (0.0..=1.0).contains(&x))?;
    }
    let accepted = outcomes.iter().filter(|outcome| outcome.retain_accuracy >= limit);
    Ok(1.0 - accepted.map(|outcome| outcome.forget_accuracy).fold(1.0, f64::min))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_most_specific_latents_come_first() {
        let forget = array![0.2, 0.5, 0.2, 0.0, 0.9];
        let retain = array![0.0, 0.009, 0.0, 0.0, 0.01];
        assert_eq!(latents_to_clamp(&forget, &retain, 0.01, 10).unwrap(), [1, 0, 2]);
        assert_eq!(latents_to_clamp(&forget, &retain, 0.01, 2).unwrap(), [1, 0]);
        assert!(latents_to_clamp(&forget, &retain, 0.0, 2).unwrap().is_empty());
        assert_eq!(clamp(25.0), Edit::Clamp(-25.0));
    }

    #[test]
    fn side_effects_spoil_a_setting() {
        let outcome = |forget_accuracy, retain_accuracy| Outcome { forget_accuracy, retain_accuracy };
        assert_eq!(score(&[outcome(0.1, 0.5)], 0.99), Ok(0.0));
        assert_eq!(score(&[outcome(0.5, 0.99), outcome(0.1, 0.98)], 0.99), Ok(0.5));
    }

    #[test]
    fn bad_input_is_named() {
        let x = array![0.5];
        assert!(matches!(latents_to_clamp(&x, &array![], 0.1, 1), Err(Error::Shape { what: "retain", .. })));
        assert!(matches!(latents_to_clamp(&array![2.0], &x, 0.1, 1), Err(Error::OutOfRange { what: "forget", .. })));
        assert!(matches!(latents_to_clamp(&x, &x, f64::NAN, 1), Err(Error::OutOfRange { what: "limit", .. })));
        assert_eq!(score(&[], 0.99), Err(Error::Empty { what: "outcomes" }));
        assert!(score(&[Outcome { forget_accuracy: 1.5, retain_accuracy: 1.0 }], 0.99).is_err());
    }
}
