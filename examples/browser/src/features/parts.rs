//! An autoencoder as the program for graphics devices takes it.

use limpid::Error;
use limpid::sae::{Activation, InputNormalisation, Sae};
use serde_json::json;

use super::Result;

/// Settings as JSON; encoder `(d_in, m)` and its bias, decoder `(m, d_out)` and its bias, row by row; thresholds.
pub type Parts = (String, [Vec<f32>; 5]);

/// What features depend on: neither a path past the latents nor the parts of a dictionary among it.
pub fn parts(sae: &Sae<f32>) -> Result<Parts> {
    let (kind, k, by_decoder_norm, thresholds) = match &sae.activation {
        Activation::Relu => ("relu", 0.0, false, Vec::new()),
        Activation::TopK { k, by_decoder_norm } => ("top_k", *k as f64, *by_decoder_norm, Vec::new()),
        Activation::BatchTopK { k, by_decoder_norm, threshold: Some(threshold) } => {
            ("batch_top_k", *k, *by_decoder_norm, vec![*threshold])
        }
        Activation::JumpRelu { threshold } => ("jump_relu", 0.0, false, threshold.to_vec()),
        _ => return Err(Error::Unsupported { what: "this activation on the device" }.into()),
    };
    let (normalisation, number, unbiased) = match sae.normalisation {
        InputNormalisation::None => ("none", 0.0, false),
        InputNormalisation::Scale(scale) => ("scale", scale, false),
        InputNormalisation::ConstantNorm => ("constant_norm", 0.0, false),
        InputNormalisation::LayerNorm { epsilon, unbiased } => ("layer_norm", epsilon, unbiased),
    };
    let settings = json!({
        "activation": kind,
        "k": k,
        "by_decoder_norm": by_decoder_norm,
        "centred": sae.apply_b_dec_to_input,
        "layers": sae.layers,
        "normalisation": normalisation,
        "number": number,
        "unbiased": unbiased,
    });
    let (w_enc, w_dec) = (sae.w_enc.iter().copied().collect(), sae.w_dec.iter().copied().collect());
    Ok((settings.to_string(), [w_enc, sae.b_enc.to_vec(), w_dec, sae.b_dec.to_vec(), thresholds]))
}
