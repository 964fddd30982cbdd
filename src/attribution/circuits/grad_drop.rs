//! The second half of AtP*: contributions over backward passes that leave out one layer each.
//!
//! ```text
//! c(node) = mean over examples of  1/(L - 1) Σ_l |I_l(node)|
//! I_l     estimated effect with the gradient of layer l's contribution to the residual stream set to 0
//! ```
//!
//! The direct effect of a node and those through later layers may cancel, and then so does their sum, the estimate, by
//! accident. Without one layer's share they rarely do; magnitudes of `L` such estimates say that the node matters. The pass
//! that leaves out the node's own layer gives 0, hence `L - 1`.
//!
//! Estimates come from [`attribution_patching()`](super::attribution_patching()), summed by
//! [`NodeScores::nodes`](super::NodeScores::nodes), or from [`QkFix`](super::QkFix); the caller's backward pass sets the
//! gradient to 0.
//!
//! Source: Kramár et al., "AtP*: An efficient and scalable method for localizing LLM behaviour to components" (arXiv
//! 2403.00745).

use ndarray::{Array, ArrayRef, Axis, Dimension, RemoveAxis};

use crate::error::{check_finite, check_not_empty, check_shape};
use crate::{Result, Scalar};

/// Sums of magnitudes over the passes of one batch of examples.
///
/// # Example
/// ```
/// use limpid::attribution::circuits::GradDrop;
/// use ndarray::array;
///
/// // two examples, two nodes, three layers; the first node is one of layer 0
/// let mut drop = GradDrop::new();
/// drop.add(&array![[0.0, 1.0], [0.0, 0.5]])?;
/// drop.add(&array![[2.0, -3.0], [2.0, 0.5]])?;
/// drop.add(&array![[-2.0, 0.0], [0.0, 0.0]])?;
/// assert_eq!(drop.contributions(), Some(array![1.5, 1.25]));
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct GradDrop<D: Dimension> {
    sums: Option<Array<f64, D>>,
    passes: usize,
}

impl<D: Dimension> Default for GradDrop<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: Dimension> GradDrop<D> {
    /// No pass yet.
    #[must_use]
    pub fn new() -> Self {
        Self { sums: None, passes: 0 }
    }

    /// Adds the effects of the pass that leaves out the next layer: an example for each entry of the first axis, nodes along
    /// the others.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for another shape than before, [`Error::Empty`](crate::Error::Empty),
    /// [`Error::NotFinite`](crate::Error::NotFinite). Nothing is changed then.
    pub fn add<T: Scalar>(&mut self, effects: &ArrayRef<T, D>) -> Result<()> {
        check_not_empty("effects", effects)?;
        check_finite("effects", effects)?;
        match &mut self.sums {
            Some(sums) => {
                check_shape("effects", effects, sums.shape())?;
                sums.zip_mut_with(effects, |sum, effect| *sum += effect.as_f64().abs());
            }
            None => self.sums = Some(effects.map(|effect| effect.as_f64().abs())),
        }
        self.passes += 1;
        Ok(())
    }

    /// Passes so far.
    #[must_use]
    pub fn passes(&self) -> usize {
        self.passes
    }
}

impl<D: RemoveAxis> GradDrop<D> {
    /// Contribution of every node, the mean over examples; `None` before the second pass.
    #[must_use]
    pub fn contributions(&self) -> Option<Array<f64, D::Smaller>> {
        let sums = self.sums.as_ref().filter(|_| self.passes > 1)?;
        let count = (self.passes - 1) as f64 * sums.len_of(Axis(0)) as f64;
        Some(sums.sum_axis(Axis(0)) / count)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{PatchDirection, attribution_patching};
    use super::*;
    use crate::Error;
    use ndarray::{Array2, array};

    #[test]
    fn effects_that_cancel_are_found() {
        // m = a - relu(a) + b for a > 0: a's direct effect and the one through the relu cancel; layers: input, relu
        let (clean, corrupted) = (array![[2.0, 1.0]], array![[1.0, 0.0]]);
        let effects = |gradient: Array2<f64>| {
            attribution_patching(&clean, &corrupted, &gradient, PatchDirection::Noising).unwrap().score
        };
        assert_eq!(effects(array![[0.0, 1.0]]), array![[0.0, -1.0]]);
        let mut drop = GradDrop::new();
        // without the layer of a and b themselves, and without the relu
        drop.add(&effects(array![[0.0, 0.0]])).unwrap();
        assert_eq!(drop.contributions(), None);
        drop.add(&effects(array![[1.0, 1.0]])).unwrap();
        assert_eq!((drop.contributions(), drop.passes()), (Some(array![1.0, 1.0]), 2));
    }

    #[test]
    fn bad_input_changes_nothing() {
        let mut drop = GradDrop::default();
        drop.add(&array![[1.0_f32, -2.0]]).unwrap();
        let before = drop.clone();
        assert!(matches!(drop.add(&array![[1.0_f32]]), Err(Error::Shape { what: "effects", .. })));
        assert!(matches!(drop.add(&array![[f32::NAN, 0.0]]), Err(Error::NotFinite { what: "effects", index: 0 })));
        assert_eq!(drop, before);
    }
}
