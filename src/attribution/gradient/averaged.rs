//! An attribution that is a mean of complete ones.

use ndarray::Array2;

use crate::attribution::Attribution;

/// A mean over parts, each of which is an attribution of its own, with the completeness of every part.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct Averaged<T> {
    /// The mean.
    pub attribution: Attribution<T>,
    /// Sum of the values of a part less the difference of the outputs at its ends, `(b, parts)`.
    pub deltas: Array2<T>,
}
