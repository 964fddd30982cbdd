//! Monotonicity: does the output grow as features come in, from the least to the most important? And does what a feature can
//! change follow its attribution?
//!
//! ```text
//! monotonicity   order: players by attribution, ascending, equal ones by lower index
//!                curve_s = f(the first s + 1 of them at the input, the rest at the baseline), s = 0..L-1
//!                monotonic: no step along the curve is negative (the baseline is not part of it)
//! correlation    Spearman_i( |A_i|, mean_s (f(x with i replaced by sample s) - f(x))² )
//! ```
//!
//! The second is defined with a weight `1/f(x)²`, which is one factor for all features of a row and so no matter to ranks; left
//! out, a row with `f(x) = 0` is like any other.
//!
//! Source: Arya et al., "One Explanation Does Not Fit All: A Toolkit and Taxonomy of AI Explainability Techniques" (arXiv
//! 1909.03012), for the first; Nguyen and Martínez, "On quantitative aspects of model interpretability"
//! (arXiv 2007.07584), for the second. A well-known implementation of the first writes the baseline over itself
//! and calls every attribution monotonic; that of the second fails for batches with small outputs.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2};

use super::masking::{MAX_KEPT, Masked, Masking, places};
use crate::attribution::perturbation::Players;
use crate::attribution::sweep::Sweep;
use crate::attribution::{Batch, Evaluations, Explained, Forward, Target};
use crate::error::{check_each, check_finite, check_limit, check_not_empty, check_shape};
use crate::math::curves::mean;
use crate::math::random::fill_normal;
use crate::math::rank::spearman;
use crate::{Result, Scalar, Seed};

/// Curves of `b` rows as players come in.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct MonotonicityReport<T> {
    /// Value of the target after each player, `(b, M)`.
    pub curve: Array2<T>,
    /// Whether no step of the curve is negative, `(b)`.
    pub monotonic: Vec<bool>,
    /// Rows that the model was run for.
    pub evaluations: Evaluations,
}

/// Lets the players in, in ascending order of `attribution: (b, M)`; `M = n` without groups. Costs `M` rows for each row of
/// `x: (b, n)`.
///
/// # Errors
/// As [`Erasure::judge`](super::Erasure::judge).
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::faithfulness::{Masking, monotonicity};
/// use limpid::attribution::target::Logit;
/// use ndarray::array;
///
/// let mut model = Network::new(3).linear(array![[3.0, -1.0, 2.0]], None)?;
/// let (x, attribution) = (array![[1.0, 1.0, 1.0]], array![[3.0, -1.0, 2.0]]);
/// let found = monotonicity(&mut model, &x, &attribution, &Logit::of(0), &Masking::default())?;
/// assert_eq!(found.curve, array![[-1.0, 1.0, 4.0]]);
/// assert_eq!(found.monotonic, [true]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
pub fn monotonicity<T: Scalar, M: Forward<T> + ?Sized>(
    model: &mut M,
    x: &ArrayRef2<T>,
    attribution: &ArrayRef2<T>,
    target: &dyn Target<T>,
    masking: &Masking<T>,
) -> Explained<MonotonicityReport<T>, M::Error> {
    let mut masked = Masked::new(model, x, target, masking)?;
    masked.check(attribution)?;
    // ascending, equal ones by lower index: the descending order of the negatives
    let places = places(&attribution.mapv(|a| -a));
    let (mut curve, players) = (Array2::zeros(attribution.raw_dim()), attribution.ncols());
    let items = (0..x.nrows()).flat_map(|row| (0..players).map(move |step| (row, step)));
    let removed = |row: usize, step, player: usize| places[row][player] > step;
    masked.run(items, removed, |row, step, value, _| curve[[row, step]] = value)?;
    let never_falls =
        |row: ndarray::ArrayView1<'_, T>| row.iter().zip(row.iter().skip(1)).all(|(now, next)| next >= now);
    let monotonic = curve.rows().into_iter().map(never_falls).collect();
    Ok(MonotonicityReport { curve, monotonic, evaluations: masked.copies.evaluations() })
}

