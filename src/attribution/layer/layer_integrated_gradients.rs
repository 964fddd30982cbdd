//! Layer integrated gradients: which inner units make the difference between the input and a baseline.
//!
//! ```text
//! A_u = (h_u - h'_u) Σ_k w_k ∂f/∂h_u at h' + α_k (h - h')      h, h' the activation for the input and for the baseline
//! ```
//!
//! The path is straight in the space of the layer, so that `Σ_u A_u ≈ f(x) - f(x')`. At an embedding layer this is integrated
//! gradients of tokens. Whatever else later layers read, such as residual connections around the layer, stays that of the
//! input.
//!
//! Source: Sundararajan et al., "Axiomatic Attribution for Deep Networks" (arXiv 1703.01365), equation 1, applied to a layer.

use alloc::format;

use ndarray::{Array2, ArrayRef2};

use super::walk::{Buffers, Walk, activations, scaled, values};
use crate::Scalar;
use crate::attribution::probe::Probe;
use crate::attribution::{Attribution, Baseline, Batch, Explained, Explainer, Layers, Status, Target};
use crate::math::quadrature::Rule;

/// Integrated gradients of the units of a layer.
///
/// # Example
/// ```
/// use limpid::attribution::layer::LayerIntegratedGradients;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use ndarray::array;
///
/// let model = Network::new(2).linear(array![[1.0, 1.0], [1.0, -1.0]], None)?;
/// let mut model = model.linear(array![[2.0, 1.0]], None)?;
/// let found = LayerIntegratedGradients::at(0).attribute(&mut model, &array![[3.0, 1.0]], &Logit::of(0))?;
/// assert!((found.values[[0, 0]] - 8.0_f64).abs() < 1e-12 && (found.values[[0, 1]] - 2.0).abs() < 1e-12);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct LayerIntegratedGradients<T> {
    /// The layer.
    pub layer: usize,
    /// Points on the path.
    pub steps: usize,
    /// Where they lie and what they count.
    pub rule: Rule,
    /// What the input is compared with.
    pub baseline: Baseline<T>,
    /// Whether the mean gradient is multiplied by the change of the unit; there is no completeness without.
    pub multiply_by_inputs: bool,
    /// Rows of one model call.
    pub batch: Batch,
}

impl<T> LayerIntegratedGradients<T> {
    /// Fifty Gauss-Legendre points from zeros to the input, at `layer`.
    #[must_use]
    pub fn at(layer: usize) -> Self {
        let (rule, baseline, batch) = (Rule::GaussLegendre, Baseline::Zeros, Batch::Auto);
        Self { layer, steps: 50, rule, baseline, multiply_by_inputs: true, batch }
    }
}

impl<T> Default for LayerIntegratedGradients<T> {
    fn default() -> Self {
        Self::at(0)
    }
}

impl<T: Scalar> LayerIntegratedGradients<T> {
    /// `Σ_k w_k ∂f/∂h`, `(b, units)`.
    fn mean_gradient<M: Layers<T> + ?Sized>(
        &self,
        probe: &mut Probe<'_, T, M>,
        x: &ArrayRef2<T>,
        ends: (&ArrayRef2<T>, &ArrayRef2<T>),
        rows: usize,
    ) -> Explained<Array2<f64>, M::Error> {
        let nodes = self.rule.nodes::<f64>(self.steps)?;
        let mut sums = Array2::zeros(ends.0.raw_dim());
        let mut buffers = Buffers::new(x.ncols(), sums.ncols());
        for part in Walk::new(x.nrows(), self.steps, rows)?.parts() {
            buffers.fit(part.rows);
            part.repeat(x, &mut buffers.x);
            part.line(ends, &nodes.points, &mut buffers.h);
            buffers.differentiate(probe, self.layer, part)?;
            part.add(&nodes.weights, &buffers.gradient, &mut sums);
        }
        Ok(sums)
    }
}

