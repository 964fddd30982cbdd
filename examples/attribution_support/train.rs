//! A small classifier, trained on the spot: `144 - 48 - 10` with a rectifier, cross-entropy, Adam.

use limpid::attribution::Network;
use limpid::math::gemm::product;
use limpid::math::optim::{Optimizer, OptimizerState};
use limpid::math::pointwise::{Activation, softmax};
use limpid::math::random::{below, fill_normal};
use limpid::{Result, Seed};
use ndarray::{Array1, Array2, Axis};

use super::digits::{CLASSES, Digits, PIXELS};
use crate::support::progress::Bar;

const HIDDEN: usize = 48;
const BATCH: usize = 64;

/// Weights `(outputs, inputs)` and bias of a layer, with their optimisers.
struct Layer {
    weight: Array2<f32>,
    bias: Array1<f32>,
    states: [OptimizerState<f32>; 2],
}

impl Layer {
    fn new(inputs: usize, outputs: usize, seed: Seed) -> Self {
        let mut weight = vec![0.0; inputs * outputs];
        fill_normal(&mut seed.stream(0x7765_6967, inputs as u64), (2.0 / inputs as f32).sqrt(), &mut weight);
        let weight = Array2::from_shape_fn((outputs, inputs), |(o, i)| weight[o * inputs + i]);
        let states = [weight.len(), outputs].map(|len| OptimizerState::new(Optimizer::adam(), len));
        Self { weight, bias: Array1::zeros(outputs), states }
    }

    fn forward(&self, x: &Array2<f32>) -> Result<Array2<f32>> {
        Ok(product(x, &self.weight.t())? + &self.bias)
    }

    /// A step against the gradient of the loss by what this layer made of `x`; gives the gradient by `x`.
    fn step(&mut self, x: &Array2<f32>, by_output: &Array2<f32>, rate: f64) -> Result<Array2<f32>> {
        let by_input = product(by_output, &self.weight)?;
        let by_weight: Vec<f32> = product(&by_output.t(), x)?.iter().copied().collect();
        let by_bias = by_output.sum_axis(Axis(0)).to_vec();
        let [of_weight, of_bias] = &mut self.states;
        let slices = (self.weight.as_slice_mut(), self.bias.as_slice_mut());
        if let (Some(weight), Some(bias)) = slices {
            of_weight.step(weight, &by_weight, rate)?;
            of_bias.step(bias, &by_bias, rate)?;
        }
        Ok(by_input)
    }
}

/// `count` classes at random.
fn classes(count: usize, seed: Seed, item: u64) -> Vec<usize> {
    let stream = &mut seed.stream(0x636c_6173, item);
    (0..count).map(|_| below(stream, CLASSES)).collect()
}

/// A network of raw logits, trained for `steps` batches.
pub fn train(steps: usize, seed: Seed) -> Result<Network<f32>> {
    let (mut first, mut second) = (Layer::new(PIXELS, HIDDEN, seed), Layer::new(HIDDEN, CLASSES, seed));
    let mut bar = Bar::new("classifier");
    for step in 0..steps {
        let wanted = classes(BATCH, seed, step as u64);
        let x = Digits::draw(&wanted, seed, (step * BATCH) as u64).pixels;
        let hidden = first.forward(&x)?;
        let active = hidden.mapv(|h| h.max(0.0));
        let mut by_output = softmax(&second.forward(&active)?)?;
        by_output.rows_mut().into_iter().zip(&wanted).for_each(|(mut row, &class)| row[class] -= 1.0);
        by_output /= BATCH as f32;
        let rate = 3e-3 * (1.0 - step as f64 / steps as f64);
        let by_active = second.step(&active, &by_output, rate)?;
        first.step(&x, &Activation::Relu.backward(&hidden, &by_active)?, rate)?;
        bar.show(step + 1, steps);
    }
    Network::new(PIXELS)
        .linear(first.weight, Some(first.bias))?
        .activation(Activation::Relu)?
        .linear(second.weight, Some(second.bias))
}
