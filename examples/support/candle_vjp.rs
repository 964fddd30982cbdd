//! What an explainer asks of a function of candle tensors.

use candle_core::{Error, Result, Tensor, Var};
use limpid::attribution::Cotangent;
use ndarray::{Array2, ArrayRef2};

/// Writes the numbers of a tensor, row by row.
pub(crate) fn copy(from: &Tensor, to: &mut ArrayRef2<f32>) -> Result<()> {
    to.iter_mut().zip(from.flatten_all()?.to_vec1()?).for_each(|(to, from)| *to = from);
    Ok(())
}

/// Runs `run` on `x` and writes its outputs, and the gradient of `Σ cotangent · output` by `x`.
pub(crate) fn outputs_and_gradient<E: From<Error>>(
    x: &Tensor,
    run: impl FnOnce(&Tensor) -> std::result::Result<Tensor, E>,
    cotangent: Cotangent<'_, f32>,
    out: &mut ArrayRef2<f32>,
    gradient: &mut ArrayRef2<f32>,
) -> std::result::Result<(), E> {
    let x = Var::from_tensor(x)?;
    let z = run(&x)?;
    copy(&z, out)?;
    let mut weights = Array2::<f32>::zeros(out.raw_dim());
    cotangent(out, &mut weights);
    let weights = Tensor::from_iter(weights, z.device())?.reshape(z.shape())?;
    let gradients = (z * weights)?.sum_all()?.backward()?;
    // what the output does not depend on has no gradient
    gradient.fill(0.0);
    Ok(gradients.get(&x).map_or(Ok(()), |by_x| copy(by_x, gradient))?)
}
