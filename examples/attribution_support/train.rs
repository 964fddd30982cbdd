//! A small perceptron trained on the spot: cross-entropy, Adam, fresh samples.

use limpid::attribution::{Forward, Network};
use limpid::math::gemm::product;
use limpid::math::optim::{Optimizer, OptimizerState};
use limpid::math::pointwise::{Activation, softmax};
use limpid::math::random::fill_normal;
use limpid::{Result, Seed};
use ndarray::{Array1, Array2, Axis};

use super::digits::{PIXELS, batch};

const HIDDEN: usize = 48;
const CLASSES: usize = 10;
const BATCH: usize = 128;

/// Weights `(o, i)` and biases of both layers.
struct Parameters {
    weights: [Array2<f32>; 2],
    biases: [Array1<f32>; 2],
}

impl Parameters {
    fn start(seed: Seed) -> Self {
        let layer = |item, outputs: usize, inputs: usize| {
            let mut weight = Array2::zeros((outputs, inputs));
            let deviation = (2.0 / inputs as f32).sqrt();
            fill_normal(&mut seed.stream(1, item), deviation, weight.as_slice_mut().unwrap_or_default());
            weight
        };
        let weights = [layer(0, HIDDEN, PIXELS), layer(1, CLASSES, HIDDEN)];
        Self { weights, biases: [Array1::zeros(HIDDEN), Array1::zeros(CLASSES)] }
    }

    /// Gradients of the mean cross-entropy, in the order of the fields.
    fn gradients(&self, x: &Array2<f32>, labels: &[usize]) -> Result<([Array2<f32>; 2], [Array1<f32>; 2])> {
        let before = product(x, &self.weights[0].t())? + &self.biases[0];
        let hidden = Activation::Relu.forward(&before);
        let logits = product(&hidden, &self.weights[1].t())? + &self.biases[1];
        let mut by_logits = softmax(&logits)?;
        for (mut row, &label) in by_logits.rows_mut().into_iter().zip(labels) {
            row[label] -= 1.0;
        }
        by_logits /= labels.len() as f32;
        let by_before = Activation::Relu.backward(&before, &product(&by_logits, &self.weights[1])?)?;
        let weights = [product(&by_before.t(), x)?, product(&by_logits.t(), &hidden)?];
        Ok((weights, [by_before.sum_axis(Axis(0)), by_logits.sum_axis(Axis(0))]))
    }

    fn network(self) -> Result<Network<f32>> {
        let [first, second] = self.weights;
        let [hidden, output] = self.biases;
        Network::new(PIXELS).linear(first, Some(hidden))?.activation(Activation::Relu)?.linear(second, Some(output))
    }
}

/// The trained network.
pub fn train(steps: usize, seed: Seed) -> Result<Network<f32>> {
    let mut parameters = Parameters::start(seed);
    let sizes = [HIDDEN * PIXELS, CLASSES * HIDDEN, HIDDEN, CLASSES];
    let mut states = sizes.map(|size| OptimizerState::new(Optimizer::adam(), size));
    for step in 0..steps {
        let (x, labels) = batch(seed, (step * BATCH) as u64, BATCH);
        let (weights, biases) = parameters.gradients(&x, &labels)?;
        let rate = 3e-3 * (1.0 - step as f64 / steps as f64);
        let values = parameters.weights.iter_mut().map(Array2::as_slice_mut);
        let values = values.chain(parameters.biases.iter_mut().map(Array1::as_slice_mut)).map(Option::unwrap_or_default);
        let slopes = weights.iter().map(Array2::as_slice).chain(biases.iter().map(Array1::as_slice));
        for ((state, value), slope) in states.iter_mut().zip(values).zip(slopes.map(Option::unwrap_or_default)) {
            state.step(value, slope, rate)?;
        }
    }
    parameters.network()
}

/// Share of fresh images that are named right.
pub fn accuracy(network: &mut Network<f32>, seed: Seed) -> Result<f64> {
    let (x, labels) = batch(seed.child(2, 0), 0, 2000);
    let mut logits = Array2::zeros((x.nrows(), CLASSES));
    network.forward(&x, &mut logits)?;
    let right = logits.rows().into_iter().zip(&labels).filter(|(row, label)| largest(row.as_slice()) == Some(**label));
    Ok(right.count() as f64 / labels.len() as f64)
}

fn largest(row: Option<&[f32]>) -> Option<usize> {
    row?.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(index, _)| index)
}
