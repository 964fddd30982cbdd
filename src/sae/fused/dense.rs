//! Loss and gradient where many latents are active: whole rows of features, each element touched once after each product.
//!
//! ```text
//! F = activation(x̄ W_enc + b_enc)        tile by tile, with counts and penalties of the rows
//! G = ∂L/∂x'                             x' = F W_dec + b_dec
//! Z = (G W_decᵀ + penalty) ⊙ [active]    tile by tile, with the sums over samples
//! ∂L/∂W_dec = Fᵀ G,  ∂L/∂W_enc = x̄ᵀ Z
//! ```
//!
//! Equal to [`loss_and_gradient`](crate::sae::loss_and_gradient) up to rounding, with two matrices of the size of the features.
//!
//! Source: the steps are those of `sae/backward.rs`, which has their sources.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2, ArrayView1, ArrayView2, ArrayViewMut1, Axis};

use super::rows::dot;
use super::{Workspace, is_plain};
use crate::math::aligned::Aligned;
use crate::math::gemm::product;
use crate::math::gemm::streamed::{TILE_ROWS, Tile, for_each_tile};
use crate::math::par;
use crate::math::reduce::column_sums;
use crate::math::simd::{Select, Simd, SimdBase, SimdMask, Vector, dispatch, level, load_part, store_part};
use crate::sae::activation::Activation;
use crate::sae::backward::{LossTerms, SaeGradient};
use crate::sae::loss::{LayerNorms, Loss, Sparsity};
use crate::sae::model::Sae;
use crate::sae::penalty::penalty;
use crate::{Error, Result, Scalar};

/// Samples whose outputs are gone through together.
const SAMPLES: usize = 64;

/// A loss, its gradient, and who was active.
pub(in crate::sae) struct DensePass<T> {
    pub(in crate::sae) terms: LossTerms<T>,
    pub(in crate::sae) gradient: SaeGradient<T>,
    pub(in crate::sae) l0: f64,
    pub(in crate::sae) fired: Vec<bool>,
}

/// Whether [`pass`] computes this loss of this autoencoder.
pub(in crate::sae) fn covers<T: Scalar>(sae: &Sae<T>, loss: &Loss, target: bool) -> bool {
    let activation = matches!(sae.activation, Activation::Relu | Activation::JumpRelu { .. });
    is_plain(sae, loss, target) && activation && loss.aux.is_none() && loss.straight_through.pre_activation == 0.0
}

/// Loss and gradient on normalised inputs `x: (b, d)` in standard layout, which are also the target; `scale` is that of the
/// sum of squares.
pub(in crate::sae) fn pass<T: Scalar>(
    sae: &Sae<T>,
    loss: &Loss,
    x: &ArrayRef2<T>,
    scale: T,
    workspace: &mut Workspace<T>,
) -> Result<DensePass<T>> {
    let (b, m) = (x.nrows(), sae.latents());
    let (centred, rule) = (sae.centred(x), Rule::new(sae, loss, b));
    let Workspace { packed, features, by_z, .. } = workspace;
    features.resize(b * m, T::zero());
    by_z.resize(b * m, T::zero());
    let active = forward(sae, &rule, &centred, features, by_z, packed);
    let whole = |flat| ArrayView2::from_shape((b, m), flat).map_err(|_| Error::Empty { what: "features" });
    let features_of_rows = whole(&features[..])?;
    let mut by_output = product(&features_of_rows, &sae.w_dec)?;
    let squares = errors(&mut by_output, x, &sae.b_dec, T::of(2.0) * scale);
    let (sparsity, by_step) = rule.penalty(sae, loss, &features_of_rows, &active)?;
    let sums = backward(sae, &rule, &by_output, &by_step, features, by_z, packed);
    let mut w_dec = product(&features_of_rows.t(), &by_output)?;
    if rule.norms.is_some() {
        sae.add_through_norms(&sums.by_norms, rule.joint, &mut w_dec);
    }
    let mut b_dec = column_sums(&by_output);
    if sae.apply_b_dec_to_input {
        b_dec -= &product(&sae.w_enc, &sums.b_enc.view().insert_axis(Axis(1)))?.column(0);
    }
    let w_enc = product(&whole(&by_z[..])?.t(), &centred)?.reversed_axes();
    let Sums { b_enc, threshold, .. } = sums;
    Ok(DensePass {
        terms: LossTerms { reconstruction: scale * T::of(squares), sparsity, ..LossTerms::default() },
        gradient: SaeGradient { w_enc, b_enc, w_dec, b_dec, w_skip: None, threshold, magnitude: None },
        l0: active.l0.sum().as_f64() / b as f64,
        fired: active.fired,
    })
}

