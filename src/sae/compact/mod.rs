//! Running an autoencoder one sample at a time, in little memory and without allocation.
//!
//! Encoder and decoder lie row by row, in 32, 16 or 8 bits. With screening an encoder in 8 bits is read first, and the wider
//! one only for the few latents that could be active: the active latents and their values are those of the stored weights,
//! to the bit.
//!
//! As bytes ([`Bytes`](crate::math::merge::Bytes)) an autoencoder can be linked into a program, and its weights be read
//! where they lie: [`CompactSae::linked`].
//!
//! Source: the screening is described in its file.

mod image;
mod rows;
mod screen;
mod steps;

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayViewMut1};

use super::activation::{Activation, rectify};
use super::fused::{add_rows, dot};
use super::model::{Sae, layered_norms};
use super::normalisation::InputNormalisation;
use crate::error::{check_finite, check_limit, check_shape};
use crate::math::select::order;
use crate::math::simd::{Simd, dispatch, level};
use crate::{Error, Result};
use rows::Rows;
use screen::{Bounds, Rounded, Screen};

pub use rows::Precision;

/// An autoencoder that runs sample by sample.
#[derive(Debug, Clone, PartialEq)]
pub struct CompactSae {
    /// `(m, d_in)`.
    encoder: Rows,
    /// `(m, d_out)`.
    decoder: Rows,
    b_enc: Vec<f32>,
    b_dec: Vec<f32>,
    screen: Option<Screen>,
    /// `(d_out, d_in)`.
    skip: Option<Rows>,
    rule: Rule,
    /// What selection multiplies pre-activations with.
    norms: Option<Vec<f32>>,
    subtract_b_dec: bool,
    normalisation: InputNormalisation<f32>,
}

/// Which latents are active, and with which feature.
#[derive(Debug, Clone, PartialEq)]
enum Rule {
    /// The `k` largest scores, above 0.
    Largest(usize),
    /// Scores above one bar that is at least 0.
    Above(f32),
    /// Pre-activations above a bar each, kept as they are.
    AboveEach(Vec<f32>),
    /// Pre-activations above 0, which open a gate for `(z - b_enc) scale + shift`.
    Gate { scale: Vec<f32>, shift: Vec<f32> },
}

/// Buffers of one caller; they hold the sample in hand.
#[derive(Debug, Clone)]
pub struct Scratch {
    /// The normalised sample.
    x: Vec<f32>,
    /// Without the decoder's bias.
    centred: Vec<f32>,
    wide: Vec<f32>,
    rounded: Option<Rounded>,
    bounds: Vec<Bounds>,
    lowest: Vec<f32>,
    found: Vec<Found>,
    codes: Vec<(u32, f32)>,
    computed: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Found {
    score: f32,
    latent: usize,
    feature: f32,
}

impl Scratch {
    /// How many latents of the last sample were computed from the wider weights: all of them without screening.
    #[must_use]
    pub fn computed(&self) -> usize {
        self.computed
    }
}

impl CompactSae {
    /// `sae` with weights of this precision, `screened` or not.
    ///
    /// # Errors
    /// Those of [`Sae::check`]; [`Error::OutOfRange`] for a weight that the precision cannot hold; [`Error::Unsupported`]
    /// for an activation that needs more than one sample or more than one look at it: batch top-k without a threshold,
    /// group-max and matching pursuit.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::sae::{Activation, CompactSae, Precision, Sae};
    /// use ndarray::Array2;
    ///
    /// let sae = Sae::<f32>::initialise(16, 64, Activation::TopK { k: 4, by_decoder_norm: false }, Seed(0))?;
    /// let small = CompactSae::new(&sae, Precision::F16, true)?;
    /// let (mut scratch, mut out) = (small.scratch(), [0.0; 16]);
    /// let x: [f32; 16] = core::array::from_fn(|i| (i % 5) as f32 - 2.0);
    /// assert!(small.encode_into(&x, &mut scratch)?.len() <= 4);
    /// small.reconstruct_into(&x, &mut scratch, &mut out)?;
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new(sae: &Sae<f32>, precision: Precision, screened: bool) -> Result<Self> {
        sae.check()?;
        check_limit("latents", sae.latents(), u32::MAX as usize)?;
        let encoder = Rows::new("w_enc", &sae.w_enc.t(), precision)?;
        let skip = sae.w_skip.as_ref().map(|w_skip| Rows::new("w_skip", w_skip, precision)).transpose()?;
        let decoder = Rows::new("w_dec", &sae.w_dec, precision)?;
        let norms = sae.activation.needs_norms().then(|| stored_norms(sae, &decoder));
        if norms.as_ref().is_some_and(|norms| norms.contains(&0.0)) {
            return Err(Error::Unsupported { what: "a choice by length among dictionary vectors without length" });
        }
        Ok(Self {
            screen: screened.then(|| Screen::new(&encoder)).transpose()?,
            decoder,
            encoder,
            skip,
            b_enc: sae.b_enc.to_vec(),
            b_dec: sae.b_dec.to_vec(),
            rule: Rule::of(&sae.activation)?,
            norms,
            subtract_b_dec: sae.apply_b_dec_to_input,
            normalisation: sae.normalisation,
        })
    }

