//! SAELens folders, versions 3 to 6: `sae_weights.safetensors` and `cfg.json`, sometimes `sparsity.safetensors`.
//!
//! ```text
//! W_enc (d_in, m)   b_enc (m)   W_dec (m, d_out)   b_dec (d_out)          never transposed
//! gated             b_gate, b_mag, r_mag (m) in place of b_enc
//! jumprelu          threshold (m), in checkpoints of older versions log_threshold
//! skip_transcoder   W_skip (d_out, d_in), used as x W_skipᵀ
//! batchtopk         topk_threshold (), in checkpoints; exported as jumprelu with one threshold for all
//! matching_pursuit  W_dec and b_dec only
//! ```
//!
//! Versions before 6 have flat settings with other names and defaults: `apply_b_dec_to_input` is true where it is absent,
//! `normalize_activations` may be a truth value, and top-k is an activation of `standard`.
//! `expected_average_only_in` means that inputs are to be multiplied by a number that is not in the folder.
//!
//! Source: SAELens 6.54, `saes/*.py` and `loading/pretrained_sae_loaders.py`, <https://github.com/decoderesearch/SAELens>.

use alloc::vec::Vec;

use ndarray::{Array1, Array2};

use super::detect::Format;
use super::files::Files;
use super::json::Json;
use super::loaded::{Axis, LoadedSae};
use super::settings::Settings;
use super::weights::{Weights, active, exponential};
use super::{fail, safetensors};
use crate::error::check_shape;
use crate::sae::{Activation, InputNormalisation, Sae};
use crate::{FormatKind, Result, Scalar};

pub(super) const SETTINGS: &str = "cfg.json";
pub(super) const WEIGHTS: &str = "sae_weights.safetensors";
pub(super) const SPARSITY: &str = "sparsity.safetensors";
pub(super) const SCALER: &str = "activation_scaler.json";

/// What an architecture's name stands for.
struct Architecture {
    kind: Kind,
    transcoder: bool,
    skip: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Standard,
    TopK,
    Gated,
    JumpRelu,
    BatchTopK,
    MatchingPursuit,
}

impl Architecture {
    fn of(settings: &Settings<'_>) -> Result<Self> {
        let name = settings.text("architecture")?.unwrap_or("standard");
        let (kind, transcoder, skip) = match name {
            "standard" => (Kind::Standard, false, false),
            "topk" => (Kind::TopK, false, false),
            "gated" => (Kind::Gated, false, false),
            "jumprelu" => (Kind::JumpRelu, false, false),
            "batchtopk" | "matryoshka_batchtopk" => (Kind::BatchTopK, false, false),
            "matching_pursuit" => (Kind::MatchingPursuit, false, false),
            "transcoder" => (Kind::Standard, true, false),
            "skip_transcoder" => (Kind::Standard, true, true),
            "jumprelu_transcoder" => (Kind::JumpRelu, true, false),
            "jumprelu_skip_transcoder" => (Kind::JumpRelu, true, true),
            _ => return Err(fail(FormatKind::Architecture, "architecture of a SAELens cfg.json", 0)),
        };
        let older = settings.text("activation_fn_str")?.or(settings.text("activation_fn")?);
        let kind = match (kind, older) {
            (Kind::Standard, Some("topk")) if !transcoder => Kind::TopK,
            (_, None | Some("relu")) | (Kind::TopK, Some("topk")) => kind,
            _ => return Err(fail(FormatKind::Architecture, "activation_fn of a SAELens cfg.json", 0)),
        };
        Ok(Self { kind, transcoder, skip })
    }
}

