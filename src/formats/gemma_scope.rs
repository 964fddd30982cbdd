//! Gemma Scope: JumpReLU autoencoders and transcoders of Gemma 2 (`params.npz`) and Gemma 3 (`params.safetensors`).
//!
//! ```text
//! 1   W_enc (d, m)   W_dec (m, d)   b_enc (m)   b_dec (d)   threshold (m)       older files: w_enc, w_dec
//! 2   w_enc (d, m)   w_dec (m, d)   b_enc, b_dec, threshold
//!     affine_skip_connection A (d_in, d_out), used as x A
//!     w_dec (m, L, d) in a cross-layer transcoder, one file params_layer_l per layer; layers before l are not written to
//! ```
//!
//! The decoder's bias is not subtracted from inputs, and inputs are not normalised. Autoencoders of token embeddings are
//! to be fed `x/√d`.
//!
//! Source: Lieberum et al. (arXiv 2408.05147), <https://huggingface.co/google/gemma-scope>; for the second release the
//! loaders of SAELens and of circuit-tracer.

use alloc::vec::Vec;

use ndarray::{Array1, Array2, Array3, Axis as Dimension, Slice};

use super::detect::Format;
use super::files::{Files, Hint};
use super::loaded::{Axis, LoadedSae};
use super::weights::Weights;
use super::{fail, npz, safetensors};
use crate::error::check_shape;
use crate::sae::{InputNormalisation, Sae};
use crate::{FormatKind, Result, Scalar};

pub(super) const WEIGHTS: &str = "params.npz";
pub(super) const WEIGHTS_2: &str = "params.safetensors";

pub(super) fn load<T: Scalar>(files: &Files<'_>) -> Result<LoadedSae<T>> {
    let mut weights = Weights::new(npz::read(files.weights(&[WEIGHTS], ".npz")?)?);
    let lower = weights.has("w_enc") || weights.has("w_dec");
    let (encoder, decoder) = if lower { ("w_enc", "w_dec") } else { ("W_enc", "W_dec") };
    let w_enc = weights.encoder(encoder, [Axis::Input, Axis::Latent])?;
    let mut w_dec = weights.decoder(decoder, [Axis::Latent, Axis::Output])?;
    weights.scale_features(&mut w_dec, None)?;
    let b_dec = weights.vector("b_dec", Axis::Output)?;
    let sae = jump_relu(w_enc, w_dec, b_dec, None, &mut weights)?;
    LoadedSae::new(Format::GemmaScope, sae, weights)
}

pub(super) fn load_2<T: Scalar>(files: &Files<'_>, hint: &Hint) -> Result<LoadedSae<T>> {
    let settings = files.settings(&["config.json"])?;
    let name = settings.as_ref().map_or(Ok(None), |settings| settings.text("architecture"))?;
    if name.is_some_and(|name| name != "jump_relu") {
        return Err(fail(FormatKind::Architecture, "architecture of a Gemma Scope config.json", 0));
    }
    let (bytes, layer) = weights_2(files, hint)?;
    let mut weights = Weights::new(safetensors::read(bytes)?);
    let w_enc: Array2<T> = weights.encoder("w_enc", [Axis::Input, Axis::Latent])?;
    let skip = weights.has("affine_skip_connection");
    let affine = settings.as_ref().map_or(Ok(None), |settings| settings.flag("affine_connection"))?;
    if affine == Some(true) && !skip {
        return Err(fail(FormatKind::Missing, "affine_skip_connection", 0));
    }
    let w_skip = skip.then(|| weights.skip("affine_skip_connection", [Axis::Input, Axis::Output])).transpose()?;
    let b_dec: Array1<T> = weights.vector("b_dec", Axis::Output)?;
    let width = b_dec.len();
    let cross = weights.rank("w_dec") == Some(3);
    let (w_dec, b_dec, w_skip) = if cross {
        let cube = weights.cube("w_dec", [Axis::Latent, Axis::Layer, Axis::Output])?;
        let layer = layer.ok_or(fail(FormatKind::Ambiguous, "layer of a cross-layer transcoder", 0))?;
        later_layers(cube, layer, b_dec, w_skip)?
    } else {
        (weights.decoder("w_dec", [Axis::Latent, Axis::Output])?, b_dec, w_skip)
    };
    let outputs = b_dec.len().checked_div(width).unwrap_or(1);
    let sae = jump_relu(w_enc, w_dec, b_dec, w_skip, &mut weights)?;
    let mut loaded = LoadedSae::new(Format::GemmaScope2, sae, weights)?;
    loaded.output_layers = outputs;
    loaded.transcoder |= skip || cross;
    let Some(settings) = settings else { return Ok(loaded) };
    let hooks = (settings.text("hf_hook_point_in")?, settings.text("hf_hook_point_out")?);
    loaded.transcoder |= hooks.1.is_some() && hooks.0 != hooks.1;
    Ok(loaded.named(&settings, &["model_name"], &["hf_hook_point_in"]))
}

