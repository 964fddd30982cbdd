//! Reconstruction and gradients by features, sample by sample over the active latents.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2, ArrayView1};

use super::rows::{add_rows, dot};
use super::select::{Row, Selection};
use super::{Context, Workspace};
use crate::Scalar;
use crate::math::par;
use crate::math::simd::{Simd, dispatch, level};
use crate::sae::activation::Activation;
use crate::sae::backward::LossTerms;
use crate::sae::loss::{AuxNormalisation, LayerNorms, Sparsity};
use crate::sae::model::Sae;

/// Samples whose losses are summed one after another.
const SAMPLES: usize = 64;

/// What decoding found.
pub(super) struct Decoded<T> {
    pub(super) terms: LossTerms<T>,
    /// `∂L/∂x'` over this factor is the error `x' - x`.
    pub(super) slope: T,
}

/// The sparsity term, ready to be added per entry.
struct Penalty<T> {
    value: T,
    /// Added to the gradient by each active feature, times the norm of its dictionary vector where there are `norms`.
    by_feature: T,
    norms: Option<Vec<T>>,
    /// Gradient by the steps of JumpReLU, per sample.
    by_step: Vec<T>,
}

/// Fills `workspace.by_output` and the gradients of the rows.
pub(super) fn decode<T: Scalar>(
    sae: &Sae<T>,
    context: &Context<'_, T>,
    x: &ArrayRef2<T>,
    scale: T,
    selection: &mut Selection<T>,
    workspace: &mut Workspace<T>,
) -> Decoded<T> {
    let d = sae.d_out();
    let slope = T::of(2.0) * scale;
    let penalty = penalty(sae, context, selection);
    workspace.by_output.resize(x.len(), T::zero());
    let decoder = Decoder { sae, context, penalty: &penalty, slope, d };
    let mut pieces: Vec<_> = (workspace.by_output.chunks_mut(SAMPLES * d))
        .zip(selection.rows.chunks_mut(SAMPLES))
        .map(|(by_output, rows)| (by_output, rows, 0.0_f64))
        .collect();
    par::for_each_mut(&mut pieces, |piece, (by_output, rows, squares)| {
        for (index, (by_output, row)) in by_output.chunks_exact_mut(d).zip(rows.iter_mut()).enumerate() {
            let sample = piece * SAMPLES + index;
            *squares += dispatch!(level(), simd => decoder.sample(simd, sample, x.row(sample), by_output, row));
        }
    });
    let squares: f64 = pieces.iter().map(|(.., squares)| squares).sum();
    let terms = LossTerms { reconstruction: scale * T::of(squares), sparsity: penalty.value, ..LossTerms::default() };
    Decoded { terms, slope }
}

struct Decoder<'a, T> {
    sae: &'a Sae<T>,
    context: &'a Context<'a, T>,
    penalty: &'a Penalty<T>,
    slope: T,
    d: usize,
}

impl<T: Scalar> Decoder<'_, T> {
    #[inline(always)]
    fn row(&self, latent: u32) -> &[T] {
        let start = latent as usize * self.d;
        &self.sae.w_dec.as_slice().unwrap_or(&[])[start..start + self.d]
    }

    /// Turns `by_output` into `∂L/∂x'` of one sample; returns the sum of squared errors.
    #[inline(always)]
    fn sample<S: Simd>(
        &self,
        simd: S,
        sample: usize,
        x: ArrayView1<'_, T>,
        by_output: &mut [T],
        row: &mut Row<T>,
    ) -> f64 {
        by_output.iter_mut().zip(&self.sae.b_dec).for_each(|(out, &b)| *out = b);
        let entries = row.latents.iter().zip(&row.features);
        add_rows(simd, by_output, entries.map(|(&latent, &f)| (f, self.row(latent))));
        by_output.iter_mut().zip(x).for_each(|(out, &x)| *out -= x);
        let squares = dot(simd, by_output, by_output).as_f64();
        by_output.iter_mut().for_each(|out| *out *= self.slope);
        for at in 0..row.latents.len() {
            let latent = row.latents[at];
            let by_feature = dot(simd, by_output, self.row(latent));
            self.pass(row, at, by_feature, sample);
        }
        squares
    }

    /// From the gradient by a feature to those by its pre-activation and threshold.
    #[inline(always)]
    fn pass(&self, row: &mut Row<T>, at: usize, by_feature: T, sample: usize) {
        let i = row.latents[at] as usize;
        let Activation::JumpRelu { threshold } = &self.sae.activation else {
            let extra =
                self.penalty.norms.as_ref().map_or(self.penalty.by_feature, |norms| self.penalty.by_feature * norms[i]);
            row.by_z[at] = if row.features[at] > T::zero() { by_feature + extra } else { T::zero() };
            return;
        };
        let (z, t) = (row.z[at], threshold[i]);
        let active = z > t;
        let norm = self.penalty.norms.as_ref().map_or_else(T::one, |norms| norms[i]);
        let slope = if active && z > T::zero() { self.penalty.by_feature * norm } else { T::zero() };
        let by_feature = by_feature + slope;
        let settings = &self.context.loss.straight_through;
        let bandwidth = T::of(settings.bandwidth);
        let estimate = if ((z - t) / bandwidth).abs() < T::of(0.5) {
            (t * by_feature + self.penalty.by_step.get(sample).copied().unwrap_or_else(T::zero)) / bandwidth
        } else {
            T::zero()
        };
        row.by_threshold[at] = -estimate;
        row.by_z[at] =
            if active { by_feature } else { T::zero() } + if settings.to_input { estimate } else { T::zero() };
    }
}

