//! One number for every pair of players that was asked about.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayView1};

use crate::attribution::Status;
use crate::error::check_limit;
use crate::{Error, Result, Seed};

/// Most pairs that are kept.
const MAX_PAIRS: usize = 1 << 26;

/// Interactions of pairs of players.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct PairValues<T> {
    /// The pairs.
    pub pairs: Vec<(usize, usize)>,
    /// The whole interaction of every pair, `(pairs, values)`.
    pub values: Array2<T>,
    /// Standard error of each number, of methods that sample.
    pub standard_error: Option<Array2<T>>,
    /// Worth of all, `(values)`.
    pub full: Array1<T>,
    /// Coalitions that the game was asked for.
    pub evaluations: u64,
    /// How the method ended.
    pub status: Status,
    /// Name of the method that was used.
    pub method: Cow<'static, str>,
    /// Seed of methods that sample.
    pub seed: Option<Seed>,
}

impl<T> PairValues<T> {
    /// The numbers of a pair in either order, `(values)`; `None` where it was not asked about.
    #[must_use]
    pub fn of(&self, i: usize, j: usize) -> Option<ArrayView1<'_, T>> {
        let at = self.pairs.iter().position(|&pair| pair == (i, j) || pair == (j, i))?;
        Some(self.values.row(at))
    }
}

/// All pairs of `n` players, `(0, 1), (0, 2), ..`.
pub(crate) fn all_pairs(n: usize) -> Result<Vec<(usize, usize)>> {
    check_limit("pairs of players", n.saturating_mul(n.saturating_sub(1)) / 2, MAX_PAIRS)?;
    Ok((0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).collect())
}

/// Checks that these are pairs of different players of `n`.
pub(crate) fn check_pairs(pairs: &[(usize, usize)], n: usize) -> Result<()> {
    check_limit("pairs of players", pairs.len(), MAX_PAIRS)?;
    if pairs.is_empty() {
        return Err(Error::Empty { what: "pairs" });
    }
    for (index, &(i, j)) in pairs.iter().enumerate() {
        if i >= n || j >= n || i == j {
            let value = if j >= n { j } else { i } as f64;
            return Err(Error::OutOfRange {
                what: "pairs",
                index,
                value,
                expected: "two different players of the game",
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_must_be_two() {
        assert_eq!(all_pairs(3).unwrap(), [(0, 1), (0, 2), (1, 2)]);
        assert!(matches!(all_pairs(1 << 20), Err(Error::TooLarge { .. })));
        assert!(check_pairs(&[(2, 0), (0, 1)], 3).is_ok());
        assert!(matches!(check_pairs(&[(0, 1), (1, 1)], 3), Err(Error::OutOfRange { index: 1, .. })));
        assert!(matches!(check_pairs(&[(0, 3)], 3), Err(Error::OutOfRange { index: 0, .. })));
        assert!(matches!(check_pairs(&[], 3), Err(Error::Empty { what: "pairs" })));
    }
}
