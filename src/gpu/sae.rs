//! A sparse autoencoder on the device.
//!
//! ```text
//! z = (x - a b_dec) W_enc + b_enc        f = activation(z)        x' = f W_dec + b_dec
//! ```
//!
//! Features and reconstructions are those of [`Sae`] up to the rounding of the products (see [`gemm`](super::gemm)): an error
//! `γ (|x̄| |W_enc| + |b|)` of each pre-activation, `γ = (d + 1) u`, `u = 2⁻²⁴`. Where two scores are closer than that, top-k may
//! choose the other one, and a threshold may be on the other side.
//!
//! Source: as [`sae`](crate::sae).

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2};

use super::array::{GpuArray, Reading};
use super::context::GpuContext;
use super::encode::{Encoder, encode_jump_relu, encode_relu, encode_top_k};
use super::gemm::{Epilogue, Product, multiply};
use super::pointwise::{centre, roots};
use super::reduce::{Term, row_sums};
use super::select::TopK;
use super::sparse;
use crate::error::{check_finite, check_shape};
use crate::sae::{Activation, Codes, Sae};
use crate::{Error, Result};

/// Parameters of a sparse autoencoder on a device; latents are rows in both matrices.
#[derive(Debug)]
pub struct GpuSae {
    pub(super) context: GpuContext,
    /// Encoder vectors `(m, d_in)`.
    pub(super) w_enc: GpuArray<f32>,
    /// `(1, m)`.
    pub(super) b_enc: GpuArray<f32>,
    /// Dictionary vectors `(m, d_out)`.
    pub(super) w_dec: GpuArray<f32>,
    /// `(1, d_out)`.
    pub(super) b_dec: GpuArray<f32>,
    /// `(1, m)`, of activations that have thresholds.
    bars: Option<GpuArray<f32>>,
    /// Everything else; its matrices are empty.
    rest: Sae<f32>,
}

/// Features on a device.
#[derive(Debug)]
pub enum GpuFeatures {
    /// Some slots per sample.
    Sparse {
        /// The slots; a feature of 0 is not active.
        slots: TopK,
        /// Number of latents `m`.
        latents: usize,
    },
    /// All features `(b, m)`.
    Dense(GpuArray<f32>),
}

impl GpuSae {
    /// Copies an autoencoder to the device.
    ///
    /// # Errors
    /// Those of [`Sae::check`]; [`Error::Unsupported`] for what only the processor computes: skip paths, crosscoders, Matryoshka
    /// dictionaries, gated, group-max and matching-pursuit activations, and batch top-k without a threshold;
    /// [`Error::TooLarge`], [`Error::Gpu`].
    pub fn new(context: &GpuContext, sae: &Sae<f32>) -> Result<Self> {
        sae.check()?;
        if sae.w_skip.is_some() || sae.layers != 1 || !sae.prefixes.is_empty() {
            return Err(Error::Unsupported { what: "skip paths, layers and prefixes on the device" });
        }
        let bars = bars(sae)?.map(|bars| context.upload_vector(&bars)).transpose()?;
        let empty = Array2::zeros((0, 0));
        let rest = Sae {
            w_enc: empty.clone(),
            b_enc: Array1::zeros(0),
            w_dec: empty,
            b_dec: Array1::zeros(0),
            w_skip: None,
            activation: sae.activation.clone(),
            normalisation: sae.normalisation,
            prefixes: Vec::new(),
            ..*sae
        };
        Ok(Self {
            context: context.clone(),
            w_enc: context.upload(&sae.w_enc.t())?,
            b_enc: context.upload_vector(&sae.b_enc)?,
            w_dec: context.upload(&sae.w_dec)?,
            b_dec: context.upload_vector(&sae.b_dec)?,
            bars,
            rest,
        })
    }

    /// The device.
    #[must_use]
    pub fn context(&self) -> &GpuContext {
        &self.context
    }

    /// Number of latents `m`.
    #[must_use]
    pub fn latents(&self) -> usize {
        self.w_dec.rows()
    }

    /// The activation.
    #[must_use]
    pub fn activation(&self) -> &Activation<f32> {
        &self.rest.activation
    }

