//! The classifier itself, and its gradients by hand: what a model of one's own needs to be explained.
//!
//! ```text
//! u_t = (x_{t-1}, x_t, x_{t+1})        h_t = silu(u_t W + b)        z = (Σ_t h_t) V        x_t: the vector of word t, or 0
//! ```

use limpid::attribution::{Cotangent, Differentiable, Forward};
use limpid::math::gemm::product;
use limpid::math::optim::{Optimizer, OptimizerState};
use limpid::math::pointwise::{Activation, softmax};
use limpid::math::random::fill_normal;
use limpid::{Error, Result, Seed};
use ndarray::{Array1, Array2, ArrayRef2, Axis};

/// Words that are read, and numbers of a word's vector.
pub(super) const TOKENS: usize = 28;
pub(super) const VECTOR: usize = 12;
const WINDOW: usize = 3;
const HIDDEN: usize = 24;
const CLASSES: usize = 2;
const WIDTH: usize = TOKENS * VECTOR;
const LEARNING_RATE: f64 = 5e-3;
const START: u64 = 0;

/// Parameters.
#[derive(Debug, Clone)]
pub(super) struct Model {
    /// A row per word.
    vectors: Array2<f32>,
    /// `(3 VECTOR, HIDDEN)`.
    weight: Array2<f32>,
    bias: Array1<f32>,
    /// `(HIDDEN, CLASSES)`.
    readout: Array2<f32>,
}

/// What the way back needs.
struct Pass {
    /// `(b TOKENS, 3 VECTOR)`.
    windows: Array2<f32>,
    /// Before the activation.
    z: Array2<f32>,
    /// `(b, HIDDEN)`.
    pooled: Array2<f32>,
    logits: Array2<f32>,
}

/// Gradients in the shapes of the parameters, and by the input.
struct Gradients {
    x: Array2<f32>,
    weight: Array2<f32>,
    bias: Array1<f32>,
    readout: Array2<f32>,
}

impl Model {
    fn new(words: usize, seed: Seed) -> Self {
        let noise = |item: u64, rows: usize, columns: usize, deviation: f32| {
            let mut values = vec![0.0; rows * columns];
            fill_normal(&mut seed.stream(START, item), deviation, &mut values);
            Array2::from_shape_fn((rows, columns), |(i, j)| values[i * columns + j])
        };
        Self {
            vectors: noise(0, words, VECTOR, 0.4),
            weight: noise(1, WINDOW * VECTOR, HIDDEN, 0.25),
            bias: Array1::zeros(HIDDEN),
            readout: noise(2, HIDDEN, CLASSES, 0.2),
        }
    }

    /// The vectors of texts in a row each, `(b, TOKENS VECTOR)`; nothing where a word is unknown or the text has ended.
    pub(super) fn look_up(&self, texts: &[Vec<Option<usize>>]) -> Array2<f32> {
        let word = |row: usize, at: usize| texts[row].get(at / VECTOR).copied().flatten();
        Array2::from_shape_fn((texts.len(), WIDTH), |(row, at)| {
            word(row, at).map_or(0.0, |word| self.vectors[[word, at % VECTOR]])
        })
    }

    /// Logits `(b, CLASSES)`.
    pub(super) fn logits(&self, x: &ArrayRef2<f32>) -> Result<Array2<f32>> {
        Ok(self.run(x)?.logits)
    }

    fn run(&self, x: &ArrayRef2<f32>) -> Result<Pass> {
        let b = x.nrows();
        let at = |row: usize, column: usize| -> f32 {
            let (text, token, offset) = (row / TOKENS, row % TOKENS, column / VECTOR);
            // the window begins one word earlier
            let inside = (1..=TOKENS).contains(&(token + offset));
            if inside { x[[text, (token + offset - 1) * VECTOR + column % VECTOR]] } else { 0.0 }
        };
        let windows = Array2::from_shape_fn((b * TOKENS, WINDOW * VECTOR), |(row, column)| at(row, column));
        let z = product(&windows, &self.weight)? + &self.bias;
        let h = Activation::Silu.forward(&z);
        let mut pooled = Array2::zeros((b, HIDDEN));
        for (row, h) in h.rows().into_iter().enumerate() {
            pooled.row_mut(row / TOKENS).scaled_add(1.0, &h);
        }
        let logits = product(&pooled, &self.readout)?;
        Ok(Pass { windows, z, pooled, logits })
    }