/// Who was active in a batch.
struct Active<T> {
    /// Active latents of each sample, `(b)`.
    l0: Array1<T>,
    /// `Σ f ν` over samples and latents.
    sum: f64,
    fired: Vec<bool>,
}

/// Fills `features`, and `z` for JumpReLU.
fn forward<T: Scalar>(
    sae: &Sae<T>,
    rule: &Rule<'_, T>,
    centred: &Array2<T>,
    features: &mut [T],
    z: &mut [T],
    packed: &mut Aligned<T>,
) -> Active<T> {
    let m = sae.latents();
    let mut blocks: Vec<Forward<'_, T>> = (features.chunks_mut(TILE_ROWS * m).zip(z.chunks_mut(TILE_ROWS * m)))
        .map(|(features, z)| Forward::new(features, z, m))
        .collect();
    for_each_tile(centred.view(), sae.w_enc.view(), packed, &mut blocks, |block, tile| {
        dispatch!(level(), simd => rule.forward(simd, block, &tile));
    });
    let counts = blocks.iter().flat_map(|block| &block.counts).take(centred.nrows());
    Active {
        l0: counts.map(|&count| T::of(f64::from(count))).collect(),
        sum: blocks.iter().flat_map(|block| &block.sums).map(|sum| sum.as_f64()).sum(),
        fired: fired::<T>(&blocks, m),
    }
}

/// Gradients that are sums over samples.
struct Sums<T> {
    b_enc: Array1<T>,
    by_norms: Array1<T>,
    threshold: Option<Array1<T>>,
}

/// Turns `by_z`, which holds pre-activations for JumpReLU, into gradients by them.
fn backward<T: Scalar>(
    sae: &Sae<T>,
    rule: &Rule<'_, T>,
    by_output: &Array2<T>,
    by_step: &[T],
    features: &[T],
    by_z: &mut [T],
    packed: &mut Aligned<T>,
) -> Sums<T> {
    let m = sae.latents();
    let mut blocks: Vec<Backward<'_, T>> = (features.chunks(TILE_ROWS * m).zip(by_z.chunks_mut(TILE_ROWS * m)))
        .enumerate()
        .map(|(index, (features, z))| Backward::new(features, z, m, index * TILE_ROWS))
        .collect();
    for_each_tile(by_output.view(), sae.w_dec.t(), packed, &mut blocks, |block, tile| {
        dispatch!(level(), simd => rule.backward(simd, block, &tile, by_step));
    });
    let total = |of: for<'r> fn(&'r Backward<'_, T>) -> &'r [T]| -> Array1<T> {
        blocks.iter().fold(Array1::zeros(m), |sum, block| sum + ArrayView1::from(of(block)))
    };
    Sums {
        b_enc: total(|block| &block.by_bias),
        by_norms: total(|block| &block.by_norms),
        threshold: rule.bars.map(|_| -total(|block| &block.by_threshold)),
    }
}

/// What the elements of every tile need.
struct Rule<'a, T> {
    bias: &'a [T],
    bars: Option<&'a [T]>,
    /// Gradient by each active feature of an L1 penalty, before the norms.
    slope: T,
    norms: Option<Vec<T>>,
    /// Whether the norms are those of all layers together.
    joint: bool,
    bandwidth: T,
    to_input: bool,
}

/// Some rows of features in the making.
struct Forward<'a, T> {
    features: &'a mut [T],
    z: &'a mut [T],
    /// Active latents of each row.
    counts: Vec<u32>,
    /// `Σ f ν` of each row.
    sums: Vec<T>,
    /// A bit per latent that was active, a word per vector.
    fired: Vec<u64>,
}

