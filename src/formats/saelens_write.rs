//! Writing of SAELens folders, version 6.
//!
//! What SAELens has no place for is brought into a form that it has, if one exists: a scale of inputs goes into encoder and
//! decoder, batch top-k becomes JumpReLU. The rest is refused, never approximated.
//!
//! Source: SAELens 6.54, `SAE.save_model`.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use ndarray::Array1;

use super::json::write_string;
use super::saelens::{SETTINGS, SPARSITY, WEIGHTS};
use super::safetensors;
use super::tensor::{Dtype, Tensor};
use crate::error::{check_finite, check_shape};
use crate::sae::{Activation, FoldScale, InputNormalisation, Sae};
use crate::{Error, Result, Scalar};

/// Version that the settings state; readers take anything from 6 on in the same way.
const VERSION: &str = "6.54.0";

/// How an autoencoder is saved.
#[derive(Debug, Clone, PartialEq)]
pub struct SaveSettings<T> {
    /// Type of the weights: a float. Thresholds in 16 bits move, so that other latents may be active.
    pub dtype: Dtype,
    /// Whether it predicts other activations than those that it reads; needed where the widths are equal.
    pub transcoder: bool,
    /// Texts about the origin, such as `model_name`, `hook_name` and `neuronpedia_id`.
    pub metadata: Vec<(String, String)>,
    /// Logarithm to base 10 of how often each latent is active `(m)`; written beside the weights.
    pub log10_sparsity: Option<Array1<T>>,
}

impl<T> Default for SaveSettings<T> {
    fn default() -> Self {
        Self { dtype: Dtype::F32, transcoder: false, metadata: Vec::new(), log10_sparsity: None }
    }
}

/// The files of a SAELens folder, by name: weights, settings, and the sparsity where it is given.
///
/// # Errors
/// Those of [`Sae::check`]; [`Error::Unsupported`] for what SAELens cannot hold: crosscoders, group-max, batch top-k
/// without a threshold, other layer norms than its own, transcoders that are neither ReLU nor JumpReLU, and types that are
/// no floats; [`Error::OutOfRange`] where a weight does not fit the type.
///
/// # Example
/// ```
/// use limpid::formats::{Files, Hint, SaveSettings, load, save_saelens};
/// use limpid::sae::{Activation, Sae};
/// use ndarray::array;
///
/// let (w_enc, w_dec) = (array![[1.0_f32, -1.0]], array![[1.0], [-1.0]]);
/// let sae = Sae::new(w_enc, array![0.0, 0.5], w_dec, array![0.25], Activation::TopK { k: 1, by_decoder_norm: false })?;
/// let saved = save_saelens(&sae, &SaveSettings::default())?;
/// let files: Files = saved.iter().map(|(name, bytes)| (*name, &bytes[..])).collect();
/// assert_eq!(load::<f32>(&files, &Hint::default())?.sae, sae);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn save_saelens<T: Scalar>(sae: &Sae<T>, settings: &SaveSettings<T>) -> Result<Vec<(&'static str, Vec<u8>)>> {
    sae.check()?;
    let sae = representable(sae)?;
    let transcoder = settings.transcoder || sae.d_in() != sae.d_out() || sae.w_skip.is_some();
    let config = config(&sae, settings, architecture(&sae, transcoder)?, transcoder)?;
    let mut files = alloc::vec![(WEIGHTS, weights(&sae, settings.dtype)?), (SETTINGS, config.into_bytes())];
    if let Some(sparsity) = &settings.log10_sparsity {
        check_shape("log10_sparsity", sparsity, &[sae.latents()])?;
        check_finite("log10_sparsity", sparsity)?;
        let tensor = Tensor::from_array(sparsity, Dtype::F32)?;
        files.push((SPARSITY, safetensors::write(&[("sparsity", tensor)], &[])?));
    }
    Ok(files)
}

