//! A model that ends at one of its layers, so that every method for outputs explains inner units too.

use ndarray::ArrayRef2;

use crate::attribution::model::Cotangent;
use crate::attribution::{Differentiable, Forward, Layers};
use crate::{Error, Result, Scalar};

/// The model up to a layer, whose units are its outputs.
///
/// # Example
/// ```
/// use limpid::attribution::gradient::Saliency;
/// use limpid::attribution::layer::{Neuron, UpTo};
/// use limpid::attribution::{Explainer, Network};
/// use ndarray::array;
///
/// let model = Network::new(2).linear(array![[1.0, 2.0], [3.0, -4.0]], None)?;
/// let mut model = model.linear(array![[1.0, 1.0]], None)?;
/// let found = Saliency::default().attribute(&mut UpTo::new(&mut model, 0)?, &array![[1.0, 1.0]], &Neuron::Unit(1))?;
/// assert_eq!(found.values, array![[3.0, 4.0]]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug)]
pub struct UpTo<'a, M: ?Sized> {
    model: &'a mut M,
    layer: usize,
    units: usize,
}

impl<'a, M: ?Sized> UpTo<'a, M> {
    /// The model up to `layer`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a layer that the model does not have.
    pub fn new<T: Scalar>(model: &'a mut M, layer: usize) -> Result<Self>
    where
        M: Layers<T>,
    {
        let value = layer as f64;
        let absent = Error::OutOfRange { what: "layer", index: 0, value, expected: "a layer of the model" };
        let units = model.layer_width(layer).ok_or(absent)?;
        Ok(Self { model, layer, units })
    }
}

impl<T: Scalar, M: Layers<T> + ?Sized> Forward<T> for UpTo<'_, M> {
    type Error = M::Error;

    fn n_inputs(&self) -> usize {
        self.model.n_inputs()
    }

    fn n_outputs(&self) -> usize {
        self.units
    }

    fn forward(&mut self, x: &ArrayRef2<T>, out: &mut ArrayRef2<T>) -> Result<(), Self::Error> {
        self.model.layer(self.layer, x, out)
    }
}

impl<T: Scalar, M: Layers<T> + ?Sized> Differentiable<T> for UpTo<'_, M> {
    fn vjp(
        &mut self,
        x: &ArrayRef2<T>,
        cotangent: Cotangent<'_, T>,
        out: &mut ArrayRef2<T>,
        gradient: &mut ArrayRef2<T>,
    ) -> Result<(), Self::Error> {
        self.model.vjp_to(self.layer, x, cotangent, out, gradient)
    }

    fn exact_gradients(&self) -> bool {
        self.model.exact_gradients()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Neuron;
    use super::super::testing::smooth;
    use super::*;
    use crate::Seed;
    use crate::attribution::numeric::check_gradient;
    use ndarray::{Array2, array};

    #[test]
    fn outputs_are_the_units() {
        let (mut model, x) = smooth();
        let (mut h, mut out) = (Array2::zeros((5, 4)), Array2::zeros((5, 4)));
        model.layer(3, &x, &mut h).unwrap();
        UpTo::new(&mut model, 3).unwrap().forward(&x, &mut out).unwrap();
        assert_eq!(h, out);
        assert!(matches!(UpTo::new(&mut model, 5), Err(Error::OutOfRange { what: "layer", .. })));
    }

    #[test]
    fn gradients_are_those_of_differences() {
        let (mut model, x) = smooth();
        let neuron = Neuron::Weights(array![1.0, -2.0, 0.5, 0.0]);
        let found = check_gradient(&mut UpTo::new(&mut model, 3).unwrap(), &x, &neuron, 4, Seed(1)).unwrap();
        assert!(found.worst < 1e-7, "{found:?}");
    }
}
