//! Which records an explanation is made from, calibrated on and scored on.
//!
//! | rule | here |
//! |---|---|
//! | every fourth of the top records, every third of the random ones | [`interleaved`] |
//! | any number of disjoint random parts | [`random_parts`] |
//! | groups of equal size by rank | [`rank_groups`] |
//! | groups of equal width in value | [`value_groups`] |
//! | disjoint random parts, each with equally many of every group | [`stratified_parts`] |
//!
//! Records are named by their place in the list they come from. No rule ever puts one record into two parts.

use alloc::vec::Vec;

use ndarray::ArrayRef1;

use super::quantiles::value_intervals;
use crate::error::check_limit;
use crate::math::random::choose;
use crate::{Error, Result, Scalar, Seed};

/// What this file draws random numbers for.
const PURPOSE: u64 = 0x736c_6963;

/// Most records and groups.
const MAX_RECORDS: usize = 1 << 26;

/// The records of one split: places among the top records and among the random ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Split {
    /// Places among the top records.
    pub top: Vec<usize>,
    /// Places among the random records.
    pub random: Vec<usize>,
}

/// Four splits that share no record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Splits {
    /// What an explanation is made from; no random records.
    pub train: Split,
    /// What a simulation is calibrated on.
    pub calibration: Split,
    /// What explanations are compared on.
    pub valid: Split,
    /// What the final score is of.
    pub test: Split,
}

/// Interleaved splits of `top` top records and `random` random ones, so that every split has the whole range of ranks.
///
/// Each split takes `per_split` records of either kind; `None` takes as many as there are, and leaves out what does not fill a
/// round. `None` comes back where there are too few for `per_split`.
///
/// Source: the splits of OpenAI's `automated-interpretability` (2023).
///
/// # Errors
/// [`Error::TooLarge`] for absurd counts.
///
/// # Example
/// ```
/// use limpid::explanation::slices::interleaved;
///
/// let splits = interleaved(20, 15, Some(5))?.unwrap();
/// assert_eq!(splits.valid.top, [2, 6, 10, 14, 18]);
/// assert_eq!(splits.valid.random, [1, 4, 7, 10, 13]);
/// assert_eq!(interleaved(19, 15, Some(5))?, None);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn interleaved(top: usize, random: usize, per_split: Option<usize>) -> Result<Option<Splits>> {
    check_limit("records", top.max(random), MAX_RECORDS)?;
    let (of_top, of_random) = (top / 4, random / 3);
    let (of_top, of_random) = match per_split {
        Some(wanted) if wanted > of_top || wanted > of_random => return Ok(None),
        Some(wanted) => (wanted, wanted),
        None => (of_top, of_random),
    };
    let every = |stride: usize, from: usize, count: usize| (0..count).map(|i| from + stride * i).collect();
    let split = |i: usize| Split { top: every(4, i, of_top), random: every(3, i - 1, of_random) };
    let train = Split { top: every(4, 0, of_top), random: Vec::new() };
    Ok(Some(Splits { train, calibration: split(1), valid: split(2), test: split(3) }))
}

/// Disjoint random parts of these sizes of `n` records, each ascending; `None` where there are too few.
///
/// # Errors
/// [`Error::TooLarge`] for absurd counts.
pub fn random_parts(n: usize, sizes: &[usize], seed: Seed) -> Result<Option<Vec<Vec<usize>>>> {
    check_limit("records", n, MAX_RECORDS)?;
    Ok(draw((0..n).collect(), sizes, seed, 0))
}

/// Disjoint random parts of these sizes of `places`.
fn draw(mut places: Vec<usize>, sizes: &[usize], seed: Seed, item: u64) -> Option<Vec<Vec<usize>>> {
    let total = sizes.iter().try_fold(0_usize, |total, &size| total.checked_add(size))?;
    if total > places.len() {
        return None;
    }
    choose(&mut seed.stream(PURPOSE, item), total, &mut places);
    let mut rest = &places[..];
    let part = |&size: &usize| {
        let (part, after) = rest.split_at(size);
        rest = after;
        let mut part = part.to_vec();
        part.sort_unstable();
        part
    };
    Some(sizes.iter().map(part).collect())
}

