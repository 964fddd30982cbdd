//! Spans: neighbouring tokens that are read as one.
//!
//! ```text
//! spans 1..3 of 5 columns:   x_0  how(x_1, x_2)  x_3  x_4
//! ```
//!
//! Columns outside of the spans stay as they are.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use ndarray::{Array2, ArrayRef2};

use super::aggregation::{Aggregation, over_groups};
use crate::{Error, Result, Scalar};

/// Group index of each of `n` columns, where every span is one group and every other column its own.
///
/// # Errors
/// [`Error::OutOfRange`] for the first span that is empty, reaches beyond the columns, or does not lie behind the one before.
pub fn span_groups(n: usize, spans: &[Range<usize>]) -> Result<Vec<usize>> {
    let mut groups = Vec::with_capacity(n);
    let mut count = 0;
    let alone = |groups: &mut Vec<usize>, count: &mut usize, to: usize| {
        while groups.len() < to {
            groups.push(*count);
            *count += 1;
        }
    };
    for (index, span) in spans.iter().enumerate() {
        if span.is_empty() || span.end > n || span.start < groups.len() {
            let expected = "spans in ascending order within the columns, each with a column";
            return Err(Error::OutOfRange { what: "spans", index, value: span.start as f64, expected });
        }
        alone(&mut groups, &mut count, span.start);
        groups.resize(span.end, count);
        count += 1;
    }
    alone(&mut groups, &mut count, n);
    Ok(groups)
}

/// Merges the columns of every span of `x: (b, t)`.
///
/// # Errors
/// As [`span_groups`] and [`over_groups`].
///
/// # Example
/// ```
/// use limpid::attribution::aggregate::{Aggregation, merge_tokens, over_spans};
/// use ndarray::array;
///
/// let (tokens, spans) = (["in", "New", "York", "."], [1..3]);
/// let x = array![[0.1, 0.2, -0.5, 0.0]];
/// assert_eq!(over_spans(&x, &spans, Aggregation::AbsMax)?, array![[0.1, -0.5, 0.0]]);
/// assert_eq!(merge_tokens(&tokens, &spans, " ")?, ["in", "New York", "."]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn over_spans<T: Scalar>(x: &ArrayRef2<T>, spans: &[Range<usize>], how: Aggregation) -> Result<Array2<T>> {
    over_groups(x, &span_groups(x.ncols(), spans)?, how)
}

/// Joins the tokens of every span with `separator` between them.
///
/// # Errors
/// As [`span_groups`].
pub fn merge_tokens<S: AsRef<str>>(tokens: &[S], spans: &[Range<usize>], separator: &str) -> Result<Vec<String>> {
    let groups = span_groups(tokens.len(), spans)?;
    let mut merged: Vec<String> = Vec::new();
    for (token, group) in tokens.iter().zip(groups) {
        match merged.get_mut(group) {
            None => merged.push(String::from(token.as_ref())),
            Some(text) => {
                text.push_str(separator);
                text.push_str(token.as_ref());
            }
        }
    }
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn columns_outside_of_spans_stay() {
        assert_eq!(span_groups(6, &[1..3, 3..4]), Ok(alloc::vec![0, 1, 1, 2, 3, 4]));
        assert_eq!(span_groups(2, &[]), Ok(alloc::vec![0, 1]));
        let x = array![[1.0, 2.0, -3.0], [4.0, 5.0, 6.0]];
        assert_eq!(over_spans(&x, &[], Aggregation::Product), Ok(x.clone()));
        let everything = [0..3];
        assert_eq!(over_spans(&x, &everything, Aggregation::Sum), Ok(array![[0.0], [15.0]]));
        assert_eq!(merge_tokens(&["a", "b", "c"], &everything, ""), Ok(alloc::vec![String::from("abc")]));
    }

    #[test]
    fn spans_that_overlap_or_leave_the_columns_are_refused() {
        let refused = |spans: &[Range<usize>]| match span_groups(4, spans) {
            Err(Error::OutOfRange { index, .. }) => Some(index),
            _ => None,
        };
        assert_eq!(refused(&[0..2, 1..3]), Some(1));
        assert_eq!(refused(&[2..2]), Some(0));
        assert_eq!(refused(&[0..1, 3..5]), Some(1));
        assert_eq!(refused(&[2..3, 0..1]), Some(1));
        assert_eq!(refused(&[usize::MAX - 1..usize::MAX]), Some(0));
    }
}