pub(super) fn load<T: Scalar>(files: &Files<'_>) -> Result<LoadedSae<T>> {
    let settings = files.get(SETTINGS).ok_or(fail(FormatKind::Missing, "cfg.json", 0))?;
    let settings = Settings::parse(settings)?;
    let bytes = files.get(WEIGHTS).ok_or(fail(FormatKind::Missing, "sae_weights.safetensors", 0))?;
    let architecture = Architecture::of(&settings)?;
    let mut weights = Weights::new(safetensors::read(bytes)?);
    let mut sae = parameters(&settings, &architecture, &mut weights)?;
    let external = normalisation(&settings, &architecture, &mut sae)?;
    let hooks = settings.inside("metadata")?;
    note_heads(&settings, &hooks, &mut weights)?;
    let mut loaded = LoadedSae::new(Format::SaeLens, sae, weights)?
        .sized(settings.count("d_in")?, settings.count("d_sae")?, settings.count("d_out")?)?
        .named(&hooks, &["model_name"], &["hook_name"])
        .named(&settings, &["model_name"], &["hook_name", "hook_point"]);
    loaded.transcoder = architecture.transcoder;
    loaded.external_scale = external;
    if architecture.kind == Kind::BatchTopK {
        loaded.batch_k = settings.positive("k")?;
    }
    loaded.log10_sparsity = log10_sparsity(files, loaded.sae.latents())?;
    let scaler = files.settings(&[SCALER])?;
    match scaler.map(|scaler| scaler.positive("scaling_factor")).transpose()?.flatten() {
        // a checkpoint keeps beside it the number that training multiplied by
        Some(scale) if external => loaded.scaled(scale),
        _ => Ok(loaded),
    }
}

fn parameters<T: Scalar>(
    settings: &Settings<'_>,
    architecture: &Architecture,
    weights: &mut Weights<'_>,
) -> Result<Sae<T>> {
    let mut w_dec: Array2<T> = weights.decoder("W_dec", [Axis::Latent, Axis::Output])?;
    let m = w_dec.nrows();
    let (w_enc, b_enc) = match architecture.kind {
        Kind::MatchingPursuit => (w_dec.t().to_owned(), Array1::zeros(m)),
        kind => {
            let bias = if kind == Kind::Gated { "b_gate" } else { "b_enc" };
            (weights.encoder("W_enc", [Axis::Input, Axis::Latent])?, weights.vector(bias, Axis::Latent)?)
        }
    };
    let activation = activation(settings, architecture.kind, m, weights)?;
    let skip = [Axis::Output, Axis::Input];
    let w_skip = architecture.skip.then(|| weights.skip("W_skip", skip)).transpose()?;
    let enabled = settings.flag("finetuning_scaling_factor")?.or(settings.flag("uses_scaling_factor")?);
    weights.scale_features(&mut w_dec, enabled)?;
    let subtract = settings.flag("apply_b_dec_to_input")?;
    if architecture.transcoder && subtract == Some(true) {
        return Err(fail(FormatKind::Config, "apply_b_dec_to_input of a transcoder", 0));
    }
    Ok(Sae {
        w_enc,
        b_enc,
        w_dec,
        b_dec: weights.vector("b_dec", Axis::Output)?,
        w_skip,
        activation,
        apply_b_dec_to_input: subtract.unwrap_or(!architecture.transcoder),
        normalisation: InputNormalisation::None,
        layers: 1,
        prefixes: prefixes(settings, m)?,
    })
}