    /// Bytes of all weights.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let matrices = self.encoder.bytes() + self.decoder.bytes() + self.skip.as_ref().map_or(0, Rows::bytes);
        matrices + self.screen.as_ref().map_or(0, Screen::bytes) + 4 * (self.b_enc.len() + self.b_dec.len())
    }

    /// Buffers for this autoencoder.
    #[must_use]
    pub fn scratch(&self) -> Scratch {
        let (m, d) = (self.encoder.len(), self.encoder.width());
        let of_screen = |count: usize| if self.screen.is_some() { count } else { 0 };
        Scratch {
            x: vec![0.0; d],
            centred: vec![0.0; d],
            wide: vec![0.0; d.max(self.decoder.width())],
            rounded: self.screen.as_ref().map(Screen::scratch),
            bounds: vec![Bounds::default(); of_screen(m)],
            lowest: Vec::with_capacity(of_screen(m)),
            found: Vec::with_capacity(m),
            codes: Vec::with_capacity(m),
            computed: 0,
        }
    }

    /// Active latents of one sample `x: (d_in)` and their features, latents ascending. Nothing is allocated.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`]; [`Error::Singular`] for a sample that cannot be normalised;
    /// [`Error::Unsupported`] for the buffers of another autoencoder.
    pub fn encode_into<'s>(&self, x: &[f32], scratch: &'s mut Scratch) -> Result<&'s [(u32, f32)]> {
        self.encode(x, scratch)?;
        Ok(&scratch.codes)
    }

    /// Writes the reconstruction `(d_out)` of one sample `x: (d_in)` to `out`, in the units of the input. Nothing is
    /// allocated.
    ///
    /// # Errors
    /// As [`CompactSae::encode_into`].
    pub fn reconstruct_into(&self, x: &[f32], scratch: &mut Scratch, out: &mut [f32]) -> Result<()> {
        check_shape("out", &ArrayViewMut1::from(&mut *out), &[self.decoder.width()])?;
        let (scale, shift) = self.encode(x, scratch)?;
        out.copy_from_slice(&self.b_dec);
        dispatch!(level(), simd => self.add_decoded(simd, scratch, out));
        if (scale, shift) != (1.0, 0.0) {
            out.iter_mut().for_each(|y| *y = *y * scale + shift);
        }
        Ok(())
    }

    /// Fills the codes of the scratch; gives what undoes the normalisation.
    fn encode(&self, x: &[f32], scratch: &mut Scratch) -> Result<(f32, f32)> {
        let view = ndarray::aview1(x);
        check_shape("x", &view, &[self.encoder.width()])?;
        check_finite("x", &view)?;
        if scratch.x.len() != x.len() || scratch.rounded.is_some() != self.screen.is_some() {
            return Err(Error::Unsupported { what: "the buffers of another autoencoder" });
        }
        scratch.x.copy_from_slice(x);
        let restore = self.normalisation.apply_row(&mut ArrayViewMut1::from(&mut scratch.x[..]))?;
        scratch.centred.copy_from_slice(&scratch.x);
        if self.subtract_b_dec {
            scratch.centred.iter_mut().zip(&self.b_dec).for_each(|(x, b)| *x -= b);
        }
        dispatch!(level(), simd => self.find(simd, scratch));
        self.choose(scratch);
        Ok(restore)
    }

    /// Computes every latent that could be active.
    #[inline(always)]
    fn find<S: Simd>(&self, simd: S, scratch: &mut Scratch) {
        let Scratch { centred, wide, rounded, bounds, lowest, found, computed, .. } = scratch;
        let mut reach = f32::NEG_INFINITY;
        if let (Some(screen), Some(rounded)) = (&self.screen, rounded) {
            screen.bounds(centred, &self.b_enc, rounded, bounds);
            reach = self.reach(bounds, lowest);
        }
        found.clear();
        *computed = 0;
        for i in 0..self.encoder.len() {
            let hopeless =
                |bounds: &Bounds| !(self.score(i, bounds.upper) > 0.0 && self.score(i, bounds.upper) >= reach);
            if bounds.get(i).is_some_and(hopeless) {
                continue;
            }
            let z = dot(simd, self.encoder.row(i, wide), centred) + self.b_enc[i];
            *computed += 1;
            let (score, feature) = (self.score(i, z), self.feature(i, z));
            if score > 0.0 && feature != 0.0 {
                found.push(Found { score, latent: i, feature });
            }
        }
    }

    /// What a latent is chosen by: it can only be active above 0.
    #[inline(always)]
    fn score(&self, latent: usize, z: f32) -> f32 {
        let scaled = self.norms.as_ref().map_or(z, |norms| z * norms[latent]);
        match &self.rule {
            Rule::Largest(_) | Rule::Gate { .. } => scaled,
            Rule::Above(bar) => scaled - bar,
            Rule::AboveEach(bars) => z - bars[latent],
        }
    }

    #[inline(always)]
    fn feature(&self, latent: usize, z: f32) -> f32 {
        match &self.rule {
            Rule::Gate { scale, shift } => rectify((z - self.b_enc[latent]) * scale[latent] + shift[latent]),
            Rule::AboveEach(_) => z,
            Rule::Largest(_) | Rule::Above(_) => rectify(z),
        }
    }

    /// A score that `k` latents are sure to reach.
    fn reach(&self, bounds: &[Bounds], lowest: &mut Vec<f32>) -> f32 {
        let Rule::Largest(k) = self.rule else { return f32::NEG_INFINITY };
        lowest.clear();
        lowest.extend(bounds.iter().enumerate().map(|(i, bounds)| self.score(i, bounds.lower)));
        // k is at least 1 and at most the number of latents
        *lowest.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a)).1
    }

    fn choose(&self, Scratch { found, codes, .. }: &mut Scratch) {
        if let Rule::Largest(k) = self.rule
            && k < found.len()
        {
            found.select_nth_unstable_by(k - 1, |a, b| order((a.score, a.latent), (b.score, b.latent)));
            found.truncate(k);
            found.sort_unstable_by_key(|found| found.latent);
        }
        codes.clear();
        codes.extend(found.iter().map(|found| (u32::try_from(found.latent).unwrap_or(u32::MAX), found.feature)));
    }

    #[inline(always)]
    fn add_decoded<S: Simd>(&self, simd: S, scratch: &mut Scratch, out: &mut [f32]) {
        let Scratch { x, wide, codes, .. } = scratch;
        for &(latent, feature) in &*codes {
            add_rows(simd, out, core::iter::once((feature, self.decoder.row(latent as usize, wide))));
        }
        if let Some(skip) = &self.skip {
            for (j, y) in out.iter_mut().enumerate() {
                *y += dot(simd, skip.row(j, wide), x);
            }
        }
    }
}

