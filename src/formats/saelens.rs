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
        .named(&hooks, &["model_name"], &["hook_name"])?
        .named(&settings, &["model_name"], &["hook_name", "hook_point"])?;
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