/// The weights, and the layer that their name or the hint tells.
fn weights_2<'a>(files: &Files<'a>, hint: &Hint) -> Result<(&'a [u8], Option<usize>)> {
    let layer_of = |name: &str| {
        let digits = name.strip_prefix("params_layer_").and_then(|rest| rest.strip_suffix(".safetensors"));
        digits.and_then(|digits| digits.parse().ok())
    };
    if let Some(layer) = hint.layer {
        let found = files.names().find(|name| layer_of(name) == Some(layer));
        if let Some(bytes) = found.and_then(|name| files.get(name)) {
            return Ok((bytes, Some(layer)));
        }
    }
    if let Some(bytes) = files.get(WEIGHTS_2) {
        return Ok((bytes, hint.layer));
    }
    let (name, bytes) = files.only(".safetensors")?.ok_or(fail(FormatKind::Missing, "params.safetensors", 0))?;
    Ok((bytes, layer_of(name).or(hint.layer)))
}

fn jump_relu<T: Scalar>(
    w_enc: Array2<T>,
    w_dec: Array2<T>,
    b_dec: Array1<T>,
    w_skip: Option<Array2<T>>,
    weights: &mut Weights<'_>,
) -> Result<Sae<T>> {
    let threshold = weights.vector("threshold", Axis::Latent)?;
    Ok(Sae {
        w_enc,
        b_enc: weights.vector("b_enc", Axis::Latent)?,
        w_dec,
        b_dec,
        w_skip,
        activation: weights.jump_relu(threshold),
        apply_b_dec_to_input: false,
        normalisation: InputNormalisation::None,
        layers: 1,
        prefixes: Vec::new(),
    })
}