/// The same function in a form that SAELens has.
fn representable<T: Scalar>(sae: &Sae<T>) -> Result<Cow<'_, Sae<T>>> {
    let pursuit = matches!(sae.activation, Activation::MatchingPursuit { .. });
    if sae.layers > 1 {
        return Err(Error::Unsupported { what: "crosscoders in SAELens" });
    }
    if pursuit && sae.w_enc != sae.w_dec.t() {
        return Err(Error::Unsupported { what: "matching pursuit whose encoder is not the transposed decoder" });
    }
    let sae = match sae.normalisation {
        // the convention of SAELens, and the only one that matching pursuit has
        InputNormalisation::Scale(_) if !pursuit => Cow::Owned(sae.fold_input_scale(FoldScale::Encoder)?),
        InputNormalisation::Scale(_) => Cow::Owned(sae.fold_input_scale(FoldScale::Bias)?),
        _ => Cow::Borrowed(sae),
    };
    match sae.activation {
        Activation::BatchTopK { .. } => sae.to_jump_relu().map(Cow::Owned),
        _ => Ok(sae),
    }
}

fn architecture<T: Scalar>(sae: &Sae<T>, transcoder: bool) -> Result<&'static str> {
    Ok(match (&sae.activation, transcoder, sae.w_skip.is_some()) {
        (Activation::Relu, false, _) => "standard",
        (Activation::Relu, true, false) => "transcoder",
        (Activation::Relu, true, true) => "skip_transcoder",
        (Activation::JumpRelu { .. }, false, _) => "jumprelu",
        (Activation::JumpRelu { .. }, true, false) => "jumprelu_transcoder",
        (Activation::JumpRelu { .. }, true, true) => "jumprelu_skip_transcoder",
        (Activation::TopK { .. }, false, _) => "topk",
        (Activation::Gated { .. }, false, _) => "gated",
        (Activation::MatchingPursuit { .. }, false, _) => "matching_pursuit",
        _ => return Err(Error::Unsupported { what: "this activation, or a transcoder with it, in SAELens" }),
    })
}

fn weights<T: Scalar>(sae: &Sae<T>, dtype: Dtype) -> Result<Vec<u8>> {
    let mut tensors = alloc::vec![
        ("W_dec", Tensor::from_array(&sae.w_dec, dtype)?),
        ("b_dec", Tensor::from_array(&sae.b_dec, dtype)?),
    ];
    if !matches!(sae.activation, Activation::MatchingPursuit { .. }) {
        let gated = matches!(sae.activation, Activation::Gated { .. });
        tensors.push(("W_enc", Tensor::from_array(&sae.w_enc, dtype)?));
        tensors.push((if gated { "b_gate" } else { "b_enc" }, Tensor::from_array(&sae.b_enc, dtype)?));
    }
    match &sae.activation {
        Activation::JumpRelu { threshold } => tensors.push(("threshold", Tensor::from_array(threshold, dtype)?)),
        Activation::Gated { b_mag, r_mag } => {
            tensors.push(("b_mag", Tensor::from_array(b_mag, dtype)?));
            tensors.push(("r_mag", Tensor::from_array(r_mag, dtype)?));
        }
        _ => {}
    }
    if let Some(w_skip) = &sae.w_skip {
        tensors.push(("W_skip", Tensor::from_array(w_skip, dtype)?));
    }
    safetensors::write(&tensors, &[("format", "pt")])
}

/// The text of `cfg.json`.
fn config<T: Scalar>(sae: &Sae<T>, settings: &SaveSettings<T>, architecture: &str, transcoder: bool) -> Result<String> {
    let mut entries = alloc::vec![
        ("d_in", sae.d_in().to_string()),
        ("d_sae", sae.latents().to_string()),
        ("dtype", quoted(torch_name(settings.dtype)?)),
        ("device", quoted("cpu")),
        ("apply_b_dec_to_input", sae.apply_b_dec_to_input.to_string()),
        ("normalize_activations", quoted(normalisation(sae, transcoder)?)),
        ("reshape_activations", quoted("none")),
        ("metadata", metadata(sae, settings)),
        ("architecture", quoted(architecture)),
    ];
    if transcoder {
        entries.push(("d_out", sae.d_out().to_string()));
    }
    match &sae.activation {
        Activation::TopK { k, by_decoder_norm } => {
            entries.push(("k", k.to_string()));
            entries.push(("rescale_acts_by_decoder_norm", by_decoder_norm.to_string()));
        }
        Activation::MatchingPursuit { residual_threshold, max_iterations, stop_on_duplicate_support } => {
            entries.push(("residual_threshold", residual_threshold.as_f64().to_string()));
            entries.push(("max_iterations", max_iterations.map_or("null".to_string(), |n| n.to_string())));
            entries.push(("stop_on_duplicate_support", stop_on_duplicate_support.to_string()));
        }
        _ => {}
    }
    let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{}: {value}", quoted(key))).collect();
    Ok(format!("{{{}}}", entries.join(", ")))
}

