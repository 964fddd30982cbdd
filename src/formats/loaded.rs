//! What comes out: an autoencoder, and everything that its files say about it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use ndarray::Array1;

use super::detect::Format;
use super::fail;
use super::settings::Settings;
use super::tensor::Dtype;
use super::weights::Weights;
use crate::error::check_shape;
use crate::sae::{InputNormalisation, Sae};
use crate::{Dims, Error, FormatKind, Result, Scalar};

/// What an axis of a stored tensor counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Axis {
    /// Layers or models.
    Layer,
    /// Width `d_in` of the input.
    Input,
    /// Latents `m`.
    Latent,
    /// Width `d_out` of the output.
    Output,
}

/// How a tensor lay in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTensor {
    /// Its name there.
    pub name: String,
    /// What its axes count, in the order of the file.
    pub axes: Vec<Axis>,
    /// Type of its elements.
    pub dtype: Dtype,
    /// Whether the first axis ran fastest.
    pub column_major: bool,
}

/// An autoencoder from a file. Its weights are those of the file in canonical orientation, not folded; it takes raw inputs
/// unless [`LoadedSae::external_scale`] says otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedSae<T> {
    /// The autoencoder, with its normalisation.
    pub sae: Sae<T>,
    /// Where it came from.
    pub format: Format,
    /// Type of the decoder's elements in the file.
    pub dtype: Dtype,
    /// How the tensors lay in the file.
    pub tensors: Vec<StoredTensor>,
    /// Whether it predicts other activations than those that it reads.
    pub transcoder: bool,
    /// Layers side by side in the output: of a crosscoder, and those that a cross-layer transcoder writes to.
    pub output_layers: usize,
    /// It was trained on inputs times a number that its files do not hold. Multiply inputs by it, or give it as
    /// [`Hint::input_scale`](super::Hint::input_scale); outputs are in the same units.
    pub external_scale: bool,
    /// The number that [`LoadedSae::sae`] multiplies inputs by, where the file holds one.
    pub input_scale: Option<f64>,
    /// The number that training divided inputs by, where a checkpoint of dictionary_learning holds one; the autoencoder
    /// divides by it.
    pub norm_factor: Option<f64>,
    /// Mean number of active latents in training, for what was trained with batch top-k and has a threshold since.
    pub batch_k: Option<f64>,
    /// Logarithm to base 10 of how often each latent is active `(m)`, where a file holds it.
    pub log10_sparsity: Option<Array1<T>>,
    /// Name of the model whose activations it reads.
    pub model: Option<String>,
    /// Place in the model that it reads.
    pub hook: Option<String>,
    /// What a reader should know besides.
    pub notes: Vec<&'static str>,
}

impl<T: Scalar> LoadedSae<T> {
    /// Checks `sae`, whose tensors came from `weights`.
    pub(super) fn new(format: Format, sae: Sae<T>, weights: Weights<'_>) -> Result<Self> {
        sae.check().map_err(of_file)?;
        let (dtype, tensors, notes) = weights.finish();
        Ok(Self {
            transcoder: sae.d_in() != sae.d_out(),
            output_layers: sae.layers,
            sae,
            format,
            dtype,
            tensors,
            external_scale: false,
            input_scale: None,
            norm_factor: None,
            batch_k: None,
            log10_sparsity: None,
            model: None,
            hook: None,
            notes,
        })
    }

    /// Checks the widths that settings state, where they do.
    pub(super) fn sized(self, d_in: Option<usize>, latents: Option<usize>, d_out: Option<usize>) -> Result<Self> {
        let expected = [d_in.unwrap_or(self.sae.d_in()), latents.unwrap_or(self.sae.latents())];
        check_shape("w_enc", &self.sae.w_enc, &expected)?;
        check_shape("w_dec", &self.sae.w_dec, &[expected[1], d_out.unwrap_or(self.sae.d_out())])?;
        Ok(self)
    }

    /// Makes the autoencoder multiply its inputs by `scale`.
    pub(super) fn scaled(mut self, scale: f64) -> Result<Self> {
        let fits = scale > 0.0 && scale.is_finite() && T::of(scale).is_normal();
        if self.sae.normalisation != InputNormalisation::None || !fits {
            return Err(fail(FormatKind::Config, "one scale of inputs, finite and above 0", 0));
        }
        self.sae.normalisation = InputNormalisation::Scale(T::of(scale));
        self.input_scale = Some(scale);
        self.external_scale = false;
        Ok(self)
    }

    /// Takes the names of the model and of the place in it from the first of these settings that is a text.
    pub(super) fn named(mut self, settings: &Settings<'_>, model: &[&str], hook: &[&str]) -> Self {
        let first = |keys: &[&str]| {
            keys.iter().find_map(|key| settings.get(key).and_then(|value| value.text()).map(ToString::to_string))
        };
        self.model = first(model).or(self.model);
        self.hook = first(hook).or(self.hook);
        self
    }
}

/// Errors about parameters, as errors about the file that they came from.
fn of_file(error: Error) -> Error {
    match error {
        Error::Empty { what } => Error::Shape { what, expected: Dims::new(&[1, 1]), got: Dims::new(&[0]) },
        Error::OutOfRange { what, .. } | Error::Unsupported { what } => fail(FormatKind::Config, what, 0),
        other => other,
    }
}
