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
        loaded = loaded.sized(trainer.count("activation_dim")?, trainer.count("dict_size")?, None)?.named(
            &trainer,
            &["lm_name"],
            &["submodule_name"],
        )?;
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
