//! How good an autoencoder is: what it misses, how sparse it is, and how its dictionary is made.
//!
//! | file | what it measures |
//! |---|---|
//! | [`evaluation`] | errors, explained variance under every convention, sparsity, dead latents; over any number of shards |
//! | [`density`] | how often latents fire: logarithms, histogram, rare ones, repeated firing within a prompt |
//! | [`recovered`] | how much of a model's loss the reconstruction gives back |
//! | [`similarity`] | cosines between and within encoder and decoder |
//! | [`dictionary`] | how well a dictionary finds known directions: MMCS, MCC, uniqueness |
//!
//! A number that its definition leaves open is an [`Undefined`] that says why, never NaN.

use core::fmt;

pub mod density;
pub mod dictionary;
pub mod evaluation;
pub mod recovered;
pub mod similarity;

pub use evaluation::{Evaluation, ExplainedVariance, Metrics};

/// A number, or why there is none; `.ok()` makes an [`Option`] of it.
pub type Defined = Result<f64, Undefined>;

/// Why a metric has no value.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Undefined {
    /// All samples are the same: there is no variance to be explained.
    NoVariance,
    /// The metric needs the mean of the data beforehand; see [`Evaluation::around`].
    NoCentre,
    /// Some samples have a norm of 0, and the metric divides by it.
    ZeroNorm {
        /// Number of these samples.
        samples: u64,
        /// Mean over the other samples; `None` where there are none.
        mean_of_others: Option<f64>,
    },
    /// Data and reconstruction have no product: `Σ x·x'` is 0.
    ZeroProduct,
}

impl fmt::Display for Undefined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoVariance => f.write_str("undefined: the samples do not vary"),
            Self::NoCentre => f.write_str("undefined: the mean of the data was not given beforehand"),
            Self::ZeroNorm { samples, mean_of_others: Some(mean) } => {
                write!(f, "undefined: {samples} samples have norm 0, the mean of the others is {mean}")
            }
            Self::ZeroNorm { samples, mean_of_others: None } => {
                write!(f, "undefined: all {samples} samples have norm 0")
            }
            Self::ZeroProduct => f.write_str("undefined: data and reconstruction have no product"),
        }
    }
}

impl core::error::Error for Undefined {}
