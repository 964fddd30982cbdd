//! Neuron gradient: how much an inner unit moves with each input.
//!
//! ```text
//! A_i = ∂h_j/∂x_i
//! ```
//!
//! Source: Simonyan et al., "Deep Inside Convolutional Networks" (arXiv 1312.6034), section 3, for a unit in place of a class.

use alloc::format;

use ndarray::ArrayRef2;

use super::{Neuron, UpTo};
use crate::Scalar;
use crate::attribution::gradient::Saliency;
use crate::attribution::{Attribution, Explained, Explainer, Layers};

/// The gradient of an inner unit; no output of the model is involved.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::layer::{Neuron, NeuronGradient};
/// use ndarray::array;
///
/// let model = Network::new(2).linear(array![[1.0, 2.0], [3.0, -4.0]], None)?;
/// let mut model = model.linear(array![[1.0, 1.0]], None)?;
/// let found = NeuronGradient::of(0, Neuron::Unit(1)).attribute(&mut model, &array![[1.0, 1.0]])?;
/// assert_eq!((found.values, found.output_value), (array![[3.0, -4.0]], array![-1.0]));
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct NeuronGradient<T> {
    /// The layer.
    pub layer: usize,
    /// The unit.
    pub neuron: Neuron<T>,
}

impl<T: Scalar> NeuronGradient<T> {
    /// The gradient of `neuron` in `layer`.
    #[must_use]
    pub fn of(layer: usize, neuron: Neuron<T>) -> Self {
        Self { layer, neuron }
    }

    /// The gradient `(b, n)` of the unit by every row of `x: (b, n)`; `output_value` is the unit's activation.
    ///
    /// # Errors
    /// As [`Explainer::attribute`]; [`Error::OutOfRange`](crate::Error::OutOfRange) for a layer or unit that is not there.
    pub fn attribute<M: Layers<T> + ?Sized>(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        let x = &*x.as_standard_layout();
        let mut found = Saliency { absolute: false }.attribute(&mut UpTo::new(model, self.layer)?, x, &self.neuron)?;
        (found.method, found.options) = ("neuron_gradient".into(), format!("{self:?}"));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::c1;
    use super::*;
    use crate::Error;
    use crate::attribution::Failure;
    use alloc::vec;
    use ndarray::array;

    #[test]
    fn units_by_hand() {
        let explain = |neuron| NeuronGradient::of(2, neuron).attribute(&mut c1(), &array![[0.0, 5.0, 4.0]]).unwrap();
        assert_eq!(explain(Neuron::Unit(0)).values, array![[0.0, 0.0, 0.0]]);
        assert_eq!(explain(Neuron::Unit(1)).values, array![[1.0, 1.0, 1.0]]);
        assert_eq!(explain(Neuron::Sum(vec![0, 1, 2, 3])).values, array![[3.0, 3.0, 3.0]]);
        let weighted = explain(Neuron::Weights(array![5.0, -1.0, 0.5, 0.0]));
        assert_eq!((weighted.values, weighted.output_value), (array![[-0.5, -0.5, -0.5]], array![-5.0]));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let explain =
            |layer, unit| NeuronGradient::of(layer, Neuron::Unit(unit)).attribute(&mut c1(), &array![[0.0, 5.0, 4.0]]);
        assert!(matches!(explain(4, 0), Err(Failure::Input(Error::OutOfRange { what: "layer", .. }))));
        assert!(matches!(explain(2, 4), Err(Failure::Input(Error::OutOfRange { what: "neuron", .. }))));
    }
}
