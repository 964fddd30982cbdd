//! limpid on a model written with burn: copy `adapter.rs`, and give it your model as stages.

pub mod adapter;

use burn::backend::{Autodiff, NdArray};
use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::activation::gelu;
use burn::tensor::{Tensor, TensorData};

use adapter::{Stage, Staged};

/// Gradients on the processor.
pub type Backend = Autodiff<NdArray<f32>>;

/// Inputs, hidden units and classes of the example.
pub const SIZES: [usize; 3] = [8, 24, 3];

/// A perceptron with one hidden layer, whose activation can be tapped as stage 0.
#[must_use]
pub fn perceptron() -> Staged<Backend> {
    let (device, [n, m, c]) = (Default::default(), SIZES);
    // weights that are the same in every run
    let layer = |from: usize, to: usize| -> Linear<Backend> {
        let weight = (0..from * to).map(|i| ((i * 37 % 101) as f32 / 50.0 - 1.0) / (from as f32).sqrt()).collect();
        Linear {
            weight: Param::from_tensor(Tensor::from_data(TensorData::new::<f32, _>(weight, [from, to]), &device)),
            bias: Some(Param::from_tensor(Tensor::full([to], 0.1, &device))),
        }
    };
    let (first, second) = (layer(n, m), layer(m, c));
    let stages: Vec<Stage<Backend>> =
        vec![Box::new(move |x| gelu(first.forward(x))), Box::new(move |h| second.forward(h))];
    Staged { stages, widths: vec![n, m, c], device }
}
