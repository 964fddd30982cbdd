//! ROAR, remove and retrain: which features to replace in every row before a model is trained anew.
//!
//! ```text
//! order     features by attribution, descending, equal ones by lower index
//! remove    the first t n of every row become their means over the training data      (ROAR)
//! keep      all but the first t n                                                     (KAR)
//! ```
//!
//! A model that never saw erased inputs may fail on them for being strange. So the training and the test data of every share
//! `t` are changed alike, a model is trained on the former and tested on the latter: the ranking is good if accuracy falls
//! fast. Training is the caller's; rankings of random numbers are what to compare with.
//!
//! Source: Hooker et al., "A Benchmark for Interpretability Methods in Deep Neural Networks" (arXiv 1806.10758).

use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef1, ArrayRef2};
use num_traits::ToPrimitive;

use crate::attribution::perturbation::Players;
use crate::error::{check_each, check_finite, check_not_empty, check_shape};
use crate::math::rank::argsort_descending;
use crate::{Result, Scalar};

/// Settings of ROAR.
///
/// # Example
/// ```
/// use limpid::attribution::faithfulness::Roar;
/// use ndarray::array;
///
/// let roar = Roar { fractions: vec![0.5], ..Roar::default() };
/// let orders = roar.orders(&array![[0.1, 3.0, -2.0, 0.5], [4.0, 0.0, 0.0, 0.0]])?;
/// assert_eq!(orders.players(0, 0), Some(&[1, 3][..]));
/// let (x, means) = (array![[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]], array![0.0, -1.0, -2.0, -3.0]);
/// assert_eq!(orders.replaced(&x, &means, 0)?, array![[1.0, -1.0, 3.0, -3.0], [0.0, -1.0, 7.0, 8.0]]);
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Roar {
    /// Shares `t` of the players, each in `[0, 1]`; numbers of players are rounded to the nearest, halves up.
    pub fractions: Vec<f64>,
    /// What happens to the first of an order.
    pub side: RoarSide,
    /// The player of every feature, `(n)`, each of `0..M` at least once, such as the pixel of every channel; `None`: every
    /// feature is a player.
    pub groups: Option<Vec<usize>>,
}

/// What happens to the features with the largest attributions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RoarSide {
    /// They are replaced.
    #[default]
    Remove,
    /// All others are.
    Keep,
}

impl Default for Roar {
    /// The shares of the paper.
    fn default() -> Self {
        Self { fractions: [0.1, 0.3, 0.5, 0.7, 0.9].into(), side: RoarSide::Remove, groups: None }
    }
}

/// The orders of `b` rows, and how many of the first to replace at each of the shares.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RoarOrders {
    /// Players by attribution, `(b, M)`.
    orders: Array2<usize>,
    /// Players before the cut, for every share.
    counts: Vec<usize>,
    side: RoarSide,
    /// The player of every feature; `None`: every feature is a player.
    groups: Option<Vec<usize>>,
}

impl Roar {
    /// Orders of the rows of `attribution: (b, M)`.
    ///
    /// # Errors
    /// [`Error::Empty`](crate::Error::Empty), [`Error::NotFinite`](crate::Error::NotFinite), [`Error::OutOfRange`](crate::Error::OutOfRange) for a share outside of `[0, 1]`, [`Error::Shape`](crate::Error::Shape) for groups
    /// of another number than the attributions.
    pub fn orders<T: Scalar>(&self, attribution: &ArrayRef2<T>) -> Result<RoarOrders> {
        check_not_empty("attribution", attribution)?;
        check_finite("attribution", attribution)?;
        check_each("fractions", &self.fractions, "0 <= fraction <= 1", |t: f64| (0.0..=1.0).contains(&t))?;
        let (rows, players) = attribution.dim();
        if let Some(groups) = &self.groups {
            let found = Players::new(Some(groups), groups.len())?;
            check_shape("attribution", attribution, &[rows, found.count])?;
        }
        let orders: Vec<Vec<usize>> = attribution.rows().into_iter().map(|row| argsort_descending(&row)).collect();
        let orders = Array2::from_shape_fn((rows, players), |(row, place)| orders[row][place]);
        let counts = self
            .fractions
            .iter()
            .map(|t| libm::floor(t * players as f64 + 0.5).to_usize().unwrap_or(players))
            .collect();
        Ok(RoarOrders { orders, counts, side: self.side, groups: self.groups.clone() })
    }
}

impl RoarOrders {
    /// Number of shares.
    #[must_use]
    pub fn levels(&self) -> usize {
        self.counts.len()
    }

