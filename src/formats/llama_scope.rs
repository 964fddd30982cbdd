//! Llama Scope: `hyperparams.json` and `checkpoints/final.safetensors`; for the distilled R1 `config.json` and
//! `sae_weights.safetensors`.
//!
//! ```text
//! encoder.weight (m, d)   encoder.bias (m)   decoder.weight (d, m)   decoder.bias (d)
//! s = √d / dataset_average_activation_norm.in          z = (s x) W_enc + b_enc
//! f = z [z > θ]            x' = (f W_dec + b_dec)/s    θ = s jump_relu_threshold, or exp(log_jumprelu_threshold) (m)
//! ```
//!
//! A transcoder whose output has another mean norm gets the ratio of both into its decoder. Weights are published with unit
//! decoder rows, so that `sparsity_include_decoder_norm` changes nothing.
//!
//! Source: He et al. (arXiv 2410.20526), <https://github.com/OpenMOSS/Language-Model-SAEs>, and the loader of SAELens.

use alloc::vec::Vec;

use ndarray::Array1;

use super::detect::Format;
use super::fail;
use super::files::Files;
use super::loaded::{Axis, LoadedSae};
use super::safetensors;
use super::settings::Settings;
use super::weights::{Weights, active, exponential};
use crate::sae::{Activation, InputNormalisation, Sae};
use crate::{FormatKind, Result, Scalar};

pub(super) const SETTINGS: &str = "hyperparams.json";
pub(super) const WEIGHTS: &str = "checkpoints/final.safetensors";

pub(super) fn load<T: Scalar>(files: &Files<'_>) -> Result<LoadedSae<T>> {
    let settings = files.settings(&[SETTINGS, "config.json"])?;
    let settings = settings.ok_or(fail(FormatKind::Missing, "hyperparams.json", 0))?;
    if settings.flag("use_glu_encoder")? == Some(true) {
        return Err(fail(FormatKind::Architecture, "gated linear encoder of Llama Scope", 0));
    }
    let bytes = files.weights(&[WEIGHTS, "final.safetensors", "sae_weights.safetensors"], ".safetensors")?;
    let mut weights = Weights::new(safetensors::read(bytes)?);
    let mut w_dec = weights.decoder("decoder.weight", [Axis::Output, Axis::Latent])?;
    let mut b_dec: Array1<T> = weights.vector("decoder.bias", Axis::Output)?;
    let scale = Scale::of(&settings, b_dec.len())?;
    if let Some(ratio) = scale.output {
        weights.note("the ratio of the norms of input and output was multiplied into the decoder");
        w_dec *= T::of(ratio);
        b_dec *= T::of(ratio);
    }
    let m = w_dec.nrows();
    let sae = Sae {
        w_enc: weights.encoder("encoder.weight", [Axis::Latent, Axis::Input])?,
        b_enc: weights.vector("encoder.bias", Axis::Latent)?,
        w_dec,
        b_dec,
        w_skip: None,
        activation: activation(&settings, scale.input.unwrap_or(1.0), m, &mut weights)?,
        apply_b_dec_to_input: settings.flag("apply_decoder_bias_to_pre_encoder")?.unwrap_or(false),
        normalisation: if scale.per_sample { InputNormalisation::ConstantNorm } else { InputNormalisation::None },
        layers: 1,
        prefixes: Vec::new(),
    };
    let mut loaded = LoadedSae::new(Format::LlamaScope, sae, weights)?
        .sized(settings.count("d_model")?, settings.count("d_sae")?, None)?
        .named(&settings, &["model_name"], &["hook_point_in"]);
    loaded.transcoder |= is_transcoder(&settings)?;
    loaded.external_scale = scale.external;
    match scale.input {
        Some(scale) => loaded.scaled(scale),
        None => Ok(loaded),
    }
}

fn is_transcoder(settings: &Settings<'_>) -> Result<bool> {
    let output = settings.text("hook_point_out")?;
    Ok(output.is_some() && output != settings.text("hook_point_in")?)
}

/// What inputs are multiplied by, and the decoder on top of the inverse of that.
#[derive(Default)]
struct Scale {
    input: Option<f64>,
    output: Option<f64>,
    external: bool,
    per_sample: bool,
}

impl Scale {
    fn of(settings: &Settings<'_>, d_out: usize) -> Result<Self> {
        let norms = settings.inside("dataset_average_activation_norm")?;
        let stated = settings.text("norm_activation")?;
        match (stated, norms.positive("in")?) {
            (None | Some("dataset-wise"), Some(norm)) => {
                let d_in = settings.count("d_model")?.unwrap_or(d_out);
                let input = libm::sqrt(d_in as f64) / norm;
                let output = norms.positive("out")?.filter(|_| is_transcoder(settings) == Ok(true));
                let output = output.map(|norm| input * norm / libm::sqrt(d_out as f64)).filter(|&ratio| ratio != 1.0);
                Ok(Self { input: Some(input), output, ..Self::default() })
            }
            (Some("dataset-wise"), None) => Ok(Self { external: true, ..Self::default() }),
            (None | Some("inference"), _) => Ok(Self::default()),
            (Some("token-wise"), _) => Ok(Self { per_sample: true, ..Self::default() }),
            _ => Err(fail(FormatKind::Architecture, "norm_activation of Llama Scope", 0)),
        }
    }
}

