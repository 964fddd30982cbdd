//! The optimiser's memory of an autoencoder, and its step over whole gradients.
//!
//! ```text
//! project: g_i ← g_i - (g_i · ŵ_i) ŵ_i      clip: g ← g min(1, c/(‖g‖ + 1e-6))      Adam      w_i ← w_i/‖w_i‖
//! ```
//!
//! Encoder and decoder are kept latent by latent, `(m, d)`, as the fused step goes through them.
//!
//! Source: Kingma and Ba (arXiv 1412.6980); Bricken et al. (2023) for projection and renormalisation.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2};

use crate::math::optim::AdamStep;
use crate::sae::{Activation, Sae, SaeGradient};
use crate::{Result, Scalar};

/// First and second moment of one flat parameter.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pair<T> {
    /// First moment.
    pub first: Vec<T>,
    /// Second moment.
    pub second: Vec<T>,
}

/// Moments of all parameters; empty where an autoencoder has no such parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments<T> {
    /// Of the encoder, `(m, d_in)`: transposed.
    pub w_enc: Pair<T>,
    /// Of the encoder bias, `(m)`.
    pub b_enc: Pair<T>,
    /// Of the decoder, `(m, d_out)`.
    pub w_dec: Pair<T>,
    /// Of the decoder bias, `(d_out)`.
    pub b_dec: Pair<T>,
    /// Of the skip path, `(d_out, d_in)`.
    pub w_skip: Pair<T>,
    /// Of the thresholds, or of their logarithms, `(m)`.
    pub threshold: Pair<T>,
    /// Of the bias of the size, `(m)`.
    pub b_mag: Pair<T>,
    /// Of the log-scale of the size, `(m)`.
    pub r_mag: Pair<T>,
    latents: usize,
}

impl<T: Scalar> Pair<T> {
    fn zeros(len: usize) -> Self {
        Self { first: vec![T::zero(); len], second: vec![T::zero(); len] }
    }

    fn step(&mut self, step: &AdamStep<T>, parameter: &mut [T], gradient: &[T]) {
        step.apply(parameter, gradient, &mut self.first, &mut self.second);
    }

    fn forget(&mut self, range: core::ops::Range<usize>) {
        for moments in [&mut self.first, &mut self.second] {
            if let Some(part) = moments.get_mut(range.clone()) {
                part.fill(T::zero());
            }
        }
    }
}

impl<T: Scalar> Moments<T> {
    /// Moments before the first step.
    #[must_use]
    pub fn new(sae: &Sae<T>) -> Self {
        let m = sae.latents();
        let jump = matches!(sae.activation, Activation::JumpRelu { .. });
        let gated = matches!(sae.activation, Activation::Gated { .. });
        let some = |holds: bool| Pair::zeros(if holds { m } else { 0 });
        Self {
            w_enc: Pair::zeros(sae.w_enc.len()),
            b_enc: Pair::zeros(m),
            w_dec: Pair::zeros(sae.w_dec.len()),
            b_dec: Pair::zeros(sae.d_out()),
            w_skip: Pair::zeros(sae.w_skip.as_ref().map_or(0, Array2::len)),
            threshold: some(jump),
            b_mag: some(gated),
            r_mag: some(gated),
            latents: m,
        }
    }

    /// Sets everything that is remembered of these latents back to 0.
    pub fn forget_latents(&mut self, latents: &[usize]) {
        for &latent in latents {
            for pair in [&mut self.w_enc, &mut self.w_dec, &mut self.b_enc] {
                let width = pair.first.len() / self.latents.max(1);
                pair.forget(latent * width..(latent + 1) * width);
            }
        }
    }

    /// All pairs in a fixed order, for writing and reading.
    pub(super) fn pairs_mut(&mut self) -> [&mut Pair<T>; 8] {
        [
            &mut self.w_enc,
            &mut self.b_enc,
            &mut self.w_dec,
            &mut self.b_dec,
            &mut self.w_skip,
            &mut self.threshold,
            &mut self.b_mag,
            &mut self.r_mag,
        ]
    }

    /// As [`Moments::pairs_mut`].
    pub(super) fn pairs(&self) -> [&Pair<T>; 8] {
        let Self { w_enc, b_enc, w_dec, b_dec, w_skip, threshold, b_mag, r_mag, .. } = self;
        [w_enc, b_enc, w_dec, b_dec, w_skip, threshold, b_mag, r_mag]
    }

