//! The number that is explained, as a function of the word embeddings of one sentence.
//!
//! ```text
//! x: (t d)  ->  e = mean of BERT(x) over its tokens, length 1  ->  z = e·w + v
//! ```
//!
//! With `w` the embedding of another sentence and `v = 0` that is the cosine of both; with `w` and `v` of a logistic
//! regression on embeddings it is the logit.

use candle_core::{Device, Tensor};
use limpid::attribution::{Cotangent, Differentiable, Forward};
use ndarray::{ArrayRef1, ArrayRef2};

use super::sentence::pooled;
use crate::bert::Bert;
use crate::candle_vjp::{copy, outputs_and_gradient};
use crate::{Error, Result};

/// A sentence encoder and what is read off its embedding, for sentences of one length.
pub struct Explained<'a> {
    model: &'a Bert,
    tokens: usize,
    /// `w`, as a column.
    weights: Tensor,
    /// `v`.
    offset: f64,
}

impl<'a> Explained<'a> {
    /// `e·weights + offset` for sentences of `tokens` tokens; `weights: (d)`.
    ///
    /// # Errors
    /// Weights that do not fit the model.
    pub fn new(model: &'a Bert, tokens: usize, weights: &ArrayRef1<f32>, offset: f64) -> Result<Self> {
        let weights = Tensor::from_vec(weights.to_vec(), (model.config.hidden, 1), &Device::Cpu)?;
        Ok(Self { model, tokens, weights, offset })
    }

    fn rows(&self, x: &ArrayRef2<f32>) -> Result<Tensor> {
        let shape = (x.nrows(), self.tokens, self.model.config.hidden);
        Ok(Tensor::from_vec(x.iter().copied().collect::<Vec<f32>>(), shape, &Device::Cpu)?)
    }

    /// `z: (b, 1)` of `x: (b, t, d)`.
    fn run(&self, x: &Tensor) -> Result<Tensor> {
        Ok((pooled(&self.model.encode(x)?)?.matmul(&self.weights)? + self.offset)?)
    }
}

impl Forward<f32> for Explained<'_> {
    type Error = Error;

    fn n_inputs(&self) -> usize {
        self.tokens * self.model.config.hidden
    }

    fn n_outputs(&self) -> usize {
        1
    }

    fn forward(&mut self, x: &ArrayRef2<f32>, out: &mut ArrayRef2<f32>) -> Result<()> {
        Ok(copy(&self.run(&self.rows(x)?)?, out)?)
    }
}

impl Differentiable<f32> for Explained<'_> {
    fn vjp(
        &mut self,
        x: &ArrayRef2<f32>,
        cotangent: Cotangent<'_, f32>,
        out: &mut ArrayRef2<f32>,
        gradient: &mut ArrayRef2<f32>,
    ) -> Result<()> {
        outputs_and_gradient(&self.rows(x)?, |x| self.run(x), cotangent, out, gradient)
    }
}
