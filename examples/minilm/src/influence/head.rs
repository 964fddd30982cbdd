//! A classifier of two dense layers on sentence embeddings, and the rows that influence functions need of it.
//!
//! ```text
//! z = w tanh(W x + b) + c        loss = log(1 + exp(-z)) for positive lines, log(1 + exp(z)) for others
//! ```

use limpid::Seed;
use limpid::influence::{Bias, Examples, LayerRows};
use limpid::math::gemm::product;
use limpid::math::optim::{Optimizer, OptimizerState};
use limpid::math::random::{fill_normal, shuffle};
use ndarray::{Array1, Array2, ArrayRef2, Axis};

use crate::Result;

const HIDDEN: usize = 128;
const EPOCHS: usize = 12;
/// Steps that a few lines are trained for.
const LEAST_STEPS: usize = 100;
const BATCH: usize = 128;
const LEARNING_RATE: f64 = 1e-3;
const WEIGHT_DECAY: f64 = 1e-2;

const WEIGHTS: u64 = 1;
const ORDER: u64 = 2;

/// A dense layer: `(outputs, inputs)` and `(outputs)`.
struct Dense {
    weight: Array2<f32>,
    bias: Array1<f32>,
}

pub(super) struct Head {
    layers: [Dense; 2],
}

/// What entered the two layers, and the gradients of the loss by their outputs, a row per line.
pub(super) struct Rows {
    a: [Array2<f32>; 2],
    g: [Array2<f32>; 2],
    weight: Option<Vec<f32>>,
}

impl Rows {
    pub(super) fn layers(&self) -> Result<Vec<LayerRows<'_, f32>>> {
        let layer = |(a, g)| -> limpid::Result<LayerRows<'_, f32>> {
            let (a, g): (&Array2<f32>, &Array2<f32>) = (a, g);
            let rows = LayerRows::new(a, g, Examples::EachRow)?.with_bias(Bias::Homogeneous);
            match &self.weight {
                Some(weight) => rows.with_weight(weight),
                None => Ok(rows),
            }
        };
        Ok(self.a.iter().zip(&self.g).map(layer).collect::<limpid::Result<_>>()?)
    }
}

impl Head {
    /// Trains on `x: (b, d)`.
    pub(super) fn train(x: &Array2<f32>, positive: &[bool], seed: Seed) -> Result<Self> {
        let layer = |item, inputs: usize, outputs: usize| {
            let mut values = vec![0.0; inputs * outputs];
            fill_normal(&mut seed.stream(WEIGHTS, item), 1.0 / (inputs as f32).sqrt(), &mut values);
            let weight = Array2::from_shape_fn((outputs, inputs), |(i, j)| values[i * inputs + j]);
            Dense { weight, bias: Array1::zeros(outputs) }
        };
        let mut head = Self { layers: [layer(0, x.ncols(), HIDDEN), layer(1, HIDDEN, 1)] };
        let optimizer = Optimizer::AdamW { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: WEIGHT_DECAY };
        let mut states: Vec<_> = head.parameters().iter().map(|p| OptimizerState::new(optimizer, p.len())).collect();
        let batches = x.nrows().div_ceil(BATCH).max(1);
        let epochs = EPOCHS.max(LEAST_STEPS.div_ceil(batches));
        let steps = epochs * batches;
        for epoch in 0..epochs {
            let mut order: Vec<usize> = (0..x.nrows()).collect();
            shuffle(&mut seed.stream(ORDER, epoch as u64), &mut order);
            for batch in order.chunks(BATCH) {
                let labels: Vec<bool> = batch.iter().map(|&line| positive[line]).collect();
                let rows = head.rows(&x.select(Axis(0), batch), &labels)?;
                let done = states[0].steps() as f64 / steps as f64;
                head.step(&rows, &mut states, LEARNING_RATE * (1.0 - done))?;
            }
        }
        Ok(head)
    }

    /// Weights, then biases.
    fn parameters(&mut self) -> Vec<&mut [f32]> {
        let [first, second] = &mut self.layers;
        let weights = [&mut first.weight, &mut second.weight].map(|weight| weight.as_slice_mut());
        let biases = [&mut first.bias, &mut second.bias].map(|bias| bias.as_slice_mut());
        weights.into_iter().chain(biases).flatten().collect()
    }

