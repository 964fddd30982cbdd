//! A table of embeddings: an index in, a row out.

use ndarray::{Array2, ArrayRef2};

use crate::error::{check_each, check_finite, check_not_empty};
use crate::{Result, Scalar};

/// Turns each input, a whole number below `v`, into a row of the table.
///
/// Indices have no gradient: explain the layer instead, and sum over the width for one number per token.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding<T> {
    table: Array2<T>,
}

impl<T: Scalar> Embedding<T> {
    /// From the table `(v, d)`.
    ///
    /// # Errors
    /// [`Error::Empty`](crate::Error::Empty), [`Error::NotFinite`](crate::Error::NotFinite).
    pub fn new(table: Array2<T>) -> Result<Self> {
        check_not_empty("table", &table)?;
        check_finite("table", &table)?;
        Ok(Self { table })
    }

    /// The table, `(v, d)`.
    #[must_use]
    pub fn table(&self) -> &Array2<T> {
        &self.table
    }

    #[expect(clippy::unnecessary_wraps, reason = "the same form for all operations")]
    pub(super) fn width(&self, width: usize) -> Result<usize> {
        Ok(width.saturating_mul(self.table.ncols()))
    }

    pub(super) fn forward(&self, x: &ArrayRef2<T>, out: &mut ArrayRef2<T>) -> Result<()> {
        let largest = self.table.nrows() as f64;
        check_each("token", x, "a whole number below the size of the table", |token| {
            let token = token.as_f64();
            token >= 0.0 && token < largest && libm::floor(token) == token
        })?;
        let width = self.table.ncols();
        for (tokens, mut row) in x.rows().into_iter().zip(out.rows_mut()) {
            for (token, mut part) in tokens.iter().zip(row.exact_chunks_mut(width)) {
                part.assign(&self.table.row(token.to_usize().unwrap_or(0)));
            }
        }
        Ok(())
    }
}
