//! How features are taken away from a model, so that a game of its features can be played.
//!
//! ```text
//! v(S) = link( mean_r f(x on the features of S, background_r elsewhere) )
//! ```
//!
//! With a baseline there is one background row. The features of a group come and go together: groups are the players.
//!
//! Source: the removal functions of Covert, Lundberg and Lee, "Explaining by Removing: A Unified Framework for Model
//! Explanation", JMLR 22 (2021), <https://arxiv.org/abs/2011.14878>, section 4; the links of Lundberg and Lee, "A Unified
//! Approach to Interpreting Model Predictions" (2017).

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use ndarray::{Array2, ArrayRef2, ArrayView1};

use crate::attribution::baseline::check_background;
use crate::attribution::{Baseline, Batch};
use crate::math::simd::{Mask, Select, Simd, SimdMask, dispatch, level, load_part, store_part};
use crate::{Dims, Error, Result, Scalar};

/// What stands in for absent features, what the players are, and how the model's values are read.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct Removal<T> {
    /// Where absent features come from.
    pub absent: Absent<T>,
    /// The player of every feature, `(n)`, each of `0..M` at least once; `None`: every feature is a player.
    pub groups: Option<Vec<usize>>,
    /// Applied to the mean over the background rows.
    pub link: Link,
    /// Rows of one model call.
    pub batch: Batch,
}

impl<T> Default for Removal<T> {
    fn default() -> Self {
        Self { absent: Absent::Baseline(Baseline::Zeros), groups: None, link: Link::Identity, batch: Batch::Auto }
    }
}

/// Where absent features come from.
#[derive(Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub enum Absent<T> {
    /// From the baseline.
    Baseline(Baseline<T>),
    /// From each of these rows `(k, n)` in turn; the model's values are averaged.
    Background(Array2<T>),
}

/// Says which kind it is and not its numbers: settings are recorded with every result.
impl<T> fmt::Debug for Absent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Baseline(baseline) => f.debug_tuple("Baseline").field(baseline).finish(),
            Self::Background(rows) => write!(f, "Background({} rows)", rows.nrows()),
        }
    }
}

impl<T> From<Baseline<T>> for Absent<T> {
    fn from(baseline: Baseline<T>) -> Self {
        Self::Baseline(baseline)
    }
}

impl<T: Scalar> Absent<T> {
    /// Checks that it fits `x: (b, n)`.
    pub(crate) fn check(&self, x: &ArrayRef2<T>) -> Result<()> {
        match self {
            Self::Baseline(baseline) => baseline.rows(x).map(|_| ()),
            Self::Background(rows) => check_background("background", rows, x.ncols()),
        }
    }
}

/// What is explained of the mean value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Link {
    /// The value.
    #[default]
    Identity,
    /// `ln(v / (1 - v))` of a probability `0 < v < 1`.
    Logit,
}

impl Link {
    /// The linked value of row `index`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where the logit of `value` is not finite.
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::perturbation::Link;
    ///
    /// assert_eq!(Link::Logit.of(0.5, 0)?, 0.0);
    /// assert!(Link::Logit.of(1.0, 0).is_err());
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn of(self, value: f64, index: usize) -> Result<f64> {
        match self {
            Self::Identity => Ok(value),
            Self::Logit if value > 0.0 && value < 1.0 => Ok(libm::log(value) - libm::log1p(-value)),
            Self::Logit => {
                Err(Error::OutOfRange { what: "value under the logit link", index, value, expected: "0 < value < 1" })
            }
        }
    }
}

/// The features of every player.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Players {
    /// Player of every feature.
    pub(crate) of_feature: Vec<usize>,
    pub(crate) count: usize,
    /// Whether every feature is the player of its own number.
    pub(crate) single: bool,
    /// Runs of features of the same player: player, first feature, feature after the last.
    runs: Vec<(usize, usize, usize)>,
}

