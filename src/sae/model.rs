//! The sparse autoencoder: one set of parameters for all published variants.
//!
//! ```text
//! z = (x - a b_dec) W_enc + b_enc        f = activation(z)        x' = f W_dec + b_dec  [+ x W_skipᵀ]
//! ```
//!
//! Autoencoders, transcoders (`d_out` may differ from `d_in`), skip transcoders (`w_skip`), Matryoshka autoencoders
//! (`prefixes`) and crosscoders (`layers` side by side in `x`) differ in options, not in type.
//!
//! Source: Bricken et al., "Towards Monosemanticity" (2023), <https://transformer-circuits.pub/2023/monosemantic-features>;
//! the sources of the activations stand with [`Activation`].

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2, Axis, Slice};

use super::activation::Activation;
use super::normalisation::InputNormalisation;
use crate::error::{check_each, check_finite, check_not_empty, check_shape};
use crate::math::reduce::norm;
use crate::{Error, Result, Scalar};

/// Parameters of a sparse autoencoder, and all that is needed to run it.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Sae<T> {
    /// Encoder `(d_in, m)`, a vector per column. Column-major storage is as good as row-major.
    pub w_enc: Array2<T>,
    /// Encoder bias `(m)`; the bias of the gate where the activation is gated.
    pub b_enc: Array1<T>,
    /// Decoder `(m, d_out)`, a dictionary vector per row.
    pub w_dec: Array2<T>,
    /// Decoder bias `(d_out)`.
    pub b_dec: Array1<T>,
    /// Linear path past the latents of a skip transcoder, `(d_out, d_in)`, used as `x W_skipᵀ`.
    pub w_skip: Option<Array2<T>>,
    /// From pre-activations to features.
    pub activation: Activation<T>,
    /// Whether the decoder bias is subtracted from the input; needs `d_in = d_out`.
    pub apply_b_dec_to_input: bool,
    /// What is done to an input first, and undone at the end.
    pub normalisation: InputNormalisation<T>,
    /// Layers or models that lie side by side in inputs and outputs, 1 for all but crosscoders.
    pub layers: usize,
    /// Widths of the nested dictionaries of a Matryoshka autoencoder, ascending up to `m`; empty for others.
    pub prefixes: Vec<usize>,
}

impl<T: Scalar> Sae<T> {
    /// An autoencoder from its four usual parameters; the decoder bias is subtracted from the input where the widths
    /// allow it.
    ///
    /// # Errors
    /// As [`Sae::check`].
    pub fn new(
        w_enc: Array2<T>,
        b_enc: Array1<T>,
        w_dec: Array2<T>,
        b_dec: Array1<T>,
        activation: Activation<T>,
    ) -> Result<Self> {
        let sae = Self {
            apply_b_dec_to_input: w_enc.nrows() == w_dec.ncols(),
            w_enc,
            b_enc,
            w_dec,
            b_dec,
            w_skip: None,
            activation,
            normalisation: InputNormalisation::None,
            layers: 1,
            prefixes: Vec::new(),
        };
        sae.check()?;
        Ok(sae)
    }

    /// Width `d_in` of inputs.
    #[must_use]
    pub fn d_in(&self) -> usize {
        self.w_enc.nrows()
    }

    /// Width `d_out` of reconstructions.
    #[must_use]
    pub fn d_out(&self) -> usize {
        self.w_dec.ncols()
    }

    /// Number of latents `m`.
    #[must_use]
    pub fn latents(&self) -> usize {
        self.w_dec.nrows()
    }

    /// Norms `(m)` of the dictionary vectors; for a crosscoder the sum of the norms over its layers.
    #[must_use]
    pub fn decoder_norms(&self) -> Array1<T> {
        layered_norms(&self.w_dec, self.layers)
    }