fn metadata<T>(sae: &Sae<T>, settings: &SaveSettings<T>) -> String {
    let mut entries = alloc::vec![format!("\"sae_lens_version\": \"{VERSION}\"")];
    let texts = settings.metadata.iter().filter(|(key, _)| key != "sae_lens_version");
    entries.extend(texts.map(|(key, text)| format!("{}: {}", quoted(key), quoted(text))));
    if !sae.prefixes.is_empty() {
        let widths: Vec<String> = sae.prefixes.iter().map(ToString::to_string).collect();
        let widths = widths.join(", ");
        entries.push(format!("\"training_architecture_details\": {{\"matryoshka_widths\": [{widths}]}}"));
    }
    format!("{{{}}}", entries.join(", "))
}

fn normalisation<T: Scalar>(sae: &Sae<T>, transcoder: bool) -> Result<&'static str> {
    match sae.normalisation {
        InputNormalisation::None => Ok("none"),
        InputNormalisation::ConstantNorm if !transcoder => Ok("constant_norm_rescale"),
        InputNormalisation::LayerNorm { epsilon, unbiased: true } if !transcoder && epsilon == T::of(1e-5) => {
            Ok("layer_norm")
        }
        _ => Err(Error::Unsupported { what: "this normalisation in SAELens" }),
    }
}

