//! Reference orders: what erasure shows when features go in random order, or by what each is worth alone.
//!
//! ```text
//! random order    mean over drawn orders of f(first k at the baseline), with its standard error
//! leave one out   the same for the order of f(x) - f(i at the baseline), descending
//! ```
//!
//! An attribution that is no better than a random order says nothing about the model; one that is no better than leaving one
//! out cost more than it gave.
//!
//! Source: Samek et al., "Evaluating the visualization of what a Deep Neural Network has learned" (arXiv 1509.06321), for random
//! orders as the reference of a perturbation curve.

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2};

use super::erasure::{Erasure, Levels};
use super::masking::{MAX_KEPT, Masked, Masking, mean_and_error, places};
use crate::attribution::{Evaluations, Explained, Forward, Target};
use crate::error::{check_each, check_limit};
use crate::math::curves::mean_drop;
use crate::math::random::shuffle;
use crate::math::student::two_sided_quantile;
use crate::{Result, Scalar, Seed};

/// Settings of the reference orders.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::faithfulness::ReferenceOrders;
/// use limpid::attribution::target::Logit;
/// use ndarray::array;
///
/// let mut model = Network::new(2).linear(array![[3.0, 1.0]], None)?;
/// let found = ReferenceOrders { orders: 200, ..ReferenceOrders::default() };
/// let found = found.judge(&mut model, &array![[1.0, 1.0]], &Logit::of(0))?;
/// assert_eq!(found.leave_one_out_curve, array![[4.0, 1.0, 0.0]]);
/// assert!((found.random_curve[[0, 1]] - 2.0_f64).abs() < 0.5);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct ReferenceOrders<T> {
    /// How features are taken away.
    pub masking: Masking<T>,
    /// Numbers of features to take away.
    pub levels: Levels,
    /// Number of random orders of every row.
    pub orders: usize,
    /// What they follow from.
    pub seed: Seed,
}

impl<T> Default for ReferenceOrders<T> {
    fn default() -> Self {
        Self { masking: Masking::default(), levels: Levels::All, orders: 10, seed: Seed::default() }
    }
}

/// Deletion curves of `b` rows at `K` levels in reference orders.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ReferenceReport {
    /// Numbers of features taken away, `(K)`.
    pub levels: Vec<usize>,
    /// Mean value of the target over random orders, `(b, K)`.
    pub random_curve: Array2<f64>,
    /// Its standard error, `(b, K)`; `None` for a single order.
    pub random_error: Option<Array2<f64>>,
    /// Mean comprehensiveness of random orders, `(b)`.
    pub random_comprehensiveness: Array1<f64>,
    /// Its standard error, `(b)`; `None` for a single order.
    pub random_comprehensiveness_error: Option<Array1<f64>>,
    /// Value of the target in the order of single drops, `(b, K)`.
    pub leave_one_out_curve: Array2<f64>,
    /// Comprehensiveness of the order of single drops, `(b)`.
    pub leave_one_out_comprehensiveness: Array1<f64>,
    /// Number of random orders.
    pub orders: usize,
    /// What they follow from.
    pub seed: Seed,
    /// Rows that the model was run for.
    pub evaluations: Evaluations,
}

impl ReferenceReport {
    /// Half the width of the confidence interval of `random_curve` at a `level` such as 0.95, `(b, K)`, by Student's t; `None`
    /// for a single order.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a level outside `(0, 1)`.
    pub fn half_width(&self, level: f64) -> Result<Option<Array2<f64>>> {
        let Some(error) = &self.random_error else { return Ok(None) };
        let quantile = two_sided_quantile(level, (self.orders - 1) as f64)?;
        Ok(Some(error * quantile))
    }
}

/// Purpose of the random streams.
const PURPOSE: u64 = 0x6f72_6465_7273;

