//! Which format files have: by their names, and where these leave a choice by the names of tensors.

use core::fmt;

use super::files::Files;
use super::loaded::LoadedSae;
use super::pickle::Node;
use super::tensor::Tensor;
use super::torch::Checkpoint;
use super::{
    Hint, circuit_tracer, crosscoder, dictionary_learning, fail, gemma_scope, llama_scope, openai, saelens,
    safetensors, sparsify,
};
use crate::{FormatKind, Result, Scalar};

/// A published form of saved autoencoders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Format {
    /// SAELens, versions 3 to 6.
    SaeLens,
    /// Gemma Scope for Gemma 2.
    GemmaScope,
    /// Gemma Scope for Gemma 3.
    GemmaScope2,
    /// dictionary_learning.
    DictionaryLearning,
    /// EleutherAI's sparsify.
    Sparsify,
    /// OpenAI's autoencoders for GPT-2.
    OpenAi,
    /// Llama Scope.
    LlamaScope,
    /// Transcoders of circuit-tracer, also cross-layer ones.
    CircuitTracer,
    /// Crosscoders.
    Crosscoder,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SaeLens => "saelens",
            Self::GemmaScope => "gemma_scope",
            Self::GemmaScope2 => "gemma_scope_2",
            Self::DictionaryLearning => "dictionary_learning",
            Self::Sparsify => "sparsify",
            Self::OpenAi => "openai",
            Self::LlamaScope => "llama_scope",
            Self::CircuitTracer => "circuit_tracer",
            Self::Crosscoder => "crosscoder",
        })
    }
}

/// The autoencoder that `files` hold.
///
/// # Errors
/// [`Error::Format`](crate::Error::Format), [`Error::Shape`](crate::Error::Shape) and
/// [`Error::NotFinite`](crate::Error::NotFinite), whose kinds
/// [`Error::format_kind`](crate::Error::format_kind) gives for all three. `Ambiguous` asks for a part of the `hint`.
/// Nothing in the files is ever run, and no more is allocated than their size justifies.
///
/// # Example
/// ```
/// use limpid::formats::{Dtype, Files, Format, Hint, Tensor, load, safetensors};
/// use ndarray::array;
///
/// let store = |x: &ndarray::ArrayRef2<f32>| Tensor::from_array(x, Dtype::F32);
/// let bias = |x: &ndarray::ArrayRef1<f32>| Tensor::from_array(x, Dtype::F32);
/// let weights = safetensors::write(
///     &[
///         ("W_enc", store(&array![[1.0, 0.0, -1.0], [0.0, 1.0, 0.0]])?),
///         ("b_enc", bias(&array![0.0, 0.0, 0.5])?),
///         ("W_dec", store(&array![[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])?),
///         ("b_dec", bias(&array![0.0, 0.0])?),
///     ],
///     &[],
/// )?;
/// let settings = br#"{"architecture": "standard", "d_in": 2, "d_sae": 3, "dtype": "float32"}"#;
/// let files: Files = [("cfg.json", &settings[..]), ("sae_weights.safetensors", &weights[..])].into_iter().collect();
///
/// let loaded = load::<f32>(&files, &Hint::default())?;
/// assert_eq!(loaded.format, Format::SaeLens);
/// assert_eq!(loaded.sae.encode(&array![[2.0, -3.0]])?, array![[2.0, 0.0, 0.0]]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn load<T: Scalar>(files: &Files<'_>, hint: &Hint) -> Result<LoadedSae<T>> {
    let format = hint.format.map_or_else(|| detect(files), Ok)?;
    let loaded = match format {
        Format::SaeLens => saelens::load(files),
        Format::GemmaScope => gemma_scope::load(files),
        Format::GemmaScope2 => gemma_scope::load_2(files, hint),
        Format::DictionaryLearning => dictionary_learning::load(files, hint),
        Format::Sparsify => sparsify::load(files),
        Format::OpenAi => openai::load(files),
        Format::LlamaScope => llama_scope::load(files),
        Format::CircuitTracer => circuit_tracer::load(files, hint),
        Format::Crosscoder => crosscoder::load(files),
    }?;
    match hint.input_scale {
        Some(scale) if loaded.external_scale => loaded.scaled(scale),
        _ => Ok(loaded),
    }
}

