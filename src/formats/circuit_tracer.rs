//! Transcoders of circuit-tracer: one safetensors file per layer, or the two of each layer of a cross-layer transcoder.
//!
//! ```text
//! layer_l      W_enc (m, d)   W_dec (m, d)   b_enc (m)   b_dec (d)   W_skip (d, d), used as x W_skipᵀ
//!              activation_function.threshold (m) for JumpReLU, k () for top-k
//! W_enc_l      W_enc_l (m, d)   b_enc_l (m)   b_dec_l (d)   threshold_l (m)
//! W_dec_l      W_dec_l (m, L - l, d): features of layer l write to the outputs of layers l to L - 1
//! ```
//!
//! The encoder is stored the other way round than by SAELens, under the same name. Nothing is subtracted from inputs.
//! A layer of a cross-layer transcoder becomes a transcoder whose output holds the outputs side by side; the bias of the
//! layer's own output stands in the first, so that sums over source layers have each bias once.
//!
//! Source: <https://github.com/safety-research/circuit-tracer>, `transcoder/*.py`; Ameisen et al., "Circuit Tracing" (2025).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use ndarray::Array1;

use super::detect::Format;
use super::fail;
use super::files::{Files, Hint};
use super::gemma_scope::later_layers;
use super::loaded::{Axis, LoadedSae};
use super::safetensors;
use super::tensor::Tensors;
use super::weights::{Weights, active, count};
use crate::sae::{Activation, InputNormalisation, Sae};
use crate::{FormatKind, Result, Scalar};

pub(super) fn load<T: Scalar>(files: &Files<'_>, hint: &Hint) -> Result<LoadedSae<T>> {
    match cross_layer(files, hint)? {
        Some(tensors) => cross(tensors),
        None => single(files, hint),
    }
}

fn single<T: Scalar>(files: &Files<'_>, hint: &Hint) -> Result<LoadedSae<T>> {
    let name = hint.layer.map(|layer| format!("layer_{layer}.safetensors"));
    let names: Vec<&str> = name.as_deref().into_iter().collect();
    let mut weights = Weights::new(safetensors::read(files.weights(&names, ".safetensors")?)?);
    let w_dec = weights.decoder("W_dec", [Axis::Latent, Axis::Output])?;
    let m = w_dec.nrows();
    let activation = if weights.has("activation_function.threshold") {
        let threshold = weights.vector("activation_function.threshold", Axis::Latent)?;
        weights.jump_relu(threshold)
    } else if let Some(k) = weights.number("k")? {
        Activation::TopK { k: active(count(k), m)?, by_decoder_norm: false }
    } else {
        Activation::Relu
    };
    let skip = weights.has("W_skip");
    let sae = Sae {
        w_enc: weights.encoder("W_enc", [Axis::Latent, Axis::Input])?,
        b_enc: weights.vector("b_enc", Axis::Latent)?,
        w_dec,
        b_dec: weights.vector("b_dec", Axis::Output)?,
        w_skip: skip.then(|| weights.skip("W_skip", [Axis::Output, Axis::Input])).transpose()?,
        activation,
        apply_b_dec_to_input: false,
        normalisation: InputNormalisation::None,
        layers: 1,
        prefixes: Vec::new(),
    };
    let mut loaded = LoadedSae::new(Format::CircuitTracer, sae, weights)?;
    loaded.transcoder = true;
    Ok(loaded)
}

/// Layer of a file of encoders of a cross-layer transcoder.
pub(super) fn layer_of(name: &str) -> Option<usize> {
    name.strip_prefix("W_enc_")?.strip_suffix(".safetensors")?.parse().ok()
}

/// The tensors of the one layer that is there or that the hint names, without the layer in their names.
fn cross_layer<'a>(files: &Files<'a>, hint: &Hint) -> Result<Option<Tensors<'a>>> {
    let mut layers = files.names().filter_map(layer_of);
    let layer = match (hint.layer, layers.next(), layers.next()) {
        (_, None, _) => return Ok(None),
        (Some(layer), ..) => layer,
        (None, Some(layer), None) => layer,
        _ => return Err(fail(FormatKind::Ambiguous, "layer of a cross-layer transcoder", 0)),
    };
    let mut tensors = Tensors::new();
    for half in ["W_enc", "W_dec"] {
        let bytes = files.get(&format!("{half}_{layer}.safetensors"));
        let bytes = bytes.ok_or(fail(FormatKind::Missing, "both files of a layer", 0))?;
        let suffix = format!("_{layer}");
        let plain = |name: String| name.strip_suffix(&suffix).map(ToString::to_string);
        tensors.extend(safetensors::read(bytes)?.into_iter().filter_map(|(name, t)| Some((plain(name)?, t))));
    }
    Ok(Some(tensors))
}

