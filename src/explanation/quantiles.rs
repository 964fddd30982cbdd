//! The quantiles that published records of neurons hold, each with its convention.
//!
//! | convention | here |
//! |---|---|
//! | linear interpolation between order statistics, at position `(n - 1) q` | [`linear`] |
//! | intervals of equal width in value, closed at both ends | [`value_intervals`] |
//! | the extremes of a corpus, of which only the k largest and smallest were kept | [`TailQuantiles`] |
//! | the rank of a value among 2350 stored quantiles, finer towards 1 | [`RankTable`] |

use alloc::vec::Vec;

use ndarray::{Array1, ArrayRef1};

use crate::error::{check_each, check_finite, check_limit};
use crate::{Error, Result, Scalar};

/// Activations up to here count as silence in [`value_intervals`].
const SILENT: f64 = 1e-6;

/// Most intervals.
const MAX_INTERVALS: usize = 1 << 20;

/// Quantiles of `values: (n)` at `query: (q)`, linear between order statistics; `None` without values.
///
/// # Errors
/// [`Error::NotFinite`] for values, [`Error::OutOfRange`] for a query outside `0..=1`.
///
/// # Example
/// ```
/// use limpid::explanation::quantiles::linear;
/// use ndarray::array;
///
/// assert_eq!(linear(&array![9.0, 0.0, 2.0], &array![0.5, 0.75])?, Some(array![2.0, 5.5]));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn linear<T: Scalar>(values: &ArrayRef1<T>, query: &ArrayRef1<T>) -> Result<Option<Array1<T>>> {
    check_each("query", query, "0..=1", |q: T| q >= T::zero() && q <= T::one())?;
    let sorted = ascending(values)?;
    Ok((!sorted.is_empty()).then(|| query.mapv(|q| T::of(at_level(&sorted, q.as_f64())))))
}

/// The values in ascending order.
fn ascending<T: Scalar>(values: &ArrayRef1<T>) -> Result<Vec<f64>> {
    check_finite("values", values)?;
    let mut sorted: Vec<f64> = values.iter().map(|x| x.as_f64()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    Ok(sorted)
}

/// The quantile at `level`, which is within `0..=1`, of values that are there and ascend.
fn at_level(sorted: &[f64], level: f64) -> f64 {
    let place = level * (sorted.len() - 1) as f64;
    let below = index(place).min(sorted.len() - 1);
    let above = (below + 1).min(sorted.len() - 1);
    between(sorted[below], sorted[above], place - below as f64)
}

/// From `a` to `b`, exact at either end, and without overflow where the ends are finite.
fn between(a: f64, b: f64, share: f64) -> f64 {
    if share < 0.5 { a + (b * share - a * share) } else { b - (b * (1.0 - share) - a * (1.0 - share)) }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and a saturating cast")]
fn index(place: f64) -> usize {
    place as usize
}

/// How many values lie in each interval of equal width.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Intervals {
    /// The edges, one more than intervals; the first is 10⁻⁶.
    pub edges: Array1<f64>,
    /// Values in each interval, both edges included: one that lies on an inner edge counts twice.
    pub counts: Vec<usize>,
    /// The counts over the number of values above 10⁻⁶.
    pub fractions: Array1<f64>,
}

/// `count` intervals of equal width from 0 to the largest of `values: (n)`; `None` where none is above 10⁻⁶.
///
/// # Errors
/// [`Error::NotFinite`] for values, [`Error::Empty`], [`Error::TooLarge`] for the count.
pub fn value_intervals<T: Scalar>(values: &ArrayRef1<T>, count: usize) -> Result<Option<Intervals>> {
    check_limit("count", count, MAX_INTERVALS)?;
    if count == 0 {
        return Err(Error::Empty { what: "intervals" });
    }
    let sorted = ascending(values)?;
    let Some(&largest) = sorted.last().filter(|largest| **largest > SILENT) else { return Ok(None) };
    let step = largest / count as f64;
    // from the nearer end, as torch.linspace does
    let edge = |i: usize| match i {
        0 => SILENT,
        _ if i < count.div_ceil(2) => step * i as f64,
        _ => largest - step * (count - i) as f64,
    };
    let edges: Array1<f64> = (0..=count).map(edge).collect();
    let below = |x: f64| sorted.partition_point(|value| *value < x);
    let up_to = |x: f64| sorted.partition_point(|value| *value <= x);
    // of values barely above silence the first edges can pass each other
    let counts: Vec<usize> = (0..count).map(|i| up_to(edges[i + 1]).saturating_sub(below(edges[i]))).collect();
    let active = (sorted.len() - up_to(SILENT)) as f64;
    let fractions = counts.iter().map(|&count| count as f64 / active).collect();
    Ok(Some(Intervals { edges, counts, fractions }))
}

/// Quantiles of many values of which only the smallest and the largest are known.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TailQuantiles {
    total: u64,
    bottom: Vec<f64>,
    top: Vec<f64>,
}

