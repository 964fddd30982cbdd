//! Features on the device, without pre-activations of the whole dictionary.
//!
//! ```text
//! top-k        for tiles of latents: z = x̄ W_encᵀ + b,  then the k best of (those kept so far, z)
//! relu, jump   activation within the product: features are written once, pre-activations never
//! ```
//!
//! The choice is exact on the device's own pre-activations, which differ from the processor's by the rounding of
//! [`gemm`](super::gemm): two scores closer than that may change places.
//!
//! Source: the fused encoder of Gao et al. (arXiv 2406.04093), appendix on kernels, in tiles and with an exact choice.

use alloc::vec::Vec;

use super::array::GpuArray;
use super::context::GpuContext;
use super::gemm::{Columns, Epilogue, Product, multiply, multiply_columns};
use super::select::{Rules, TopK, merge};
use crate::error::check_limit;
use crate::{Error, Result};

/// Latents of one tile.
const TILE: usize = 4096;

/// An encoder on the device.
#[derive(Debug, Clone, Copy)]
pub struct Encoder<'a> {
    /// Encoder vectors in rows, `(m, d)`.
    pub w_enc: &'a GpuArray<f32>,
    /// Bias `(1, m)`.
    pub b_enc: &'a GpuArray<f32>,
}

/// Features of the `k` latents with the largest pre-activations of each sample, rectified; `x: (b, d)` is centred.
///
/// `norms: (1, m)` are what scores are multiplied with, where they go by them.
///
/// # Errors
/// [`Error::Shape`], [`Error::TooLarge`], [`Error::Gpu`].
pub fn encode_top_k(
    context: &GpuContext,
    x: &GpuArray<f32>,
    encoder: Encoder<'_>,
    k: usize,
    norms: Option<&GpuArray<f32>>,
) -> Result<TopK> {
    let m = encoder.w_enc.rows();
    if let Some(norms) = norms {
        norms.check_dim("norms", (1, m))?;
    }
    check_limit("k", k, m)?;
    let found = search(context, x, encoder, &[(k, Rules { scale: norms, rectify: true, ..Rules::default() })])?;
    found.into_iter().next().ok_or(Error::Empty { what: "choices" })
}

/// Goes through all latents once for several choices of so many each; values are rectified only at the end.
pub(super) fn search(
    context: &GpuContext,
    x: &GpuArray<f32>,
    encoder: Encoder<'_>,
    choices: &[(usize, Rules<'_>)],
) -> Result<Vec<TopK>> {
    let (rows, m) = (x.rows(), encoder.w_enc.rows());
    let pair = |k: usize| Ok([TopK::uninitialised(context, rows, k)?, TopK::uninitialised(context, rows, k)?]);
    let mut kept = choices.iter().map(|(k, _)| pair(*k)).collect::<Result<Vec<_>>>()?;
    // a tile must fit a binding with all its rows
    let widest = context.rows_at_once(rows)?.clamp(1, TILE);
    let mut z = GpuArray::uninitialised(context, rows, widest.min(m))?;
    for first in (0..m).step_by(widest) {
        let latents = first..m.min(first + widest);
        let (count, last) = (latents.len(), latents.end == m);
        let product =
            Product { transpose_b: true, epilogue: Epilogue::Bias(encoder.b_enc), ..Product::new(x, encoder.w_enc) };
        multiply_columns(context, &product, &mut Columns { rows: latents, out: &mut z, first: 0 }, x.columns())?;
        for ((_, rules), pair) in choices.iter().zip(&mut kept) {
            pair.swap(0, 1);
            let [before, after] = &*pair;
            let rules = Rules { rectify: rules.rectify && last, ..*rules };
            if !after.values.is_empty() {
                merge(context, (&z, count), first, ((first > 0).then_some(before), after), rules)?;
            }
        }
    }
    Ok(kept.into_iter().map(|[_, after]| after).collect())
}

/// All features `(b, m)` of a rectified encoder.
///
/// # Errors
/// As [`encode_top_k`].
pub fn encode_relu(context: &GpuContext, x: &GpuArray<f32>, encoder: Encoder<'_>) -> Result<GpuArray<f32>> {
    dense(context, x, encoder, Epilogue::Relu(encoder.b_enc))
}

/// All features `(b, m)` of an encoder with `thresholds: (1, m)`.
///
/// # Errors
/// As [`encode_top_k`].
pub fn encode_jump_relu(
    context: &GpuContext,
    x: &GpuArray<f32>,
    encoder: Encoder<'_>,
    thresholds: &GpuArray<f32>,
) -> Result<GpuArray<f32>> {
    dense(context, x, encoder, Epilogue::JumpRelu(encoder.b_enc, thresholds))
}

fn dense(
    context: &GpuContext,
    x: &GpuArray<f32>,
    encoder: Encoder<'_>,
    epilogue: Epilogue<'_>,
) -> Result<GpuArray<f32>> {
    multiply(context, &Product { transpose_b: true, epilogue, ..Product::new(x, encoder.w_enc) })
}