impl<T: Scalar, M: Layers<T> + ?Sized> Explainer<T, M> for LayerIntegratedGradients<T> {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        let x = &*x.as_standard_layout();
        let mut probe = Probe::new(model, x, target)?;
        let rows = self.batch.rows(x.ncols().max(probe.layer_width(self.layer)?))?;
        let baseline = self.baseline.of(x)?;
        let h = activations(&mut probe, self.layer, x, rows)?;
        let from = activations(&mut probe, self.layer, &baseline, rows)?;
        let means = self.mean_gradient(&mut probe, x, (&from, &h), rows)?;
        let found = scaled(&means, self.multiply_by_inputs.then_some((&from, &h)));
        let (output, base) = (values(&mut probe, x, rows)?, values(&mut probe, &baseline, rows)?);
        let result = Attribution::new("layer_integrated_gradients", format!("{self:?}"), found, output);
        let mut result = result.against(base, self.multiply_by_inputs);
        result.status = Status::Finished;
        Ok(probe.account(result))
    }

    fn is_per_row(&self) -> bool {
        matches!(self.baseline, Baseline::Rows(_))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{c1, smooth, unchanged_by_batches};
    use super::*;
    use crate::attribution::Failure;
    use crate::attribution::target::Logit;
    use ndarray::array;

    #[test]
    fn a_layer_that_is_the_input_gives_integrated_gradients() {
        // s from 0 to 100 with its kink at 10, which the midpoints of 50 steps do not cross
        let method = LayerIntegratedGradients { rule: Rule::Middle, ..LayerIntegratedGradients::at(0) };
        let found = method.attribute(&mut c1(), &array![[0.0, 100.0, 0.0]], &Logit::of(0)).unwrap();
        assert!((found.values[[0, 1]] - 390.0).abs() < 1e-9 && found.delta.unwrap()[0].abs() < 1e-9);
        assert_eq!((found.base_value.unwrap()[0], found.output_value[0]), (2.0, 392.0));
        assert_eq!((found.evaluations.forward, found.evaluations.gradient), (4, 50));
    }

    #[test]
    fn the_layer_before_a_linear_one_is_exact_in_one_step() {
        let method = LayerIntegratedGradients { steps: 1, ..LayerIntegratedGradients::at(2) };
        let found = method.attribute(&mut c1(), &array![[0.0, 100.0, 0.0]], &Logit::of(0)).unwrap();
        assert_eq!(found.values, array![[90.0, 100.0, 100.0, 100.0]]);
        let plain = LayerIntegratedGradients { multiply_by_inputs: false, ..method };
        let found = plain.attribute(&mut c1(), &array![[0.0, 100.0, 0.0]], &Logit::of(0)).unwrap();
        assert!(found.values == array![[1.0, 1.0, 1.0, 1.0]] && found.delta.is_none());
    }

    #[test]
    fn smooth_layers_are_complete() {
        let (mut model, x) = smooth();
        let method =
            LayerIntegratedGradients { baseline: array![0.4, -0.2, 0.1].into(), ..LayerIntegratedGradients::at(1) };
        let found = method.attribute(&mut model, &x, &Logit::of(1)).unwrap();
        assert!(found.delta.unwrap().iter().all(|delta| delta.abs() < 1e-12));
        unchanged_by_batches(|batch| LayerIntegratedGradients { batch, ..method.clone() });
    }

    #[test]
    fn bad_settings_are_named() {
        let explain = |method: LayerIntegratedGradients<f64>| {
            method.attribute(&mut c1(), &array![[0.0, 1.0, 0.0]], &Logit::of(0)).map(|_| ())
        };
        let input = |what| move |failure: Failure<crate::Error>| matches!(failure, Failure::Input(crate::Error::OutOfRange { what: w, .. }) if w == what);
        assert!(explain(LayerIntegratedGradients::at(9)).is_err_and(input("layer")));
        assert!(explain(LayerIntegratedGradients { steps: 0, ..Default::default() }).is_err_and(input("nodes")));
        let batch = Batch::Rows(0);
        assert!(explain(LayerIntegratedGradients { batch, ..Default::default() }).is_err_and(input("batch")));
    }
}