impl TailQuantiles {
    /// The smallest values `bottom` and the largest values `top` of `total`, each ascending.
    ///
    /// # Errors
    /// [`Error::NotFinite`], [`Error::OutOfRange`] where they do not ascend, [`Error::TooLarge`] for more than there are.
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::quantiles::TailQuantiles;
    /// use ndarray::array;
    ///
    /// let tails = TailQuantiles::new(1000, &array![-3.0, -2.0], &array![5.0, 6.0])?;
    /// assert_eq!(tails.quantile(0.001), Some(-3.0));
    /// assert_eq!(tails.quantile(0.5), None);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new<T: Scalar>(total: u64, bottom: &ArrayRef1<T>, top: &ArrayRef1<T>) -> Result<Self> {
        let known = |what, values: &ArrayRef1<T>| -> Result<Vec<f64>> {
            check_finite(what, values)?;
            check_limit(what, values.len(), usize::try_from(total).unwrap_or(usize::MAX))?;
            let mut previous = f64::NEG_INFINITY;
            check_each(what, values, "ascending", |x: T| {
                let ascends = x.as_f64() >= previous;
                previous = x.as_f64();
                ascends
            })?;
            Ok(values.iter().map(|x| x.as_f64()).collect())
        };
        Ok(Self { total, bottom: known("bottom", bottom)?, top: known("top", top)? })
    }

    /// The quantile at `q`, linear between values that are known: the i-th smallest, from 1, stands at `i/total`. `None`
    /// outside of both tails, and for NaN.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let tail = |values: &[f64], before: u64| {
            let level = |i: usize| (before + i as u64 + 1) as f64 / self.total as f64;
            let above = values.iter().enumerate().position(|(i, _)| level(i) >= q)?;
            if level(above) == q {
                return Some(values[above]);
            }
            let below = above.checked_sub(1)?;
            Some(between(values[below], values[above], (q - level(below)) / (level(above) - level(below))))
        };
        tail(&self.bottom, 0).or_else(|| tail(&self.top, self.total - self.top.len() as u64))
    }
}

/// Ranks of values by stored quantiles: at every 0.001 below 0.95, every 0.0001 below 0.99, every 0.00001 below 1.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RankTable {
    stored: Vec<f64>,
}

/// Number of stored quantiles.
const LEVELS: usize = 2350;

/// The i-th level.
fn level(i: usize) -> f64 {
    match i {
        0..950 => i as f64 / 1e3,
        950..1350 => (9500 + i - 950) as f64 / 1e4,
        _ => (99_000 + i - 1350) as f64 / 1e5,
    }
}

impl RankTable {
    /// The quantiles of `values: (n)`, rounded to 6 decimals.
    ///
    /// # Errors
    /// [`Error::NotFinite`], [`Error::Empty`].
    pub fn new<T: Scalar>(values: &ArrayRef1<T>) -> Result<Self> {
        let sorted = ascending(values)?;
        if sorted.is_empty() {
            return Err(Error::Empty { what: "values" });
        }
        let stored = (0..LEVELS).map(|i| libm::rint(at_level(&sorted, level(i)) * 1e6) / 1e6).collect();
        Ok(Self { stored })
    }

    /// The level of the first stored quantile that is not below `value`, 1 where there is none; and how many of its decimals
    /// mean anything.
    #[must_use]
    pub fn rank(&self, value: f64) -> (f64, u32) {
        let first = self.stored.partition_point(|stored| *stored < value);
        let rank = if first < self.stored.len() { level(first) } else { 1.0 };
        let decimals = if rank <= 0.95 {
            3
        } else if rank <= 0.99 {
            4
        } else {
            5
        };
        (rank, decimals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn ends_are_exact_and_nothing_overflows() {
        let x = array![f64::MAX, -f64::MAX, 0.1];
        let found = linear(&x, &array![0.0, 0.25, 0.5, 1.0]).unwrap().unwrap();
        assert_eq!((found[0], found[2], found[3]), (-f64::MAX, 0.1, f64::MAX));
        assert!(found[1].is_finite());
        assert_eq!(linear(&Array1::<f32>::zeros(0), &array![0.5]), Ok(None));
        assert!(linear(&x, &array![1.1]).is_err() && linear(&array![f64::NAN], &array![0.5]).is_err());
    }

    #[test]
    fn an_inner_edge_counts_twice() {
        let found = value_intervals(&array![0.0, 2.0, 4.0, 4.0, 8.0], 2).unwrap().unwrap();
        assert_eq!((found.edges, found.counts), (array![1e-6, 4.0, 8.0], vec![3, 3]));
        assert_eq!(found.fractions, array![0.75, 0.75]);
        assert_eq!(value_intervals(&array![1e-7, -3.0], 4), Ok(None));
        assert!(value_intervals(&array![1.0], 0).is_err() && value_intervals(&array![1.0], usize::MAX).is_err());
        assert!(value_intervals(&array![2e-6], 10).unwrap().is_some());
    }

    #[test]
    fn tails_interpolate_and_say_where_they_end() {
        let tails = TailQuantiles::new(1000, &array![-3.0, -2.0, -1.0, -0.5], &array![5.0, 6.0, 7.0, 9.0]).unwrap();
        let close = |q: f64, x: f64| (tails.quantile(q).unwrap() - x).abs() < 1e-9;
        assert!(close(0.0015, -2.5) && close(0.9985, 6.5) && close(0.9999, 8.8) && close(1.0, 9.0));
        assert!([0.0005, 0.0041, 0.5, 1.1, f64::NAN].iter().all(|&q| tails.quantile(q).is_none()));
        assert!(TailQuantiles::new(1, &array![1.0, 2.0], &array![]).is_err());
        assert!(TailQuantiles::new(9, &array![2.0, 1.0], &array![]).is_err());
        assert_eq!(TailQuantiles::new::<f64>(0, &array![], &array![]).unwrap().quantile(0.0), None);
    }

    #[test]
    fn ranks_get_finer_towards_1() {
        let values: Array1<f64> = (0..=1000).map(f64::from).collect();
        let table = RankTable::new(&values).unwrap();
        assert_eq!(table.rank(500.0), (0.5, 3));
        assert_eq!(table.rank(-1.0), (0.0, 3));
        assert_eq!(table.rank(2000.0), (1.0, 5));
        assert_eq!(table.rank(970.05), (0.9701, 4));
        assert!(RankTable::new(&Array1::<f64>::zeros(0)).is_err());
    }
}
