//! Faithfulness correlation and sensitivity-n: do the attributions of a set of features add up to what it is worth?
//!
//! ```text
//! over subsets S:  corr( Σ_{i in S} A_i,  f(x) - f(x with S at the baseline) )       Pearson's correlation
//! ```
//!
//! Faithfulness correlation takes subsets of one size, sensitivity-n one correlation for each of many sizes. All rows are
//! judged on the same subsets, so that a row's number does not depend on its neighbours.
//!
//! Source: Bhatt et al., "Evaluating and Aggregating Feature-based Model Explanations" (arXiv 2005.00631), for
//! faithfulness; Ancona et al., "Towards better understanding of gradient-based attribution methods for Deep Neural Networks"
//! (arXiv 1711.06104), for sensitivity-n. A well-known implementation of sensitivity-n correlates drops that accumulate with sums that
//! do not; here each subset is compared with its own drop.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2, ArrayView2, Axis};

use super::masking::{MAX_KEPT, Masked, Masking};
use crate::attribution::{Evaluations, Explained, Forward, Target};
use crate::error::{check_each, check_limit, check_not_empty};
use crate::math::correlation::pearson;
use crate::math::random::choose;
use crate::{Result, Scalar, Seed};

/// Which sets of players are taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Subsets {
    /// These: a matrix `(S, size)` of players for each size, no player twice in a row.
    Given(Vec<Array2<usize>>),
    /// So many random sets of each of these sizes.
    Random {
        /// The sizes.
        sizes: Vec<usize>,
        /// Sets of each size.
        count: usize,
        /// What the draw follows from.
        seed: Seed,
    },
}

/// Settings of faithfulness correlation and sensitivity-n.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::faithfulness::{FaithfulnessCorrelation, Subsets};
/// use limpid::attribution::target::Logit;
/// use ndarray::array;
///
/// let mut model = Network::new(3).linear(array![[3.0, 1.0, 2.0]], None)?;
/// let method = FaithfulnessCorrelation {
///     subsets: Subsets::Given(vec![array![[0], [1], [2]], array![[0, 1], [1, 2], [2, 0]]]),
///     ..FaithfulnessCorrelation::default()
/// };
/// let found = method.judge(&mut model, &array![[1.0, 1.0, 1.0]], &array![[3.0, 1.0, 2.0]], &Logit::of(0))?;
/// assert!(found.correlation.iter().all(|r| r.unwrap() > 1.0 - 1e-12));
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct FaithfulnessCorrelation<T> {
    /// How features are taken away.
    pub masking: Masking<T>,
    /// Which sets of them; one size is the faithfulness correlation, many are sensitivity-n.
    pub subsets: Subsets,
}

impl<T> Default for FaithfulnessCorrelation<T> {
    /// 100 random pairs of players.
    fn default() -> Self {
        let subsets = Subsets::Random { sizes: vec![2], count: 100, seed: Seed::default() };
        Self { masking: Masking::default(), subsets }
    }
}

/// Correlations of `b` rows for every size.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CorrelationReport {
    /// Sizes of the subsets, `(sizes)`.
    pub sizes: Vec<usize>,
    /// Correlation, `(b, sizes)`; `None` where the sums or the drops do not vary by more than rounding.
    pub correlation: Array2<Option<f64>>,
    /// Standard error `(1 - r²)/√(S - 1)` of each as an estimate from random subsets, that of a large sample of normal
    /// pairs, `(b, sizes)`; `None` also for subsets that were given.
    pub standard_error: Array2<Option<f64>>,
    /// Seed of random subsets.
    pub seed: Option<Seed>,
    /// Rows that the model was run for.
    pub evaluations: Evaluations,
}