fn activation<T: Scalar>(
    settings: &Settings<'_>,
    kind: Kind,
    m: usize,
    weights: &mut Weights<'_>,
) -> Result<Activation<T>> {
    let by_decoder_norm = settings.flag("rescale_acts_by_decoder_norm")?.unwrap_or(false);
    Ok(match kind {
        Kind::Standard => Activation::Relu,
        Kind::TopK => {
            let k = settings.count("k")?.or(settings.inside("activation_fn_kwargs")?.count("k")?);
            Activation::TopK { k: active(k, m)?, by_decoder_norm }
        }
        Kind::Gated => Activation::Gated {
            b_mag: weights.vector("b_mag", Axis::Latent)?,
            r_mag: weights.vector("r_mag", Axis::Latent)?,
        },
        Kind::JumpRelu => {
            let threshold = if !weights.has("threshold") && weights.has("log_threshold") {
                weights.note("thresholds are the exponentials of log_threshold");
                exponential(weights.vector("log_threshold", Axis::Latent)?)?
            } else {
                weights.vector("threshold", Axis::Latent)?
            };
            weights.jump_relu(threshold)
        }
        Kind::BatchTopK => {
            let threshold = weights.number("topk_threshold")?.map(T::of);
            let threshold = threshold.ok_or(fail(FormatKind::Missing, "topk_threshold", 0))?;
            if by_decoder_norm {
                let k = settings.positive("k")?.ok_or(fail(FormatKind::Config, "k", 0))?;
                Activation::BatchTopK { k, by_decoder_norm, threshold: Some(threshold) }
            } else {
                weights.jump_relu(Array1::from_elem(m, threshold))
            }
        }
        Kind::MatchingPursuit => Activation::MatchingPursuit {
            residual_threshold: T::of(settings.number("residual_threshold")?.unwrap_or(1e-2)),
            max_iterations: settings.count("max_iterations")?,
            stop_on_duplicate_support: settings.flag("stop_on_duplicate_support")?.unwrap_or(true),
        },
    })
}

/// Sets the normalisation; true where inputs are to be scaled by a number that is not in the settings.
fn normalisation<T: Scalar>(settings: &Settings<'_>, architecture: &Architecture, sae: &mut Sae<T>) -> Result<bool> {
    let stated = settings.get("normalize_activations");
    sae.normalisation = match stated.map(|stated| (stated.flag(), stated.text())) {
        None | Some((Some(false), _) | (_, Some("none"))) => return Ok(false),
        Some((Some(true), _) | (_, Some("expected_average_only_in"))) => return Ok(true),
        Some((_, Some("constant_norm_rescale"))) => InputNormalisation::ConstantNorm,
        Some((_, Some("layer_norm"))) => InputNormalisation::LayerNorm { epsilon: T::of(1e-5), unbiased: true },
        _ => return Err(fail(FormatKind::Architecture, "normalize_activations of a SAELens cfg.json", 0)),
    };
    // its outputs stay normalised, which has no place in our form
    let one_sided = fail(FormatKind::Architecture, "transcoder with a normalisation per sample", 0);
    if architecture.transcoder { Err(one_sided) } else { Ok(false) }
}

/// Widths of nested dictionaries, in the settings of a checkpoint or in those that an export remembers.
fn prefixes(settings: &Settings<'_>, m: usize) -> Result<Vec<usize>> {
    let remembered = settings.inside("metadata")?.inside("training_architecture_details")?;
    let widths = settings.get("matryoshka_widths").or(remembered.get("matryoshka_widths"));
    let Some(widths) = widths.and_then(Json::list) else { return Ok(Vec::new()) };
    let widths: Option<Vec<usize>> = widths.iter().map(Json::count).collect();
    let mut widths = widths.ok_or(fail(FormatKind::Config, "matryoshka_widths", 0))?;
    if widths.last().is_some_and(|&last| last < m) {
        widths.push(m);
    }
    Ok(widths)
}

fn note_heads(settings: &Settings<'_>, hooks: &Settings<'_>, weights: &mut Weights<'_>) -> Result<()> {
    let older = settings.text("hook_name")?.or(settings.text("hook_point")?).or(hooks.text("hook_name")?);
    let reshape = settings.text("reshape_activations")?;
    let default = if older.is_some_and(|hook| hook.contains("hook_z")) { "hook_z" } else { "none" };
    if reshape.unwrap_or(default) == "hook_z" {
        weights.note("inputs are the outputs of all heads, side by side");
    }
    Ok(())
}