fn torch_name(dtype: Dtype) -> Result<&'static str> {
    match dtype {
        Dtype::F64 => Ok("float64"),
        Dtype::F32 => Ok("float32"),
        Dtype::F16 => Ok("float16"),
        Dtype::Bf16 => Ok("bfloat16"),
        _ => Err(Error::Unsupported { what: "weights stored as whole numbers" }),
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    write_string(text, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{Files, Hint, LoadedSae, load};
    use ndarray::{Array2, array};

    fn sae(activation: Activation<f64>) -> Sae<f64> {
        let w_enc = array![[0.5, -0.3, 0.8, 0.1], [0.2, 0.7, -0.4, -0.6], [-0.1, 0.4, 0.3, 0.9]];
        let w_dec = array![[0.6, 0.1, -0.2], [-0.3, 0.8, 0.5], [0.9, -0.4, 0.2], [0.0, -0.7, 0.7]];
        Sae::new(w_enc, array![0.1, -0.2, 0.05, 0.0], w_dec, array![0.1, -0.1, 0.2], activation).unwrap()
    }

    fn again(sae: &Sae<f64>, settings: &SaveSettings<f64>) -> LoadedSae<f64> {
        let saved = save_saelens(sae, settings).unwrap();
        let files: Files<'_> = saved.iter().map(|(name, bytes)| (*name, &bytes[..])).collect();
        load(&files, &Hint::default()).unwrap()
    }

    fn wide() -> SaveSettings<f64> {
        SaveSettings { dtype: Dtype::F64, ..SaveSettings::default() }
    }

    fn pursuit() -> Activation<f64> {
        Activation::MatchingPursuit {
            residual_threshold: 0.01,
            max_iterations: Some(3),
            stop_on_duplicate_support: false,
        }
    }

    #[test]
    fn every_architecture_comes_back() {
        let threshold = array![0.35, 0.4, 0.25, 0.5];
        let kinds = [
            Activation::Relu,
            Activation::TopK { k: 2, by_decoder_norm: true },
            Activation::JumpRelu { threshold },
            Activation::Gated { b_mag: array![0.1, 0.0, -0.05, 0.2], r_mag: array![0.2, -0.1, 0.0, 0.3] },
        ];
        for kind in kinds {
            let mut sae = sae(kind);
            assert_eq!(again(&sae, &wide()).sae, sae);
            sae.normalisation = InputNormalisation::LayerNorm { epsilon: 1e-5, unbiased: true };
            sae.apply_b_dec_to_input = false;
            assert_eq!(again(&sae, &wide()).sae, sae);
            sae.normalisation = InputNormalisation::ConstantNorm;
            sae.prefixes = vec![2, 4];
            assert_eq!(again(&sae, &wide()).sae, sae);
        }
        let mut tied = sae(pursuit());
        tied.w_enc = tied.w_dec.t().to_owned();
        tied.b_enc.fill(0.0);
        assert_eq!(again(&tied, &wide()).sae, tied);
    }

    #[test]
    fn transcoders_come_back() {
        for kind in [Activation::Relu, Activation::JumpRelu { threshold: array![0.35, 0.4, 0.25, 0.5] }] {
            let mut sae = sae(kind);
            sae.apply_b_dec_to_input = false;
            for skip in [None, Some(Array2::from_elem((3, 3), 0.5))] {
                sae.w_skip = skip;
                let loaded = again(&sae, &SaveSettings { transcoder: true, ..wide() });
                assert!(loaded.sae == sae && loaded.transcoder);
            }
            sae.w_dec = sae.w_dec.slice_axis_move(ndarray::Axis(1), ndarray::Slice::from(..2));
            sae.b_dec = array![0.5, -0.5];
            sae.w_skip = Some(array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
            assert!(again(&sae, &wide()).sae == sae);
        }
    }

    #[test]
    fn forms_that_saelens_lacks_become_others_that_do_the_same() {
        let x = array![[1.0, -0.5, 2.0], [0.5, 1.5, -1.0]];
        for kind in [
            Activation::BatchTopK { k: 2.0, by_decoder_norm: true, threshold: Some(0.5) },
            Activation::BatchTopK { k: 2.0, by_decoder_norm: false, threshold: Some(0.5) },
            Activation::Gated { b_mag: array![0.1, 0.0, -0.05, 0.2], r_mag: array![0.2, -0.1, 0.0, 0.3] },
            pursuit(),
            Activation::Relu,
        ] {
            let mut sae = sae(kind);
            sae.normalisation = InputNormalisation::Scale(0.5);
            if sae.activation == pursuit() {
                sae.w_enc = sae.w_dec.t().to_owned();
            }
            if sae.activation == Activation::Relu {
                (sae.w_skip, sae.apply_b_dec_to_input) = (Some(Array2::from_elem((3, 3), 0.5)), false);
            }
            let loaded = again(&sae, &wide());
            assert_eq!(loaded.sae.normalisation, InputNormalisation::None);
            let difference = loaded.sae.reconstruct(&x).unwrap() - sae.reconstruct(&x).unwrap();
            assert!(difference.iter().all(|e| e.abs() < 1e-12), "{:?}", sae.activation);
        }
    }

    #[test]
    fn what_has_no_place_is_refused() {
        let refused = |change: &dyn Fn(&mut Sae<f64>)| {
            let mut sae = sae(Activation::Relu);
            change(&mut sae);
            assert!(matches!(save_saelens(&sae, &wide()), Err(Error::Unsupported { .. })), "{sae:?}");
        };
        refused(&|sae| sae.activation = Activation::GroupMax { k: 2 });
        refused(&|sae| sae.activation = pursuit());
        refused(&|sae| sae.activation = Activation::BatchTopK { k: 2.0, by_decoder_norm: false, threshold: None });
        refused(&|sae| sae.normalisation = InputNormalisation::LayerNorm { epsilon: 1e-3, unbiased: true });
        refused(&|sae| (sae.layers, sae.apply_b_dec_to_input) = (3, false));
        refused(&|sae| {
            (sae.w_skip, sae.activation) =
                (Some(Array2::zeros((3, 3))), Activation::TopK { k: 1, by_decoder_norm: false });
        });
        let whole = SaveSettings { dtype: Dtype::I32, ..SaveSettings::default() };
        assert!(save_saelens(&sae(Activation::Relu), &whole).is_err());
    }

    #[test]
    fn names_and_sparsity_come_back() {
        let settings = SaveSettings {
            metadata: vec![("model_name".into(), "a \"model\"".into()), ("hook_name".into(), "blocks.0".into())],
            log10_sparsity: Some(array![-1.0, -2.0, -0.5, -10.0]),
            dtype: Dtype::F16,
            ..SaveSettings::default()
        };
        let loaded = again(&sae(Activation::Relu), &settings);
        assert_eq!((loaded.model.as_deref(), loaded.hook.as_deref()), (Some("a \"model\""), Some("blocks.0")));
        assert_eq!((loaded.log10_sparsity, loaded.dtype), (settings.log10_sparsity, Dtype::F16));
        let short = SaveSettings { log10_sparsity: Some(array![0.0]), ..SaveSettings::default() };
        assert!(matches!(save_saelens(&sae(Activation::Relu), &short), Err(Error::Shape { .. })));
    }
}