impl Players {
    /// The players of `n` features.
    pub(crate) fn new(groups: Option<&[usize]>, n: usize) -> Result<Self> {
        let of_feature: Vec<usize> = groups.map_or_else(|| (0..n).collect(), <[usize]>::to_vec);
        if of_feature.len() != n {
            let (expected, got) = (Dims::new(&[n]), Dims::new(&[of_feature.len()]));
            return Err(Error::Shape { what: "groups", expected, got });
        }
        let single = of_feature.iter().enumerate().all(|(feature, &player)| feature == player);
        let count = check_groups(&of_feature)?;
        let mut runs: Vec<(usize, usize, usize)> = Vec::new();
        for (feature, &player) in of_feature.iter().enumerate() {
            match runs.last_mut() {
                Some((last, _, end)) if *last == player => *end += 1,
                _ => runs.push((player, feature, feature + 1)),
            }
        }
        Ok(Self { of_feature, count, single, runs })
    }

    /// Writes `present` on the features of the members and `absent` elsewhere; selects and never multiplies, so that
    /// nothing leaks out of an absent feature.
    pub(crate) fn select<T: Scalar>(&self, words: &[u64], present: &[T], absent: &[T], row: &mut [T]) {
        if self.single {
            return dispatch!(level(), simd => choose(simd, words, present, absent, row));
        }
        for &(player, start, end) in &self.runs {
            let member = words[player / 64] >> (player % 64) & 1 == 1;
            row[start..end].copy_from_slice(if member { &present[start..end] } else { &absent[start..end] });
        }
    }

    /// The value of every feature's player.
    pub(crate) fn spread<'a, T: Scalar>(&'a self, values: ArrayView1<'a, T>) -> impl Iterator<Item = T> + 'a {
        self.of_feature.iter().map(move |&player| values[player])
    }
}

/// [`Players::select`] where every feature is a player.
#[inline(always)]
fn choose<T: Scalar, S: Simd>(simd: S, words: &[u64], present: &[T], absent: &[T], row: &mut [T]) {
    for start in (0..row.len()).step_by(T::LANES) {
        let end = row.len().min(start + T::LANES);
        let member = Mask::<T, S>::from_bitmask(simd, words[start / 64] >> (start % 64));
        let [here, gone] = [present, absent].map(|from| load_part::<T, S>(simd, &from[start..end]));
        store_part::<T, S>(Select::select(member, here, gone), &mut row[start..end]);
    }
}

/// The number of groups, none of which may be without features.
pub(crate) fn check_groups(groups: &[usize]) -> Result<usize> {
    let mut seen = vec![false; groups.len()];
    for (index, &group) in groups.iter().enumerate() {
        let Some(seen) = seen.get_mut(group) else {
            let expected = "a group below the number of features";
            return Err(Error::OutOfRange { what: "groups", index, value: group as f64, expected });
        };
        *seen = true;
    }
    let count = groups.iter().max().map_or(0, |group| group + 1);
    match seen[..count].iter().position(|seen| !seen) {
        None => Ok(count),
        Some(index) => {
            let expected = "at least one feature of every group up to the last";
            Err(Error::OutOfRange { what: "features of a group", index, value: 0.0, expected })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_complete() {
        let players = Players::new(Some(&[0, 1, 1, 2, 0]), 5).unwrap();
        assert_eq!((players.count, players.single), (3, false));
        let mut row = [0.0; 5];
        players.select(&[0b011], &[1.0, 2.0, 3.0, 4.0, 5.0], &[-1.0; 5], &mut row);
        assert_eq!(row, [1.0, 2.0, 3.0, -1.0, 5.0]);
        assert!(matches!(Players::new(Some(&[0, 2]), 2), Err(Error::OutOfRange { what: "groups", index: 1, .. })));
        assert!(matches!(Players::new(Some(&[0, 2, 2]), 3), Err(Error::OutOfRange { index: 1, .. })));
        assert!(matches!(Players::new(Some(&[0]), 3), Err(Error::Shape { what: "groups", .. })));
    }

    #[test]
    fn an_absent_infinity_leaves_nothing_behind() {
        let players = Players::new(None, 2).unwrap();
        let mut row = [f64::NAN; 2];
        players.select(&[0b10], &[f64::INFINITY, 1.0], &[0.0, f64::NAN], &mut row);
        assert_eq!(row, [0.0, 1.0]);
    }

    #[test]
    fn features_beyond_a_word() {
        let players = Players::new(None, 70).unwrap();
        let mut row = [0.0_f32; 70];
        players.select(&[0, 1 << 5], &[1.0; 70], &[0.0; 70], &mut row);
        assert_eq!(row.iter().position(|&x| x == 1.0), Some(69));
        assert_eq!(row.iter().sum::<f32>(), 1.0);
    }
}
