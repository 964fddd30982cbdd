//! Where edge attribution takes its gradients: at the clean run, at both ends, or along the way between them.
//!
//! ```text
//! clean             e = clean                                       weight 1
//! clean-corrupted   both ends                                       weights 1/2
//! EAP-IG inputs     input embeddings e_k = e_corrupted + α_k (e_clean - e_corrupted),   weights w_k of a rule on [0, 1]
//! EAP-IG activations   the same with the output of one place at a time, every other input clean, weights w_k / places
//! ```
//!
//! A gradient at one point is that of a straight line; a mean of gradients along the way sees where the metric bends. The
//! published code takes the left rule for inputs, which never sees the clean input, and the right rule for activations;
//! middle points and Gauss-Legendre cost the same and have no such bias.
//!
//! Source: Hanna, Pezzelle and Belinkov, "Have Faith in Faithfulness: Going Beyond Circuit Overlap When Finding Model
//! Mechanisms" (arXiv 2403.17806).

use alloc::vec;
use alloc::vec::Vec;
use ndarray::{Array, ArrayRef, Dimension};

use crate::error::{check_each, check_finite, check_limit, check_shape};
use crate::math::quadrature::Rule;
use crate::{Result, Scalar};

/// Where gradients are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum EdgeGradients {
    /// At the clean run: plain edge attribution patching.
    Clean,
    /// At the clean and at the corrupted run.
    CleanCorrupted,
    /// Between the corrupted and the clean input.
    Inputs {
        /// Which points.
        rule: Rule,
        /// How many.
        steps: usize,
    },
    /// Between the corrupted and the clean output of each place.
    Activations {
        /// Which points.
        rule: Rule,
        /// How many for each place.
        steps: usize,
    },
}

impl Default for EdgeGradients {
    /// The five steps of the paper, at Gauss-Legendre points.
    fn default() -> Self {
        Self::Inputs { rule: Rule::GaussLegendre, steps: 5 }
    }
}

/// One forward and backward pass.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GradientPass {
    /// What is between corrupted and clean: `None` the input embeddings, otherwise the output of the place with this number.
    pub place: Option<usize>,
    /// How far it is from corrupted (0) to clean (1).
    pub clean_share: f64,
    /// What the gradients of this pass count: the weight for [`EdgeBatch::add_gradient`](super::EdgeBatch::add_gradient).
    pub weight: f64,
}

/// Largest number of passes.
pub const MAX_PASSES: usize = 1 << 20;

impl EdgeGradients {
    /// EAP-IG of inputs with the points of the published code, to reproduce its numbers.
    pub const PUBLISHED_INPUTS: Self = Self::Inputs { rule: Rule::Left, steps: 5 };

    /// EAP-IG of activations with the points of the published code, to reproduce its numbers.
    pub const PUBLISHED_ACTIVATIONS: Self = Self::Activations { rule: Rule::Right, steps: 5 };

    /// The passes of one batch, whose weights sum to 1.
    ///
    /// `places` is the number of places that [`Self::Activations`] goes through, as the input, each layer's attention and
    /// each feed-forward block; the other variants do not need it.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for no steps or no places, [`Error::TooLarge`](crate::Error::TooLarge)
    /// above [`MAX_PASSES`].
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::circuits::EdgeGradients;
    ///
    /// let shares = |method: EdgeGradients| -> limpid::Result<Vec<f64>> {
    ///     Ok(method.passes(1)?.iter().map(|pass| pass.clean_share).collect())
    /// };
    /// assert_eq!(shares(EdgeGradients::Clean)?, [1.0]);
    /// assert_eq!(shares(EdgeGradients::PUBLISHED_INPUTS)?, [0.0, 0.2, 0.4, 0.6, 0.8]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn passes(self, places: usize) -> Result<Vec<GradientPass>> {
        let pass = |clean_share, weight| GradientPass { place: None, clean_share, weight };
        match self {
            Self::Clean => Ok(vec![pass(1.0, 1.0)]),
            Self::CleanCorrupted => Ok(vec![pass(1.0, 0.5), pass(0.0, 0.5)]),
            Self::Inputs { rule, steps } => between(rule, steps, None),
            Self::Activations { rule, steps } => {
                check_each("places", &[places as f64], ">= 1", |places: f64| places >= 1.0)?;
                check_limit("passes", places.saturating_mul(steps), MAX_PASSES)?;
                let mut all = Vec::new();
                for place in 0..places {
                    all.extend(between(rule, steps, Some(place))?);
                }
                all.iter_mut().for_each(|pass| pass.weight /= places as f64);
                Ok(all)
            }
        }
    }
}