    /// One step of all parameters. `log_threshold` moves the logarithm of the thresholds; the encoder is stored column by
    /// column.
    pub(super) fn step(
        &mut self,
        sae: &mut Sae<T>,
        gradient: &SaeGradient<T>,
        step: &AdamStep<T>,
        log_threshold: bool,
    ) {
        let by_encoder = latent_major(&gradient.w_enc.view().reversed_axes());
        if let Some(w_enc) = sae.w_enc.view_mut().reversed_axes().as_slice_mut() {
            self.w_enc.step(step, w_enc, &by_encoder);
        }
        if let Some(w_dec) = sae.w_dec.as_slice_mut() {
            self.w_dec.step(step, w_dec, &latent_major(&gradient.w_dec.view()));
        }
        vector(&mut self.b_enc, &mut sae.b_enc, &gradient.b_enc, step);
        vector(&mut self.b_dec, &mut sae.b_dec, &gradient.b_dec, step);
        if let (Some(w_skip), Some(by_skip)) = (&mut sae.w_skip, &gradient.w_skip)
            && let Some(w_skip) = w_skip.as_slice_mut()
        {
            self.w_skip.step(step, w_skip, &latent_major(&by_skip.view()));
        }
        match (&mut sae.activation, &gradient.threshold, &gradient.magnitude) {
            (Activation::JumpRelu { threshold }, Some(by_threshold), _) if log_threshold => {
                let by_log = by_threshold * &*threshold;
                let mut log = threshold.mapv(T::ln);
                vector(&mut self.threshold, &mut log, &by_log, step);
                *threshold = log.mapv(T::exp);
            }
            (Activation::JumpRelu { threshold }, Some(by_threshold), _) => {
                vector(&mut self.threshold, threshold, by_threshold, step);
            }
            (Activation::Gated { b_mag, r_mag }, _, Some((by_b, by_r))) => {
                vector(&mut self.b_mag, b_mag, by_b, step);
                vector(&mut self.r_mag, r_mag, by_r, step);
            }
            _ => {}
        }
    }
}

fn vector<T: Scalar>(pair: &mut Pair<T>, parameter: &mut Array1<T>, gradient: &Array1<T>, step: &AdamStep<T>) {
    let gradient = gradient.as_standard_layout();
    if let (Some(parameter), Some(gradient)) = (parameter.as_slice_mut(), gradient.as_slice()) {
        pair.step(step, parameter, gradient);
    }
}

fn latent_major<T: Scalar>(x: &ndarray::ArrayView2<'_, T>) -> Vec<T> {
    x.iter().copied().collect()
}

/// Puts parameters into the layouts that steps rely on: the encoder column by column, everything else row by row.
pub(super) fn lay_out<T: Scalar>(sae: &mut Sae<T>) -> Result<()> {
    sae.check()?;
    sae.w_enc = sae.w_enc.t().as_standard_layout().into_owned().reversed_axes();
    sae.w_dec = sae.w_dec.as_standard_layout().into_owned();
    sae.w_skip = sae.w_skip.take().map(|w| w.as_standard_layout().into_owned());
    for vector in [&mut sae.b_enc, &mut sae.b_dec] {
        *vector = vector.iter().copied().collect();
    }
    match &mut sae.activation {
        Activation::JumpRelu { threshold } => *threshold = threshold.iter().copied().collect(),
        Activation::Gated { b_mag, r_mag } => {
            *b_mag = b_mag.iter().copied().collect();
            *r_mag = r_mag.iter().copied().collect();
        }
        _ => {}
    }
    Ok(())
}

/// Length of all gradients together.
pub(super) fn gradient_norm<T: Scalar>(gradient: &SaeGradient<T>) -> f64 {
    let matrix = |x: &Array2<T>| x.iter().map(|v| v.as_f64() * v.as_f64()).sum::<f64>();
    let vector = |x: &Array1<T>| x.iter().map(|v| v.as_f64() * v.as_f64()).sum::<f64>();
    let mut total =
        matrix(&gradient.w_enc) + matrix(&gradient.w_dec) + vector(&gradient.b_enc) + vector(&gradient.b_dec);
    total += gradient.w_skip.as_ref().map_or(0.0, matrix);
    total += gradient.threshold.as_ref().map_or(0.0, vector);
    total += gradient.magnitude.as_ref().map_or(0.0, |(b, r)| vector(b) + vector(r));
    libm::sqrt(total)
}

/// Scales all gradients by `factor`.
pub(super) fn scale_gradient<T: Scalar>(gradient: &mut SaeGradient<T>, factor: T) {
    gradient.w_enc *= factor;
    gradient.w_dec *= factor;
    gradient.b_enc *= factor;
    gradient.b_dec *= factor;
    if let Some(w_skip) = &mut gradient.w_skip {
        *w_skip *= factor;
    }
    if let Some(threshold) = &mut gradient.threshold {
        *threshold *= factor;
    }
    if let Some((b_mag, r_mag)) = &mut gradient.magnitude {
        *b_mag *= factor;
        *r_mag *= factor;
    }
}
