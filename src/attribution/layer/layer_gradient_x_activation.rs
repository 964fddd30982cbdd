//! Layer gradient times activation: the first-order effect of every inner unit.
//!
//! ```text
//! A_u = h_u ∂f/∂h_u        or the gradient alone
//! ```
//!
//! Source: Shrikumar et al., "Not Just a Black Box" (arXiv 1605.01713), section 2, for the input; here for a layer.

use alloc::format;
use alloc::vec;

use ndarray::{Array1, Array2, ArrayRef2};

use crate::Scalar;
use crate::attribution::probe::Probe;
use crate::attribution::{Attribution, Explained, Explainer, Layers, Target};

/// Activation times gradient of the units of a layer.
///
/// # Example
/// ```
/// use limpid::attribution::layer::LayerGradientXActivation;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use ndarray::array;
///
/// let model = Network::new(1).linear(array![[2.0], [3.0]], None)?;
/// let mut model = model.linear(array![[1.0, -1.0]], None)?;
/// let found = LayerGradientXActivation::at(0).attribute(&mut model, &array![[1.0]], &Logit::of(0))?;
/// assert_eq!(found.values, array![[2.0, -3.0]]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LayerGradientXActivation {
    /// The layer.
    pub layer: usize,
    /// Whether the gradient is multiplied by the activation.
    pub multiply_by_inputs: bool,
}

impl LayerGradientXActivation {
    /// Gradient times activation of `layer`.
    #[must_use]
    pub fn at(layer: usize) -> Self {
        Self { layer, multiply_by_inputs: true }
    }
}

impl Default for LayerGradientXActivation {
    fn default() -> Self {
        Self::at(0)
    }
}

impl<T: Scalar, M: Layers<T> + ?Sized> Explainer<T, M> for LayerGradientXActivation {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        let x = &*x.as_standard_layout();
        let mut probe = Probe::new(model, x, target)?;
        let (h, mut found, output) = layer_gradient(&mut probe, self.layer, x)?;
        if self.multiply_by_inputs {
            found *= &h;
        }
        let result = Attribution::new("layer_gradient_x_activation", format!("{self:?}"), found, output);
        Ok(probe.account(result))
    }

    fn is_per_row(&self) -> bool {
        false
    }
}

/// Activations, gradients by them, and values of the target.
pub(in crate::attribution) type Slopes<T> = (Array2<T>, Array2<T>, Array1<T>);

/// Activation `(b, units)` of a layer, gradient of the target by it, and value `(b)` of the target.
pub(in crate::attribution) fn layer_gradient<T: Scalar, M: Layers<T> + ?Sized>(
    probe: &mut Probe<'_, T, M>,
    layer: usize,
    x: &ArrayRef2<T>,
) -> Explained<Slopes<T>, M::Error> {
    let mut h = Array2::zeros((x.nrows(), probe.layer_width(layer)?));
    let (mut gradient, mut values) = (Array2::zeros(h.raw_dim()), vec![T::zero(); x.nrows()]);
    probe.layer(layer, x, &mut h)?;
    probe.gradients_with(layer, (x, &h), |row| row, &mut values, &mut gradient)?;
    Ok((h, gradient, Array1::from(values)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::c1;
    use super::*;
    use crate::attribution::Failure;
    use crate::attribution::target::Logit;
    use ndarray::array;

    #[test]
    fn two_layers_by_hand() {
        let explain = |layer, multiply_by_inputs, x: &Array2<f64>| {
            let method = LayerGradientXActivation { layer, multiply_by_inputs };
            method.attribute(&mut c1(), x, &Logit::of(0)).unwrap()
        };
        let x = array![[0.0, 100.0, 0.0], [1.0, 2.0, 3.0]];
        assert_eq!(explain(0, true, &x).values, array![[0.0, 400.0, 0.0], [3.0, 6.0, 9.0]]);
        assert_eq!(explain(1, true, &x).values, array![[90.0, 101.0, 101.0, 101.0], [0.0, 7.0, 7.0, 7.0]]);
        assert_eq!(explain(1, false, &x).values.row(1), array![0.0, 1.0, 1.0, 1.0]);
        // columns that lie one after another in memory
        let columns = array![[0.0, 1.0], [100.0, 2.0], [0.0, 3.0]];
        let turned = LayerGradientXActivation::at(0).attribute(&mut c1(), &columns.t(), &Logit::of(0)).unwrap();
        assert_eq!(turned, explain(0, true, &x));
    }

    #[test]
    fn a_layer_that_is_not_there_is_named() {
        let found = LayerGradientXActivation::at(4).attribute(&mut c1(), &array![[0.0, 1.0, 0.0]], &Logit::of(0));
        assert!(matches!(found, Err(Failure::Input(crate::Error::OutOfRange { what: "layer", value: 4.0, .. }))));
    }
}
