//! Why a number does not exist.

use core::fmt;

/// A number, or the reason that there is none.
pub type Defined<V> = Result<V, Undefined>;

/// Why there is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Undefined {
    /// Nothing was given.
    Empty,
    /// Fewer values than the number needs.
    TooFew,
    /// A value is NaN or infinite.
    NotFinite,
    /// All true values are equal.
    ConstantTruth,
    /// All predicted values are equal.
    ConstantPrediction,
    /// All values that are compared with are 0.
    AllZero,
    /// Only one of the two classes occurs.
    OneClass,
    /// No prediction could be read, or none says yes.
    NoPrediction,
    /// A sum leaves the range of double precision.
    OutOfRange,
    /// More values than can be put in order.
    TooMany,
    /// Every resample left the number undefined.
    NoResample,
}

impl fmt::Display for Undefined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "nothing was given",
            Self::TooFew => "too few values",
            Self::NotFinite => "a value is NaN or infinite",
            Self::ConstantTruth => "all true values are equal",
            Self::ConstantPrediction => "all predicted values are equal",
            Self::AllZero => "all values that are compared with are 0",
            Self::OneClass => "only one class occurs",
            Self::NoPrediction => "there is no prediction",
            Self::OutOfRange => "a sum leaves the range of double precision",
            Self::TooMany => "too many values to put in order",
            Self::NoResample => "no resample defines it",
        })
    }
}

impl core::error::Error for Undefined {}