/// Norms of the dictionary vectors as they are stored, so that what is chosen is what these weights choose.
fn stored_norms(sae: &Sae<f32>, decoder: &Rows) -> Vec<f32> {
    let mut buffer = decoder.buffer();
    let rows = (0..decoder.len()).flat_map(|i| decoder.row(i, &mut buffer).to_vec());
    let stored = Array2::from_shape_vec(sae.w_dec.dim(), rows.collect()).unwrap_or_else(|_| sae.w_dec.clone());
    layered_norms(&stored, sae.layers).to_vec()
}

impl Rule {
    fn of(activation: &Activation<f32>) -> Result<Self> {
        Ok(match activation {
            Activation::Relu => Self::Above(0.0),
            Activation::TopK { k, .. } => Self::Largest(*k),
            Activation::BatchTopK { threshold: Some(bar), .. } => Self::Above(bar.max(0.0)),
            Activation::JumpRelu { threshold } => Self::AboveEach(threshold.to_vec()),
            Activation::Gated { b_mag, r_mag } => {
                Self::Gate { scale: r_mag.mapv(num_traits::Float::exp).to_vec(), shift: b_mag.to_vec() }
            }
            Activation::BatchTopK { .. } => {
                return Err(Error::Unsupported { what: "batch top-k without a threshold, one sample at a time" });
            }
            _ => return Err(Error::Unsupported { what: "this activation, one sample at a time" }),
        })
    }
}
