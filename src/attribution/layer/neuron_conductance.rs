//! Neuron conductance: how much of the change of the output each input brings about through one inner unit.
//!
//! ```text
//! A_i = (x_i - x'_i) Σ_k w_k ∂f/∂h_j ∂h_j/∂x_i at x' + α_k (x - x')
//! ```
//!
//! The sum over inputs is the conductance of the unit, the sum over all units of a layer that everything passes is integrated
//! gradients. Of several units, the sum; of weighted ones, the weighted sum of their conductances.
//!
//! Source: Dhamdhere et al., "How Important Is a Neuron?" (arXiv 1805.12233), equation 2.

use alloc::format;
use alloc::vec;

use ndarray::{Array2, ArrayRef2};

use super::Neuron;
use super::walk::{Buffers, Walk, scaled, values};
use crate::Scalar;
use crate::attribution::probe::Probe;
use crate::attribution::{Attribution, Baseline, Batch, Explained, Explainer, Layers, Status, Target};
use crate::math::quadrature::Rule;

/// Conductance from the inputs to the target through an inner unit.
///
/// # Example
/// ```
/// use limpid::attribution::layer::{Neuron, NeuronConductance};
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use ndarray::array;
///
/// let model = Network::new(2).linear(array![[1.0, 2.0], [3.0, -4.0]], None)?;
/// let mut model = model.linear(array![[10.0, 1.0]], None)?;
/// let method = NeuronConductance { steps: 1, ..NeuronConductance::of(0, Neuron::Unit(0)) };
/// let found = method.attribute(&mut model, &array![[1.0, 1.0]], &Logit::of(0))?;
/// assert_eq!(found.values, array![[10.0, 20.0]]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct NeuronConductance<T> {
    /// The layer.
    pub layer: usize,
    /// The unit.
    pub neuron: Neuron<T>,
    /// Points on the path.
    pub steps: usize,
    /// Where they lie and what they count.
    pub rule: Rule,
    /// Where the path starts.
    pub baseline: Baseline<T>,
    /// Whether the mean gradient is multiplied by the change of the input.
    pub multiply_by_inputs: bool,
    /// Rows of one model call.
    pub batch: Batch,
}

impl<T> NeuronConductance<T> {
    /// Fifty Gauss-Legendre points from zeros to the input, for `neuron` in `layer`.
    #[must_use]
    pub fn of(layer: usize, neuron: Neuron<T>) -> Self {
        let (rule, baseline, batch) = (Rule::GaussLegendre, Baseline::Zeros, Batch::Auto);
        Self { layer, neuron, steps: 50, rule, baseline, multiply_by_inputs: true, batch }
    }
}

impl<T: Scalar> NeuronConductance<T> {
    fn mean_gradient<M: Layers<T> + ?Sized>(
        &self,
        probe: &mut Probe<'_, T, M>,
        ends: (&ArrayRef2<T>, &ArrayRef2<T>),
        rows: usize,
    ) -> Explained<Array2<f64>, M::Error> {
        let (nodes, units) = (self.rule.nodes::<f64>(self.steps)?, probe.layer_width(self.layer)?);
        let mut weights = vec![T::zero(); units];
        self.neuron.weights(&mut weights);
        let (mut sums, mut buffers) = (Array2::zeros(ends.1.raw_dim()), Buffers::new(ends.1.ncols(), units));
        let mut by_input = Array2::zeros((0, ends.1.ncols()));
        for part in Walk::new(ends.1.nrows(), self.steps, rows)?.parts() {
            buffers.fit(part.rows);
            if by_input.nrows() != part.rows {
                by_input = Array2::zeros(buffers.x.raw_dim());
            }
            part.line(ends, &nodes.points, &mut buffers.x);
            probe.layer(self.layer, &buffers.x, &mut buffers.h)?;
            buffers.differentiate(probe, self.layer, part)?;
            for mut gradient in buffers.gradient.rows_mut() {
                gradient.iter_mut().zip(&weights).for_each(|(g, &weight)| *g *= weight);
            }
            let (x, through) = (&*buffers.x, &buffers.gradient);
            probe.layer_gradients(self.layer, x, |_, ct| ct.assign(through), &mut buffers.h, &mut by_input)?;
            part.add(&nodes.weights, &by_input, &mut sums);
        }
        Ok(sums)
    }
}

impl<T: Scalar, M: Layers<T> + ?Sized> Explainer<T, M> for NeuronConductance<T> {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        let x = &*x.as_standard_layout();
        let mut probe = Probe::new(model, x, target)?;
        let units = probe.layer_width(self.layer)?;
        self.neuron.fit(units)?;
        let (rows, baseline) = (self.batch.rows(x.ncols().max(units))?, self.baseline.of(x)?);
        let means = self.mean_gradient(&mut probe, (&baseline, x), rows)?;
        let found = scaled(&means, self.multiply_by_inputs.then_some((&baseline, x)));
        let output = values(&mut probe, x, rows)?;
        let mut result = Attribution::new("neuron_conductance", format!("{self:?}"), found, output);
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
    use super::super::{LayerConductance, Neuron};
    use super::*;
    use crate::attribution::Failure;
    use crate::attribution::target::Logit;
    use ndarray::array;

    #[test]
    fn a_unit_by_hand() {
        let method = NeuronConductance { rule: Rule::Middle, ..NeuronConductance::of(2, Neuron::Unit(0)) };
        let found = method.attribute(&mut c1(), &array![[0.0, 100.0, 0.0]], &Logit::of(0)).unwrap();
        assert!(found.values.iter().zip(&[0.0, 90.0, 0.0]).all(|(x, y)| (x - y).abs() < 1e-9));
    }

    #[test]
    fn the_sum_over_inputs_is_the_conductance_of_the_unit() {
        let (mut model, x) = smooth();
        let layer = LayerConductance { steps: 2000, ..LayerConductance::at(1) };
        let layer = layer.attribute(&mut model, &x, &Logit::of(1)).unwrap().values;
        for unit in 0..5 {
            let method = NeuronConductance::of(1, Neuron::Unit(unit));
            let found = method.attribute(&mut model, &x, &Logit::of(1)).unwrap().values;
            let sums = found.rows().into_iter().map(|row| row.sum());
            assert!(sums.zip(layer.column(unit)).all(|(sum, unit)| (sum - unit).abs() < 1e-6));
        }
    }

    #[test]
    fn batches_do_not_show() {
        let neuron = Neuron::Weights(array![1.0, 0.5, -1.0, 2.0, 0.0]);
        unchanged_by_batches(|batch| NeuronConductance { batch, steps: 5, ..NeuronConductance::of(1, neuron.clone()) });
    }

    #[test]
    fn a_unit_that_is_not_there_is_named() {
        let found =
            NeuronConductance::of(2, Neuron::Unit(4)).attribute(&mut c1(), &array![[0.0, 1.0, 0.0]], &Logit::of(0));
        assert!(matches!(found, Err(Failure::Input(crate::Error::OutOfRange { what: "neuron", .. }))));
    }
}