impl<T: Scalar> FaithfulnessCorrelation<T> {
    /// Judges `attribution: (b, M)` of `target` for the rows of `x: (b, n)`; `M = n` without groups.
    ///
    /// # Errors
    /// As [`Erasure::judge`](super::Erasure::judge), and [`Error::OutOfRange`](crate::Error::OutOfRange) for a size of 0 or
    /// beyond `M`, and for a subset with an unknown or a repeated player.
    pub fn judge<M: Forward<T> + ?Sized>(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        attribution: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<CorrelationReport, M::Error> {
        let mut masked = Masked::new(model, x, target, &self.masking)?;
        masked.check(attribution)?;
        let subsets = self.subsets.draw(masked.players.count)?;
        let [full, _] = masked.ends()?;
        let members: Vec<Array2<bool>> =
            subsets.iter().map(|subsets| members(subsets.view(), attribution.ncols())).collect();
        let shape = (x.nrows(), subsets.len());
        let (mut correlation, mut standard_error) = (Array2::default(shape), Array2::default(shape));
        for (size, (subsets, members)) in subsets.iter().zip(&members).enumerate() {
            let count = subsets.nrows();
            let mut drops = vec![0.0; x.nrows() * count];
            let mut largest = full.mapv(|f| f.as_f64().abs());
            let items = (0..x.nrows()).flat_map(|row| (0..count).map(move |set| (row, set)));
            masked.run(
                items,
                |_, set, player| members[[set, player]],
                |row, set, value, _| {
                    drops[row * count + set] = full[row].as_f64() - value.as_f64();
                    largest[row] = largest[row].max(value.as_f64().abs());
                },
            )?;
            for (row, (a, drops)) in attribution.rows().into_iter().zip(drops.chunks(count)).enumerate() {
                let sum = |subset: ndarray::ArrayView1<'_, usize>| subset.iter().map(|&i| a[i].as_f64()).sum();
                let sums: Vec<f64> = subsets.rows().into_iter().map(sum).collect();
                let scale = a.iter().map(|a| a.as_f64().abs()).fold(0.0, f64::max);
                let found = pearson((&sums, scale * f64::EPSILON), (drops, largest[row] * T::epsilon().as_f64()));
                correlation[[row, size]] = found;
                standard_error[[row, size]] = found.filter(|_| self.subsets.seed().is_some()).map(|r| error(r, count));
            }
        }
        let sizes = subsets.iter().map(Array2::ncols).collect();
        let (seed, evaluations) = (self.subsets.seed(), masked.copies.evaluations());
        Ok(CorrelationReport { sizes, correlation, standard_error, seed, evaluations })
    }
}

/// Of a correlation over so many pairs, two at least.
fn error(r: f64, count: usize) -> f64 {
    (1.0 - r * r) / libm::sqrt((count - 1) as f64)
}

impl Subsets {
    fn seed(&self) -> Option<Seed> {
        match self {
            Self::Given(_) => None,
            Self::Random { seed, .. } => Some(*seed),
        }
    }