/// The format of `files`.
///
/// # Errors
/// [`Error::Format`](crate::Error::Format): `Ambiguous` where the files fit more than one format or hold more than one
/// model, `Missing` where they fit none, and the errors of a container whose content had to be looked at.
pub fn detect(files: &Files<'_>) -> Result<Format> {
    let has = |name: &str| files.get(name).is_some();
    let known = [
        (has(saelens::WEIGHTS) && !has("config.json"), Format::SaeLens),
        (has(llama_scope::SETTINGS) || has(llama_scope::WEIGHTS), Format::LlamaScope),
        (has(saelens::WEIGHTS) && has("config.json") && !has(saelens::SETTINGS), Format::LlamaScope),
        (has(saelens::WEIGHTS) && has("config.json") && has(saelens::SETTINGS), Format::SaeLens),
        (has(sparsify::WEIGHTS), Format::Sparsify),
        (has(gemma_scope::WEIGHTS), Format::GemmaScope),
        (has(gemma_scope::WEIGHTS_2), Format::GemmaScope2),
        (has(dictionary_learning::WEIGHTS), Format::DictionaryLearning),
        (has(crosscoder::WEIGHTS), Format::Crosscoder),
        (files.names().any(|name| circuit_tracer::layer_of(name).is_some()), Format::CircuitTracer),
    ];
    let mut found = known.into_iter().filter(|(fits, _)| *fits).map(|(_, format)| format);
    match (found.next(), found.next()) {
        (Some(format), None) => return Ok(format),
        (Some(_), Some(_)) => return Err(fail(FormatKind::Ambiguous, "weights of more than one format", 0)),
        (None, _) => {}
    }
    let (torch, tensors) = (files.only(".pt")?, files.only(".safetensors")?);
    match (torch, tensors, files.only(".npz")?) {
        (Some((_, bytes)), None, None) => of_torch(bytes),
        (None, Some((name, bytes)), None) => of_safetensors(name, bytes),
        (None, None, Some(_)) => Ok(Format::GemmaScope),
        (None, None, None) => of_settings(files),
        _ => Err(fail(FormatKind::Ambiguous, "weights in more than one container", 0)),
    }
}

fn of_torch(bytes: &[u8]) -> Result<Format> {
    let checkpoint = Checkpoint::open(bytes)?;
    let (pickle, root) = (&checkpoint.pickle, checkpoint.pickle.root());
    let has = |key| pickle.get(root, key).is_some();
    let cube = matches!(pickle.get(root, "W_enc"), Some(Node::Tensor(tensor)) if tensor.shape.len() == 3);
    if has("pre_bias") && has("latent_bias") {
        Ok(Format::OpenAi)
    } else if cube {
        Ok(Format::Crosscoder)
    } else if has("ae") || has("encoder.weight") || (has("W_enc") && has("threshold")) {
        Ok(Format::DictionaryLearning)
    } else {
        Err(fail(FormatKind::Architecture, "PyTorch file with the names of a known format", 0))
    }
}

fn of_safetensors(name: &str, bytes: &[u8]) -> Result<Format> {
    let tensors = safetensors::read(bytes)?;
    let has = |key: &str| tensors.contains_key(key);
    let shape = |key: &str| tensors.get(key).map(Tensor::shape).unwrap_or_default();
    if has("w_enc") && has("threshold") {
        return Ok(Format::GemmaScope2);
    }
    if has("encoder.weight") {
        return Ok(if has("W_dec") { Format::Sparsify } else { Format::LlamaScope });
    }
    match (shape("W_enc"), shape("W_dec")) {
        ([_, _, _], [_, _, _]) => Ok(Format::Crosscoder),
        // the same two names: only the orientation of the encoder tells the formats apart
        ([a, b], [c, d]) if a != b && (a, b) == (c, d) => Ok(Format::CircuitTracer),
        ([a, b], [c, d]) if a != b && (a, b) == (d, c) => Ok(Format::SaeLens),
        ([_, _], [_, _]) if has("activation_function.threshold") || name.starts_with("layer_") => {
            Ok(Format::CircuitTracer)
        }
        ([_, _], [_, _]) => Err(fail(FormatKind::Ambiguous, "square weights that may be transposed: the format", 0)),
        _ => Err(fail(FormatKind::Architecture, "safetensors file with the names of a known format", 0)),
    }
}