fn log10_sparsity<T: Scalar>(files: &Files<'_>, m: usize) -> Result<Option<Array1<T>>> {
    let Some(bytes) = files.get(SPARSITY) else { return Ok(None) };
    let sparsity = Weights::new(safetensors::read(bytes)?).vector("sparsity", Axis::Latent)?;
    check_shape("sparsity", &sparsity, &[m])?;
    Ok(Some(sparsity))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, Named, matrix, vector};
    use super::*;
    use ndarray::array;

    fn weights() -> Named {
        let named = Named::default().with("W_enc", matrix(2, 3)).with("b_enc", vector(3));
        named.with("W_dec", matrix(3, 2)).with("b_dec", vector(2))
    }

    fn folder(weights: &Named, settings: &str) -> Folder {
        Folder::default().with(WEIGHTS, weights.safetensors()).with(SETTINGS, settings)
    }

    fn kind(weights: &Named, settings: &str) -> FormatKind {
        folder(weights, settings).load().unwrap_err().format_kind().unwrap()
    }

    #[test]
    fn a_finetuned_size_goes_into_the_decoder() {
        let scaled = weights().with("scaling_factor", array![1.0, 2.0, 4.0]);
        let loaded = folder(&scaled, r#"{"finetuning_scaling_factor": true}"#).load().unwrap();
        assert_eq!(loaded.sae.w_dec, matrix(3, 2) * array![[1.0], [2.0], [4.0]]);
        assert!(folder(&scaled, r#"{"uses_scaling_factor": true}"#).load().is_ok());
        assert_eq!(kind(&scaled, r#"{"finetuning_scaling_factor": false}"#), FormatKind::Config);
        let short = weights().with("scaling_factor", array![2.0]);
        assert_eq!(kind(&short, "{}"), FormatKind::Shape);
    }

    #[test]
    fn a_checkpoint_of_batch_top_k_has_one_threshold() {
        let named = weights().with("topk_threshold", ndarray::arr0(0.25));
        let loaded = folder(&named, r#"{"architecture": "batchtopk", "k": 1.5}"#).load().unwrap();
        assert_eq!(loaded.sae.activation, Activation::JumpRelu { threshold: array![0.25, 0.25, 0.25] });
        assert_eq!(loaded.batch_k, Some(1.5));
        let settings = r#"{"architecture": "matryoshka_batchtopk", "k": 2, "rescale_acts_by_decoder_norm": true, "matryoshka_widths": [1]}"#;
        let loaded = folder(&named, settings).load().unwrap();
        assert!(matches!(
            loaded.sae.activation,
            Activation::BatchTopK { by_decoder_norm: true, threshold: Some(_), .. }
        ));
        assert_eq!(loaded.sae.prefixes, [1, 3]);
        assert_eq!(kind(&weights(), r#"{"architecture": "batchtopk", "k": 2}"#), FormatKind::Missing);
    }

    #[test]
    fn an_external_scale_is_taken_from_where_it_is() {
        let outside = folder(&weights(), r#"{"normalize_activations": true}"#);
        assert!(outside.load().unwrap().external_scale);
        let beside = outside.clone().with(SCALER, r#"{"scaling_factor": 0.5}"#).load().unwrap();
        assert_eq!((beside.input_scale, beside.external_scale), (Some(0.5), false));
        assert_eq!(beside.sae.normalisation, InputNormalisation::Scale(0.5));
        let folded = outside.clone().with(SCALER, r#"{"scaling_factor": null}"#).load().unwrap();
        assert!(folded.external_scale);
        let hint = super::super::Hint { input_scale: Some(2.0), ..Default::default() };
        assert_eq!(outside.load_with(hint).unwrap().sae.normalisation, InputNormalisation::Scale(2.0));
        let none = folder(&weights(), "{}").with(SCALER, r#"{"scaling_factor": 0.5}"#).load().unwrap();
        assert_eq!(none.sae.normalisation, InputNormalisation::None);
        assert!(outside.with(SCALER, r#"{"scaling_factor": 0}"#).load().is_err());
    }

    #[test]
    fn thresholds_below_zero_act_as_zero() {
        let named = weights().with("threshold", array![-0.5, 0.0, 0.5]);
        let loaded = folder(&named, r#"{"architecture": "jumprelu"}"#).load().unwrap();
        assert_eq!(loaded.sae.activation, Activation::JumpRelu { threshold: array![0.0, 0.0, 0.5] });
        assert_eq!(loaded.notes.len(), 1);
    }

    #[test]
    fn outputs_of_heads_are_noted() {
        let noted = |settings: &str| folder(&weights(), settings).load().unwrap().notes.len();
        assert_eq!(noted(r#"{"hook_point": "blocks.1.attn.hook_z"}"#), 1);
        assert_eq!(noted(r#"{"reshape_activations": "hook_z", "metadata": {"hook_name": "x"}}"#), 1);
        assert_eq!(noted(r#"{"metadata": {"hook_name": "blocks.1.hook_resid_post"}}"#), 0);
    }

    #[test]
    fn what_cannot_be_represented_is_refused() {
        for (settings, expected) in [
            (r#"{"architecture": "temporal"}"#, FormatKind::Architecture),
            (r#"{"activation_fn": "tanh-relu"}"#, FormatKind::Architecture),
            (r#"{"architecture": "gated", "activation_fn": "topk"}"#, FormatKind::Architecture),
            (r#"{"normalize_activations": "covariance_whitening"}"#, FormatKind::Architecture),
            (r#"{"architecture": "transcoder", "normalize_activations": "layer_norm"}"#, FormatKind::Architecture),
            (r#"{"architecture": "transcoder", "apply_b_dec_to_input": true}"#, FormatKind::Config),
            (r#"{"architecture": "skip_transcoder"}"#, FormatKind::Missing),
            (r#"{"architecture": "topk"}"#, FormatKind::Config),
            (r#"{"architecture": "topk", "k": 2.5}"#, FormatKind::Config),
            (r#"{"architecture": "topk", "k": 0}"#, FormatKind::Config),
            (r#"{"architecture": 3}"#, FormatKind::Config),
            (r#"{"d_in": 3}"#, FormatKind::Shape),
            (r#"{"matryoshka_widths": [2, 1]}"#, FormatKind::Config),
            (r#"{"matryoshka_widths": ["a"]}"#, FormatKind::Config),
        ] {
            assert_eq!(kind(&weights(), settings), expected, "{settings}");
        }
        let transposed = weights().with("W_enc", matrix(3, 2));
        assert_eq!(kind(&transposed, "{}"), FormatKind::Shape);
        let empty = Named::default().with("W_enc", matrix(2, 0)).with("b_enc", vector(0)).with("W_dec", matrix(0, 2));
        assert_eq!(kind(&empty.with("b_dec", vector(2)), "{}"), FormatKind::Shape);
        let wide = Named::default().with("W_dec", matrix(1 << 40, 0)).with("b_dec", vector(1));
        assert_eq!(kind(&wide, r#"{"architecture": "matching_pursuit"}"#), FormatKind::Shape);
        let sparsity = Named::default().with("sparsity", vector(2)).safetensors();
        let error = folder(&weights(), "{}").with(SPARSITY, sparsity).load().unwrap_err();
        assert_eq!(error.format_kind(), Some(FormatKind::Shape));
    }

    #[test]
    fn a_square_matrix_is_not_transposed() {
        let named = Named::default().with("W_enc", matrix(3, 3)).with("b_enc", vector(3));
        let loaded = folder(&named.with("W_dec", matrix(3, 3) * 2.0).with("b_dec", vector(3)), "{}").load().unwrap();
        assert_eq!((loaded.sae.w_enc, loaded.sae.w_dec), (matrix(3, 3), matrix(3, 3) * 2.0));
    }
}