    fn step(&mut self, rows: &Rows, states: &mut [OptimizerState<f32>], learning_rate: f64) -> Result<()> {
        let scale = 1.0 / rows.g[0].nrows() as f32;
        let mut gradients = Vec::new();
        for (a, g) in rows.a.iter().zip(&rows.g) {
            gradients.push((product(&g.t(), a)? * scale).into_iter().collect::<Vec<f32>>());
        }
        gradients.extend(rows.g.iter().map(|g| (g.sum_axis(Axis(0)) * scale).to_vec()));
        for ((state, parameter), gradient) in states.iter_mut().zip(self.parameters()).zip(&gradients) {
            state.step(parameter, gradient, learning_rate)?;
        }
        Ok(())
    }

    /// The hidden layer, `(b, HIDDEN)`, and the logits.
    fn forward(&self, x: &ArrayRef2<f32>) -> Result<(Array2<f32>, Array1<f32>)> {
        let [first, second] = &self.layers;
        let hidden = (product(x, &first.weight.t())? + &first.bias).mapv(f32::tanh);
        let logits = product(&hidden, &second.weight.t())? + &second.bias;
        Ok((hidden, logits.index_axis_move(Axis(1), 0)))
    }

    pub(super) fn logits(&self, x: &ArrayRef2<f32>) -> Result<Array1<f32>> {
        Ok(self.forward(x)?.1)
    }

    /// Rows for the labels that the lines have.
    pub(super) fn rows(&self, x: &Array2<f32>, positive: &[bool]) -> Result<Rows> {
        let (hidden, logits) = self.forward(x)?;
        let by_logit = logits.iter().zip(positive).map(|(&z, &is)| sigmoid(z) - f32::from(u8::from(is))).collect();
        Ok(self.rows_with(x.clone(), hidden, by_logit, None))
    }

    /// Rows for either label, weighted by its probability: the Fisher information without the noise of drawn labels.
    pub(super) fn fisher_rows(&self, x: &Array2<f32>) -> Result<Rows> {
        let (hidden, logits) = self.forward(x)?;
        let twice = |x: &Array2<f32>| ndarray::concatenate(Axis(0), &[x.view(), x.view()]);
        let shape = |e: ndarray::ShapeError| crate::Error(e.to_string());
        let p: Vec<f32> = logits.iter().map(|&z| sigmoid(z)).collect();
        let by_logit = p.iter().map(|p| p - 1.0).chain(p.iter().copied()).collect();
        let weight = p.iter().copied().chain(p.iter().map(|p| 1.0 - p)).collect();
        Ok(self.rows_with(twice(x).map_err(shape)?, twice(&hidden).map_err(shape)?, by_logit, Some(weight)))
    }

    fn rows_with(&self, x: Array2<f32>, hidden: Array2<f32>, by_logit: Vec<f32>, weight: Option<Vec<f32>>) -> Rows {
        let by_logit = Array1::from(by_logit).insert_axis(Axis(1));
        let back = &by_logit * &self.layers[1].weight * hidden.mapv(|h| 1.0 - h * h);
        Rows { a: [x, hidden], g: [back, by_logit], weight }
    }
}

pub(super) fn sigmoid(z: f32) -> f32 {
    1.0 / (1.0 + (-z).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(head: &Head, x: &Array2<f32>, positive: &[bool]) -> f64 {
        let logits = head.logits(x).unwrap();
        let of_line = |(&z, &is): (&f32, &bool)| f64::from(if is { -z } else { z }).exp().ln_1p();
        logits.iter().zip(positive).map(of_line).sum()
    }

    #[test]
    fn rows_give_the_gradient_of_finite_differences() {
        let x = Array2::from_shape_fn((6, 5), |(i, j)| ((3 * i + 7 * j) as f32).sin());
        let positive = [true, false, true, true, false, false];
        let mut head = Head::train(&x, &positive, Seed(1)).unwrap();
        let rows = head.rows(&x, &positive).unwrap();
        let ones = Array1::ones(6);
        for (layer, rows) in rows.layers().unwrap().iter().enumerate() {
            let gradient = rows.weighted_sum(&ones).unwrap();
            for (i, j) in [(0, 0), (0, 3), (0, rows.d_in() - 1)] {
                let slot = |head: &mut Head, by: f32| {
                    let Dense { weight, bias } = &mut head.layers[layer];
                    *(if j == weight.ncols() { &mut bias[i] } else { &mut weight[[i, j]] }) += by;
                };
                let h = 1e-2;
                slot(&mut head, h);
                let above = loss(&head, &x, &positive);
                slot(&mut head, -2.0 * h);
                let below = loss(&head, &x, &positive);
                slot(&mut head, h);
                let expected = (above - below) / f64::from(2.0 * h);
                assert!((gradient[[i, j]] - expected).abs() < 1e-3, "{layer} {i} {j}: {} {expected}", gradient[[i, j]]);
            }
        }
    }
}
