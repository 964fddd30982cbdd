//! The autoencoder from what the first program says about it.

use limpid::sae::{Activation, InputNormalisation, Sae};
use ndarray::{Array1, Array2};
use serde_json::Value;

type Result<V> = core::result::Result<V, Box<dyn core::error::Error>>;

/// Encoder and its bias, decoder and its bias, thresholds.
pub type Arrays = [Vec<f32>; 5];

/// Puts it together.
///
/// # Errors
/// Where parts don't fit each other, or a setting is unknown.
pub fn sae(settings: &str, [w_enc, b_enc, w_dec, b_dec, thresholds]: Arrays) -> Result<Sae<f32>> {
    let settings: Value = serde_json::from_str(settings)?;
    let (m, d_out) = (b_enc.len(), b_dec.len());
    let d_in = w_enc.len().checked_div(m).ok_or("no latents")?;
    let mut sae = Sae::new(
        Array2::from_shape_vec((d_in, m), w_enc)?,
        Array1::from_vec(b_enc),
        Array2::from_shape_vec((m, d_out), w_dec)?,
        Array1::from_vec(b_dec),
        activation(&settings, thresholds)?,
    )?;
    sae.apply_b_dec_to_input = flag(&settings, "centred")?;
    sae.layers = number(&settings, "layers")? as usize;
    sae.normalisation = normalisation(&settings)?;
    Ok(sae)
}

fn activation(settings: &Value, thresholds: Vec<f32>) -> Result<Activation<f32>> {
    let (k, by_decoder_norm) = (number(settings, "k")?, flag(settings, "by_decoder_norm")?);
    Ok(match text(settings, "activation")? {
        "relu" => Activation::Relu,
        "top_k" => Activation::TopK { k: k as usize, by_decoder_norm },
        "batch_top_k" => Activation::BatchTopK { k, by_decoder_norm, threshold: thresholds.first().copied() },
        "jump_relu" => Activation::JumpRelu { threshold: thresholds.into() },
        other => return Err(format!("the activation {other} is unknown").into()),
    })
}

fn normalisation(settings: &Value) -> Result<InputNormalisation<f32>> {
    let value = number(settings, "number")? as f32;
    Ok(match text(settings, "normalisation")? {
        "none" => InputNormalisation::None,
        "scale" => InputNormalisation::Scale(value),
        "constant_norm" => InputNormalisation::ConstantNorm,
        "layer_norm" => InputNormalisation::LayerNorm { epsilon: value, unbiased: flag(settings, "unbiased")? },
        other => return Err(format!("the normalisation {other} is unknown").into()),
    })
}

fn number(settings: &Value, name: &str) -> Result<f64> {
    settings[name].as_f64().ok_or_else(|| format!("{name} is no number").into())
}

fn flag(settings: &Value, name: &str) -> Result<bool> {
    settings[name].as_bool().ok_or_else(|| format!("{name} is no truth value").into())
}

fn text<'a>(settings: &'a Value, name: &str) -> Result<&'a str> {
    settings[name].as_str().ok_or_else(|| format!("{name} is no text").into())
}
