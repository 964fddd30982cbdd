//! What a model decides, for metrics that ask whether a decision changes.

use ndarray::ArrayView1;

use crate::error::check_each;
use crate::{Error, Result, Scalar};

/// What the model decides.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Decision<T> {
    /// The largest output, of equal ones the first; a model with one output decides nothing.
    #[default]
    Largest,
    /// Whether the only output is at least this.
    Threshold(T),
}

impl<T: Scalar> Decision<T> {
    pub(super) fn check(self, outputs: usize) -> Result<()> {
        match self {
            Self::Threshold(_) if outputs != 1 => {
                Err(Error::Unsupported { what: "a threshold for a model with several outputs" })
            }
            Self::Threshold(threshold) => {
                check_each("threshold", &[threshold], "a number", |threshold: T| !threshold.is_nan())
            }
            Self::Largest => Ok(()),
        }
    }

    /// Number of the decision for outputs `z: (c)`; `None` where nothing can be decided.
    pub(super) fn of(self, z: &[T]) -> Option<usize> {
        match self {
            Self::Largest => (z.len() > 1).then(|| crate::math::directions::largest(ArrayView1::from(z)).0),
            Self::Threshold(threshold) => z.first().map(|&z| usize::from(z >= threshold)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_output_needs_a_threshold() {
        assert_eq!((Decision::Largest.of(&[1.0, 3.0, 3.0]), Decision::Largest.of(&[1.0])), (Some(1), None));
        assert_eq!(Decision::Threshold(0.5).of(&[0.5]), Some(1));
        assert_eq!(Decision::Threshold(0.5).of(&[0.4]), Some(0));
        assert!(Decision::Threshold(0.5).check(1).is_ok() && Decision::<f64>::Largest.check(1).is_ok());
        assert!(matches!(Decision::Threshold(0.5).check(2), Err(Error::Unsupported { .. })));
        assert!(matches!(Decision::Threshold(f64::NAN).check(1), Err(Error::OutOfRange { what: "threshold", .. })));
    }
}
