//! What lets gradients through a model whose weights do not change.

use candle_core::{CpuStorage, CustomOp2, D, Layout, Shape, Tensor};

use crate::Result;

/// A linear map that knows its gradient by its input alone: candle's own product would compute that of the weights too,
/// which costs as much again.
struct Frozen {
    weight: Tensor,
}

impl CustomOp2 for Frozen {
    fn name(&self) -> &'static str {
        "frozen-linear"
    }

    /// The second argument, which is the result already.
    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        y: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (from, to) =
            layout.contiguous_offsets().ok_or(candle_core::Error::RequiresContiguous { op: self.name() })?;
        Ok((CpuStorage::F32(y.as_slice::<f32>()?[from..to].to_vec()), layout.shape().clone()))
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(gradient.matmul(&self.weight)?), None))
    }
}

/// `x Wᵀ + v` of rows `(b, i)`, with a gradient by `x` where one is asked for.
pub(crate) fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let y = x.detach().matmul(&weight.t()?)?.broadcast_add(bias)?;
    Ok(if x.track_op() { x.apply_op2(&y, Frozen { weight: weight.clone() })? } else { y })
}

/// Softmax over the last axis; the fused one has no gradient.
pub(crate) fn softmax(x: &Tensor) -> Result<Tensor> {
    if !x.track_op() {
        return Ok(candle_nn::ops::softmax_last_dim(x)?);
    }
    // the shift by the largest changes nothing, and so has no gradient
    let powers = x.broadcast_sub(&x.detach().max_keepdim(D::Minus1)?)?.exp()?;
    Ok(powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)?)
}
