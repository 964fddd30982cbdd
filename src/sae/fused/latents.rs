//! Gradients and updates latent by latent: each owns its rows of encoder, decoder and moments, and so one thread does.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2};

use super::rows::{add_rows, dot};
use super::select::{Row, Selection};
use super::{Context, Workspace};
use crate::math::optim::AdamStep;
use crate::math::par;
use crate::math::reduce::column_sums;
use crate::math::simd::{Simd, dispatch, level};
use crate::sae::activation::Activation;
use crate::sae::loss::Sparsity;
use crate::sae::model::Sae;
use crate::sae::train::{Moments, Pair};
use crate::{Error, Result, Scalar};

/// Latents that one piece of work covers.
const LATENTS: usize = 64;

/// One active entry, seen from its latent.
#[derive(Debug, Clone, Copy, Default)]
struct Use<T> {
    sample: u32,
    feature: T,
    by_z: T,
    by_threshold: T,
}

/// All entries by latent, samples ascending.
struct Uses<T> {
    starts: Vec<usize>,
    uses: Vec<Use<T>>,
}

impl<T: Scalar> Uses<T> {
    fn new(rows: &[Row<T>], latents: usize) -> Self {
        let mut starts = vec![0_usize; latents + 1];
        rows.iter().flat_map(|row| &row.latents).for_each(|&latent| starts[latent as usize + 1] += 1);
        (1..=latents).for_each(|latent| starts[latent] += starts[latent - 1]);
        let mut next = starts.clone();
        let mut uses = vec![Use::default(); starts[latents]];
        for (sample, row) in rows.iter().enumerate() {
            let sample = u32::try_from(sample).unwrap_or(u32::MAX);
            for (at, &latent) in row.latents.iter().enumerate() {
                let place = &mut next[latent as usize];
                let by_threshold = row.by_threshold.get(at).copied().unwrap_or_else(T::zero);
                uses[*place] = Use { sample, feature: row.features[at], by_z: row.by_z[at], by_threshold };
                *place += 1;
            }
        }
        Self { starts, uses }
    }

    fn of(&self, latent: usize) -> &[Use<T>] {
        &self.uses[self.starts[latent]..self.starts[latent + 1]]
    }
}

/// Everything that the gradients of latents are made of.
struct Source<'a, T> {
    uses: Uses<T>,
    aux: Option<Uses<T>>,
    by_output: &'a [T],
    by_aux: &'a [T],
    centred: &'a [T],
    d: usize,
    /// `c/b` of a penalty by decoder norms.
    by_norm: T,
    project: bool,
    log_threshold: bool,
}

/// Gradients of one latent.
struct Gradients<T> {
    w_enc: Vec<T>,
    w_dec: Vec<T>,
    b_enc: T,
    threshold: T,
}

