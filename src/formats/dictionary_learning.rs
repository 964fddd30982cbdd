//! dictionary_learning: `ae.pt` and `config.json`; the settings name the class that decides everything.
//!
//! ```text
//! AutoEncoder              encoder.weight (m, d)  encoder.bias  decoder.weight (d, m)  bias (d)            relu, bias subtracted
//! AutoEncoderNew           the same with decoder.bias (d)                                                  relu
//! GatedAutoEncoder         encoder.weight  decoder.weight  decoder_bias  gate_bias  mag_bias  r_mag        bias subtracted
//! AutoEncoderTopK          encoder.*  decoder.weight  b_dec (d)  k ()  threshold ()                        top-k, subtracted
//! BatchTopKSAE             the same; at inference features above the threshold, all positive ones where it is below 0
//! MatryoshkaBatchTopKSAE   W_enc (d, m)  W_dec (m, d)  b_enc  b_dec  k  threshold  group_sizes (groups)    the same
//! JumpReluAutoEncoder      W_enc (d, m)  W_dec (m, d)  b_enc  b_dec  threshold (m)                         jump_relu
//! ```
//!
//! A file that training left behind holds the weights under `ae`, beside `norm_factor`, by which inputs were divided.
//! The library's own loader rescales the decoder of `AutoEncoder` to unit rows; here weights stay as they are.
//!
//! Source: <https://github.com/saprmarks/dictionary_learning>, `dictionary.py` and `trainers/*.py`.

use alloc::vec::Vec;

use ndarray::Array1;

use super::detect::Format;
use super::fail;
use super::files::{Files, Hint};
use super::loaded::{Axis, LoadedSae};
use super::pickle::Node;
use super::settings::Settings;
use super::tensor::Tensors;
use super::torch::Checkpoint;
use super::weights::{Weights, active, count};
use crate::sae::{Activation, InputNormalisation, Sae};
use crate::{FormatKind, Result, Scalar};

pub(super) const WEIGHTS: &str = "ae.pt";
pub(super) const SETTINGS: &str = "config.json";

#[derive(Debug, Clone, Copy, PartialEq)]
enum Class {
    AutoEncoder,
    AutoEncoderNew,
    Gated,
    TopK,
    BatchTopK,
    Matryoshka,
    JumpRelu,
}

impl Class {
    fn of(settings: Option<&Settings<'_>>, weights: &Weights<'_>, hint: &Hint) -> Result<Self> {
        let trainer = settings.map_or(Ok(None), |settings| settings.inside("trainer").map(Some))?;
        match trainer.as_ref().map_or(Ok(None), |trainer| trainer.text("dict_class"))? {
            Some(name) => Self::named(name),
            None => Self::guessed(weights, hint),
        }
    }

    fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "AutoEncoder" => Self::AutoEncoder,
            "AutoEncoderNew" => Self::AutoEncoderNew,
            "GatedAutoEncoder" => Self::Gated,
            "AutoEncoderTopK" => Self::TopK,
            "BatchTopKSAE" => Self::BatchTopK,
            "MatryoshkaBatchTopKSAE" => Self::Matryoshka,
            "JumpReluAutoEncoder" => Self::JumpRelu,
            _ => return Err(fail(FormatKind::Architecture, "dict_class of dictionary_learning", 0)),
        })
    }

    fn guessed(weights: &Weights<'_>, hint: &Hint) -> Result<Self> {
        let has = |name| weights.has(name);
        Ok(match hint.batch_top_k {
            _ if has("r_mag") => Self::Gated,
            _ if has("group_sizes") => Self::Matryoshka,
            _ if has("W_enc") => Self::JumpRelu,
            // the older top-k class had no threshold
            Some(false) if has("k") => Self::TopK,
            Some(true) if has("k") => Self::BatchTopK,
            None if has("k") && !has("threshold") => Self::TopK,
            None if has("k") => return Err(fail(FormatKind::Ambiguous, "choice per sample or by batch", 0)),
            _ if has("decoder.bias") => Self::AutoEncoderNew,
            _ => Self::AutoEncoder,
        })
    }

    fn subtracts_bias(self) -> bool {
        !matches!(self, Self::AutoEncoderNew | Self::JumpRelu)
    }

    /// Whether the matrices are those of linear layers, which are stored the other way round.
    fn is_linear(self) -> bool {
        !matches!(self, Self::Matryoshka | Self::JumpRelu)
    }

    /// Names of the biases of encoder and decoder.
    fn biases(self) -> (&'static str, &'static str) {
        match self {
            Self::AutoEncoder => ("encoder.bias", "bias"),
            Self::AutoEncoderNew => ("encoder.bias", "decoder.bias"),
            Self::Gated => ("gate_bias", "decoder_bias"),
            Self::TopK | Self::BatchTopK => ("encoder.bias", "b_dec"),
            Self::Matryoshka | Self::JumpRelu => ("b_enc", "b_dec"),
        }
    }
}