/// Settings without weights still say what is missing.
fn of_settings(files: &Files<'_>) -> Result<Format> {
    let nothing = fail(FormatKind::Missing, "files of a known format", 0);
    let settings = files.settings(&[saelens::SETTINGS, dictionary_learning::SETTINGS])?.ok_or(nothing)?;
    match () {
        () if settings.has("d_sae") => Ok(Format::SaeLens),
        () if settings.has("expansion_factor") || settings.has("num_latents") => Ok(Format::Sparsify),
        () if settings.has("dict_size") => Ok(Format::Crosscoder),
        () if settings.has("trainer") => Ok(Format::DictionaryLearning),
        () => Err(nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, Named, matrix, vector};
    use super::*;

    fn bare(w_enc: (usize, usize), name: &str) -> Result<Format> {
        let named = Named::default()
            .with("W_enc", matrix(w_enc.0, w_enc.1))
            .with("W_dec", matrix(3, 2 + w_enc.0 / 3 * (w_enc.1 / 3)));
        detect(&Folder::default().with(name, named.safetensors()).files())
    }

    #[test]
    fn the_orientation_of_an_encoder_tells_two_formats_apart_unless_it_is_square() {
        assert_eq!(bare((3, 2), "a.safetensors"), Ok(Format::CircuitTracer));
        assert_eq!(bare((2, 3), "a.safetensors"), Ok(Format::SaeLens));
        assert_eq!(bare((3, 3), "layer_0.safetensors"), Ok(Format::CircuitTracer));
        assert_eq!(bare((3, 3), "a.safetensors").unwrap_err().format_kind(), Some(FormatKind::Ambiguous));
    }

    #[test]
    fn settings_alone_say_what_is_missing() {
        let detected = |name: &str, text: &str| detect(&Folder::default().with(name, text).files());
        assert_eq!(detected("cfg.json", r#"{"d_sae": 3}"#), Ok(Format::SaeLens));
        assert_eq!(detected("cfg.json", r#"{"num_latents": 3}"#), Ok(Format::Sparsify));
        assert_eq!(detected("cfg.json", r#"{"dict_size": 3}"#), Ok(Format::Crosscoder));
        assert_eq!(detected("config.json", r#"{"trainer": {}}"#), Ok(Format::DictionaryLearning));
        assert_eq!(detected("config.json", "{}").unwrap_err().format_kind(), Some(FormatKind::Missing));
        assert_eq!(detect(&Files::new()).unwrap_err().format_kind(), Some(FormatKind::Missing));
    }

    #[test]
    fn two_models_are_one_too_many() {
        let kind = |a: &str, b: &str| {
            let files = Folder::default().with(a, "").with(b, "");
            detect(&files.files()).unwrap_err().format_kind().unwrap()
        };
        assert_eq!(kind("ae.pt", "params.npz"), FormatKind::Ambiguous);
        assert_eq!(kind("0.pt", "1.pt"), FormatKind::Ambiguous);
        assert_eq!(kind("0.pt", "a.safetensors"), FormatKind::Ambiguous);
    }

    #[test]
    fn unknown_names_are_not_guessed_at() {
        let named = Named::default().with("a", vector(2)).with("b", vector(3));
        let kind = |name: &str, bytes| detect(&Folder::default().with(name, bytes).files()).unwrap_err().format_kind();
        assert_eq!(kind("a.safetensors", named.safetensors()), Some(FormatKind::Architecture));
        assert_eq!(kind("a.pt", named.torch(&[])), Some(FormatKind::Architecture));
        let llama = Named::default().with("encoder.weight", matrix(3, 2)).with("decoder.weight", matrix(2, 3));
        let files = Folder::default().with("x.safetensors", llama.safetensors());
        assert_eq!(detect(&files.files()), Ok(Format::LlamaScope));
    }
}
