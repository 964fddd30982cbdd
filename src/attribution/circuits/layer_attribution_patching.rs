//! Attribution patching of a layer of a model: the gradient and both activations, and the estimate from them.
//!
//! ```text
//! score = (h_source - h_start) ⊙ ∂m/∂h at the starting run
//! ```
//!
//! Source: Nanda, "Attribution Patching: Activation Patching At Industrial Scale" (2023).

use ndarray::{Array1, Array2, ArrayRef2, Ix2};

use super::{NodeScores, PatchDirection, attribution_patching};
use crate::Scalar;
use crate::attribution::layer::layer_gradient;
use crate::attribution::probe::Probe;
use crate::attribution::{Evaluations, Explained, Layers, Target};
use crate::error::check_shape;

/// Estimates what [`ActivationPatching`](super::ActivationPatching) measures, in three rows for every example.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::circuits::{AttributionPatching, PatchDirection};
/// use limpid::attribution::target::Logit;
/// use limpid::math::pointwise::Activation;
/// use ndarray::array;
///
/// let model = Network::new(2).activation(Activation::Relu)?;
/// let mut model = model.linear(array![[1.0, -2.0]], None)?;
/// let patching = AttributionPatching { layer: 0, direction: PatchDirection::Noising };
/// let found = patching.run(&mut model, &array![[3.0, 1.0]], &array![[-1.0, 2.0]], &Logit::of(0))?;
/// assert_eq!(found.scores.score, array![[-3.0, -2.0]]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AttributionPatching {
    /// The layer.
    pub layer: usize,
    /// Which run is patched.
    pub direction: PatchDirection,
}

/// Estimated effects of patches, and what they were made of.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerScores<T> {
    /// Estimated change of the metric by every unit, `(b, units)`.
    pub scores: NodeScores<T, Ix2>,
    /// Gradient of the metric at the run that is patched, `(b, units)`.
    pub gradient: Array2<T>,
    /// Metric of that run, `(b)`.
    pub base_metric: Array1<T>,
    /// Rows that the model was run for.
    pub evaluations: Evaluations,
    /// Whether the gradients were exact up to rounding.
    pub exact_gradients: bool,
}

impl AttributionPatching {
    /// The estimates for pairs of rows of `clean` and `corrupted`, `(b, n)` each.
    ///
    /// # Errors
    /// [`Failure::Input`](crate::attribution::Failure::Input) for inputs that are empty, not finite or of different shapes,
    /// and for a layer that is not there; the model's own failures.
    pub fn run<T: Scalar, M: Layers<T> + ?Sized>(
        &self,
        model: &mut M,
        clean: &ArrayRef2<T>,
        corrupted: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<LayerScores<T>, M::Error> {
        let (clean, corrupted) = (&*clean.as_standard_layout(), &*corrupted.as_standard_layout());
        Probe::new(&mut *model, corrupted, target)?;
        let mut probe = Probe::new(model, clean, target)?;
        check_shape("corrupted", corrupted, clean.shape())?;
        let (base, source) = self.direction.order(clean, corrupted);
        let (start, gradient, base_metric) = layer_gradient(&mut probe, self.layer, base)?;
        let mut taken = Array2::zeros(start.raw_dim());
        probe.layer(self.layer, source, &mut taken)?;
        // from here on the names are those of the direction again
        let (clean, corrupted) = self.direction.order(&start, &taken);
        let scores = attribution_patching(clean, corrupted, &gradient, self.direction)?;
        let (evaluations, exact_gradients) = (probe.evaluations(), probe.exact_gradients());
        Ok(LayerScores { scores, gradient, base_metric, evaluations, exact_gradients })
    }
}

#[cfg(test)]
mod tests {
    use super::super::ActivationPatching;
    use super::*;
    use crate::attribution::layer::testing::{c1, smooth};
    use crate::attribution::target::Logit;
    use ndarray::array;

    #[test]
    fn where_the_metric_is_linear_it_is_what_patching_finds() {
        let (clean, corrupted) = (array![[20.0, 0.0, 0.0], [1.0, 2.0, 3.0]], array![[0.0, 0.0, 0.0], [30.0, 0.0, 0.0]]);
        for direction in [PatchDirection::Noising, PatchDirection::Denoising] {
            let estimate = AttributionPatching { layer: 2, direction };
            let estimate = estimate.run(&mut c1(), &clean, &corrupted, &Logit::of(0)).unwrap();
            let exact = ActivationPatching::at(2, direction).run(&mut c1(), &clean, &corrupted, &Logit::of(0)).unwrap();
            assert_eq!((estimate.scores.score, estimate.base_metric), (exact.effect, exact.base_metric));
            assert_eq!((estimate.evaluations.forward, estimate.evaluations.gradient), (4, 2));
        }
    }

    #[test]
    fn near_runs_are_estimated_well() {
        let (mut model, x) = smooth();
        let near = x.mapv(|x| x + 1e-4);
        let estimate = AttributionPatching { layer: 1, direction: PatchDirection::Noising };
        let estimate = estimate.run(&mut model, &x, &near, &Logit::of(1)).unwrap().scores.score;
        let exact = ActivationPatching::at(1, PatchDirection::Noising);
        let exact = exact.run(&mut model, &x, &near, &Logit::of(1)).unwrap().effect;
        assert!(estimate.iter().zip(&exact).all(|(x, y)| (x - y).abs() < 1e-7));
        assert!(exact.iter().any(|effect| effect.abs() > 1e-6));
    }
}
