//! The toy models: linear, ReLU output, ReLU hidden (privileged basis) and absolute value.
//!
//! ```text
//! linear          y = Wᵀ W x + b
//! relu_output     y = relu(Wᵀ W x + b)
//! relu_hidden     y = relu(Wᵀ relu(W x) + b)
//! absolute_value  y = relu(D relu(E x) + b),  target |x|,  untied
//! ```
//!
//! Source: Elhage et al. (2022), sections "Demonstrating Superposition" and "Superposition in a Privileged Basis".

use ndarray::{Array1, Array2};

use crate::error::{check_finite, check_not_empty, check_shape};
use crate::{Error, Result, Scalar};

/// Which computation a toy model makes of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Architecture {
    /// `y = Wᵀ W x + b`.
    Linear,
    /// `y = relu(Wᵀ W x + b)`, the paper's main model.
    ReluOutput,
    /// `y = relu(Wᵀ relu(W x) + b)`: hidden units with a privileged basis.
    ReluHidden,
    /// `y = relu(D relu(E x) + b)` with untied encoder and decoder, trained towards `|x|`.
    AbsoluteValue,
}

/// How the importance-weighted squared errors of a batch become one loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Reduction {
    /// Mean over rows and features, as in the published notebook.
    #[default]
    Mean,
    /// Sum over features, mean over rows.
    FeatureSum,
    /// Sum over rows and features, as in the paper's formula.
    Sum,
}

/// A toy model: `n` features through `m` hidden dimensions and back.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ToyModel<T> {
    /// The computation.
    pub architecture: Architecture,
    /// Encoder `W: (m, n)`; column `i` is feature `i`.
    pub weight: Array2<T>,
    /// Decoder `D: (n, m)` of the absolute-value model; the others decode with `Wᵀ`.
    pub decoder: Option<Array2<T>>,
    /// Output bias `b: (n)`.
    pub bias: Array1<T>,
}

impl<T: Scalar> ToyModel<T> {
    /// A tied model from its parameters, `weight: (m, n)`, `bias: (n)`.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Shape`], [`Error::NotFinite`]; [`Error::Unsupported`] for the absolute-value model,
    /// which is untied (see [`ToyModel::untied`]).
    pub fn new(architecture: Architecture, weight: Array2<T>, bias: Array1<T>) -> Result<Self> {
        Self { architecture, weight, decoder: None, bias }.checked()
    }

    /// An absolute-value model from its parameters, `encoder: (m, n)`, `decoder: (n, m)`, `bias: (n)`.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Shape`], [`Error::NotFinite`].
    pub fn untied(encoder: Array2<T>, decoder: Array2<T>, bias: Array1<T>) -> Result<Self> {
        Self { architecture: Architecture::AbsoluteValue, weight: encoder, decoder: Some(decoder), bias }.checked()
    }

    /// Number of features `n`.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.weight.ncols()
    }

    /// Number of hidden dimensions `m`.
    #[must_use]
    pub fn n_hidden(&self) -> usize {
        self.weight.nrows()
    }

    fn checked(self) -> Result<Self> {
        self.check()?;
        Ok(self)
    }

    /// Checks shapes and values, for functions that take a model whose public fields may have been changed.
    pub(crate) fn check(&self) -> Result<()> {
        check_not_empty("weight", &self.weight)?;
        let (m, n) = self.weight.dim();
        check_shape("bias", &self.bias, &[n])?;
        check_finite("weight", &self.weight)?;
        check_finite("bias", &self.bias)?;
        match (&self.decoder, self.architecture) {
            (Some(decoder), Architecture::AbsoluteValue) => {
                check_shape("decoder", decoder, &[n, m])?;
                check_finite("decoder", decoder)
            }
            (None, Architecture::AbsoluteValue) => {
                Err(Error::Unsupported { what: "an absolute-value model without a decoder" })
            }
            (Some(_), _) => Err(Error::Unsupported { what: "a decoder in a tied model" }),
            (None, _) => Ok(()),
        }
    }
}