fn activation<T: Scalar>(
    settings: &Settings<'_>,
    scale: f64,
    m: usize,
    weights: &mut Weights<'_>,
) -> Result<Activation<T>> {
    if weights.has("log_jumprelu_threshold") {
        weights.note("thresholds are the exponentials of log_jumprelu_threshold");
        let threshold = exponential(weights.vector("log_jumprelu_threshold", Axis::Latent)?)?;
        return Ok(Activation::JumpRelu { threshold });
    }
    match settings.text("act_fn")?.unwrap_or("jumprelu") {
        "jumprelu" => {
            let threshold = settings.number("jump_relu_threshold")?.filter(|threshold| threshold.is_finite());
            let threshold = threshold.ok_or(fail(FormatKind::Config, "jump_relu_threshold", 0))?;
            Ok(weights.jump_relu(Array1::from_elem(m, T::of(threshold * scale))))
        }
        "relu" => Ok(Activation::Relu),
        "topk" => Ok(Activation::TopK { k: active(settings.count("top_k")?, m)?, by_decoder_norm: false }),
        _ => Err(fail(FormatKind::Architecture, "act_fn of Llama Scope", 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, Named, matrix, vector};
    use super::*;
    use ndarray::array;

    fn weights() -> Named {
        let named = Named::default().with("encoder.weight", matrix(3, 4)).with("encoder.bias", vector(3));
        named.with("decoder.weight", matrix(4, 3)).with("decoder.bias", vector(4))
    }

    fn load(weights: &Named, settings: &str) -> Result<LoadedSae<f64>> {
        Folder::default().with(WEIGHTS, weights.safetensors()).with(SETTINGS, settings).load()
    }

    #[test]
    fn a_transcoder_comes_out_in_the_units_of_its_output() {
        let norms = r#""jump_relu_threshold": 1.5, "dataset_average_activation_norm": {"in": 4.0, "out": 8.0}"#;
        let same = load(&weights(), &alloc::format!("{{{norms}}}")).unwrap();
        assert_eq!((same.input_scale, &same.sae.w_dec), (Some(0.5), &matrix(4, 3).reversed_axes()));
        assert_eq!(same.sae.activation, Activation::JumpRelu { threshold: array![0.75, 0.75, 0.75] });
        let other = alloc::format!(r#"{{{norms}, "hook_point_in": "a", "hook_point_out": "b"}}"#);
        let other = load(&weights(), &other).unwrap();
        assert!(other.transcoder && other.hook.as_deref() == Some("a"));
        let x = array![[0.3, -0.2, 0.5, 1.0]];
        let twice = same.sae.reconstruct(&x).unwrap() * 2.0;
        assert!((twice - other.sae.reconstruct(&x).unwrap()).iter().all(|e| e.abs() < 1e-12));
    }

    #[test]
    fn the_distilled_ones_have_a_threshold_each() {
        let named = weights().with("log_jumprelu_threshold", array![0.0, -1.0, 1.0]);
        let folder = Folder::default().with("sae_weights.safetensors", named.safetensors());
        let loaded = folder.with("config.json", r#"{"norm_activation": "dataset-wise", "d_model": 4}"#).load().unwrap();
        let Activation::JumpRelu { threshold } = &loaded.sae.activation else { panic!("{:?}", loaded.sae.activation) };
        assert!(loaded.external_scale && threshold[0] == 1.0 && (threshold[2] - core::f64::consts::E).abs() < 1e-12);
        let huge = weights().with("log_jumprelu_threshold", array![0.0, 1e4, 1.0]);
        assert_eq!(load(&huge, "{}").unwrap_err().format_kind(), Some(FormatKind::NotFinite));
    }

    #[test]
    fn other_activations_and_normalisations_are_told() {
        let of = |settings: &str| load(&weights(), settings);
        assert_eq!(of(r#"{"act_fn": "relu"}"#).unwrap().sae.activation, Activation::Relu);
        let top = of(r#"{"act_fn": "topk", "top_k": 2, "norm_activation": "token-wise"}"#).unwrap().sae;
        assert_eq!(top.activation, Activation::TopK { k: 2, by_decoder_norm: false });
        assert_eq!(top.normalisation, InputNormalisation::ConstantNorm);
        let kind = |settings: &str| of(settings).unwrap_err().format_kind().unwrap();
        assert_eq!(kind("{}"), FormatKind::Config);
        assert_eq!(kind(r#"{"act_fn": "tanh"}"#), FormatKind::Architecture);
        assert_eq!(kind(r#"{"act_fn": "relu", "norm_activation": "batch-wise"}"#), FormatKind::Architecture);
        assert_eq!(kind(r#"{"act_fn": "relu", "use_glu_encoder": true}"#), FormatKind::Architecture);
        assert_eq!(kind(r#"{"act_fn": "relu", "dataset_average_activation_norm": {"in": 0}}"#), FormatKind::Config);
    }
}
