//! A burn model as stages, which limpid can run, differentiate and tap.

use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{DataError, Tensor, TensorData};
use limpid::attribution::{Cotangent, Differentiable, Forward};
use ndarray::{Array2, ArrayRef2};

/// A part of a model: rows in, rows out.
pub type Stage<B> = Box<dyn Fn(Tensor<B, 2>) -> Tensor<B, 2>>;

/// `widths`: numbers of a row before the first stage and after each.
pub struct Staged<B: AutodiffBackend> {
    pub stages: Vec<Stage<B>>,
    pub widths: Vec<usize>,
    pub device: B::Device,
}

impl<B: AutodiffBackend> Staged<B> {
    /// What stage `at` hands on, `(b, widths[at + 1])`: activations for an autoencoder, or to collect.
    pub fn tap(&self, at: usize, x: &ArrayRef2<f32>) -> Result<Array2<f32>, DataError> {
        let mut out = Array2::zeros((x.nrows(), self.widths[at + 1]));
        copy(self.run(at + 1, self.tensor(x)).into_data(), &mut out)?;
        Ok(out)
    }

    fn run(&self, stages: usize, x: Tensor<B, 2>) -> Tensor<B, 2> {
        self.stages[..stages].iter().fold(x, |x, stage| stage(x))
    }

    fn tensor(&self, x: &ArrayRef2<f32>) -> Tensor<B, 2> {
        Tensor::from_data(
            TensorData::new(x.iter().copied().collect::<Vec<f32>>(), [x.nrows(), x.ncols()]),
            &self.device,
        )
    }
}

fn copy(from: TensorData, to: &mut ArrayRef2<f32>) -> Result<(), DataError> {
    to.iter_mut().zip(from.convert::<f32>().into_vec()?).for_each(|(to, from)| *to = from);
    Ok(())
}

impl<B: AutodiffBackend> Forward<f32> for Staged<B> {
    type Error = DataError;

    fn n_inputs(&self) -> usize {
        self.widths[0]
    }

    fn n_outputs(&self) -> usize {
        self.widths[self.stages.len()]
    }

    fn forward(&mut self, x: &ArrayRef2<f32>, out: &mut ArrayRef2<f32>) -> Result<(), DataError> {
        copy(self.run(self.stages.len(), self.tensor(x)).into_data(), out)
    }
}

impl<B: AutodiffBackend> Differentiable<f32> for Staged<B> {
    #[rustfmt::skip] // short enough to copy
    fn vjp(&mut self, x: &ArrayRef2<f32>, cotangent: Cotangent<'_, f32>, out: &mut ArrayRef2<f32>, gradient: &mut ArrayRef2<f32>) -> Result<(), DataError> {
        let x = self.tensor(x).require_grad();
        let z = self.run(self.stages.len(), x.clone());
        copy(z.to_data(), out)?;
        let mut by_z = Array2::zeros(out.raw_dim());
        cotangent(out, &mut by_z);
        let gradients = (z * self.tensor(&by_z)).sum().backward();
        gradient.fill(0.0); // what the output does not depend on has no gradient
        x.grad(&gradients).map_or(Ok(()), |by_x| copy(by_x.into_data(), gradient))
    }
}