/// What a player is replaced with.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub enum Replacement<T> {
    /// Its features in each of these rows `(k, n)`.
    Background(Array2<T>),
    /// Its features with normal noise added.
    Noise {
        /// Standard deviation, in units of `x`.
        deviation: f64,
        /// Number of draws.
        samples: usize,
        /// What they follow from.
        seed: Seed,
    },
}

/// Settings of the monotonicity correlation.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::faithfulness::{MonotonicityCorrelation, Replacement};
/// use limpid::attribution::target::Logit;
/// use ndarray::array;
///
/// let mut model = Network::new(3).linear(array![[3.0, -1.0, 2.0]], None)?;
/// let method = MonotonicityCorrelation::new(Replacement::Background(array![[0.0, 0.0, 0.0]]));
/// let found = method.judge(&mut model, &array![[1.0, 1.0, 1.0]], &array![[0.9, -0.1, 0.3]], &Logit::of(0))?;
/// assert_eq!(found, [Some(1.0)]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct MonotonicityCorrelation<T> {
    /// What a player is replaced with.
    pub replacement: Replacement<T>,
    /// The player of every feature, `(n)`; `None`: every feature is a player.
    pub groups: Option<Vec<usize>>,
    /// Rows of one model call.
    pub batch: Batch,
}

impl<T: Scalar> MonotonicityCorrelation<T> {
    /// For single features.
    #[must_use]
    pub fn new(replacement: Replacement<T>) -> Self {
        Self { replacement, groups: None, batch: Batch::Auto }
    }

    /// Spearman's correlation of the magnitudes of each row of `attribution: (b, M)` with the mean squared changes; `None`
    /// where one side does not vary.
    ///
    /// # Errors
    /// As [`Erasure::judge`](super::Erasure::judge), and for an empty or unfit background, a deviation that is not positive, and
    /// no samples or more than can be kept.
    pub fn judge<M: Forward<T> + ?Sized>(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        attribution: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Vec<Option<f64>>, M::Error> {
        let mut copies = Sweep::new(model, x, target, self.batch)?;
        let players = Players::new(self.groups.as_deref(), x.ncols())?;
        check_shape("attribution", attribution, &[x.nrows(), players.count])?;
        check_finite("attribution", attribution)?;
        let samples = self.replacement.check(x.ncols())?;
        let full = copies.unchanged()?;
        let mut changes = vec![0.0; samples];
        let mut squares: Array2<T> = Array2::zeros(attribution.raw_dim());
        let of_row = |row| (0..players.count).flat_map(move |player| (0..samples).map(move |s| (row, (player, s))));
        let change = |row: usize, (player, sample), into: &mut [T]| {
            let of_player = (into.iter_mut().zip(&players.of_feature)).enumerate().filter(|(_, (_, p))| **p == player);
            self.replacement.write(of_player.map(|(feature, (slot, _))| (feature, slot)), (row, player, sample));
        };
        copies.run((0..x.nrows()).flat_map(of_row), change, |row, (player, sample), value, _| {
            let change = value.as_f64() - full[row].as_f64();
            changes[sample] = change * change;
            if sample + 1 == samples {
                squares[[row, player]] = T::of(mean(changes.iter().copied()).unwrap_or_default());
            }
        })?;
        let rows = attribution.rows().into_iter().zip(squares.rows());
        Ok(rows.map(|(a, squares)| spearman(&a.mapv(T::abs), &squares)).collect::<Result<_>>()?)
    }
}

/// Purpose of the random streams.
const PURPOSE: u64 = 0x6d6f_6e6f;

impl<T: Scalar> Replacement<T> {
    /// Number of samples of a player.
    fn check(&self, n: usize) -> Result<usize> {
        match self {
            Self::Background(rows) => {
                check_shape("background", rows, &[rows.nrows(), n])?;
                check_not_empty("background", rows)?;
                check_finite("background", rows)?;
                Ok(rows.nrows())
            }
            Self::Noise { deviation, samples, .. } => {
                check_each("deviation", &[*deviation], "0 < deviation", |d: f64| d > 0.0 && d.is_finite())?;
                check_each("samples", &[*samples as f64], ">= 1", |samples: f64| samples >= 1.0)?;
                check_limit("samples", *samples, MAX_KEPT)?;
                Ok(*samples)
            }
        }
    }

