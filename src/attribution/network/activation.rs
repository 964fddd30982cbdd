//! Activations as nodes.

use ndarray::{Array2, ArrayRef2, Zip};

use crate::Scalar;
use crate::math::pointwise::Activation;

pub(super) fn name(activation: Activation) -> &'static str {
    match activation {
        Activation::Identity => "identity",
        Activation::Relu => "relu",
        Activation::Tanh => "tanh",
        Activation::Sigmoid => "sigmoid",
        Activation::Gelu => "gelu",
        Activation::GeluTanh => "gelu_tanh",
        Activation::Silu => "silu",
    }
}

pub(super) fn forward<T: Scalar>(activation: Activation, x: &ArrayRef2<T>, out: &mut ArrayRef2<T>) {
    match activation {
        // a loop of its own, which runs in vector lanes
        Activation::Relu => Zip::from(out).and(x).for_each(|z, &x| *z = Activation::Relu.value(x)),
        _ => Zip::from(out).and(x).for_each(|z, &x| *z = activation.value(x)),
    }
}

pub(super) fn vjp<T: Scalar>(activation: Activation, x: &ArrayRef2<T>, mut by_output: Array2<T>) -> Array2<T> {
    match activation {
        Activation::Identity => {}
        Activation::Relu => by_output.zip_mut_with(x, |g, &x| *g = if x > T::zero() { *g } else { T::zero() }),
        _ => by_output.zip_mut_with(x, |g, &x| *g *= activation.derivative(x)),
    }
    by_output
}