    /// Gradients of `Σ by_logits ⊙ logits`.
    fn back(&self, pass: &Pass, by_logits: &ArrayRef2<f32>) -> Result<Gradients> {
        let b = by_logits.nrows();
        let by_pooled = product(by_logits, &self.readout.t())?;
        let by_h = Array2::from_shape_fn((b * TOKENS, HIDDEN), |(row, unit)| by_pooled[[row / TOKENS, unit]]);
        let by_z = Activation::Silu.backward(&pass.z, &by_h)?;
        let by_windows = product(&by_z, &self.weight.t())?;
        let mut x = Array2::zeros((b, WIDTH));
        for ((row, column), &gradient) in by_windows.indexed_iter() {
            let (text, token, offset) = (row / TOKENS, row % TOKENS, column / VECTOR);
            if (1..=TOKENS).contains(&(token + offset)) {
                x[[text, (token + offset - 1) * VECTOR + column % VECTOR]] += gradient;
            }
        }
        Ok(Gradients {
            x,
            weight: product(&pass.windows.t(), &by_z)?,
            bias: by_z.sum_axis(Axis(0)),
            readout: product(&pass.pooled.t(), by_logits)?,
        })
    }
}

impl Forward<f32> for Model {
    type Error = Error;

    fn n_inputs(&self) -> usize {
        WIDTH
    }

    fn n_outputs(&self) -> usize {
        CLASSES
    }

    fn forward(&mut self, x: &ArrayRef2<f32>, out: &mut ArrayRef2<f32>) -> Result<()> {
        out.assign(&self.logits(x)?);
        Ok(())
    }
}

impl Differentiable<f32> for Model {
    fn vjp(
        &mut self,
        x: &ArrayRef2<f32>,
        cotangent: Cotangent<'_, f32>,
        out: &mut ArrayRef2<f32>,
        gradient: &mut ArrayRef2<f32>,
    ) -> Result<()> {
        let pass = self.run(x)?;
        out.assign(&pass.logits);
        let mut by_logits = Array2::zeros(out.raw_dim());
        cotangent(out, &mut by_logits);
        gradient.assign(&self.back(&pass, &by_logits)?.x);
        Ok(())
    }
}

/// A model in training, by the cross-entropy of its verdicts.
#[derive(Debug)]
pub(super) struct Trainer {
    pub(super) model: Model,
    states: [OptimizerState<f32>; 4],
}

impl Trainer {
    pub(super) fn new(words: usize, seed: Seed) -> Self {
        let model = Model::new(words, seed);
        let sizes = [model.vectors.len(), model.weight.len(), model.bias.len(), model.readout.len()];
        Self { model, states: sizes.map(|size| OptimizerState::new(Optimizer::adam(), size)) }
    }

    pub(super) fn step(&mut self, texts: &[Vec<Option<usize>>], labels: &[usize]) -> Result<()> {
        let pass = self.model.run(&self.model.look_up(texts))?;
        let mut by_logits = softmax(&pass.logits)?;
        labels.iter().enumerate().for_each(|(row, &label)| by_logits[[row, label]] -= 1.0);
        by_logits /= labels.len().max(1) as f32;
        let gradients = self.model.back(&pass, &by_logits)?;
        let mut vectors = Array2::<f32>::zeros(self.model.vectors.raw_dim());
        for (text, row) in texts.iter().zip(gradients.x.rows()) {
            for (word, gradient) in text.iter().zip(row.axis_chunks_iter(Axis(0), VECTOR)) {
                word.iter().for_each(|&word| vectors.row_mut(word).scaled_add(1.0, &gradient));
            }
        }
        let Model { vectors: v, weight, bias, readout } = &mut self.model;
        let parts = [
            (v.as_slice_mut(), vectors.as_slice()),
            (weight.as_slice_mut(), gradients.weight.as_slice()),
            (bias.as_slice_mut(), gradients.bias.as_slice()),
            (readout.as_slice_mut(), gradients.readout.as_slice()),
        ];
        for (state, (parameters, gradient)) in self.states.iter_mut().zip(parts) {
            state.step(parameters.unwrap_or_default(), gradient.unwrap_or_default(), LEARNING_RATE)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_those_of_differences() {
        let mut model = Model::new(5, Seed(4));
        let x = model.look_up(&[vec![Some(0), None, Some(3)], vec![Some(4); TOKENS]]);
        let (mut out, mut gradient) = (Array2::zeros((2, CLASSES)), Array2::zeros((2, WIDTH)));
        model.vjp(&x, &mut |_, by| by.column_mut(1).fill(1.0), &mut out, &mut gradient).unwrap();
        for (row, at) in [(0, 0), (0, VECTOR), (0, 3 * VECTOR + 1), (1, WIDTH - 1), (1, 5 * VECTOR)] {
            let mut moved = |by: f32| {
                let mut x = x.clone();
                x[[row, at]] += by;
                model.forward(&x, &mut out).unwrap();
                out[[row, 1]]
            };
            let difference = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((difference - gradient[[row, at]]).abs() < 1e-3, "{difference} {}", gradient[[row, at]]);
        }
    }
}