impl<T: Scalar> ReferenceOrders<T> {
    /// Runs the orders for the rows of `x: (b, n)`.
    ///
    /// # Errors
    /// As [`Erasure::judge`], [`Error::OutOfRange`](crate::Error::OutOfRange) for no orders, and
    /// [`Error::TooLarge`](crate::Error::TooLarge) for more than can be kept.
    pub fn judge<M: Forward<T> + ?Sized>(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<ReferenceReport, M::Error> {
        let mut masked = Masked::new(model, x, target, &self.masking)?;
        let ends = masked.ends()?;
        let drops = masked.single_drops(&ends[0])?;
        self.run(&mut masked, &ends, &drops)
    }

    /// The same where the values `(b)` of inputs and baselines and the drops `(b, M)` of single players are known.
    pub(super) fn judge_from<M: Forward<T> + ?Sized>(
        &self,
        (ends, drops): (&[Array1<T>; 2], &Array2<T>),
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<ReferenceReport, M::Error> {
        let mut masked = Masked::new(model, x, target, &self.masking)?;
        self.run(&mut masked, ends, drops)
    }

    fn run<M: Forward<T> + ?Sized>(
        &self,
        masked: &mut Masked<'_, T, M>,
        [full, empty]: &[Array1<T>; 2],
        drops: &Array2<T>,
    ) -> Explained<ReferenceReport, M::Error> {
        check_each("orders", &[self.orders as f64], ">= 1", |orders: f64| orders >= 1.0)?;
        let players = masked.players.count;
        check_limit("orders times players", self.orders.saturating_mul(players), MAX_KEPT)?;
        let (levels, asked) = Erasure::<T> { levels: self.levels.clone(), ..Erasure::default() }.levels(players)?;
        let curve = (full.len(), levels.len());
        let mut means = Array2::zeros(curve);
        let mut errors = Array2::zeros(curve);
        let mut alone = Array2::zeros(curve);
        let mut scores = Vec::with_capacity(full.len());
        let by_drop = places(drops);
        for row in 0..full.len() {
            let mut orders: Vec<Vec<usize>> = (0..self.orders).map(|order| self.draw(row, order, players)).collect();
            orders.push(by_drop[row].clone());
            let mut curves = Array2::zeros((orders.len(), levels.len()));
            for mut curve in curves.rows_mut() {
                (curve[0], curve[levels.len() - 1]) = (full[row].as_f64(), empty[row].as_f64());
            }
            let inner = 1..levels.len() - 1;
            let items = (0..orders.len()).flat_map(|order| inner.clone().map(move |level| (row, (order, level))));
            let removed = |_, (order, level): (usize, usize), player: usize| orders[order][player] < levels[level];
            masked.run(items, removed, |_, at, value, _| curves[at] = value.as_f64())?;
            alone.row_mut(row).assign(&curves.row(self.orders));
            for level in 0..levels.len() {
                let drawn: Vec<f64> = curves.column(level).iter().take(self.orders).copied().collect();
                let (mean, error) = mean_and_error(&drawn).unwrap_or_default();
                (means[[row, level]], errors[[row, level]]) = (mean, error.unwrap_or_default());
            }
            let mut of_row: Vec<f64> =
                curves.rows().into_iter().map(|curve| comprehensiveness(&curve, &levels, &asked)).collect();
            let last = of_row.pop().unwrap_or_default();
            scores.push((mean_and_error(&of_row).unwrap_or_default(), last));
        }
        let several = self.orders > 1;
        Ok(ReferenceReport {
            levels,
            random_curve: means,
            random_error: several.then_some(errors),
            random_comprehensiveness: scores.iter().map(|((mean, _), _)| *mean).collect(),
            random_comprehensiveness_error: several
                .then(|| scores.iter().map(|((_, error), _)| error.unwrap_or_default()).collect()),
            leave_one_out_curve: alone,
            leave_one_out_comprehensiveness: scores.iter().map(|(_, alone)| *alone).collect(),
            orders: self.orders,
            seed: self.seed,
            evaluations: masked.copies.evaluations(),
        })
    }

    /// Place of every player in a random order.
    fn draw(&self, row: usize, order: usize, players: usize) -> Vec<usize> {
        let mut stream = self.seed.child(PURPOSE, row as u64).stream(PURPOSE, order as u64);
        let mut places: Vec<usize> = (0..players).collect();
        shuffle(&mut stream, &mut places);
        places
    }
}

/// Mean drop over the levels that were asked for.
fn comprehensiveness(curve: &ArrayRef1<f64>, levels: &[usize], asked: &[usize]) -> f64 {
    let indices = asked.iter().filter_map(|level| levels.binary_search(level).ok());
    mean_drop(curve[0], curve, indices).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::attribution::target::Logit;
    use crate::attribution::{Batch, Failure, Network};
    use ndarray::array;

    fn judge(orders: usize, batch: Batch) -> Explained<ReferenceReport, Error> {
        let mut model = Network::new(3).linear(array![[3.0, 1.0, 2.0]], None).unwrap();
        let masking = Masking { batch, ..Masking::default() };
        let method = ReferenceOrders { masking, orders, seed: Seed(2), levels: Levels::All };
        method.judge(&mut model, &array![[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]], &Logit::of(0))
    }

    #[test]
    fn random_orders_have_their_expectation() {
        let found = judge(400, Batch::Auto).unwrap();
        let error = found.random_error.clone().unwrap();
        for (level, expected) in [6.0, 4.0, 2.0, 0.0].into_iter().enumerate() {
            assert!((found.random_curve[[0, level]] - expected).abs() <= 4.0 * error[[0, level]], "{found:?}");
        }
        assert!((found.random_comprehensiveness[1] - 6.0).abs() < 0.4);
        assert_eq!((error[[0, 0]], error[[0, 3]]), (0.0, 0.0));
        assert_eq!(found.leave_one_out_curve.row(0), array![6.0, 3.0, 1.0, 0.0]);
        assert_eq!(found.leave_one_out_comprehensiveness, array![3.5, 7.0]);
        let half = found.half_width(0.95).unwrap().unwrap();
        assert!((half[[0, 1]] / error[[0, 1]] - 1.966).abs() < 1e-3);
        assert!(found.half_width(1.0).is_err());
    }

    #[test]
    fn batches_do_not_show() {
        let all = judge(5, Batch::Auto).unwrap();
        assert_eq!((judge(5, Batch::Rows(1)), judge(5, Batch::Rows(3))), (Ok(all.clone()), Ok(all)));
        assert_eq!(judge(1, Batch::Auto).unwrap().random_error, None);
        assert!(matches!(judge(0, Batch::Auto), Err(Failure::Input(Error::OutOfRange { what: "orders", .. }))));
        assert!(matches!(judge(usize::MAX, Batch::Auto), Err(Failure::Input(Error::TooLarge { .. }))));
    }
}
