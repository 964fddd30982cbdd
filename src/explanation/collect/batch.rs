//! The sequences of one batch: where they come from, and which of their tokens count.

use alloc::vec::Vec;

use ndarray::ArrayView2;

use super::token_table::TokenCounts;
use crate::error::{check_each, check_length, check_shape};
use crate::{Error, Result};

/// What is known of the `b` sequences of a batch with `t` tokens each.
#[derive(Debug, Clone, Copy, Default)]
pub struct Batch<'a> {
    /// Number of the document of each sequence, `(b)`.
    pub documents: &'a [u64],
    /// Place of the first token of each sequence within its document, `(b)`; `None` for 0.
    pub first_positions: Option<&'a [u32]>,
    /// Tokens that count, `(b, t)`; `None` for all. What does not count is in no statistic, whatever its value.
    pub mask: Option<ArrayView2<'a, bool>>,
    /// The tokens, `(b, t)`; needed where the means by token are collected.
    pub tokens: Option<ArrayView2<'a, u32>>,
}

/// A token that counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Within the sequence.
    pub(super) at: usize,
    /// Within the document.
    pub(super) position: u32,
    pub(super) token: Option<u32>,
}

/// The tokens of a sequence that count.
#[derive(Debug, Clone)]
pub(super) struct Sequence {
    pub(super) document: u64,
    pub(super) places: Vec<Place>,
}

impl Batch<'_> {
    /// The sequences, once everything about them was checked.
    pub(super) fn sequences(&self, b: usize, t: usize, tokens: Option<&TokenCounts>) -> Result<Vec<Sequence>> {
        check_length("documents", self.documents.len(), b)?;
        if let Some(first) = self.first_positions {
            check_length("first_positions", first.len(), b)?;
        }
        if let Some(mask) = &self.mask {
            check_shape("mask", mask, &[b, t])?;
        }
        if let Some(given) = &self.tokens {
            check_shape("tokens", given, &[b, t])?;
        }
        if tokens.is_some() && self.tokens.is_none() {
            return Err(Error::Empty { what: "tokens" });
        }
        (0..b).map(|row| self.sequence(row, t, tokens)).collect()
    }

    fn sequence(&self, row: usize, t: usize, tokens: Option<&TokenCounts>) -> Result<Sequence> {
        let first = self.first_positions.map_or(0, |first| first[row]);
        let counts = |at: &usize| self.mask.is_none_or(|mask| mask[[row, *at]]);
        let place = |at: usize| {
            let position = u32::try_from(at).ok().and_then(|at| first.checked_add(at));
            let token = self.tokens.filter(|_| tokens.is_some()).map(|tokens| tokens[[row, at]]);
            if let Some((token, counts)) = token.zip(tokens) {
                let below = |token: f64| token < counts.vocabulary() as f64;
                check_each("tokens", &[f64::from(token)], "below the size of the vocabulary", below)?;
            }
            let position = position.ok_or(Error::TooLarge { what: "position", got: at, limit: u32::MAX as usize })?;
            Ok(Place { at, position, token })
        };
        let places = (0..t).filter(counts).map(place).collect::<Result<_>>()?;
        Ok(Sequence { document: self.documents[row], places })
    }
}