    /// The sets, each in ascending order: sums over equal sets are then equal bit by bit.
    fn draw(&self, players: usize) -> Result<Vec<Array2<usize>>> {
        let mut all = match self {
            Self::Given(all) => {
                for subsets in all {
                    check_not_empty("subsets", subsets)?;
                    let players_of: Vec<f64> = subsets.iter().map(|&player| player as f64).collect();
                    check_each("subsets", &players_of, "a player", |player: f64| player < players as f64)?;
                }
                all.clone()
            }
            Self::Random { sizes, count, seed } => {
                check_each("count", &[*count as f64], ">= 1", |count: f64| count >= 1.0)?;
                check_limit("subsets times players", count.saturating_mul(players), MAX_KEPT)?;
                let as_numbers: Vec<f64> = sizes.iter().map(|&size| size as f64).collect();
                let expected = "1 <= size <= number of players";
                check_each("sizes", &as_numbers, expected, |size: f64| size >= 1.0 && size <= players as f64)?;
                sizes.iter().map(|&size| random_subsets(*seed, players, (*count, size))).collect()
            }
        };
        for subsets in &mut all {
            for (index, mut subset) in subsets.rows_mut().into_iter().enumerate() {
                let mut sorted = subset.to_vec();
                sorted.sort_unstable();
                if let Some(twice) = sorted.windows(2).find(|two| two[0] == two[1]) {
                    let expected = "each player once in a subset";
                    return Err(crate::Error::OutOfRange { what: "subsets", index, value: twice[0] as f64, expected });
                }
                subset.iter_mut().zip(sorted).for_each(|(slot, player)| *slot = player);
            }
        }
        Ok(all)
    }
}

/// Purpose of the random stream.
const PURPOSE: u64 = 0x7375_6273_6574;

/// The first `size` places of a shuffle, for each set.
fn random_subsets(seed: Seed, players: usize, shape: (usize, usize)) -> Array2<usize> {
    let mut subsets = Array2::zeros(shape);
    let of_size = seed.child(PURPOSE, shape.1 as u64);
    for (set, mut subset) in subsets.rows_mut().into_iter().enumerate() {
        let mut order: Vec<usize> = (0..players).collect();
        let mut stream = of_size.stream(PURPOSE, set as u64);
        choose(&mut stream, shape.1, &mut order);
        subset.iter_mut().zip(order).for_each(|(slot, player)| *slot = player);
    }
    subsets
}

/// Which players are in each set, `(S, M)`.
fn members(subsets: ArrayView2<'_, usize>, players: usize) -> Array2<bool> {
    let mut members = Array2::from_elem((subsets.nrows(), players), false);
    for (subset, mut row) in subsets.axis_iter(Axis(0)).zip(members.rows_mut()) {
        subset.iter().for_each(|&player| row[player] = true);
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::attribution::target::Logit;
    use crate::attribution::{Batch, Failure, Network};
    use crate::math::pointwise::Activation;
    use ndarray::{Array1, array};

    fn network() -> Network<f64> {
        let model = Network::new(4).linear(array![[1.0, -2.0, 0.5, 1.0], [0.3, 1.0, -1.0, 2.0]], None).unwrap();
        model.activation(Activation::Tanh).unwrap().linear(array![[1.0, 2.0]], None).unwrap()
    }

    #[test]
    fn a_perfect_attribution_of_a_sum() {
        let mut model = Network::new(3).linear(array![[1.0, -2.0, 0.25]], None).unwrap();
        let (x, exact) = (array![[2.0, 3.0, 4.0]], array![[2.0, -6.0, 1.0]]);
        let subsets = Subsets::Random { sizes: vec![1, 2, 3], count: 20, seed: Seed(3) };
        let method = FaithfulnessCorrelation { subsets, ..FaithfulnessCorrelation::default() };
        let found = method.judge(&mut model, &x, &exact, &Logit::of(0)).unwrap();
        assert!(found.correlation[[0, 0]].unwrap() > 1.0 - 1e-12 && found.correlation[[0, 1]].unwrap() > 1.0 - 1e-12);
        assert_eq!((found.correlation[[0, 2]], found.standard_error[[0, 2]]), (None, None));
        assert!(found.standard_error[[0, 0]].unwrap() < 1e-11);
        assert_eq!(found.evaluations.forward, 2 + 60);
        let minus = method.judge(&mut model, &x, &exact.mapv(|a| -a), &Logit::of(0)).unwrap();
        assert!(minus.correlation[[0, 0]].unwrap() < -1.0 + 1e-12);
    }

    #[test]
    fn neither_batch_nor_neighbours_show() {
        let x = array![[0.5, -1.0, 2.0, 0.3], [1.0, 0.2, -0.7, 0.1]];
        let attribution = array![[0.1, 0.2, -0.4, 1.0], [0.5, 0.0, 0.3, -0.2]];
        let judge = |rows: &[usize], batch| {
            let masking = Masking { batch, ..Masking::default() };
            let method = FaithfulnessCorrelation { masking, ..FaithfulnessCorrelation::default() };
            let (x, attribution) = (x.select(Axis(0), rows), attribution.select(Axis(0), rows));
            method.judge(&mut network(), &x, &attribution, &Logit::of(0)).unwrap()
        };
        let all = judge(&[0, 1], Batch::Auto);
        assert_eq!(all, judge(&[0, 1], Batch::Rows(1)));
        assert_eq!(all, judge(&[0, 1], Batch::Rows(3)));
        assert_eq!(all.correlation.row(1), judge(&[1], Batch::Auto).correlation.row(0));
    }

    #[test]
    fn subsets_are_sets_of_players() {
        let draw = |subsets: Vec<Array2<usize>>| Subsets::Given(subsets).draw(3);
        assert!(matches!(draw(vec![array![[0, 3]]]), Err(Error::OutOfRange { what: "subsets", index: 1, .. })));
        assert!(matches!(draw(vec![array![[0, 1], [2, 2]]]), Err(Error::OutOfRange { index: 1, .. })));
        assert!(matches!(draw(vec![Array2::zeros((3, 0))]), Err(Error::Empty { what: "subsets" })));
        assert_eq!(draw(vec![array![[2, 0]]]), Ok(vec![array![[0, 2]]]));
        let random = |sizes, count| Subsets::Random { sizes, count, seed: Seed(0) }.draw(3);
        assert!(matches!(random(vec![0], 1), Err(Error::OutOfRange { what: "sizes", .. })));
        assert!(matches!(random(vec![4], 1), Err(Error::OutOfRange { what: "sizes", .. })));
        assert!(matches!(random(vec![1], 0), Err(Error::OutOfRange { what: "count", .. })));
        assert!(matches!(random(vec![1], usize::MAX), Err(Error::TooLarge { .. })));
        // every player is drawn as often as any other
        let counts = random(vec![2], 3000).unwrap()[0].iter().fold(Array1::zeros(3), |mut counts: Array1<f64>, &i| {
            counts[i] += 1.0;
            counts
        });
        assert!(counts.iter().all(|count| (count - 2000.0).abs() < 6.0 * 26.0), "{counts}");
        let nothing =
            FaithfulnessCorrelation { subsets: Subsets::Given(vec![array![[7]]]), masking: Masking::default() };
        let refused = nothing.judge(&mut network(), &Array2::ones((1, 4)), &Array2::ones((1, 4)), &Logit::of(0));
        assert!(matches!(refused, Err(Failure::Input(Error::OutOfRange { .. }))));
    }
}