fn penalty<T: Scalar>(sae: &Sae<T>, context: &Context<'_, T>, selection: &Selection<T>) -> Penalty<T> {
    let rows = selection.rows.len();
    let count = T::of(rows as f64);
    let active = |row: &Row<T>| T::of(row.features.iter().filter(|f| **f != T::zero()).count() as f64);
    let l0: Vec<T> = selection.rows.iter().map(active).collect();
    let mean = l0.iter().copied().sum::<T>() / count;
    let none = Penalty { value: T::zero(), by_feature: T::zero(), norms: None, by_step: Vec::new() };
    match context.loss.sparsity {
        Sparsity::Lp { coefficient, decoder_norm, .. } => {
            let norms = decoder_norm.map(|_: LayerNorms| sae.decoder_norms().to_vec());
            let weighed = |(&latent, &f): (&u32, &T)| {
                f.max(T::zero()) * norms.as_ref().map_or_else(T::one, |norms| norms[latent as usize])
            };
            let sums = selection.rows.iter().map(|row| row.latents.iter().zip(&row.features).map(weighed).sum::<T>());
            let value = T::of(coefficient) * sums.sum::<T>() / count;
            Penalty { value, by_feature: T::of(coefficient) / count, norms, ..none }
        }
        Sparsity::L0 { coefficient } => {
            let c = T::of(coefficient);
            Penalty { value: c * mean, by_step: vec![c / count; rows], ..none }
        }
        Sparsity::TargetL0 { coefficient, target } => {
            let (c, target) = (T::of(coefficient), T::of(target));
            let excess = mean / target - T::one();
            let by_step = vec![T::of(2.0) * c * excess / (target * count); rows];
            Penalty { value: c * excess * excess, by_step, ..none }
        }
        Sparsity::QuadraticL0 { coefficient, target } => {
            let (c, target) = (T::of(coefficient), T::of(target));
            let square = l0.iter().map(|&l| (l - target) * (l - target)).sum::<T>();
            let by_step = l0.iter().map(|&l| T::of(4.0) * c * (l - target) / (target * count)).collect();
            Penalty { value: T::of(2.0) * c * square / (target * count), by_step, ..none }
        }
        _ => none,
    }
}

/// The auxiliary term: fills `workspace.by_aux` and the gradients of the auxiliary rows; returns its value.
pub(super) fn decode_aux<T: Scalar>(
    sae: &Sae<T>,
    context: &Context<'_, T>,
    x: &ArrayRef2<T>,
    decoded: &Decoded<T>,
    selection: &mut Selection<T>,
    workspace: &mut Workspace<T>,
) -> T {
    let (Some(aux), Some(dead)) = (context.loss.aux, context.dead) else { return T::zero() };
    let (d, rows) = (sae.d_out(), x.nrows());
    let Workspace { by_output, by_aux, .. } = workspace;
    // the residual x - x', from the gradient of the reconstruction
    let residual = Array2::from_shape_fn((rows, d), |(b, j)| -by_output[b * d + j] / decoded.slope);
    let divisor = match aux.normalisation {
        AuxNormalisation::None => T::one(),
        AuxNormalisation::ResidualVariance => crate::sae::aux::variance(&residual),
        AuxNormalisation::DataVariance => crate::sae::aux::variance(x),
    };
    if divisor <= T::zero() {
        selection.aux.clear();
        return T::zero();
    }
    let dead = dead.iter().filter(|dead| **dead).count();
    let share = if aux.scale_by_dead { (dead as f64 / aux.k as f64).min(1.0) } else { 1.0 };
    let scale = T::of(aux.coefficient * share / rows as f64) / divisor;
    let decoder = Decoder {
        sae,
        context,
        penalty: &Penalty { value: T::zero(), by_feature: T::zero(), norms: None, by_step: Vec::new() },
        slope: T::of(2.0) * scale,
        d,
    };
    by_aux.resize(rows * d, T::zero());
    let mut pieces: Vec<_> = by_aux
        .chunks_mut(SAMPLES * d)
        .zip(selection.aux.chunks_mut(SAMPLES))
        .map(|(by, rows)| (by, rows, 0.0_f64))
        .collect();
    par::for_each_mut(&mut pieces, |piece, (by_aux, rows, squares)| {
        for (index, (by_aux, row)) in by_aux.chunks_exact_mut(d).zip(rows.iter_mut()).enumerate() {
            let residual = residual.row(piece * SAMPLES + index);
            *squares += dispatch!(level(), simd => decoder.aux_sample(simd, residual, by_aux, row, aux.rectify));
        }
    });
    scale * T::of(pieces.iter().map(|(.., squares)| squares).sum())
}

impl<T: Scalar> Decoder<'_, T> {
    #[inline(always)]
    fn aux_sample<S: Simd>(
        &self,
        simd: S,
        residual: ArrayView1<'_, T>,
        by_aux: &mut [T],
        row: &mut Row<T>,
        rectified: bool,
    ) -> f64 {
        by_aux.iter_mut().zip(residual).for_each(|(out, &r)| *out = -r);
        row.features.clone_from(&row.z);
        add_rows(simd, by_aux, row.latents.iter().zip(&row.features).map(|(&latent, &f)| (f, self.row(latent))));
        let squares = dot(simd, by_aux, by_aux).as_f64();
        by_aux.iter_mut().for_each(|out| *out *= self.slope);
        for at in 0..row.latents.len() {
            let passes = !rectified || row.z[at] > T::zero();
            row.by_z[at] = if passes { dot(simd, by_aux, self.row(row.latents[at])) } else { T::zero() };
        }
        squares
    }
}
