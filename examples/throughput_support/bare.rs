//! The model's passes that a method cannot do without: the batches it asked for, again, with nothing around them.

use std::time::Instant;

use limpid::attribution::{Cotangent, Differentiable, Forward};
use ndarray::{Array2, ArrayRef2};

/// Batches that are kept, so that memory does not grow with the work.
const KEPT: usize = 16;

/// A model that keeps the first batches it is asked for.
pub struct Recorder<M> {
    pub model: M,
    batches: Vec<Asked>,
    rows: usize,
}

/// A batch, and room for the answer.
struct Asked {
    x: Array2<f32>,
    z: Array2<f32>,
    /// Of a batch that was asked for gradients.
    gradient: Option<Array2<f32>>,
}

impl<M: Differentiable<f32, Error = limpid::Error>> Recorder<M> {
    pub fn new(model: M) -> Self {
        Self { model, batches: Vec::new(), rows: 0 }
    }

    fn keep(&mut self, x: &ArrayRef2<f32>, gradient: bool) {
        if self.batches.len() < KEPT {
            let z = Array2::zeros((x.nrows(), self.model.n_outputs()));
            self.batches.push(Asked { x: x.to_owned(), z, gradient: gradient.then(|| Array2::zeros(x.raw_dim())) });
        }
        self.rows += x.nrows();
    }

    /// Asks for the batch again.
    fn again(&mut self, batch: usize) -> limpid::Result<usize> {
        let Asked { x, z, gradient } = &mut self.batches[batch];
        match gradient {
            Some(gradient) => self.model.vjp(x, &mut |_, ct| ct.column_mut(0).fill(1.0), z, gradient)?,
            None => self.model.forward(x, z)?,
        }
        Ok(x.nrows())
    }

    /// Seconds that all rows so far take by themselves, `iterations` times.
    pub fn bare_seconds(&mut self, iterations: usize) -> limpid::Result<f64> {
        let (wanted, mut rows) = (self.rows * iterations, 0);
        let start = Instant::now();
        for batch in (0..self.batches.len()).cycle() {
            rows += self.again(batch)?;
            if rows >= wanted {
                break;
            }
        }
        Ok(start.elapsed().as_secs_f64() * wanted as f64 / rows.max(1) as f64)
    }
}

impl<M: Differentiable<f32, Error = limpid::Error>> Forward<f32> for Recorder<M> {
    type Error = limpid::Error;

    fn n_inputs(&self) -> usize {
        self.model.n_inputs()
    }

    fn n_outputs(&self) -> usize {
        self.model.n_outputs()
    }

    fn forward(&mut self, x: &ArrayRef2<f32>, out: &mut ArrayRef2<f32>) -> limpid::Result<()> {
        self.keep(x, false);
        self.model.forward(x, out)
    }
}

impl<M: Differentiable<f32, Error = limpid::Error>> Differentiable<f32> for Recorder<M> {
    fn vjp(
        &mut self,
        x: &ArrayRef2<f32>,
        cotangent: Cotangent<'_, f32>,
        out: &mut ArrayRef2<f32>,
        gradient: &mut ArrayRef2<f32>,
    ) -> limpid::Result<()> {
        self.keep(x, true);
        self.model.vjp(x, cotangent, out, gradient)
    }
}