/// `groups` groups of the ranks `0..n`, the best first, of sizes that differ by at most 1; no record is left out.
///
/// # Errors
/// [`Error::Empty`] for no group, [`Error::TooLarge`] for absurd counts.
pub fn rank_groups(n: usize, groups: usize) -> Result<Vec<Vec<usize>>> {
    check_limit("records", n.max(groups), MAX_RECORDS)?;
    if groups == 0 {
        return Err(Error::Empty { what: "groups" });
    }
    let from = |group: usize| group * (n / groups) + group.min(n % groups);
    Ok((0..groups).map(|group| (from(group)..from(group + 1)).collect()).collect())
}

/// `groups` groups of the places of `values: (n)` by value, in intervals of equal width from 0 to the largest, the lowest
/// first; values up to 10⁻⁶ are in no group. `None` where no value is above that.
///
/// # Errors
/// [`Error::NotFinite`], [`Error::Empty`] for no group, [`Error::TooLarge`] for absurd counts.
pub fn value_groups<T: Scalar>(values: &ArrayRef1<T>, groups: usize) -> Result<Option<Vec<Vec<usize>>>> {
    let Some(intervals) = value_intervals(values, groups)? else { return Ok(None) };
    let mut all = alloc::vec![Vec::new(); groups];
    for (place, value) in values.iter().enumerate() {
        let value = value.as_f64();
        if value > intervals.edges[0] {
            let inner = intervals.edges.iter().skip(1).take(groups - 1);
            all[inner.filter(|edge| **edge <= value).count()].push(place);
        }
    }
    Ok(Some(all))
}

/// Disjoint random parts with `sizes[p]` records of every group in part `p`, by part and group, each ascending.
///
/// Training and test records drawn so never overlap. `None` where a group is too small.
///
/// # Example
/// ```
/// use limpid::Seed;
/// use limpid::explanation::slices::{rank_groups, stratified_parts};
///
/// let parts = stratified_parts(&rank_groups(200, 10)?, &[4, 5], Seed(22)).unwrap();
/// let (train, test) = (&parts[0], &parts[1]);
/// assert!(train.iter().flatten().all(|record| !test.iter().flatten().any(|other| other == record)));
/// # Ok::<(), limpid::Error>(())
/// ```
#[must_use]
pub fn stratified_parts(groups: &[Vec<usize>], sizes: &[usize], seed: Seed) -> Option<Vec<Vec<Vec<usize>>>> {
    let mut parts = alloc::vec![Vec::with_capacity(groups.len()); sizes.len()];
    for (item, group) in (1..).zip(groups) {
        let drawn = draw(group.clone(), sizes, seed, item)?;
        parts.iter_mut().zip(drawn).for_each(|(part, drawn)| part.push(drawn));
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn what_does_not_fill_a_round_is_left_out() {
        let splits = interleaved(23, 17, None).unwrap().unwrap();
        assert_eq!(splits.test, Split { top: vec![3, 7, 11, 15, 19], random: vec![2, 5, 8, 11, 14] });
        assert_eq!(interleaved(3, 2, None), Ok(Some(Splits::default())));
        assert_eq!((interleaved(20, 14, Some(5)), interleaved(20, 15, Some(usize::MAX))), (Ok(None), Ok(None)));
        assert!(interleaved(usize::MAX, 0, None).is_err());
    }

    #[test]
    fn parts_are_disjoint_and_follow_from_the_seed() {
        let parts = random_parts(10, &[4, 6], Seed(1)).unwrap().unwrap();
        let mut all: Vec<usize> = parts.iter().flatten().copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        assert_eq!(random_parts(10, &[4, 6], Seed(1)).unwrap().unwrap(), parts);
        assert_ne!(random_parts(10, &[4, 6], Seed(2)).unwrap().unwrap(), parts);
        assert_eq!(random_parts(10, &[4, 7], Seed(1)), Ok(None));
        assert_eq!(random_parts(10, &[usize::MAX, 7], Seed(1)), Ok(None));
    }

    #[test]
    fn groups_cover_all_ranks_and_values() {
        assert_eq!(rank_groups(5, 2), Ok(vec![vec![0, 1, 2], vec![3, 4]]));
        assert_eq!(rank_groups(1, 3).unwrap().iter().map(Vec::len).collect::<Vec<_>>(), [1, 0, 0]);
        assert!(rank_groups(1, 0).is_err());
        let groups = value_groups(&array![0.0, 1.0, 2.0, 3.9, 4.0], 2).unwrap().unwrap();
        assert_eq!(groups, [vec![1], vec![2, 3, 4]]);
        assert_eq!(value_groups(&array![0.0], 2), Ok(None));
        assert_eq!(stratified_parts(&groups, &[1, 1], Seed(0)), None);
    }
}