fn cross<T: Scalar>(tensors: Tensors<'_>) -> Result<LoadedSae<T>> {
    let mut weights = Weights::new(tensors);
    let b_dec: Array1<T> = weights.vector("b_dec", Axis::Output)?;
    let width = b_dec.len();
    let cube = weights.cube("W_dec", [Axis::Latent, Axis::Layer, Axis::Output])?;
    let (w_dec, b_dec, _) = later_layers(cube, 0, b_dec, None)?;
    let activation = if weights.has("threshold") {
        let threshold = weights.vector("threshold", Axis::Latent)?;
        weights.jump_relu(threshold)
    } else {
        Activation::Relu
    };
    let outputs = b_dec.len().checked_div(width).unwrap_or(1);
    let sae = Sae {
        w_enc: weights.encoder("W_enc", [Axis::Latent, Axis::Input])?,
        b_enc: weights.vector("b_enc", Axis::Latent)?,
        w_dec,
        b_dec,
        w_skip: None,
        activation,
        apply_b_dec_to_input: false,
        normalisation: InputNormalisation::None,
        layers: 1,
        prefixes: Vec::new(),
    };
    let mut loaded = LoadedSae::new(Format::CircuitTracer, sae, weights)?;
    (loaded.transcoder, loaded.output_layers) = (true, outputs);
    Ok(loaded)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, Named, matrix, vector};
    use super::*;
    use ndarray::{Array3, array};

    fn weights() -> Named {
        let named = Named::default().with("W_enc", matrix(3, 2)).with("b_enc", vector(3));
        named.with("W_dec", matrix(3, 2) * 2.0).with("b_dec", vector(2))
    }

    fn folder(weights: &Named) -> Folder {
        Folder::default().with("layer_4.safetensors", weights.safetensors())
    }

    #[test]
    fn the_encoder_is_the_other_way_round() {
        let loaded = folder(&weights()).load().unwrap();
        assert_eq!((loaded.format, loaded.transcoder), (Format::CircuitTracer, true));
        assert_eq!((&loaded.sae.w_enc, &loaded.sae.w_dec), (&matrix(3, 2).reversed_axes(), &(matrix(3, 2) * 2.0)));
        assert!(loaded.sae.activation == Activation::Relu && !loaded.sae.apply_b_dec_to_input);
        let jump = folder(&weights().with("activation_function.threshold", vector(3))).load().unwrap();
        assert_eq!(jump.sae.activation, Activation::JumpRelu { threshold: vector(3) });
        let top = folder(&weights().with("k", array![2.0]).with("W_skip", matrix(2, 2))).load().unwrap();
        assert_eq!(top.sae.activation, Activation::TopK { k: 2, by_decoder_norm: false });
        assert_eq!(top.sae.w_skip, Some(matrix(2, 2)));
        assert!(folder(&weights().with("k", array![4.0])).load().is_err());
        let two = folder(&weights()).with("layer_5.safetensors", weights().safetensors());
        assert_eq!(two.load().unwrap_err().format_kind(), Some(FormatKind::Ambiguous));
        let hint = Hint { format: Some(Format::CircuitTracer), layer: Some(5), ..Hint::default() };
        assert!(two.load_with(hint).is_ok());
    }

    /// Two layers: the first writes to both outputs, the second to its own.
    fn cross_layer() -> Folder {
        let decoders = [Array3::from_shape_fn((3, 2, 2), |(i, j, k)| (i + 2 * j + k) as f64), Array3::ones((3, 1, 2))];
        let [first, second] = decoders;
        let encoder = |w, b, d| Named::default().with(w, matrix(3, 2)).with(b, vector(3)).with(d, vector(2));
        let second_encoder = encoder("W_enc_1", "b_enc_1", "b_dec_1").with("threshold_1", vector(3));
        Folder::default()
            .with("W_enc_0.safetensors", encoder("W_enc_0", "b_enc_0", "b_dec_0").safetensors())
            .with("W_dec_0.safetensors", Named::default().with("W_dec_0", first).safetensors())
            .with("W_enc_1.safetensors", second_encoder.safetensors())
            .with("W_dec_1.safetensors", Named::default().with("W_dec_1", second).safetensors())
    }

    #[test]
    fn layers_add_up_to_each_output_with_one_bias() {
        let folder = cross_layer();
        assert_eq!(folder.load().unwrap_err().format_kind(), Some(FormatKind::Ambiguous));
        let at = |layer| folder.load_with(Hint { layer: Some(layer), ..Hint::default() }).unwrap();
        let (first, second) = (at(0), at(1));
        assert_eq!((first.output_layers, first.sae.d_out(), second.output_layers), (2, 4, 1));
        assert_eq!(second.sae.activation, Activation::JumpRelu { threshold: vector(3) });
        let dead = array![[-100.0, 100.0]];
        let quiet = |sae: &Sae<f64>| sae.decode(&(sae.encode(&dead).unwrap() * 0.0)).unwrap();
        let (own, later) = (quiet(&first.sae), quiet(&second.sae));
        assert_eq!(own.row(0).to_vec(), [vector(2).to_vec(), vec![0.0, 0.0]].concat());
        assert_eq!(later.row(0), vector(2));
        let half = Folder(folder.0[..1].to_vec());
        assert_eq!(half.load().unwrap_err().format_kind(), Some(FormatKind::Missing));
    }
}
