//! Texts with the activations of one neuron.

use alloc::string::String;
use alloc::vec::Vec;

use ndarray::Array1;

use crate::error::check_length;
use crate::{Result, Scalar};

/// Where a neuron is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NeuronId {
    /// Layer, from 0.
    pub layer: u32,
    /// Number within the layer, from 0.
    pub index: u32,
}

/// Which end of a neuron's activations is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Side {
    /// The largest values.
    #[default]
    Positive,
    /// The smallest values.
    Negative,
    /// The largest magnitudes.
    Magnitude,
}

/// A stretch of text, and what a neuron does at each of its tokens.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct ActivationRecord<T> {
    /// The tokens, `(t)`, with the white space that belongs to them.
    pub tokens: Vec<String>,
    /// The activations, `(t)`.
    pub activations: Array1<T>,
}

impl<T: Scalar> ActivationRecord<T> {
    /// Tokens with their activations.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) where there is not one activation for each token.
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::ActivationRecord;
    /// use ndarray::array;
    ///
    /// let record = ActivationRecord::new([" the", " cat"], array![0.0, 2.5])?;
    /// assert_eq!(record.tokens[1], " cat");
    /// assert!(ActivationRecord::new([" the"], array![0.0, 2.5]).is_err());
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new<S: Into<String>>(tokens: impl IntoIterator<Item = S>, activations: Array1<T>) -> Result<Self> {
        let record = Self { tokens: tokens.into_iter().map(Into::into).collect(), activations };
        record.check()?;
        Ok(record)
    }

    /// Checks that there is one activation for each token.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape).
    pub fn check(&self) -> Result<()> {
        check_length("activations", self.activations.len(), self.tokens.len())
    }
}
