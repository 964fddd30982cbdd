//! The model reading windows of a text: what its neurons do, and what happens to its loss when they are changed.

use candle_core::Tensor;
use ndarray::{Array2, ArrayRef2};

use crate::Result;
use crate::model::{Frozen, losses, rows, tensor, windows};
use crate::text::Text;
use crate::train::next;

/// Windows that are read together.
pub(crate) const TOGETHER: usize = 16;

/// Windows of a text, and what the model makes of them; a row is a token.
pub(crate) struct Reading {
    /// First token of each window.
    pub(crate) starts: Vec<usize>,
    context: usize,
    /// The token after each.
    next: Vec<u32>,
    residual: Tensor,
    /// Activations of the neurons, `(b t, m)`.
    pub(crate) neurons: Array2<f32>,
}

impl Reading {
    /// Reads the windows that begin at `starts`.
    pub(crate) fn new(model: &Frozen, text: &Text, starts: &[usize]) -> Result<Self> {
        let context = model.shape.context;
        let tokens = windows(starts.iter().map(|&start| text.window(start, context)), context)?;
        let (residual, neurons) = model.read(&tokens)?;
        let (starts, next, neurons) = (starts.to_vec(), next(text, starts, context), rows(&neurons)?);
        Ok(Self { starts, context, next, residual, neurons })
    }

    /// Place of a row in the text.
    pub(crate) fn place(&self, row: usize) -> usize {
        self.starts[row / self.context] + row % self.context
    }

    /// Losses of all rows with these activations `(b t, m)` of the neurons.
    pub(crate) fn losses(&self, model: &Frozen, neurons: &ArrayRef2<f32>) -> Result<Vec<f32>> {
        Ok(losses(&model.logits(&self.residual, &tensor(neurons)?)?, &self.next)?.to_vec1()?)
    }
}

pub(crate) fn mean(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len().max(1) as f64
}
