//! Loss and gradient of a toy model on one block of samples, forward and backward side by side.
//!
//! ```text
//! H = E X          (relu where the hidden layer has one)      E: (m, n),  X: (n, rows)
//! Z = D H + b      Y = Z or relu(Z)                           D: (n, m),  Eᵀ in tied models
//! L = Σ w_i (Y - T)² + λ Σ |H|                                T = X or |X|
//! Δ = 2 w ⊙ (Y - T) ⊙ [Z > 0]
//! dD = Δ Hᵀ,  db = Σ Δ,  dE = ((Dᵀ Δ + λ sign H) ⊙ [H > 0]) Xᵀ
//! ```
//!
//! `w` is the importance times the scale of the reduction; masks are left out where a layer is linear, and the derivative
//! of relu at 0 is 0. In tied models both paths add to the one gradient.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::ArrayRef1;

use super::model::{Architecture, Reduction, ToyModel};
use crate::Scalar;
use crate::math::aligned::Aligned;
use crate::math::block::{BLOCK, accumulate, apply, live_lanes};
use crate::math::simd::{Select, Simd, SimdBase, Vector, dispatch, level};

/// Parameters of a model in the layouts that the block products read.
#[derive(Debug, Clone)]
pub(crate) struct Parameters<T> {
    pub(crate) architecture: Architecture,
    n: usize,
    m: usize,
    /// `(m, n)`.
    pub(crate) encoder: Vec<T>,
    /// `(n, m)`; in tied models the transposed encoder.
    decoder: Vec<T>,
    /// `(m, n)`; empty in tied models.
    pub(crate) decoder_transposed: Vec<T>,
    /// `(n)`.
    pub(crate) bias: Vec<T>,
}

impl<T: Scalar> Parameters<T> {
    pub(crate) fn new(model: &ToyModel<T>) -> Self {
        let (m, n) = model.weight.dim();
        let decoder_transposed = model.decoder.as_ref().map_or_else(Vec::new, |d| d.t().iter().copied().collect());
        let mut parameters = Self {
            architecture: model.architecture,
            n,
            m,
            encoder: model.weight.iter().copied().collect(),
            decoder: vec![T::zero(); n * m],
            decoder_transposed,
            bias: model.bias.to_vec(),
        };
        parameters.refresh();
        parameters
    }

    /// Brings the derived layout up to date after a change of the parameters.
    pub(crate) fn refresh(&mut self) {
        let source = if self.is_tied() { &self.encoder } else { &self.decoder_transposed };
        for (d, row) in source.chunks_exact(self.n).enumerate() {
            for (i, &w) in row.iter().enumerate() {
                self.decoder[i * self.m + d] = w;
            }
        }
    }

    fn is_tied(&self) -> bool {
        self.decoder_transposed.is_empty()
    }

    pub(crate) fn write_to(&self, model: &mut ToyModel<T>) {
        model.weight.iter_mut().zip(&self.encoder).for_each(|(to, &from)| *to = from);
        model.bias.iter_mut().zip(&self.bias).for_each(|(to, &from)| *to = from);
        if let Some(decoder) = &mut model.decoder {
            decoder.iter_mut().zip(&self.decoder).for_each(|(to, &from)| *to = from);
        }
    }
}

/// Gradients in the layouts of [`Parameters`], and the loss that they belong to.
#[derive(Debug, Clone)]
pub(crate) struct BlockGradient<T> {
    pub(crate) loss: f64,
    pub(crate) encoder: Vec<T>,
    pub(crate) decoder_transposed: Vec<T>,
    pub(crate) bias: Vec<T>,
}