pub(super) fn load<T: Scalar>(files: &Files<'_>, hint: &Hint) -> Result<LoadedSae<T>> {
    let settings = files.settings(&[SETTINGS])?;
    let checkpoint = Checkpoint::open(files.weights(&[WEIGHTS], ".pt")?)?;
    let (tensors, norm_factor) = state(&checkpoint)?;
    let mut weights = Weights::new(tensors);
    let class = Class::of(settings.as_ref(), &weights, hint)?;
    let sae = parameters(class, &mut weights)?;
    let batch = matches!(class, Class::BatchTopK | Class::Matryoshka);
    let batch_k = if batch { weights.number("k")? } else { None };
    let mut loaded = LoadedSae::new(Format::DictionaryLearning, sae, weights)?;
    loaded.batch_k = batch_k;
    if let Some(settings) = settings {
        let trainer = settings.inside("trainer")?;
        loaded = loaded.sized(trainer.count("activation_dim")?, trainer.count("dict_size")?, None)?;
        loaded = loaded.named(&trainer, &["lm_name"], &["submodule_name"]);
    }
    let Some(factor) = norm_factor else { return Ok(loaded) };
    let mut loaded = loaded.scaled(1.0 / factor)?;
    (loaded.norm_factor, loaded.input_scale) = (Some(factor), None);
    Ok(loaded)
}

/// The tensors of the weights; those of a file that training left behind lie under `ae`, and it has a norm factor.
fn state<'a>(checkpoint: &Checkpoint<'a>) -> Result<(Tensors<'a>, Option<f64>)> {
    let pickle = &checkpoint.pickle;
    let Some(inner) = pickle.get(pickle.root(), "ae") else { return Ok((checkpoint.tensors(pickle.root())?, None)) };
    let factor = match pickle.get(pickle.root(), "norm_factor") {
        Some(Node::Float(factor)) => Some(*factor),
        Some(Node::Int(factor)) => Some(*factor as f64),
        Some(Node::Tensor(_)) => Weights::new(checkpoint.tensors(pickle.root())?).number("norm_factor")?,
        _ => None,
    };
    Ok((checkpoint.tensors(inner)?, factor))
}

fn parameters<T: Scalar>(class: Class, weights: &mut Weights<'_>) -> Result<Sae<T>> {
    let (w_enc, w_dec) = if class.is_linear() {
        let w_enc = weights.encoder("encoder.weight", [Axis::Latent, Axis::Input])?;
        (w_enc, weights.decoder("decoder.weight", [Axis::Output, Axis::Latent])?)
    } else {
        let w_enc = weights.encoder("W_enc", [Axis::Input, Axis::Latent])?;
        (w_enc, weights.decoder("W_dec", [Axis::Latent, Axis::Output])?)
    };
    let m = w_dec.nrows();
    let (encoder, decoder) = class.biases();
    let mut sae = Sae {
        w_enc,
        b_enc: weights.vector(encoder, Axis::Latent)?,
        w_dec,
        b_dec: weights.vector(decoder, Axis::Output)?,
        w_skip: None,
        activation: activation(class, m, weights)?,
        apply_b_dec_to_input: class.subtracts_bias(),
        normalisation: InputNormalisation::None,
        layers: 1,
        prefixes: Vec::new(),
    };
    if class == Class::Matryoshka {
        sae.prefixes = prefixes(&weights.counts("group_sizes")?, m)?;
    }
    Ok(sae)
}

fn activation<T: Scalar>(class: Class, m: usize, weights: &mut Weights<'_>) -> Result<Activation<T>> {
    Ok(match class {
        Class::AutoEncoder | Class::AutoEncoderNew => Activation::Relu,
        Class::Gated => Activation::Gated {
            b_mag: weights.vector("mag_bias", Axis::Latent)?,
            r_mag: weights.vector("r_mag", Axis::Latent)?,
        },
        Class::TopK => {
            let k = weights.number("k")?.ok_or(fail(FormatKind::Missing, "k", 0))?;
            if weights.has("threshold") {
                weights.note("the threshold is not used: the choice is per sample");
            }
            Activation::TopK { k: active(count(k), m)?, by_decoder_norm: false }
        }
        Class::BatchTopK | Class::Matryoshka => {
            let threshold = weights.number("threshold")?.ok_or(fail(FormatKind::Missing, "threshold", 0))?;
            if threshold < 0.0 {
                weights.note("the threshold was never set: every positive latent is active");
                Activation::Relu
            } else {
                Activation::JumpRelu { threshold: Array1::from_elem(m, T::of(threshold)) }
            }
        }
        Class::JumpRelu => {
            let threshold = weights.vector("threshold", Axis::Latent)?;
            weights.jump_relu(threshold)
        }
    })
}

