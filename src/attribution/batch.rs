//! How many rows a model is given at once.

use crate::Result;
use crate::error::check_each;

/// Rows of one model call. It decides over speed and memory, never over results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Batch {
    /// As many rows as hold a million inputs, at most 512.
    #[default]
    Auto,
    /// This many rows.
    Rows(usize),
}

/// Inputs of one call of [`Batch::Auto`].
const AUTO_INPUTS: usize = 1 << 20;

/// Most rows of one call of [`Batch::Auto`].
const AUTO_ROWS: usize = 512;

impl Batch {
    /// Rows of a call for a model with `n` inputs.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for no rows.
    pub fn rows(self, n: usize) -> Result<usize> {
        match self {
            Self::Auto => Ok((AUTO_INPUTS / n.max(1)).clamp(1, AUTO_ROWS)),
            Self::Rows(rows) => {
                check_each("batch", &[rows as f64], ">= 1", |rows: f64| rows >= 1.0)?;
                Ok(rows)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_never_empty_and_never_huge() {
        assert_eq!(Batch::Auto.rows(64).unwrap(), 512);
        assert_eq!(Batch::Auto.rows(1 << 30).unwrap(), 1);
        assert_eq!(Batch::Auto.rows(0).unwrap(), 512);
        assert_eq!(Batch::Rows(7).rows(1).unwrap(), 7);
        assert!(Batch::Rows(0).rows(1).is_err());
    }
}
