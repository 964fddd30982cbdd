//! A candle model as stages, which limpid can run, differentiate and tap.

use candle_core::{Device, Error, Result, Tensor, Var};
use limpid::attribution::{Cotangent, Differentiable, Forward};
use ndarray::{Array2, ArrayRef2};

/// A part of a model: rows in, rows out.
pub type Stage = Box<dyn Fn(&Tensor) -> Result<Tensor>>;

/// `widths`: numbers of a row before the first stage and after each.
pub struct Staged {
    pub stages: Vec<Stage>,
    pub widths: Vec<usize>,
    pub device: Device,
}

impl Staged {
    /// What stage `at` hands on, `(b, widths[at + 1])`: activations for an autoencoder, or to collect.
    pub fn tap(&self, at: usize, x: &ArrayRef2<f32>) -> Result<Array2<f32>> {
        let mut out = Array2::zeros((x.nrows(), self.widths[at + 1]));
        copy(&self.run(at + 1, &self.tensor(x)?)?, &mut out)?;
        Ok(out)
    }

    fn run(&self, stages: usize, x: &Tensor) -> Result<Tensor> {
        self.stages[..stages].iter().try_fold(x.clone(), |x, stage| stage(&x))
    }

    fn tensor(&self, x: &ArrayRef2<f32>) -> Result<Tensor> {
        Tensor::from_iter(x.iter().copied(), &self.device)?.reshape(x.dim())
    }
}

fn copy(from: &Tensor, to: &mut ArrayRef2<f32>) -> Result<()> {
    to.iter_mut().zip(from.flatten_all()?.to_vec1()?).for_each(|(to, from)| *to = from);
    Ok(())
}

impl Forward<f32> for Staged {
    type Error = Error;

    fn n_inputs(&self) -> usize {
        self.widths[0]
    }

    fn n_outputs(&self) -> usize {
        self.widths[self.stages.len()]
    }

    fn forward(&mut self, x: &ArrayRef2<f32>, out: &mut ArrayRef2<f32>) -> Result<()> {
        copy(&self.run(self.stages.len(), &self.tensor(x)?)?, out)
    }
}

impl Differentiable<f32> for Staged {
    #[rustfmt::skip] // short enough to copy
    fn vjp(&mut self, x: &ArrayRef2<f32>, cotangent: Cotangent<'_, f32>, out: &mut ArrayRef2<f32>, gradient: &mut ArrayRef2<f32>) -> Result<()> {
        let x = Var::from_tensor(&self.tensor(x)?)?;
        let z = self.run(self.stages.len(), &x)?;
        copy(&z, out)?;
        let mut by_z = Array2::zeros(out.raw_dim());
        cotangent(out, &mut by_z);
        let gradients = (z * self.tensor(&by_z)?)?.sum_all()?.backward()?;
        gradient.fill(0.0); // what the output does not depend on has no gradient
        gradients.get(&x).map_or(Ok(()), |by_x| copy(by_x, gradient))
    }
}