/// Ends of groups of latents that follow each other.
fn prefixes(groups: &[usize], m: usize) -> Result<Vec<usize>> {
    let mut end = 0_usize;
    let ends: Vec<usize> = groups
        .iter()
        .map(|group| {
            end = end.saturating_add(*group);
            end
        })
        .collect();
    let wrong = fail(FormatKind::Shape, "group_sizes that add up to the latents", 0);
    if ends.is_empty() || end == m { Ok(ends) } else { Err(wrong) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, Named, matrix, vector};
    use super::*;
    use ndarray::{arr0, array};

    fn linear() -> Named {
        let named = Named::default().with("encoder.weight", matrix(3, 2)).with("decoder.weight", matrix(2, 3));
        named.with("encoder.bias", vector(3))
    }

    fn chosen() -> Named {
        linear().with("b_dec", vector(2)).with("k", arr0(2.0)).with("threshold", arr0(0.5))
    }

    fn load(file: Vec<u8>) -> Result<LoadedSae<f64>> {
        Folder::default().with(WEIGHTS, file).load()
    }

    #[test]
    fn without_settings_the_names_tell_the_class() {
        let relu = load(linear().with("bias", vector(2)).torch(&[])).unwrap().sae;
        assert!(relu.apply_b_dec_to_input && relu.activation == Activation::Relu);
        assert_eq!((relu.w_enc, relu.w_dec), (matrix(3, 2).reversed_axes(), matrix(2, 3).reversed_axes()));
        assert!(!load(linear().with("decoder.bias", vector(2)).torch(&[])).unwrap().sae.apply_b_dec_to_input);
        let gated = linear().without("encoder.bias").with("decoder_bias", vector(2)).with("gate_bias", vector(3));
        let gated = load(gated.with("mag_bias", vector(3)).with("r_mag", vector(3)).torch(&[])).unwrap();
        assert!(matches!(gated.sae.activation, Activation::Gated { .. }));
        let plain = Named::default().with("W_enc", matrix(2, 3)).with("W_dec", matrix(3, 2)).with("b_enc", vector(3));
        let plain = plain.with("b_dec", vector(2));
        let jump = load(plain.clone().with("threshold", vector(3)).torch(&[])).unwrap().sae;
        assert_eq!((jump.w_enc, jump.activation), (matrix(2, 3), Activation::JumpRelu { threshold: vector(3) }));
        let nested = plain.with("threshold", arr0(0.5)).with("k", arr0(2.0)).with("group_sizes", array![1.0, 2.0]);
        let loaded = load(nested.torch(&[])).unwrap();
        assert_eq!((loaded.sae.prefixes, loaded.batch_k), (vec![1, 3], Some(2.0)));
        let error = load(nested.with("group_sizes", array![1.0, 1.0]).torch(&[])).unwrap_err();
        assert_eq!(error.format_kind(), Some(FormatKind::Shape));
    }

    #[test]
    fn a_choice_per_sample_or_by_batch_takes_a_hint() {
        let folder = Folder::default().with(WEIGHTS, chosen().torch(&[]));
        assert_eq!(folder.load().unwrap_err().format_kind(), Some(FormatKind::Ambiguous));
        let with = |batch| folder.load_with(Hint { batch_top_k: Some(batch), ..Hint::default() }).unwrap();
        assert_eq!(with(false).sae.activation, Activation::TopK { k: 2, by_decoder_norm: false });
        assert_eq!(with(true).sae.activation, Activation::JumpRelu { threshold: array![0.5, 0.5, 0.5] });
        let older = load(chosen().without("threshold").torch(&[])).unwrap();
        assert!(matches!(older.sae.activation, Activation::TopK { k: 2, .. }));
        let named = |class: &str| {
            let settings = alloc::format!(r#"{{"trainer": {{"dict_class": "{class}", "dict_size": 3}}}}"#);
            folder.clone().with(SETTINGS, settings).load().map(|loaded| loaded.batch_k)
        };
        assert_eq!((named("AutoEncoderTopK"), named("BatchTopKSAE")), (Ok(None), Ok(Some(2.0))));
        assert_eq!(named("Other").unwrap_err().format_kind(), Some(FormatKind::Architecture));
        assert_eq!(named("AutoEncoder").unwrap_err().format_kind(), Some(FormatKind::Missing));
        let many = Folder::default().with(WEIGHTS, chosen().with("k", arr0(4.0)).torch(&[]));
        let error = many.load_with(Hint { batch_top_k: Some(false), ..Hint::default() }).unwrap_err();
        assert_eq!(error.format_kind(), Some(FormatKind::Config));
    }

    #[test]
    fn a_checkpoint_divides_its_inputs() {
        let named = linear().with("bias", vector(2));
        let factor = [&b"G"[..], &2.0_f64.to_be_bytes()].concat();
        for factor in [&factor[..], b"K\x02"] {
            let loaded = load(named.torch_inside(&["ae"], &[("norm_factor", factor)])).unwrap();
            assert_eq!(loaded.norm_factor, Some(2.0));
            assert_eq!(loaded.sae.normalisation, InputNormalisation::Scale(0.5));
        }
        assert_eq!(load(named.torch_inside(&["ae"], &[("norm_factor", b"N")])).unwrap().norm_factor, None);
        let error = load(named.torch_inside(&["ae"], &[("norm_factor", b"K\0")])).unwrap_err();
        assert_eq!(error.format_kind(), Some(FormatKind::Config));
    }
}