    /// Checks shapes and values of everything.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Shape`], [`Error::NotFinite`], [`Error::OutOfRange`]; [`Error::Unsupported`] for
    /// options that exclude each other.
    pub fn check(&self) -> Result<()> {
        check_not_empty("w_dec", &self.w_dec)?;
        let (m, d_out) = self.w_dec.dim();
        let d_in = self.w_enc.nrows();
        check_shape("w_enc", &self.w_enc, &[d_in.max(1), m])?;
        check_shape("b_enc", &self.b_enc, &[m])?;
        check_shape("b_dec", &self.b_dec, &[d_out])?;
        check_finite("w_enc", &self.w_enc)?;
        check_finite("b_enc", &self.b_enc)?;
        check_finite("w_dec", &self.w_dec)?;
        check_finite("b_dec", &self.b_dec)?;
        if let Some(w_skip) = &self.w_skip {
            check_shape("w_skip", w_skip, &[d_out, d_in])?;
            check_finite("w_skip", w_skip)?;
        }
        if self.apply_b_dec_to_input && d_in != d_out {
            return Err(Error::Unsupported { what: "a decoder bias subtracted from inputs of another width" });
        }
        if self.layers == 0 || !d_out.is_multiple_of(self.layers) {
            return Err(Error::Unsupported { what: "layers that do not divide the width" });
        }
        self.activation.check(m)?;
        self.normalisation.check()?;
        check_prefixes(&self.prefixes, m)
    }

    /// Checks an input `x: (b, d_in)`.
    pub(super) fn check_input(&self, x: &ArrayRef2<T>) -> Result<()> {
        self.check()?;
        self.check_batch(x)
    }

    /// Checks an input `x: (b, d_in)` of an autoencoder that was checked.
    pub(super) fn check_batch(&self, x: &ArrayRef2<T>) -> Result<()> {
        check_shape("x", x, &[x.nrows(), self.d_in()])?;
        check_finite("x", x)
    }

    /// Adds to `gradient: (m, d_out)` the gradient by the decoder that comes through its norms, from the gradient by
    /// [`Sae::decoder_norms`]; a zero vector gets none.
    pub(super) fn add_through_norms(&self, by_norms: &ArrayRef1<T>, joint: bool, gradient: &mut Array2<T>) {
        let layers = if joint { 1 } else { self.layers };
        let width = self.d_out() / layers;
        let rows = gradient.axis_iter_mut(Axis(0)).zip(self.w_dec.rows()).zip(by_norms);
        for ((mut gradient, w), &by_norm) in rows.filter(|(_, by_norm)| **by_norm != T::zero()) {
            for l in 0..layers {
                let part = Slice::from(l * width..(l + 1) * width);
                let w = w.slice_axis(Axis(0), part);
                let length = norm(&w);
                if length > T::zero() {
                    gradient.slice_axis_mut(Axis(0), part).scaled_add(by_norm / length, &w);
                }
            }
        }
    }
}

/// Norms `(m)` of the rows of `w_dec: (m, d_out)`, summed over layers that lie side by side.
pub(super) fn layered_norms<T: Scalar>(w_dec: &ArrayRef2<T>, layers: usize) -> Array1<T> {
    let layers = layers.max(1);
    let width = w_dec.ncols() / layers;
    let of_row = |row: &ArrayRef1<T>| {
        (0..layers).map(|l| norm(&row.slice_axis(Axis(0), Slice::from(l * width..(l + 1) * width)))).sum()
    };
    w_dec.rows().into_iter().map(|row| of_row(&row)).collect()
}

fn check_prefixes(prefixes: &[usize], m: usize) -> Result<()> {
    let widths: Vec<f64> = prefixes.iter().map(|&p| p as f64).collect();
    let mut last = -1.0;
    check_each("prefixes", &widths, "ascending, at most the number of latents", |p: f64| {
        p > core::mem::replace(&mut last, p) && p <= m as f64
    })?;
    if prefixes.last().is_some_and(|&last| last != m) {
        return Err(Error::Unsupported { what: "prefixes that do not end with all latents" });
    }
    Ok(())
}