/// Some rows of gradients in the making; sums are over the rows.
struct Backward<'a, T> {
    features: &'a [T],
    z: &'a mut [T],
    first: usize,
    by_bias: Vec<T>,
    by_threshold: Vec<T>,
    by_norms: Vec<T>,
}

impl<'a, T: Scalar> Forward<'a, T> {
    fn new(features: &'a mut [T], z: &'a mut [T], m: usize) -> Self {
        let fired = vec![0; m.div_ceil(T::LANES)];
        Self { features, z, counts: vec![0; TILE_ROWS], sums: vec![T::zero(); TILE_ROWS], fired }
    }
}

impl<'a, T: Scalar> Backward<'a, T> {
    fn new(features: &'a [T], z: &'a mut [T], m: usize, first: usize) -> Self {
        let zeros = || vec![T::zero(); m];
        Self { features, z, first, by_bias: zeros(), by_threshold: zeros(), by_norms: zeros() }
    }
}

impl<'a, T: Scalar> Rule<'a, T> {
    fn new(sae: &'a Sae<T>, loss: &Loss, rows: usize) -> Self {
        let (slope, layers) = match loss.sparsity {
            Sparsity::Lp { coefficient, decoder_norm, .. } => (T::of(coefficient / rows as f64), decoder_norm),
            _ => (T::zero(), None),
        };
        let bars = if let Activation::JumpRelu { threshold } = &sae.activation { threshold.as_slice() } else { None };
        Self {
            bias: sae.b_enc.as_slice().unwrap_or(&[]),
            bars,
            slope,
            norms: layers.map(|_| sae.decoder_norms().to_vec()),
            joint: layers == Some(LayerNorms::Joint),
            bandwidth: T::of(loss.straight_through.bandwidth),
            to_input: loss.straight_through.to_input,
        }
    }

    /// The penalty, and the gradient by the steps of JumpReLU for each row.
    fn penalty(
        &self,
        sae: &Sae<T>,
        loss: &Loss,
        features: &ArrayView2<'_, T>,
        active: &Active<T>,
    ) -> Result<(T, Vec<T>)> {
        let none = vec![T::zero(); active.l0.len()];
        if let Sparsity::Lp { .. } = loss.sparsity {
            return Ok((self.slope * T::of(active.sum), none));
        }
        let found = penalty(sae, loss.sparsity, features, &active.l0)?;
        Ok((found.value, found.by_steps.map_or(none, |steps| steps.to_vec())))
    }

    #[inline(always)]
    fn forward<S: Simd>(&self, simd: S, block: &mut Forward<'_, T>, tile: &Tile<'_, T>) {
        let (first, wide, m) = (tile.columns.start, tile.columns.len(), self.bias.len());
        let zero = Vector::<T, S>::splat(simd, T::zero());
        for (row, values) in tile.values.chunks_exact(wide).enumerate() {
            let (mut count, mut sum) = (0, zero);
            for lane in (0..wide).step_by(T::LANES) {
                let end = wide.min(lane + T::LANES);
                let (at, to) = (first + lane..first + end, row * m + first + lane..row * m + first + end);
                let z = load_part::<T, S>(simd, &values[lane..end]) + load_part::<T, S>(simd, &self.bias[at.clone()]);
                let (active, feature) = match self.bars {
                    None => (z.simd_gt(zero), z.simd_le(zero).select(zero, z)),
                    Some(bars) => {
                        let active = z.simd_gt(load_part::<T, S>(simd, &bars[at.clone()]));
                        store_part::<T, S>(z, &mut block.z[to.clone()]);
                        (active, active.select(z, zero))
                    }
                };
                store_part::<T, S>(feature, &mut block.features[to]);
                let positive = feature.simd_gt(zero).select(feature, zero);
                sum += self.norms.as_ref().map_or(positive, |norms| positive * load_part::<T, S>(simd, &norms[at]));
                // lanes past the last latent are no latents, even where a bar is below 0
                let bits = active.to_bitmask() & (u64::MAX >> (64 - (end - lane)));
                count += bits.count_ones();
                block.fired[(first + lane) / T::LANES] |= bits;
            }
            block.counts[row] += count;
            block.sums[row] += sum.reduce_sum();
        }
    }

