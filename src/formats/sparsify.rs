//! EleutherAI's sparsify (earlier called sae): `sae.safetensors` and `cfg.json`.
//!
//! ```text
//! encoder.weight (m, d)   encoder.bias (m)   W_dec (m, d), not transposed   b_dec (d)   W_skip (d, d), used as x W_skipᵀ
//! ```
//!
//! The bias is subtracted from inputs unless it is a transcoder. `topk` chooses the `k` largest, `groupmax` one of each of
//! `k` runs. A `num_latents` of 0 stands for `d_in expansion_factor`.
//!
//! Source: <https://github.com/EleutherAI/sparsify>, `sparse_coder.py`.

use alloc::vec::Vec;

use super::detect::Format;
use super::fail;
use super::files::Files;
use super::loaded::{Axis, LoadedSae};
use super::safetensors;
use super::settings::Settings;
use super::weights::{Weights, active};
use crate::sae::{Activation, InputNormalisation, Sae};
use crate::{FormatKind, Result, Scalar};

pub(super) const WEIGHTS: &str = "sae.safetensors";
pub(super) const SETTINGS: &str = "cfg.json";

pub(super) fn load<T: Scalar>(files: &Files<'_>) -> Result<LoadedSae<T>> {
    let settings = files.settings(&[SETTINGS])?.ok_or(fail(FormatKind::Missing, "cfg.json", 0))?;
    let mut weights = Weights::new(safetensors::read(files.weights(&[WEIGHTS], ".safetensors")?)?);
    let transcode = settings.flag("transcode")?.unwrap_or(false);
    let w_dec = weights.decoder("W_dec", [Axis::Latent, Axis::Output])?;
    let m = w_dec.nrows();
    let skip = settings.flag("skip_connection")?.unwrap_or(false);
    let w_skip = skip.then(|| weights.skip("W_skip", [Axis::Output, Axis::Input])).transpose()?;
    let sae = Sae {
        w_enc: weights.encoder("encoder.weight", [Axis::Latent, Axis::Input])?,
        b_enc: weights.vector("encoder.bias", Axis::Latent)?,
        w_dec,
        b_dec: weights.vector("b_dec", Axis::Output)?,
        w_skip,
        activation: activation(&settings, m)?,
        apply_b_dec_to_input: !transcode,
        normalisation: InputNormalisation::None,
        layers: 1,
        prefixes: Vec::new(),
    };
    let d_in = settings.count("d_in")?;
    let expansion = settings.count("expansion_factor")?;
    let latents = match (settings.count("num_latents")?, d_in, expansion) {
        (Some(m), ..) if m > 0 => Some(m),
        (_, Some(d), Some(expansion)) => d.checked_mul(expansion),
        _ => None,
    };
    let mut loaded = LoadedSae::new(Format::Sparsify, sae, weights)?.sized(d_in, latents, None)?;
    loaded.transcoder |= transcode;
    Ok(loaded)
}

fn activation<T: Scalar>(settings: &Settings<'_>, m: usize) -> Result<Activation<T>> {
    let k = active(settings.count("k")?, m)?;
    let unknown = fail(FormatKind::Architecture, "activation of a sparsify cfg.json", 0);
    if settings.flag("signed")? == Some(true) {
        return Err(unknown);
    }
    match settings.text("activation")?.unwrap_or("topk") {
        "topk" => Ok(Activation::TopK { k, by_decoder_norm: false }),
        "groupmax" => Ok(Activation::GroupMax { k }),
        _ => Err(unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, Named, matrix, vector};
    use super::*;

    fn load(settings: &str) -> Result<LoadedSae<f64>> {
        let named = Named::default().with("encoder.weight", matrix(4, 2)).with("encoder.bias", vector(4));
        let named = named.with("W_dec", matrix(4, 2)).with("b_dec", vector(2));
        Folder::default().with(WEIGHTS, named.safetensors()).with(SETTINGS, settings).load()
    }

    #[test]
    fn a_number_of_latents_of_zero_is_the_product() {
        let sae = load(r#"{"d_in": 2, "expansion_factor": 2, "num_latents": 0, "k": 1}"#).unwrap().sae;
        assert_eq!((sae.w_enc, sae.w_dec), (matrix(4, 2).reversed_axes(), matrix(4, 2)));
        let kind = |settings| load(settings).unwrap_err().format_kind().unwrap();
        assert_eq!(kind(r#"{"d_in": 2, "expansion_factor": 3, "num_latents": 0, "k": 1}"#), FormatKind::Shape);
        assert_eq!(kind(r#"{"num_latents": 5, "k": 1}"#), FormatKind::Shape);
        assert_eq!(kind("{}"), FormatKind::Config);
        assert_eq!(kind(r#"{"k": 1, "signed": true}"#), FormatKind::Architecture);
        assert_eq!(kind(r#"{"k": 1, "activation": "other"}"#), FormatKind::Architecture);
        assert_eq!(kind(r#"{"k": 3, "activation": "groupmax"}"#), FormatKind::Config);
        assert_eq!(kind(r#"{"k": 1, "skip_connection": true}"#), FormatKind::Missing);
    }
}
