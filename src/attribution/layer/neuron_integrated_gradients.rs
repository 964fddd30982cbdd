//! Neuron integrated gradients: which inputs make the difference between an inner unit now and for a baseline.
//!
//! ```text
//! A_i = (x_i - x'_i) Σ_k w_k ∂h_j/∂x_i at x' + α_k (x - x')        Σ_i A_i ≈ h_j(x) - h_j(x')
//! ```
//!
//! Source: Sundararajan et al., "Axiomatic Attribution for Deep Networks" (arXiv 1703.01365), equation 1, for a unit in place
//! of an output.

use alloc::format;

use ndarray::ArrayRef2;

use super::{Neuron, UpTo};
use crate::Scalar;
use crate::attribution::gradient::IntegratedGradients;
use crate::attribution::{Attribution, Baseline, Batch, Explained, Explainer, Layers};
use crate::math::quadrature::Rule;

/// Integrated gradients of an inner unit; no output of the model is involved.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::layer::{Neuron, NeuronIntegratedGradients};
/// use limpid::math::pointwise::Activation;
/// use ndarray::array;
///
/// let mut model = Network::new(2).linear(array![[3.0, -1.0]], None)?.activation(Activation::Tanh)?;
/// let found = NeuronIntegratedGradients::of(1, Neuron::Unit(0)).attribute(&mut model, &array![[0.5, 0.5]])?;
/// assert!((found.values.sum() - 1.0_f64.tanh()).abs() < 1e-12);
/// assert!((found.values[[0, 0]] + 3.0 * found.values[[0, 1]]).abs() < 1e-12);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct NeuronIntegratedGradients<T> {
    /// The layer.
    pub layer: usize,
    /// The unit.
    pub neuron: Neuron<T>,
    /// Points on the path.
    pub steps: usize,
    /// Where they lie and what they count.
    pub rule: Rule,
    /// What the input is compared with.
    pub baseline: Baseline<T>,
    /// Whether the mean gradient is multiplied by the change of the input; there is no completeness without.
    pub multiply_by_inputs: bool,
    /// Rows of one model call.
    pub batch: Batch,
}

impl<T: Scalar> NeuronIntegratedGradients<T> {
    /// Fifty Gauss-Legendre points from zeros to the input, for `neuron` in `layer`.
    #[must_use]
    pub fn of(layer: usize, neuron: Neuron<T>) -> Self {
        let (rule, baseline, batch) = (Rule::GaussLegendre, Baseline::Zeros, Batch::Auto);
        Self { layer, neuron, steps: 50, rule, baseline, multiply_by_inputs: true, batch }
    }

    /// The attribution `(b, n)` of the unit for every row of `x: (b, n)`; `output_value` is the unit's activation.
    ///
    /// # Errors
    /// As [`Explainer::attribute`]; [`Error::OutOfRange`](crate::Error::OutOfRange) for a layer or unit that is not there.
    pub fn attribute<M: Layers<T> + ?Sized>(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        let x = &*x.as_standard_layout();
        let method = IntegratedGradients {
            baseline: self.baseline.clone(),
            rule: self.rule,
            steps: self.steps,
            multiply_by_inputs: self.multiply_by_inputs,
            batch: self.batch,
        };
        let mut found = method.attribute(&mut UpTo::new(model, self.layer)?, x, &self.neuron)?;
        (found.method, found.options) = ("neuron_integrated_gradients".into(), format!("{self:?}"));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{c1, smooth};
    use super::*;
    use ndarray::array;

    #[test]
    fn a_unit_by_hand() {
        // relu(s - 10) with s from 0 to 100: 90, all of it due to the one input
        let method =
            NeuronIntegratedGradients { rule: Rule::Middle, ..NeuronIntegratedGradients::of(2, Neuron::Unit(0)) };
        let found = method.attribute(&mut c1(), &array![[0.0, 100.0, 0.0]]).unwrap();
        assert!((found.values[[0, 1]] - 90.0).abs() < 1e-9 && found.delta.unwrap()[0].abs() < 1e-9);
        let plain = NeuronIntegratedGradients { multiply_by_inputs: false, ..method };
        let found = plain.attribute(&mut c1(), &array![[0.0, 100.0, 0.0]]).unwrap();
        assert!(found.values.iter().all(|value| (value - 0.9).abs() < 1e-12) && found.delta.is_none());
    }

    #[test]
    fn smooth_units_are_complete_in_any_batch() {
        let (mut model, x) = smooth();
        let neuron = Neuron::Weights(array![1.0, -2.0, 0.5, 3.0]);
        let method = NeuronIntegratedGradients {
            baseline: array![0.3, 0.1, -1.0].into(),
            ..NeuronIntegratedGradients::of(3, neuron)
        };
        let whole = method.attribute(&mut model, &x).unwrap();
        assert!(whole.delta.as_ref().unwrap().iter().all(|delta| delta.abs() < 1e-12));
        for rows in [1, 3] {
            let method = NeuronIntegratedGradients { batch: Batch::Rows(rows), ..method.clone() };
            assert_eq!(method.attribute(&mut model, &x).unwrap().values, whole.values);
        }
    }
}