    /// Replaces the features of a player, which are `features`.
    fn write<'a>(
        &self,
        features: impl Iterator<Item = (usize, &'a mut T)>,
        (row, player, sample): (usize, usize, usize),
    ) {
        match self {
            Self::Background(rows) => features.for_each(|(feature, slot)| *slot = rows[[sample, feature]]),
            Self::Noise { deviation, seed, .. } => {
                let of_row = seed.child(PURPOSE, row as u64);
                let mut stream = of_row.child(PURPOSE, player as u64).stream(PURPOSE, sample as u64);
                for (_, slot) in features {
                    let mut noise = [T::zero()];
                    fill_normal(&mut stream, T::of(*deviation), &mut noise);
                    *slot += noise[0];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::attribution::target::Logit;
    use crate::attribution::{Failure, Network};
    use ndarray::array;

    #[test]
    fn a_fall_is_seen() {
        let mut model = Network::new(3).linear(array![[3.0, -1.0, 2.0]], None).unwrap();
        let (x, target) = (array![[1.0, 1.0, 1.0]], Logit::of(0));
        let mut judge = |attribution: Array2<f64>| {
            monotonicity(&mut model, &x, &attribution, &target, &Masking::default()).unwrap()
        };
        // 0, then 2, then 1: equal attributions come in by index
        let found = judge(array![[0.0, 1.0, 0.0]]);
        assert_eq!((found.curve, found.monotonic[0]), (array![[3.0, 5.0, 4.0]], false));
        assert_eq!(found.evaluations.forward, 3);
        // the step from the baseline does not count
        assert!(judge(array![[1.0, -1.0, 0.0]]).monotonic[0]);
    }

    #[test]
    fn a_row_whose_output_is_zero_is_like_any_other() {
        let mut model = Network::new(2).linear(array![[2.0, -1.0]], None).unwrap();
        let (x, attribution) = (array![[1.0, 2.0], [1.0, 1.0]], array![[2.0, -1.0], [0.1, 0.2]]);
        for batch in [Batch::Auto, Batch::Rows(1), Batch::Rows(3)] {
            let replacement = Replacement::Noise { deviation: 0.1, samples: 40, seed: Seed(1) };
            let method = MonotonicityCorrelation { replacement, groups: None, batch };
            assert_eq!(method.judge(&mut model, &x, &attribution, &Logit::of(0)).unwrap(), [Some(1.0), Some(-1.0)]);
        }
    }

    #[test]
    fn bad_settings_are_named() {
        let mut model = Network::new(2).linear(array![[2.0, -1.0]], None).unwrap();
        let mut refused = |replacement| {
            let method = MonotonicityCorrelation::new(replacement);
            method.judge(&mut model, &array![[1.0, 2.0]], &array![[2.0, -1.0]], &Logit::of(0)).unwrap_err()
        };
        let shape = refused(Replacement::Background(array![[1.0]]));
        assert!(matches!(shape, Failure::Input(Error::Shape { what: "background", .. })));
        let noise = |deviation, samples| Replacement::Noise { deviation, samples, seed: Seed(0) };
        assert!(matches!(refused(noise(0.0, 1)), Failure::Input(Error::OutOfRange { what: "deviation", .. })));
        assert!(matches!(refused(noise(1.0, 0)), Failure::Input(Error::OutOfRange { what: "samples", .. })));
        assert!(matches!(refused(noise(1.0, usize::MAX)), Failure::Input(Error::TooLarge { what: "samples", .. })));
    }
}