    /// The players of a row that are replaced at a share, in the order of their attributions; `None` where there is no such row
    /// or share.
    #[must_use]
    pub fn players(&self, row: usize, level: usize) -> Option<&[usize]> {
        let count = *self.counts.get(level)?;
        let players = self.orders.ncols();
        let order = self.orders.as_slice()?.chunks_exact(players).nth(row)?;
        Some(match self.side {
            RoarSide::Remove => &order[..count],
            RoarSide::Keep => &order[count..],
        })
    }

    /// Which features are replaced at a share, `(b, n)`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a share that does not exist.
    pub fn mask(&self, level: usize) -> Result<Array2<bool>> {
        let levels = self.levels() as f64;
        check_each("level", &[level as f64], "one of the fractions", |level: f64| level < levels)?;
        let (rows, players) = self.orders.dim();
        let mut taken = Array2::from_elem((rows, players), false);
        for row in 0..rows {
            let gone = self.players(row, level).unwrap_or_default();
            gone.iter().for_each(|&player| taken[[row, player]] = true);
        }
        let Some(groups) = &self.groups else { return Ok(taken) };
        Ok(Array2::from_shape_fn((rows, groups.len()), |(row, feature)| taken[[row, groups[feature]]]))
    }

    /// The data set for a share: `x: (b, n)` with `means: (n)` in the place of what is replaced. The means are those of the
    /// training data, also for test data.
    ///
    /// # Errors
    /// As [`RoarOrders::mask`], and [`Error::Shape`](crate::Error::Shape), [`Error::NotFinite`](crate::Error::NotFinite).
    pub fn replaced<T: Scalar>(&self, x: &ArrayRef2<T>, means: &ArrayRef1<T>, level: usize) -> Result<Array2<T>> {
        let mask = self.mask(level)?;
        check_shape("x", x, mask.shape())?;
        check_finite("x", x)?;
        check_shape("means", means, &[mask.ncols()])?;
        check_finite("means", means)?;
        Ok(Array2::from_shape_fn(x.dim(), |(row, i)| if mask[[row, i]] { means[i] } else { x[[row, i]] }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use alloc::vec;
    use ndarray::array;

    #[test]
    fn shares_are_nested_and_rounded() {
        let attribution = array![[5.0, 1.0, 3.0, 3.0, 2.0]];
        let orders = Roar::default().orders(&attribution).unwrap();
        assert_eq!(orders.levels(), 5);
        // 0.5, 1.5, 2.5, 3.5 and 4.5 features
        let expected: [&[usize]; 5] = [&[0], &[0, 2], &[0, 2, 3], &[0, 2, 3, 4], &[0, 2, 3, 4, 1]];
        for (level, expected) in expected.into_iter().enumerate() {
            assert_eq!(orders.players(0, level), Some(expected));
        }
        assert_eq!((orders.players(1, 0), orders.players(0, 5)), (None, None));
        let ends = Roar { fractions: vec![0.0, 1.0], ..Roar::default() }.orders(&attribution).unwrap();
        assert_eq!((ends.players(0, 0).unwrap().len(), ends.players(0, 1).unwrap().len()), (0, 5));
    }

    #[test]
    fn keeping_is_the_rest_and_groups_go_together() {
        // pixel of each of two channels
        let groups = Some(vec![0, 1, 2, 0, 1, 2]);
        let attribution = array![[1.0, 3.0, 2.0]];
        let of = |side| {
            let roar = Roar { fractions: vec![0.4], side, groups: groups.clone() };
            roar.orders(&attribution).unwrap().mask(0).unwrap()
        };
        assert_eq!(of(RoarSide::Remove), array![[false, true, false, false, true, false]]);
        assert_eq!(of(RoarSide::Keep), of(RoarSide::Remove).mapv(|taken| !taken));
    }

    #[test]
    fn bad_input_is_named() {
        let attribution = array![[1.0, 3.0, 2.0]];
        let share = Roar { fractions: vec![0.5, 1.5], ..Roar::default() }.orders(&attribution);
        assert!(matches!(share, Err(Error::OutOfRange { what: "fractions", index: 1, .. })));
        let groups = Roar { groups: Some(vec![0, 1, 1]), ..Roar::default() }.orders(&attribution);
        assert!(matches!(groups, Err(Error::Shape { what: "attribution", .. })));
        let orders = Roar::default().orders(&attribution).unwrap();
        assert!(matches!(orders.mask(5), Err(Error::OutOfRange { what: "level", .. })));
        assert!(matches!(orders.replaced(&attribution, &array![0.0], 0), Err(Error::Shape { what: "means", .. })));
        let nan = orders.replaced(&array![[f64::NAN, 0.0, 0.0]], &array![0.0, 0.0, 0.0], 0);
        assert!(matches!(nan, Err(Error::NotFinite { what: "x", index: 0 })));
    }
}
