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

/// What a ReLU with input `z` passes back of `g`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ReluRule {
    /// `g` where `z > 0`: the derivative.
    #[default]
    Derivative,
    /// `max(g, 0)` where `z > 0`.
    Guided,
    /// `max(g, 0)`.
    Deconvolution,
}

impl ReluRule {
    pub(super) fn vjp<T: Scalar>(self, z: &ArrayRef2<T>, mut by_output: Array2<T>) -> Array2<T> {
        by_output.zip_mut_with(z, |g, &z| {
            let passes = (self == Self::Deconvolution || z > T::zero()) && (self == Self::Derivative || *g > T::zero());
            *g = if passes { *g } else { T::zero() };
        });
        by_output
    }
}

pub(super) fn vjp<T: Scalar>(activation: Activation, x: &ArrayRef2<T>, mut by_output: Array2<T>) -> Array2<T> {
    match activation {
        Activation::Identity => {}
        Activation::Relu => return ReluRule::Derivative.vjp(x, by_output),
        _ => by_output.zip_mut_with(x, |g, &x| *g *= activation.derivative(x)),
    }
    by_output
}
