//! Scores of the texts on which a neuron fires most, of random ones, of both, and of every quantile.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::pair_stats::{PairStats, Statistic};
use super::pooled::{SequenceMean, pooled};
use super::scores::{Scores, Sequence};
use crate::error::check_limit;
use crate::{Dims, Error, Result, Scalar};

/// Scores of the kinds of texts that a neuron is usually scored on.
///
/// The top texts alone say what the neuron fires on where it fires; the random ones whether it is silent elsewhere.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SplitScores {
    /// All texts pooled.
    pub top_and_random: Scores,
    /// The first ones pooled.
    pub top: Scores,
    /// The rest pooled. A neuron that is silent on all of them leaves these undefined.
    pub random: Scores,
    /// Each text alone.
    pub per_sequence: Vec<Scores>,
    /// Mean of the correlations of the texts that have one.
    pub mean_pearson: SequenceMean,
}

impl SplitScores {
    /// Scores of texts of which the first `top` are the ones with the largest activations, the rest random ones.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for more top texts than there are texts.
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::Undefined;
    /// use limpid::explanation::score::{Sequence, SplitScores};
    /// use ndarray::array;
    ///
    /// let texts = [
    ///     Sequence::new(array![0.0, 6.0], array![1.0, 9.0])?,
    ///     Sequence::new(array![0.0, 0.0], array![0.0, 1.0])?,
    /// ];
    /// let found = SplitScores::of(&texts, 1)?;
    /// assert_eq!(found.top.pearson, Ok(1.0));
    /// assert_eq!(found.random.pearson, Err(Undefined::ConstantTruth));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn of<T: Scalar>(sequences: &[Sequence<T>], top: usize) -> Result<Self> {
        check_limit("top", top, sequences.len())?;
        let stats: Vec<PairStats> = sequences.iter().map(Sequence::stats).collect();
        Ok(Self {
            top_and_random: pooled(sequences),
            top: pooled(&sequences[..top]),
            random: pooled(&sequences[top..]),
            per_sequence: sequences.iter().map(Scores::of).collect(),
            mean_pearson: SequenceMean::of(Statistic::Pearson, &stats),
        })
    }
}

/// Pooled scores of the texts of each group, by the number of the group, such as the quantile of their largest activation.
///
/// # Errors
/// [`Error::Shape`] where there is not one group for each text.
pub fn by_group<T: Scalar>(sequences: &[Sequence<T>], group: &[usize]) -> Result<BTreeMap<usize, Scores>> {
    if group.len() != sequences.len() {
        let (expected, got) = (Dims::new(&[sequences.len()]), Dims::new(&[group.len()]));
        return Err(Error::Shape { what: "group", expected, got });
    }
    let mut members: BTreeMap<usize, Vec<&Sequence<T>>> = BTreeMap::new();
    for (sequence, &group) in sequences.iter().zip(group) {
        members.entry(group).or_default().push(sequence);
    }
    Ok(members.into_iter().map(|(group, members)| (group, pooled(members))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explanation::Undefined;
    use ndarray::{Array1, array};

    fn texts() -> [Sequence<f64>; 4] {
        let text = |t: Array1<f64>, s| Sequence::new(t, s).unwrap();
        [
            text(array![0.0, 0.0, 6.0, 1.0], array![0.0, 1.0, 9.0, 2.0]),
            text(array![0.0, 5.0, 0.0, 0.0], array![0.0, 8.0, 0.0, 0.0]),
            text(array![0.0, 0.0, 0.0, 0.2], array![0.0, 0.0, 0.0, 0.0]),
            text(array![0.1, 0.0, 0.0, 0.0], array![0.0, 2.0, 0.0, 0.0]),
        ]
    }

    #[test]
    fn parts_have_the_published_numbers() {
        let found = SplitScores::of(&texts(), 2).unwrap();
        let close = |a: Scores, b: f64| assert!((a.pearson.unwrap() - b).abs() < 1e-13);
        close(found.top, 0.994_987_437_106_620_1);
        close(found.random, -0.203_653_269_990_639_26);
        close(found.top_and_random, 0.980_314_879_137_859_8);
        assert_eq!(found.per_sequence.len(), 4);
        assert_eq!(found.mean_pearson.defined, 3);
        assert_eq!(SplitScores::of(&texts(), 4).unwrap().random.pearson, Err(Undefined::Empty));
        assert!(SplitScores::of(&texts(), 5).is_err());
    }

    #[test]
    fn groups_are_pooled_alone() {
        let found = by_group(&texts(), &[1, 1, 9, 9]).unwrap();
        let split = SplitScores::of(&texts(), 2).unwrap();
        assert_eq!((found[&1], found[&9], found.len()), (split.top, split.random, 2));
        assert!(by_group(&texts(), &[1]).is_err());
    }
}