    #[inline(always)]
    fn backward<S: Simd>(&self, simd: S, block: &mut Backward<'_, T>, tile: &Tile<'_, T>, by_step: &[T]) {
        let (first, wide, m) = (tile.columns.start, tile.columns.len(), self.bias.len());
        let (zero, slope) = (Vector::<T, S>::splat(simd, T::zero()), Vector::<T, S>::splat(simd, self.slope));
        let inverse = Vector::<T, S>::splat(simd, self.bandwidth.recip());
        let half = Vector::<T, S>::splat(simd, T::of(0.5));
        for (row, values) in tile.values.chunks_exact(wide).enumerate() {
            let step = Vector::<T, S>::splat(simd, by_step[block.first + row]);
            for lane in (0..wide).step_by(T::LANES) {
                let end = wide.min(lane + T::LANES);
                let (at, to) = (first + lane..first + end, row * m + first + lane..row * m + first + end);
                let feature = load_part::<T, S>(simd, &block.features[to.clone()]);
                let positive = feature.simd_gt(zero);
                let mut g = load_part::<T, S>(simd, &values[lane..end]);
                if let Some(norms) = &self.norms {
                    g += positive.select(slope * load_part::<T, S>(simd, &norms[at.clone()]), zero);
                    let sums = &mut block.by_norms[at.clone()];
                    store_part::<T, S>(load_part::<T, S>(simd, sums) + positive.select(slope * feature, zero), sums);
                } else {
                    g += positive.select(slope, zero);
                }
                let by_z = match self.bars {
                    None => positive.select(g, zero),
                    Some(bars) => {
                        let (z, bar) =
                            (load_part::<T, S>(simd, &block.z[to.clone()]), load_part::<T, S>(simd, &bars[at.clone()]));
                        let away = (z - bar) * inverse;
                        let near = away
                            .simd_lt(half)
                            .select(away.simd_gt(zero - half).select((bar * g + step) * inverse, zero), zero);
                        let sums = &mut block.by_threshold[at.clone()];
                        store_part::<T, S>(load_part::<T, S>(simd, sums) + near, sums);
                        let through = z.simd_gt(bar).select(g, zero);
                        if self.to_input { through + near } else { through }
                    }
                };
                store_part::<T, S>(by_z, &mut block.z[to]);
                let sums = &mut block.by_bias[at];
                store_part::<T, S>(load_part::<T, S>(simd, sums) + by_z, sums);
            }
        }
    }
}

/// Which latents were active in any row.
fn fired<T: Scalar>(blocks: &[Forward<'_, T>], m: usize) -> Vec<bool> {
    let bit = |block: &Forward<'_, T>, i: usize| block.fired[i / T::LANES] >> (i % T::LANES) & 1 == 1;
    (0..m).map(|i| blocks.iter().any(|block| bit(block, i))).collect()
}

/// Turns products into gradients by outputs, `slope` times the errors; returns the sum of the squared errors.
fn errors<T: Scalar>(output: &mut Array2<T>, x: &ArrayRef2<T>, bias: &Array1<T>, slope: T) -> f64 {
    let d = x.ncols();
    let mut pieces: Vec<_> = (output.as_slice_mut().unwrap_or(&mut []).chunks_mut(SAMPLES * d))
        .zip(x.as_slice().unwrap_or(&[]).chunks(SAMPLES * d))
        .map(|(output, x)| (output, x, 0.0))
        .collect();
    par::for_each_mut(&mut pieces, |_, (output, x, squares)| {
        for (output, x) in output.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
            let mut output = ArrayViewMut1::from(output);
            output += bias;
            output -= &ArrayView1::from(x);
            let error = output.as_slice().unwrap_or(&[]);
            *squares += dispatch!(level(), simd => dot(simd, error, error)).as_f64();
            output *= slope;
        }
    });
    pieces.iter().map(|(.., squares)| squares).sum()
}
