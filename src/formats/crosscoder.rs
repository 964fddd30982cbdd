//! Crosscoders over layers or models: `cc_weights.pt` (or a safetensors file with the same names) and `cfg.json`.
//!
//! ```text
//! W_enc (L, d, m)   W_dec (m, L, d)   b_enc (m)   b_dec (L, d)        relu, nothing subtracted
//! ```
//!
//! The `L` inputs of width `d` lie side by side in one row of `L d`.
//!
//! Source: Lindsey et al., "Sparse Crosscoders" (2024); files as of
//! <https://github.com/ckkissane/crosscoder-model-diff-replication>, `crosscoder.py`.

use alloc::vec::Vec;

use ndarray::{Array2, Array3};

use super::detect::Format;
use super::fail;
use super::files::Files;
use super::loaded::{Axis, LoadedSae};
use super::weights::Weights;
use super::{safetensors, torch};
use crate::error::check_shape;
use crate::sae::{Activation, InputNormalisation, Sae};
use crate::{FormatKind, Result, Scalar};

pub(super) const WEIGHTS: &str = "cc_weights.pt";
pub(super) const SETTINGS: &str = "cfg.json";

pub(super) fn load<T: Scalar>(files: &Files<'_>) -> Result<LoadedSae<T>> {
    let settings = files.settings(&[SETTINGS])?;
    let torch = match files.get(WEIGHTS) {
        Some(bytes) => Some(bytes),
        None => files.only(".pt")?.map(|(_, bytes)| bytes),
    };
    let mut weights = Weights::new(match torch {
        Some(bytes) => torch::read(bytes)?,
        None => safetensors::read(files.weights(&[], ".safetensors")?)?,
    });
    let w_enc: Array3<T> = weights.cube("W_enc", [Axis::Layer, Axis::Input, Axis::Latent])?;
    let w_dec: Array3<T> = weights.cube("W_dec", [Axis::Latent, Axis::Layer, Axis::Output])?;
    let b_dec: Array2<T> = weights.table("b_dec", [Axis::Layer, Axis::Output])?;
    let (layers, d, m) = w_enc.dim();
    check_shape("W_dec", &w_dec, &[m, layers, d])?;
    check_shape("b_dec", &b_dec, &[layers, d])?;
    let flat = |_| fail(FormatKind::Shape, "W_enc", 0);
    let sae = Sae {
        w_enc: w_enc.as_standard_layout().into_owned().into_shape_with_order((layers * d, m)).map_err(flat)?,
        b_enc: weights.vector("b_enc", Axis::Latent)?,
        w_dec: w_dec.as_standard_layout().into_owned().into_shape_with_order((m, layers * d)).map_err(flat)?,
        b_dec: b_dec.as_standard_layout().into_owned().into_shape_with_order(layers * d).map_err(flat)?,
        w_skip: None,
        activation: Activation::Relu,
        apply_b_dec_to_input: false,
        normalisation: InputNormalisation::None,
        layers: layers.max(1),
        prefixes: Vec::new(),
    };
    let loaded = LoadedSae::new(Format::Crosscoder, sae, weights)?;
    let Some(settings) = settings else { return Ok(loaded) };
    let width = settings.count("d_in")?;
    let width = width.map(|d| d.checked_mul(layers).ok_or(fail(FormatKind::Config, "d_in", 0))).transpose()?;
    loaded.sized(width, settings.count("dict_size")?, None)
}
