//! Internal influence: the mean gradient by every inner unit on the way from a baseline to the input.
//!
//! ```text
//! A_u = Σ_k w_k ∂f/∂h_u at x' + α_k (x - x')
//! ```
//!
//! The path is straight in the input, and nothing is multiplied: it says how strongly a unit acts, not how much it did.
//!
//! Source: Leino et al., "Influence-Directed Explanations for Deep Convolutional Networks" (arXiv 1802.03788), with the
//! distribution of interest uniform on the line to the baseline.

use alloc::format;

use ndarray::{Array2, ArrayRef2};

use super::walk::{Buffers, Walk, scaled, values};
use crate::Scalar;
use crate::attribution::probe::Probe;
use crate::attribution::{Attribution, Baseline, Batch, Explained, Explainer, Layers, Status, Target};
use crate::math::quadrature::Rule;

/// The mean gradient by the units of a layer.
///
/// # Example
/// ```
/// use limpid::attribution::layer::InternalInfluence;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use limpid::math::pointwise::Activation;
/// use limpid::math::quadrature::Rule;
/// use ndarray::array;
///
/// // relu(x - 1): open on three quarters of the way to 4
/// let model = Network::new(1).linear(array![[1.0]], Some(array![-1.0]))?;
/// let mut model = model.activation(Activation::Relu)?;
/// let method = InternalInfluence { rule: Rule::Middle, steps: 8, ..InternalInfluence::at(0) };
/// let found = method.attribute(&mut model, &array![[4.0]], &Logit::of(0))?;
/// assert!((found.values[[0, 0]] - 0.75_f64).abs() < 1e-12);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct InternalInfluence<T> {
    /// The layer.
    pub layer: usize,
    /// Points on the path.
    pub steps: usize,
    /// Where they lie and what they count.
    pub rule: Rule,
    /// Where the path starts.
    pub baseline: Baseline<T>,
    /// Rows of one model call.
    pub batch: Batch,
}

impl<T> InternalInfluence<T> {
    /// Fifty Gauss-Legendre points from zeros to the input, at `layer`.
    #[must_use]
    pub fn at(layer: usize) -> Self {
        Self { layer, steps: 50, rule: Rule::GaussLegendre, baseline: Baseline::Zeros, batch: Batch::Auto }
    }
}

impl<T> Default for InternalInfluence<T> {
    fn default() -> Self {
        Self::at(0)
    }
}

impl<T: Scalar, M: Layers<T> + ?Sized> Explainer<T, M> for InternalInfluence<T> {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        let x = &*x.as_standard_layout();
        let mut probe = Probe::new(model, x, target)?;
        let units = probe.layer_width(self.layer)?;
        let rows = self.batch.rows(x.ncols().max(units))?;
        let baseline = self.baseline.of(x)?;
        let nodes = self.rule.nodes::<f64>(self.steps)?;
        let (mut sums, mut buffers) = (Array2::zeros((x.nrows(), units)), Buffers::new(x.ncols(), units));
        for part in Walk::new(x.nrows(), self.steps, rows)?.parts() {
            buffers.fit(part.rows);
            part.line((&baseline, x), &nodes.points, &mut buffers.x);
            probe.layer(self.layer, &buffers.x, &mut buffers.h)?;
            buffers.differentiate(&mut probe, self.layer, part)?;
            part.add(&nodes.weights, &buffers.gradient, &mut sums);
        }
        let output = values(&mut probe, x, rows)?;
        let mut result = Attribution::new("internal_influence", format!("{self:?}"), scaled(&sums, None), output);
        result.status = Status::Finished;
        Ok(probe.account(result))
    }

    fn is_per_row(&self) -> bool {
        matches!(self.baseline, Baseline::Rows(_))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{c1, unchanged_by_batches};
    use super::*;
    use crate::attribution::target::Logit;
    use ndarray::{Array1, array};

    fn influence(layer: usize, x: Array2<f64>, baseline: Array1<f64>) -> Array2<f64> {
        // the kink at s = 10 lies between midpoints
        let method =
            InternalInfluence { rule: Rule::Middle, baseline: baseline.into(), ..InternalInfluence::at(layer) };
        method.attribute(&mut c1(), &x, &Logit::of(0)).unwrap().values
    }

    fn near(found: &Array2<f64>, expected: &Array2<f64>) -> bool {
        found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12)
    }

    #[test]
    fn units_by_hand() {
        let zeros = Array1::zeros(3);
        let (x, three) = (array![[0.0, 100.0, 0.0]], array![[3.9, 3.9, 3.9]]);
        assert!(near(&influence(0, x.clone(), zeros.clone()), &three));
        assert!(near(&influence(1, x, zeros), &array![[0.9, 1.0, 1.0, 1.0]]));
        // from -20 to 80: above 10 on 0.7 of the way, above -1 on 0.81 of it, of which 50 midpoints see 0.8 or 0.82
        let found = influence(1, array![[0.0, 80.0, 0.0]], array![0.0, -20.0, 0.0]);
        assert!((found[[0, 0]] - 0.7).abs() < 1e-12 && (found[[0, 1]] - 0.81).abs() < 0.011);
    }

    #[test]
    fn batches_do_not_show() {
        unchanged_by_batches(|batch| InternalInfluence { batch, steps: 7, ..InternalInfluence::at(2) });
    }
}