/// Decoder `(m, L, d)`, bias `(d)` and skip path `(d, d_in)` of a layer that writes to all of `first..L`, as those of one
/// transcoder with the outputs side by side.
///
/// Bias and skip path go to the layer's own output, the first, and the later ones get 0: added over all source layers,
/// every output has its own bias once.
#[expect(clippy::type_complexity, reason = "the three parameters of a decoder")]
pub(super) fn later_layers<T: Scalar>(
    cube: Array3<T>,
    first: usize,
    bias: Array1<T>,
    skip: Option<Array2<T>>,
) -> Result<(Array2<T>, Array1<T>, Option<Array2<T>>)> {
    let (m, layers, d) = cube.dim();
    let outputs = layers.checked_sub(first).filter(|&outputs| outputs > 0);
    let outputs = outputs.ok_or(fail(FormatKind::Shape, "as many layers as the decoder writes to", 0))?;
    check_shape("b_dec", &bias, &[d])?;
    let later = cube.slice_axis_move(Dimension(1), Slice::from(first..)).as_standard_layout().into_owned();
    let w_dec = later.into_shape_with_order((m, outputs * d));
    let w_dec = w_dec.map_err(|_| fail(FormatKind::Shape, "decoder of several layers", 0))?;
    let own = Slice::from(..d);
    let mut b_dec = Array1::zeros(outputs * d);
    b_dec.slice_axis_mut(Dimension(0), own).assign(&bias);
    let Some(skip) = skip else { return Ok((w_dec, b_dec, None)) };
    check_shape("skip path", &skip, &[d, skip.ncols()])?;
    // with fewer latents than inputs, the zeros could outgrow the file
    if skip.ncols() > m {
        return Err(fail(FormatKind::Limit, "skip path with more inputs than latents", 0));
    }
    let mut w_skip = Array2::zeros((outputs * d, skip.ncols()));
    w_skip.slice_axis_mut(Dimension(0), own).assign(&skip);
    Ok((w_dec, b_dec, Some(w_skip)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, Named, matrix, vector};
    use super::*;
    use ndarray::{Array3, array};

    fn weights() -> Named {
        let named = Named::default().with("w_enc", matrix(2, 3)).with("b_enc", vector(3)).with("b_dec", vector(2));
        named.with("w_dec", matrix(3, 2)).with("threshold", vector(3))
    }

    fn kind(weights: &Named, settings: &str) -> FormatKind {
        let folder = Folder::default().with(WEIGHTS_2, weights.safetensors()).with("config.json", settings);
        folder.load().unwrap_err().format_kind().unwrap()
    }

    #[test]
    fn a_transcoder_is_told_by_its_settings() {
        let folder = Folder::default().with(WEIGHTS_2, weights().safetensors());
        assert!(!folder.load().unwrap().transcoder);
        let out = r#"{"hf_hook_point_in": "a", "hf_hook_point_out": "b", "model_name": "gemma"}"#;
        let loaded = folder.clone().with("config.json", out).load().unwrap();
        assert!(loaded.transcoder && loaded.model.as_deref() == Some("gemma"));
        assert_eq!(kind(&weights(), r#"{"affine_connection": true}"#), FormatKind::Missing);
        assert_eq!(kind(&weights(), r#"{"architecture": "topk"}"#), FormatKind::Architecture);
        assert_eq!(kind(&weights().without("threshold"), "{}"), FormatKind::Missing);
    }

    #[test]
    fn later_layers_lie_side_by_side() {
        let cube = Array3::from_shape_fn((3, 3, 2), |(i, layer, j)| (100 * i + 10 * layer + j) as f64);
        let affine = array![[1.0, 2.0], [3.0, 4.0]];
        let named = weights().with("w_dec", cube).with("affine_skip_connection", affine);
        let folder = Folder::default().with("params_layer_1.safetensors", named.safetensors());
        let loaded = folder.load().unwrap();
        assert_eq!((loaded.sae.d_out(), loaded.output_layers, loaded.transcoder), (4, 2, true));
        assert_eq!(loaded.sae.w_dec.row(2), array![210.0, 211.0, 220.0, 221.0]);
        let b_dec = vector(2);
        assert_eq!(loaded.sae.b_dec, array![b_dec[0], b_dec[1], 0.0, 0.0]);
        let w_skip = loaded.sae.w_skip.unwrap();
        assert_eq!(w_skip, array![[1.0, 3.0], [2.0, 4.0], [0.0, 0.0], [0.0, 0.0]]);
        // the name of the file has the layer; without it a hint must
        let unnamed = Folder::default().with(WEIGHTS_2, named.safetensors());
        assert_eq!(unnamed.load().unwrap_err().format_kind(), Some(FormatKind::Ambiguous));
        let at = |layer| unnamed.load_with(Hint { layer: Some(layer), ..Hint::default() });
        assert_eq!(at(2).unwrap().sae.d_out(), 2);
        assert_eq!(at(3).unwrap_err().format_kind(), Some(FormatKind::Shape));
    }
}