    pub(super) fn encoder(&self) -> Encoder<'_> {
        Encoder { w_enc: &self.w_enc, b_enc: &self.b_enc }
    }

    /// Whether the decoder bias is subtracted from the input.
    pub(super) fn centres(&self) -> bool {
        self.rest.apply_b_dec_to_input
    }

    /// Normalised `x: (b, d_in)` on the device.
    pub(super) fn prepare(&self, x: &ArrayRef2<f32>) -> Result<GpuArray<f32>> {
        self.context.upload(&self.normalised(x)?)
    }

    /// `x: (b, d_in)` as the autoencoder sees it.
    pub(super) fn normalised(&self, x: &ArrayRef2<f32>) -> Result<Array2<f32>> {
        check_shape("x", x, &[x.nrows(), self.w_enc.columns()])?;
        check_finite("x", x)?;
        Ok(self.rest.normalisation.apply(x)?.0)
    }

    /// `x - a b_dec`; `None` where it is `x` itself.
    pub(super) fn centred(&self, x: &GpuArray<f32>) -> Result<Option<GpuArray<f32>>> {
        self.centres().then(|| centre(&self.context, x, &self.b_dec)).transpose()
    }

    /// Norms `(1, m)` of the dictionary vectors, where the choice goes by them.
    pub(super) fn norms(&self) -> Result<Option<GpuArray<f32>>> {
        let Activation::TopK { by_decoder_norm: true, .. } = self.rest.activation else { return Ok(None) };
        roots(&self.context, &row_sums(&self.context, &self.w_dec, Term::Square)?).map(Some)
    }

    /// Features of `x: (b, d_in)`.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`], [`Error::TooLarge`], [`Error::Gpu`], and those of the normalisation.
    pub fn encode(&self, x: &ArrayRef2<f32>) -> Result<GpuFeatures> {
        let context = &self.context;
        let x = self.prepare(x)?;
        let centred = self.centred(&x)?;
        let x = centred.as_ref().unwrap_or(&x);
        match (&self.rest.activation, &self.bars) {
            (Activation::TopK { k, .. }, _) => {
                let norms = self.norms()?;
                let slots = encode_top_k(context, x, self.encoder(), *k, norms.as_ref())?;
                Ok(GpuFeatures::Sparse { slots, latents: self.latents() })
            }
            (_, Some(bars)) => encode_jump_relu(context, x, self.encoder(), bars).map(GpuFeatures::Dense),
            (_, None) => encode_relu(context, x, self.encoder()).map(GpuFeatures::Dense),
        }
    }

    /// `f W_dec + b_dec`, `(b, d_out)`, before any normalisation is undone.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::TooLarge`], [`Error::Gpu`].
    pub fn decode(&self, features: &GpuFeatures) -> Result<GpuArray<f32>> {
        match features {
            GpuFeatures::Sparse { slots, .. } => sparse::decode(&self.context, slots, &self.w_dec, &self.b_dec),
            GpuFeatures::Dense(features) => {
                let product = Product { epilogue: Epilogue::Bias(&self.b_dec), ..Product::new(features, &self.w_dec) };
                multiply(&self.context, &product)
            }
        }
    }

    /// The autoencoder as it is on the device now.
    ///
    /// # Errors
    /// [`Error::Gpu`].
    pub async fn download(&self) -> Result<Sae<f32>> {
        let arrays = [&self.w_enc, &self.b_enc, &self.w_dec, &self.b_dec];
        let [w_enc, b_enc, w_dec, b_dec] = self.context.read_many(arrays).await?;
        Ok(Sae {
            w_enc: w_enc.reversed_axes(),
            b_enc: b_enc.into_iter().collect(),
            w_dec,
            b_dec: b_dec.into_iter().collect(),
            w_skip: None,
            activation: self.rest.activation.clone(),
            normalisation: self.rest.normalisation,
            prefixes: Vec::new(),
            ..self.rest
        })
    }

    /// As [`GpuSae::download`], and waits.
    ///
    /// # Errors
    /// As [`GpuSae::download`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn download_blocking(&self) -> Result<Sae<f32>> {
        pollster::block_on(self.download())
    }
}

/// What pre-activations must exceed, where there is something.
fn bars(sae: &Sae<f32>) -> Result<Option<Array1<f32>>> {
    match &sae.activation {
        Activation::Relu | Activation::TopK { .. } => Ok(None),
        Activation::JumpRelu { threshold } => Ok(Some(threshold.clone())),
        Activation::BatchTopK { threshold: Some(threshold), by_decoder_norm, .. } => {
            let norms = if *by_decoder_norm { sae.decoder_norms() } else { Array1::ones(sae.latents()) };
            // a score z ν above t is a pre-activation above t/ν; below 0 every positive feature is above t
            let bar = |norm: f32| if *threshold < 0.0 { 0.0 } else { (*threshold / norm).min(f32::MAX) };
            Ok(Some(norms.mapv(bar)))
        }
        _ => Err(Error::Unsupported { what: "this activation on the device" }),
    }
}

impl GpuFeatures {
    /// Copies the features that are not 0 from the device.
    ///
    /// # Errors
    /// [`Error::Gpu`].
    pub async fn read(&self, context: &GpuContext) -> Result<Codes<f32>> {
        let (slots, latents) = match self {
            Self::Dense(features) => return Codes::from_dense(&context.read(features).await?),
            Self::Sparse { slots, latents } => (slots, *latents),
        };
        let (mut values, mut indices) = (Reading::new(&slots.values), Reading::new(&slots.indices));
        context.fill(&mut [&mut values, &mut indices]).await?;
        let (values, indices) = (values.finish()?, indices.finish()?);
        let mut codes = Codes::new(latents)?;
        for (values, indices) in values.rows().into_iter().zip(indices.rows()) {
            codes.push(active(&values, &indices))?;
        }
        Ok(codes)
    }

    /// As [`GpuFeatures::read`], and waits.
    ///
    /// # Errors
    /// As [`GpuFeatures::read`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read_blocking(&self, context: &GpuContext) -> Result<Codes<f32>> {
        pollster::block_on(self.read(context))
    }
}

fn active(values: &ArrayRef1<f32>, indices: &ArrayRef1<u32>) -> Vec<(usize, f32)> {
    let entries = indices.iter().zip(values).filter(|(_, value)| **value != 0.0);
    entries.map(|(&index, &value)| (index as usize, value)).collect()
}