/// The rows that belong to some consecutive latents.
struct Piece<'a, T> {
    w_enc: &'a mut [T],
    w_dec: &'a mut [T],
    b_enc: &'a mut [T],
    threshold: Option<&'a mut [T]>,
    moments: [[&'a mut [T]; 2]; 4],
    /// `Σ ∂L/∂b_enc_i w_enc_i` by the encoder before its update.
    shift: Vec<T>,
    squares: f64,
    finite: bool,
}

/// Moves all parameters.
pub(super) fn update<T: Scalar>(
    sae: &mut Sae<T>,
    moments: &mut Moments<T>,
    context: &Context<'_, T>,
    centred: &Array2<T>,
    selection: &Selection<T>,
    workspace: &Workspace<T>,
) -> Result<()> {
    let (rows, d) = centred.dim();
    let latents = sae.latents();
    let by_norm = match context.loss.sparsity {
        Sparsity::Lp { coefficient, decoder_norm: Some(_), .. } => T::of(coefficient / rows as f64),
        _ => T::zero(),
    };
    let source = Source {
        uses: Uses::new(&selection.rows, latents),
        aux: selection.has_aux().then(|| Uses::new(&selection.aux, latents)),
        by_output: &workspace.by_output,
        by_aux: &workspace.by_aux,
        centred: centred.as_slice().unwrap_or(&[]),
        d,
        by_norm,
        project: context.settings.unit_norm_decoder,
        log_threshold: context.settings.log_threshold,
    };
    let by_output = ndarray::ArrayView2::from_shape((rows, d), source.by_output);
    let mut by_b_dec = by_output.map(|by_output| column_sums(&by_output)).unwrap_or_else(|_| Array1::zeros(d));
    let pre_bias = sae.apply_b_dec_to_input;
    let mut pieces = pieces(sae, moments, d);
    let clip = context.settings.clip_norm;
    if clip.is_some() || pre_bias {
        par::for_each_mut(&mut pieces, |piece, part| {
            dispatch!(level(), simd => part.look(simd, &source, piece * LATENTS, clip.is_some(), pre_bias));
        });
    }
    if pre_bias {
        pieces.iter().for_each(|piece| by_b_dec -= &ndarray::ArrayView1::from(&piece.shift[..]));
    }
    let squares = pieces.iter().map(|piece| piece.squares).sum::<f64>()
        + by_b_dec.iter().map(|g| g.as_f64() * g.as_f64()).sum::<f64>();
    let factor = T::of(clip.map_or(1.0, |clip| (clip / (libm::sqrt(squares) + 1e-6)).min(1.0)));
    par::for_each_mut(&mut pieces, |piece, part| {
        dispatch!(level(), simd => part.update(simd, &source, piece * LATENTS, &context.adam, factor));
    });
    let finite = pieces.iter().all(|piece| piece.finite);
    drop(pieces);
    by_b_dec *= factor;
    if let (Some(b_dec), Some(by_b_dec)) = (sae.b_dec.as_slice_mut(), by_b_dec.as_slice()) {
        context.adam.apply(b_dec, by_b_dec, &mut moments.b_dec.first, &mut moments.b_dec.second);
    }
    let finite = finite && sae.b_dec.iter().all(|b| b.is_finite());
    if finite { Ok(()) } else { Err(Error::NotFinite { what: "w_dec", index: 0 }) }
}

/// Cuts parameters and moments into pieces of [`LATENTS`] latents.
fn pieces<'a, T: Scalar>(sae: &'a mut Sae<T>, moments: &'a mut Moments<T>, d: usize) -> Vec<Piece<'a, T>> {
    fn halves<T>(pair: &mut Pair<T>, size: usize) -> impl Iterator<Item = [&mut [T]; 2]> {
        pair.first.chunks_mut(size).zip(pair.second.chunks_mut(size)).map(|(first, second)| [first, second])
    }
    let w_enc = sae.w_enc.as_slice_memory_order_mut().unwrap_or(&mut []).chunks_mut(LATENTS * d);
    let w_dec = sae.w_dec.as_slice_mut().unwrap_or(&mut []).chunks_mut(LATENTS * d);
    let b_enc = sae.b_enc.as_slice_mut().unwrap_or(&mut []).chunks_mut(LATENTS);
    let mut thresholds = match &mut sae.activation {
        Activation::JumpRelu { threshold } => threshold.as_slice_mut().map(|t| t.chunks_mut(LATENTS)),
        _ => None,
    };
    let mut of_thresholds = halves(&mut moments.threshold, LATENTS);
    let of_rows = halves(&mut moments.w_enc, LATENTS * d).zip(halves(&mut moments.w_dec, LATENTS * d));
    let parts = w_enc.zip(w_dec).zip(b_enc).zip(of_rows.zip(halves(&mut moments.b_enc, LATENTS)));
    parts
        .map(|(((w_enc, w_dec), b_enc), ((of_enc, of_dec), of_bias))| Piece {
            w_enc,
            w_dec,
            b_enc,
            threshold: thresholds.as_mut().and_then(Iterator::next),
            moments: [of_enc, of_dec, of_bias, of_thresholds.next().unwrap_or([&mut [], &mut []])],
            shift: Vec::new(),
            squares: 0.0,
            finite: true,
        })
        .collect()
}

impl<T: Scalar> Source<'_, T> {
    /// Gradients of one latent with the rows `w_dec` and `w_enc`.
    #[inline(always)]
    fn gradients<S: Simd>(&self, simd: S, latent: usize, w_dec: &[T], threshold: Option<T>, out: &mut Gradients<T>) {
        let d = self.d;
        let at = |matrix: &'_ [T], sample: u32| -> core::ops::Range<usize> {
            let start = sample as usize * d;
            debug_assert!(start + d <= matrix.len(), "samples have rows");
            start..start + d
        };
        out.w_dec.fill(T::zero());
        out.w_enc.fill(T::zero());
        let uses = self.uses.of(latent);
        add_rows(simd, &mut out.w_dec, uses.iter().map(|u| (u.feature, &self.by_output[at(self.by_output, u.sample)])));
        add_rows(simd, &mut out.w_enc, uses.iter().map(|u| (u.by_z, &self.centred[at(self.centred, u.sample)])));
        out.b_enc = uses.iter().map(|u| u.by_z).sum();
        out.threshold = uses.iter().map(|u| u.by_threshold).sum();
        if let Some(aux) = &self.aux {
            let uses = aux.of(latent);
            add_rows(simd, &mut out.w_dec, uses.iter().map(|u| (u.feature, &self.by_aux[at(self.by_aux, u.sample)])));
            add_rows(simd, &mut out.w_enc, uses.iter().map(|u| (u.by_z, &self.centred[at(self.centred, u.sample)])));
            out.b_enc += uses.iter().map(|u| u.by_z).sum::<T>();
        }
        if self.log_threshold {
            out.threshold *= threshold.unwrap_or_else(T::one);
        }
        let square = dot(simd, w_dec, w_dec);
        if self.by_norm > T::zero() && square > T::zero() {
            let sum: T = uses.iter().map(|u| u.feature.max(T::zero())).sum();
            add_rows(simd, &mut out.w_dec, core::iter::once((self.by_norm * sum / square.sqrt(), w_dec)));
        }
        if self.project && square > T::zero() {
            let along = dot(simd, &out.w_dec, w_dec) / square;
            add_rows(simd, &mut out.w_dec, core::iter::once((-along, w_dec)));
        }
    }
}

