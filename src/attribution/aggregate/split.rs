//! Parts of a sequence: some columns only, or the stretches between separators.

use alloc::vec::Vec;
use core::ops::Range;

use ndarray::{Array2, ArrayRef2, Axis};

use crate::error::check_finite;
use crate::{Error, Result, Scalar};

/// The columns of `x: (b, t)` inside the `parts`, one part after another; tokens are taken with `&tokens[part]`.
///
/// # Errors
/// [`Error::OutOfRange`] for the first part that reaches beyond the columns or ends before it starts, [`Error::NotFinite`].
///
/// # Example
/// ```
/// use limpid::attribution::aggregate::{slices, split_at};
/// use ndarray::array;
///
/// // the question alone, of a prompt "context | question"
/// let parts = split_at(&["It", "rains", "|", "Why", "?"], "|");
/// let x = array![[0.1, 0.2, 0.0, 0.4, 0.3]];
/// assert_eq!(slices(&x, &parts[1..])?, array![[0.4, 0.3]]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn slices<T: Scalar>(x: &ArrayRef2<T>, parts: &[Range<usize>]) -> Result<Array2<T>> {
    check_finite("x", x)?;
    let mut columns = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        if part.start > part.end || part.end > x.ncols() {
            let expected = "parts within the columns";
            return Err(Error::OutOfRange { what: "parts", index, value: part.end as f64, expected });
        }
        columns.extend(part.clone());
    }
    Ok(x.select(Axis(1), &columns))
}

/// The stretches of `tokens` between those that equal `separator`, in order; a stretch may be empty.
#[must_use]
pub fn split_at<S: AsRef<str>>(tokens: &[S], separator: &str) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, _) in tokens.iter().enumerate().filter(|(_, token)| token.as_ref() == separator) {
        parts.push(start..at);
        start = at + 1;
    }
    parts.push(start..tokens.len());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_split_loses_the_separators_only() {
        assert_eq!(split_at(&["a", "|", "|", "b", "|"], "|"), [0..1, 2..2, 3..4, 5..5]);
        let no_tokens: [&str; 0] = [];
        assert_eq!(split_at(&no_tokens, "|").len(), 1);
    }

    #[test]
    fn parts_come_in_the_order_asked_for() {
        let x = array![[1.0_f32, 2.0, 3.0]];
        assert_eq!(slices(&x, &[2..3, 0..2, 1..1]), Ok(array![[3.0, 1.0, 2.0]]));
        assert!(matches!(slices(&x, &[0..1, 2..4]), Err(Error::OutOfRange { index: 1, .. })));
        let backwards = Range { start: 2, end: 1 };
        assert!(matches!(slices(&x, &[backwards]), Err(Error::OutOfRange { index: 0, .. })));
    }
}
