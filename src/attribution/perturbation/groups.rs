//! Feature groups: which features come and go together.

use alloc::vec::Vec;
use core::fmt;

use ndarray::{ArrayView1, ArrayViewMut1};

use super::removal::check_groups;
use crate::{Dims, Error, Result, Scalar};

/// The group of every feature, numbered from 0 without a gap.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Groups {
    /// Every feature is a group of its own.
    #[default]
    Single,
    /// The same groups for all rows: a group for each feature, `(n)`.
    All(Vec<usize>),
    /// Groups for each row, `(b, n)`; rows may have different numbers of groups.
    PerRow(Vec<Vec<usize>>),
}

/// Says which kind it is and not its numbers: settings are recorded with every result.
impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single => "Single",
            Self::All(_) => "All",
            Self::PerRow(_) => "PerRow",
        })
    }
}

impl From<Vec<usize>> for Groups {
    fn from(groups: Vec<usize>) -> Self {
        Self::All(groups)
    }
}

impl From<Vec<Vec<usize>>> for Groups {
    fn from(groups: Vec<Vec<usize>>) -> Self {
        Self::PerRow(groups)
    }
}

impl Groups {
    /// Groups of `width` features in a row, such as the units of a token's embedding; the last may be shorter.
    ///
    /// # Errors
    /// [`Error::Empty`] for no features, [`Error::OutOfRange`] for a width of 0.
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::perturbation::Groups;
    ///
    /// assert_eq!(Groups::blocks(4, 2)?, Groups::All(vec![0, 0, 1, 1]));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn blocks(n: usize, width: usize) -> Result<Self> {
        crate::error::check_each("width", &[width as f64], ">= 1", |width: f64| width >= 1.0)?;
        if n == 0 {
            return Err(Error::Empty { what: "groups" });
        }
        Ok(Self::All((0..n).map(|feature| feature / width).collect()))
    }

    /// Checks that every row of `(rows, n)` has groups that are numbered without a gap.
    ///
    /// # Errors
    /// [`Error::Empty`] for no features, [`Error::Shape`] where the groups do not fit the rows or the features,
    /// [`Error::OutOfRange`] for a number that leaves some group without features.
    pub fn check(&self, rows: usize, n: usize) -> Result<()> {
        if n == 0 {
            return Err(Error::Empty { what: "groups" });
        }
        match self {
            Self::Single => Ok(()),
            Self::All(groups) => check_row(groups, n),
            Self::PerRow(all) if all.len() != rows => {
                Err(Error::Shape { what: "groups", expected: Dims::new(&[rows, n]), got: Dims::new(&[all.len()]) })
            }
            Self::PerRow(all) => all.iter().try_for_each(|groups| check_row(groups, n)),
        }
    }

    /// The group of a feature of a row.
    #[must_use]
    pub fn of(&self, row: usize, feature: usize) -> usize {
        match self {
            Self::Single => feature,
            Self::All(groups) => groups[feature],
            Self::PerRow(all) => all[row][feature],
        }
    }

    /// Number of groups of a row of `n` features.
    #[must_use]
    pub fn count(&self, row: usize, n: usize) -> usize {
        let groups = match self {
            Self::Single => return n,
            Self::All(groups) => groups,
            Self::PerRow(all) => &all[row],
        };
        groups.iter().max().map_or(0, |largest| largest + 1)
    }

    /// Whether all rows have the same groups.
    #[must_use]
    pub fn are_shared(&self) -> bool {
        !matches!(self, Self::PerRow(_))
    }

    /// Writes the baseline into the features of a group of `row`.
    pub(crate) fn remove<T: Scalar>(&self, example: usize, group: usize, baseline: ArrayView1<'_, T>, row: &mut [T]) {
        let groups = match self {
            Self::Single => return row[group] = baseline[group],
            Self::All(groups) => groups,
            Self::PerRow(all) => &all[example],
        };
        for ((slot, &base), &of) in row.iter_mut().zip(&baseline).zip(groups) {
            if of == group {
                *slot = base;
            }
        }
    }

    /// Writes `value` for all features of a group into `row`.
    pub(crate) fn give<T: Scalar>(&self, example: usize, group: usize, value: T, mut row: ArrayViewMut1<'_, T>) {
        let groups = match self {
            Self::Single => return row[group] = value,
            Self::All(groups) => groups,
            Self::PerRow(all) => &all[example],
        };
        row.iter_mut().zip(groups).filter(|(_, of)| **of == group).for_each(|(slot, _)| *slot = value);
    }
}

fn check_row(groups: &[usize], n: usize) -> Result<()> {
    if groups.len() != n {
        return Err(Error::Shape { what: "groups", expected: Dims::new(&[n]), got: Dims::new(&[groups.len()]) });
    }
    check_groups(groups).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use ndarray::array;

    #[test]
    fn groups_must_fit_and_have_no_gap() {
        assert!(Groups::Single.check(3, 2).is_ok());
        assert_eq!(Groups::Single.check(3, 0), Err(Error::Empty { what: "groups" }));
        assert!(matches!(Groups::from(vec![0, 1]).check(1, 3), Err(Error::Shape { .. })));
        assert!(matches!(Groups::from(vec![0, 2, 2]).check(1, 3), Err(Error::OutOfRange { index: 1, .. })));
        assert!(matches!(Groups::from(vec![0, usize::MAX]).check(1, 2), Err(Error::OutOfRange { index: 1, .. })));
        assert!(matches!(Groups::from(vec![vec![0, 1]]).check(2, 2), Err(Error::Shape { .. })));
        assert!(Groups::blocks(3, 0).is_err() && Groups::blocks(0, 3).is_err());
        assert_eq!(Groups::blocks(5, 2).unwrap(), Groups::All(vec![0, 0, 1, 1, 2]));
    }

    #[test]
    fn rows_may_have_groups_of_their_own() {
        let groups = Groups::from(vec![vec![0, 0, 1], vec![0, 1, 2]]);
        assert_eq!((groups.count(0, 3), groups.count(1, 3), groups.of(1, 2)), (2, 3, 2));
        let mut row = [1.0, 2.0, 3.0];
        groups.remove(0, 0, array![7.0, 8.0, 9.0].view(), &mut row);
        assert_eq!(row, [7.0, 8.0, 3.0]);
    }
}