impl<T: Scalar> Piece<'_, T> {
    fn scratch(d: usize) -> Gradients<T> {
        Gradients { w_enc: vec![T::zero(); d], w_dec: vec![T::zero(); d], b_enc: T::zero(), threshold: T::zero() }
    }

    /// What has to be known of all latents before any is updated.
    #[inline(always)]
    fn look<S: Simd>(&mut self, simd: S, source: &Source<'_, T>, first: usize, norms: bool, pre_bias: bool) {
        let d = source.d;
        self.shift.resize(d, T::zero());
        let mut gradients = Self::scratch(d);
        for index in 0..self.b_enc.len() {
            let row = index * d..(index + 1) * d;
            if norms {
                let threshold = self.threshold.as_ref().map(|t| t[index]);
                source.gradients(simd, first + index, &self.w_dec[row.clone()], threshold, &mut gradients);
                let square = |x: T| x.as_f64() * x.as_f64();
                self.squares += dot(simd, &gradients.w_enc, &gradients.w_enc).as_f64()
                    + dot(simd, &gradients.w_dec, &gradients.w_dec).as_f64()
                    + square(gradients.b_enc)
                    + square(gradients.threshold);
            } else {
                let of = |uses: &Uses<T>| uses.of(first + index).iter().map(|u| u.by_z).sum::<T>();
                gradients.b_enc = of(&source.uses) + source.aux.as_ref().map_or_else(T::zero, of);
            }
            if pre_bias && gradients.b_enc != T::zero() {
                add_rows(simd, &mut self.shift, core::iter::once((gradients.b_enc, &self.w_enc[row])));
            }
        }
    }

    #[inline(always)]
    fn update<S: Simd>(&mut self, simd: S, source: &Source<'_, T>, first: usize, adam: &AdamStep<T>, factor: T) {
        let d = source.d;
        let mut gradients = Self::scratch(d);
        let [[enc_1, enc_2], [dec_1, dec_2], [bias_1, bias_2], [threshold_1, threshold_2]] = &mut self.moments;
        for index in 0..self.b_enc.len() {
            let row = index * d..(index + 1) * d;
            let w_dec = &mut self.w_dec[row.clone()];
            let threshold = self.threshold.as_mut().map(|t| &mut t[index]);
            source.gradients(simd, first + index, w_dec, threshold.as_ref().map(|t| **t), &mut gradients);
            if factor != T::one() {
                gradients.w_enc.iter_mut().chain(&mut gradients.w_dec).for_each(|g| *g *= factor);
            }
            adam.apply(w_dec, &gradients.w_dec, &mut dec_1[row.clone()], &mut dec_2[row.clone()]);
            if source.project {
                let square = dot(simd, w_dec, w_dec);
                if square > T::zero() {
                    let inverse = square.sqrt().recip();
                    w_dec.iter_mut().for_each(|w| *w *= inverse);
                }
            }
            let w_enc = &mut self.w_enc[row.clone()];
            adam.apply(w_enc, &gradients.w_enc, &mut enc_1[row.clone()], &mut enc_2[row]);
            let one = index..index + 1;
            let bias = [gradients.b_enc * factor];
            adam.apply(&mut self.b_enc[one.clone()], &bias, &mut bias_1[one.clone()], &mut bias_2[one.clone()]);
            if let Some(threshold) = threshold {
                let gradient = [gradients.threshold * factor];
                let mut value = [if source.log_threshold { threshold.ln() } else { *threshold }];
                adam.apply(&mut value, &gradient, &mut threshold_1[one.clone()], &mut threshold_2[one]);
                *threshold = if source.log_threshold { value[0].exp() } else { value[0] };
                self.finite &= threshold.is_finite();
            }
            self.finite &= (dot(simd, w_dec, w_dec) + dot(simd, w_enc, w_enc) + self.b_enc[index]).is_finite();
        }
    }
}