impl<T: Scalar> BlockGradient<T> {
    pub(crate) fn new(parameters: &Parameters<T>) -> Self {
        let zeros = |like: &[T]| vec![T::zero(); like.len()];
        Self {
            loss: 0.0,
            encoder: zeros(&parameters.encoder),
            decoder_transposed: zeros(&parameters.decoder_transposed),
            bias: zeros(&parameters.bias),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.loss = 0.0;
        for part in [&mut self.encoder, &mut self.decoder_transposed, &mut self.bias] {
            part.fill(T::zero());
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.loss += other.loss;
        let add = |to: &mut [T], from: &[T]| to.iter_mut().zip(from).for_each(|(to, &from)| *to += from);
        add(&mut self.encoder, &other.encoder);
        add(&mut self.decoder_transposed, &other.decoder_transposed);
        add(&mut self.bias, &other.bias);
    }
}

/// Activations of one block, reused from block to block.
#[derive(Debug)]
pub(crate) struct Workspace<T> {
    /// Input of the block, `(n, BLOCK)`, for callers that sample into it.
    pub(crate) input: Aligned<T>,
    pub(crate) hidden: Aligned<T>,
    pub(crate) residual: Aligned<T>,
    pub(crate) back: Aligned<T>,
}

impl<T: Scalar> Workspace<T> {
    pub(crate) fn new(n: usize, m: usize) -> Self {
        let zeros = |rows: usize| Aligned::zeros(rows * BLOCK);
        Self { input: zeros(n), hidden: zeros(m), residual: zeros(n), back: zeros(m) }
    }
}

/// The objective: what the errors weigh.
#[derive(Debug, Clone)]
pub(crate) struct Objective<T> {
    /// Importance times the scale of the reduction, `(n)`.
    pub(crate) weight: Vec<T>,
    /// Penalty of `Σ |H|`, times the scale of the rows.
    pub(crate) hidden_l1: T,
}

impl<T: Scalar> Objective<T> {
    /// The objective over `rows` samples with `importance: (n)`.
    pub(crate) fn new(importance: &ArrayRef1<T>, hidden_l1: T, reduction: Reduction, rows: usize) -> Self {
        let per_row = if reduction == Reduction::Sum { T::one() } else { T::of(1.0 / rows as f64) };
        let per_feature = if reduction == Reduction::Mean { T::of(1.0 / importance.len() as f64) } else { T::one() };
        let weight = importance.iter().map(|&importance| importance * per_row * per_feature).collect();
        Self { weight, hidden_l1: hidden_l1 * per_row }
    }
}

/// Adds loss and gradient of the first `rows` columns of `input: (n, BLOCK)` to `gradient`.
pub(crate) fn add_block<T: Scalar>(
    parameters: &Parameters<T>,
    objective: &Objective<T>,
    input: &[T],
    rows: usize,
    workspace: &mut Workspace<T>,
    gradient: &mut BlockGradient<T>,
) {
    let Workspace { hidden, residual, back, .. } = workspace;
    dispatch!(level(), simd => {
        let pass = Pass { simd, parameters, objective, input, rows, live: live_lanes::<T>(rows) };
        gradient.loss += pass.forward(hidden, residual).as_f64();
        pass.backward(hidden, residual, back, gradient);
    });
}

/// [`add_block`] on the input that the workspace itself holds.
pub(crate) fn add_own_block<T: Scalar>(
    parameters: &Parameters<T>,
    objective: &Objective<T>,
    rows: usize,
    workspace: &mut Workspace<T>,
    gradient: &mut BlockGradient<T>,
) {
    let input = core::mem::take(&mut workspace.input);
    add_block(parameters, objective, &input, rows, workspace, gradient);
    workspace.input = input;
}

/// Fewest lanes of any scalar's vector.
const LEAST_LANES: usize = 8;

struct Pass<'a, T, S> {
    simd: S,
    parameters: &'a Parameters<T>,
    objective: &'a Objective<T>,
    input: &'a [T],
    rows: usize,
    live: usize,
}

impl<T: Scalar, S: Simd> Pass<'_, T, S> {
    #[inline(always)]
    fn splat(&self, x: T) -> Vector<T, S> {
        Vector::<T, S>::splat(self.simd, x)
    }

    #[inline(always)]
    fn load(&self, from: &[T], row: usize, lane: usize) -> Vector<T, S> {
        Vector::<T, S>::from_slice(self.simd, &from[row * BLOCK + lane..row * BLOCK + lane + T::LANES])
    }

    #[inline(always)]
    fn store(&self, x: Vector<T, S>, to: &mut [T], row: usize, lane: usize) {
        x.store_slice(&mut to[row * BLOCK + lane..row * BLOCK + lane + T::LANES]);
    }

    /// `x` with lanes of samples past the last set to 0.
    #[inline(always)]
    fn cut(&self, lane: usize, x: Vector<T, S>) -> Vector<T, S> {
        if lane + T::LANES <= self.rows {
            return x;
        }
        let kept = Vector::<T, S>::from_fn(self.simd, |l| if lane + l < self.rows { T::one() } else { T::zero() });
        x * kept
    }

    #[inline(always)]
    fn relu(&self, x: Vector<T, S>) -> Vector<T, S> {
        let zero = self.splat(T::zero());
        // written so that NaN stays NaN
        x.simd_le(zero).select(zero, x)
    }