fn between(rule: Rule, steps: usize, place: Option<usize>) -> Result<Vec<GradientPass>> {
    let nodes = rule.nodes::<f64>(steps)?;
    let passes = nodes.points.iter().zip(&nodes.weights);
    Ok(passes.map(|(&clean_share, &weight)| GradientPass { place, clean_share, weight }).collect())
}

/// `corrupted + share (clean - corrupted)`, exactly one of the two at the ends.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape), [`Error::NotFinite`](crate::Error::NotFinite),
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for a share outside of `[0, 1]`.
///
/// # Example
/// ```
/// use limpid::attribution::circuits::interpolate;
/// use ndarray::array;
///
/// assert_eq!(interpolate(&array![4.0, 1.0], &array![0.0, 1.0], 0.25)?, array![1.0, 1.0]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn interpolate<T: Scalar, D: Dimension>(
    clean: &ArrayRef<T, D>,
    corrupted: &ArrayRef<T, D>,
    share: f64,
) -> Result<Array<T, D>> {
    check_shape("corrupted", corrupted, clean.shape())?;
    check_finite("clean", clean)?;
    check_finite("corrupted", corrupted)?;
    check_each("share", &[share], "0 <= share <= 1", |share: f64| (0.0..=1.0).contains(&share))?;
    let mut point = clean.to_owned();
    // two products, so that no difference can overflow and both ends are exact
    let (of_clean, of_corrupted) = (T::of(share), T::of(1.0 - share));
    point.zip_mut_with(corrupted, |clean, &corrupted| *clean = of_clean * *clean + of_corrupted * corrupted);
    Ok(point)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::array;

    fn all() -> [EdgeGradients; 6] {
        let (rule, steps) = (Rule::Middle, 3);
        [
            EdgeGradients::Clean,
            EdgeGradients::CleanCorrupted,
            EdgeGradients::default(),
            EdgeGradients::PUBLISHED_ACTIVATIONS,
            EdgeGradients::Inputs { rule, steps },
            EdgeGradients::Activations { rule, steps },
        ]
    }

    #[test]
    fn weights_sum_to_one() {
        for method in all() {
            let passes = method.passes(7).unwrap();
            assert!((passes.iter().map(|pass| pass.weight).sum::<f64>() - 1.0).abs() < 1e-14, "{method:?}");
        }
    }

    #[test]
    fn activations_go_through_every_place_and_end_clean() {
        let passes = EdgeGradients::PUBLISHED_ACTIVATIONS.passes(3).unwrap();
        assert_eq!(passes.len(), 15);
        assert_eq!(passes[5], GradientPass { place: Some(1), clean_share: 0.2, weight: 0.2 / 3.0 });
        assert_eq!((passes[14].place, passes[14].clean_share), (Some(2), 1.0));
    }

    /// The mean gradient of `x²` from 1 (corrupted) to 3 (clean) is 4.
    #[test]
    fn the_left_rule_is_biased_and_the_others_are_not() {
        let mean = |method: EdgeGradients| -> f64 {
            let at = |share| 2.0 * interpolate(&array![3.0], &array![1.0], share).unwrap()[0];
            method.passes(1).unwrap().iter().map(|pass| pass.weight * at(pass.clean_share)).sum()
        };
        assert!((mean(EdgeGradients::PUBLISHED_INPUTS) - 3.6).abs() < 1e-14);
        assert!((mean(EdgeGradients::Clean) - 6.0).abs() < 1e-14);
        for unbiased in [EdgeGradients::default(), EdgeGradients::CleanCorrupted, all()[4]] {
            assert!((mean(unbiased) - 4.0).abs() < 1e-14);
        }
    }

    #[test]
    fn points_are_exact_at_the_ends_and_never_overflow() {
        let (clean, corrupted) = (array![f32::MAX, 0.1], array![-f32::MAX, 0.3]);
        assert_eq!(interpolate(&clean, &corrupted, 1.0).unwrap(), clean);
        assert_eq!(interpolate(&clean, &corrupted, 0.0).unwrap(), corrupted);
        assert!(interpolate(&clean, &corrupted, 0.5).unwrap().iter().all(|x| x.is_finite()));
        assert!(matches!(interpolate(&clean, &corrupted, 1.5), Err(Error::OutOfRange { what: "share", .. })));
        assert!(matches!(interpolate(&clean, &array![0.0], 0.5), Err(Error::Shape { what: "corrupted", .. })));
    }

    #[test]
    fn absurd_numbers_of_passes_are_refused() {
        let activations = |steps| EdgeGradients::Activations { rule: Rule::Right, steps };
        assert!(matches!(activations(5).passes(0), Err(Error::OutOfRange { what: "places", .. })));
        assert!(matches!(activations(usize::MAX).passes(2), Err(Error::TooLarge { what: "passes", .. })));
        assert!(matches!(activations(0).passes(2), Err(Error::OutOfRange { what: "nodes", .. })));
    }
}