    #[inline(always)]
    fn magnitude(&self, x: Vector<T, S>) -> Vector<T, S> {
        let zero = self.splat(T::zero());
        x.simd_lt(zero).select(zero - x, x)
    }

    /// Fills the hidden activations and the residual `Δ`; returns the loss.
    #[inline(always)]
    fn forward(&self, hidden: &mut [T], residual: &mut [T]) -> T {
        let Parameters { architecture, n, m, encoder, decoder, bias, .. } = self.parameters;
        let relu_hidden = matches!(architecture, Architecture::ReluHidden | Architecture::AbsoluteValue);
        let relu_output = *architecture != Architecture::Linear;
        let absolute = *architecture == Architecture::AbsoluteValue;
        let zero = self.splat(T::zero());
        // a sum per vector of samples: rows come in order for each, in whatever order vectors come
        let mut penalties = [zero; BLOCK / LEAST_LANES];
        let mut losses = [zero; BLOCK / LEAST_LANES];
        apply(
            self.simd,
            encoder,
            *n,
            self.input,
            self.live,
            #[inline(always)]
            |first, lane, values| {
                for (t, &h) in values.iter().enumerate() {
                    let h = if relu_hidden { self.relu(h) } else { h };
                    if self.objective.hidden_l1 != T::zero() {
                        penalties[lane / T::LANES] += self.magnitude(h);
                    }
                    self.store(h, hidden, first + t, lane);
                }
            },
        );
        apply(
            self.simd,
            decoder,
            *m,
            hidden,
            self.live,
            #[inline(always)]
            |first, lane, values| {
                let (bias, weight) = (&bias[first..][..values.len()], &self.objective.weight[first..][..values.len()]);
                let mut loss = losses[lane / T::LANES];
                for (t, &z) in values.iter().enumerate() {
                    let z = z + bias[t];
                    let x = self.load(self.input, first + t, lane);
                    let target = if absolute { self.magnitude(x) } else { x };
                    let y = if relu_output { self.relu(z) } else { z };
                    let error = self.cut(lane, y - target);
                    let weighted = error * weight[t];
                    loss += weighted * error;
                    let delta = weighted + weighted;
                    let delta = if relu_output { z.simd_gt(zero).select(delta, zero) } else { delta };
                    self.store(delta, residual, first + t, lane);
                }
                losses[lane / T::LANES] = loss;
            },
        );
        let total = |parts: &[Vector<T, S>]| parts.iter().fold(zero, |sum, &part| sum + part).reduce_sum();
        self.objective.hidden_l1 * total(&penalties) + total(&losses)
    }

    #[inline(always)]
    fn backward(&self, hidden: &[T], residual: &[T], back: &mut [T], gradient: &mut BlockGradient<T>) {
        let Parameters { architecture, n, m, encoder, decoder_transposed, .. } = self.parameters;
        let relu_hidden = matches!(architecture, Architecture::ReluHidden | Architecture::AbsoluteValue);
        let zero = self.splat(T::zero());
        let penalty = self.splat(self.objective.hidden_l1);
        apply(
            self.simd,
            if self.parameters.is_tied() { encoder } else { decoder_transposed },
            *n,
            residual,
            self.live,
            #[inline(always)]
            |first, lane, values| {
                for (t, &g) in values.iter().enumerate() {
                    let (h, mut g) = (self.load(hidden, first + t, lane), g);
                    if self.objective.hidden_l1 != T::zero() {
                        g += h.simd_gt(zero).select(penalty, h.simd_lt(zero).select(zero - penalty, zero));
                    }
                    let g = if relu_hidden { h.simd_gt(zero).select(g, zero) } else { g };
                    self.store(g, back, first + t, lane);
                }
            },
        );
        let BlockGradient { encoder: to_encoder, decoder_transposed: to_decoder, bias, .. } = gradient;
        let (encoding, decoding) = ((back as &[T], self.input), (hidden, residual));
        if self.parameters.is_tied() {
            accumulate(self.simd, [encoding, decoding], (*m, *n), self.live, to_encoder);
        } else {
            accumulate(self.simd, [encoding], (*m, *n), self.live, to_encoder);
            accumulate(self.simd, [decoding], (*m, *n), self.live, to_decoder);
        }
        for (i, slot) in bias.iter_mut().enumerate() {
            let mut sum = zero;
            for lane in (0..self.live).step_by(T::LANES) {
                sum += self.load(residual, i, lane);
            }
            *slot += sum.reduce_sum();
        }
    }
}
