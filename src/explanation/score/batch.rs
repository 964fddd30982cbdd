//! All neurons of a model in one call: one pass over memory, everything else from statistics of whole texts.
//!
//! ```text
//! (neurons, sequences, tokens) -> statistics (neurons, sequences) -> scores, parts, intervals (neurons)
//! ```
//!
//! A neuron's result depends on that neuron alone: it is the same to the bit in any batch and for any number of threads.
//! All neurons share the resamples of the bootstrap.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, ArrayRef3, ArrayView2, Axis};

use super::bootstrap::{Bootstrap, Interval, Prepared, Workspace};
use super::pair_stats::{MomentScores, PairStats, Statistic};
use super::pooled::{SequenceMean, inverse_weights};
use super::scores::RankScores;
use crate::error::{check_limit, check_shape};
use crate::explanation::Defined;
use crate::math::par::for_each_chunk_mut;
use crate::{Error, Result, Scalar};

/// Neurons that one thread works through at a time.
const NEURONS: usize = 64;

/// How the texts of a neuron make one score.
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Pool {
    /// All tokens together.
    #[default]
    Tokens,
    /// Mean of the scores of single texts, over those that have one.
    SequencesMean,
    /// All tokens together, text `i` counted `1/π_i` times: its chance of being chosen was `π_i`.
    InverseProbability(Vec<f64>),
}

/// What is computed for every neuron. The default is the four pooled scores of the sums.
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Batch {
    /// How texts are put together.
    pub pool: Pool,
    /// Score also the first `top` texts and the rest on their own.
    pub top: Option<usize>,
    /// Score also each of these groups of texts on its own.
    pub groups: Vec<Vec<usize>>,
    /// Also Spearman's correlation and the deviation from the median, pooled over tokens: these sort all tokens.
    pub ranks: bool,
    /// Also an interval.
    pub bootstrap: Option<Bootstrap>,
}

/// Scores of one neuron.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NeuronScores {
    /// Scores of all texts.
    pub scores: MomentScores,
    /// Scores by order, where they were asked for.
    pub ranks: Option<RankScores>,
    /// Scores of the parts: top and random, where `top` was given, then the groups in order.
    pub parts: Vec<MomentScores>,
    /// The interval, where it was asked for.
    pub interval: Option<Defined<Interval>>,
}

/// Scores of all neurons.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ScoreTable {
    /// One row for each neuron, in order.
    pub neurons: Vec<NeuronScores>,
    /// Texts of each neuron.
    pub sequences: usize,
}

/// Scores `prediction` against `truth: (neurons, sequences, tokens)`.
///
/// # Errors
/// [`Error::Shape`], [`Error::TooLarge`] for groups of texts that there are not, [`Error::Unsupported`] for an interval of a
/// mean of sequences, and those of [`Bootstrap::interval`]. What is undefined says so itself.
///
/// # Example
/// ```
/// use limpid::explanation::Undefined;
/// use limpid::explanation::score::{Batch, Statistic, score_many};
/// use ndarray::array;
///
/// let truth = array![[[0.0, 5.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]];
/// let prediction = array![[[0.0, 9.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]];
/// let table = score_many(&truth, &prediction, &Batch::default())?;
/// assert!(table.neurons[0].scores.pearson.unwrap() > 0.9);
/// assert_eq!(table.neurons[1].scores.pearson, Err(Undefined::ConstantTruth));
/// assert_eq!(table.mean(Statistic::Pearson).undefined, 1);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn score_many<T: Scalar>(truth: &ArrayRef3<T>, prediction: &ArrayRef3<T>, batch: &Batch) -> Result<ScoreTable> {
    check_shape("prediction", prediction, truth.shape())?;
    let (neurons, sequences, _) = truth.dim();
    let plan = Plan::new(batch, sequences)?;
    let mut rows = vec![None; neurons];
    for_each_chunk_mut(&mut rows, NEURONS, |chunk, rows| {
        let (mut stats, mut work) = (vec![PairStats::default(); sequences], Workspace::default());
        for (offset, row) in rows.iter_mut().enumerate() {
            let of = |x| ArrayRef3::index_axis(x, Axis(0), chunk * NEURONS + offset);
            *row = Some(plan.score(of(truth), of(prediction), &mut stats, &mut work));
        }
    });
    Ok(ScoreTable { neurons: rows.into_iter().flatten().collect(), sequences })
}

/// Statistics of every neuron of `truth, prediction: (neurons, sequences, tokens)` over all its texts, `(neurons)`: what
/// shards of a corpus merge, neuron by neuron, before they are scored.
///
/// # Errors
/// [`Error::Shape`].
pub fn stats_many<T: Scalar>(truth: &ArrayRef3<T>, prediction: &ArrayRef3<T>) -> Result<Vec<PairStats>> {
    check_shape("prediction", prediction, truth.shape())?;
    let (neurons, sequences, _) = truth.dim();
    let mut pooled = vec![PairStats::default(); neurons];
    for_each_chunk_mut(&mut pooled, NEURONS, |chunk, pooled| {
        let mut stats = vec![PairStats::default(); sequences];
        for (offset, pooled) in pooled.iter_mut().enumerate() {
            let of = |x| ArrayRef3::index_axis(x, Axis(0), chunk * NEURONS + offset);
            PairStats::of_table(of(truth), of(prediction), &mut stats);
            *pooled = PairStats::pool(&stats);
        }
    });
    Ok(pooled)
}

/// What is the same for all neurons.
struct Plan<'a> {
    batch: &'a Batch,
    weights: Option<Vec<f64>>,
    bootstrap: Option<Prepared>,
}

impl<'a> Plan<'a> {
    fn new(batch: &'a Batch, sequences: usize) -> Result<Self> {
        check_limit("top", batch.top.unwrap_or(0), sequences)?;
        for &index in batch.groups.iter().flatten() {
            check_limit("index of a text", index, sequences.saturating_sub(1))?;
        }
        if sequences == 0 && batch.groups.iter().any(|group| !group.is_empty()) {
            return Err(Error::TooLarge { what: "index of a text", got: 0, limit: 0 });
        }
        let weights = match &batch.pool {
            Pool::InverseProbability(probability) => Some(inverse_weights(sequences, probability)?),
            Pool::SequencesMean if batch.bootstrap.is_some() => {
                return Err(Error::Unsupported { what: "an interval of a mean of sequences" });
            }
            Pool::SequencesMean | Pool::Tokens => None,
        };
        let bootstrap = batch.bootstrap.as_ref().map(|bootstrap| bootstrap.prepare(sequences)).transpose()?;
        Ok(Self { batch, weights, bootstrap })
    }

    fn score<T: Scalar>(
        &self,
        truth: ArrayView2<'_, T>,
        prediction: ArrayView2<'_, T>,
        stats: &mut [PairStats],
        work: &mut Workspace,
    ) -> NeuronScores {
        PairStats::of_table(truth, prediction, stats);
        if let Some(weights) = &self.weights {
            stats.iter_mut().zip(weights).for_each(|(part, &weight)| *part = part.times(weight));
        }
        let stats = &*stats;
        let ranks = self.batch.ranks.then(|| {
            let flat = |x: ArrayView2<'_, T>| x.iter().copied().collect::<Array1<T>>();
            RankScores::of(&flat(truth), &flat(prediction), &PairStats::pool(stats))
        });
        NeuronScores {
            scores: self.together(stats),
            ranks,
            parts: self.parts(stats),
            interval: self.bootstrap.as_ref().map(|bootstrap| bootstrap.interval(stats, work)),
        }
    }

    fn together<'b>(&self, stats: impl IntoIterator<Item = &'b PairStats, IntoIter: Clone>) -> MomentScores {
        let stats = stats.into_iter();
        if self.batch.pool == Pool::SequencesMean {
            let tokens = stats.clone().map(|part| part.count).sum();
            return MomentScores::each(tokens, |statistic| SequenceMean::of(statistic, stats.clone()).mean);
        }
        MomentScores::of(&PairStats::pool(stats))
    }

    fn parts(&self, stats: &[PairStats]) -> Vec<MomentScores> {
        let split = self.batch.top.map(|top| stats.split_at(top.min(stats.len())));
        let split = split.into_iter().flat_map(|(top, random)| [self.together(top), self.together(random)]);
        let groups = self.batch.groups.iter();
        split.chain(groups.map(|group| self.together(group.iter().filter_map(|&i| stats.get(i))))).collect()
    }
}

impl ScoreTable {
    /// A score of every neuron, `None` where it is undefined.
    #[must_use]
    pub fn column(&self, statistic: Statistic) -> Vec<Option<f64>> {
        self.neurons.iter().map(|neuron| neuron.scores.get(statistic).ok()).collect()
    }

    /// Mean of a score over the neurons that have one.
    #[must_use]
    pub fn mean(&self, statistic: Statistic) -> SequenceMean {
        SequenceMean::over(self.neurons.iter().map(|neuron| neuron.scores.get(statistic)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::explanation::Undefined;
    use crate::explanation::score::{Scores, Sequence, SplitScores, by_group, inverse_probability};
    use crate::math::random::{fill_normal, uniform};
    use ndarray::{Array3, ShapeBuilder};

    /// Activations that are mostly 0, some neurons silent.
    fn activations(shape: (usize, usize, usize)) -> (Array3<f32>, Array3<f32>) {
        let mut truth = Array3::zeros(shape);
        for (neuron, mut rows) in truth.outer_iter_mut().enumerate() {
            let mut stream = Seed(6).stream(1, neuron as u64);
            rows.mapv_inplace(|_: f32| {
                (uniform::<f32>(&mut stream) - 0.8).max(0.0) * if neuron % 5 == 4 { 0.0 } else { 9.0 }
            });
        }
        let mut noise = vec![0.0; truth.len()];
        fill_normal(&mut Seed(6).stream(2, 0), 0.5, &mut noise);
        let mut noise = noise.into_iter();
        let prediction = truth.mapv(|t| t + noise.next().unwrap_or(0.0));
        (truth, prediction)
    }

    fn everything() -> Batch {
        let bootstrap = Bootstrap { resamples: 30, strata: vec![2, 3], ..Bootstrap::default() };
        let groups = vec![vec![0, 4], vec![], vec![1]];
        Batch { pool: Pool::Tokens, top: Some(2), groups, ranks: true, bootstrap: Some(bootstrap) }
    }

    #[test]
    fn one_call_has_the_numbers_of_one_neuron_at_a_time() {
        let (truth, prediction) = activations((if cfg!(miri) { 6 } else { 150 }, 5, 13));
        let batch = everything();
        let table = score_many(&truth, &prediction, &batch).unwrap();
        for (neuron, found) in table.neurons.iter().enumerate() {
            let row = |x: &Array3<f32>, i| x.index_axis(Axis(0), neuron).row(i).to_owned();
            let texts: Vec<_> = (0..5).map(|i| Sequence::new(row(&truth, i), row(&prediction, i)).unwrap()).collect();
            let stats: Vec<PairStats> = texts.iter().map(Sequence::stats).collect();
            let split = SplitScores::of(&texts, 2).unwrap();
            close(found.scores, &split.top_and_random);
            close(found.parts[0], &split.top);
            close(found.parts[1], &split.random);
            let group = by_group(&texts, &[0, 1, 2, 2, 0]).unwrap();
            close(found.parts[2], &group[&0]);
            assert_eq!(found.parts[3].pearson, Err(Undefined::Empty));
            close(found.parts[4], &group[&1]);
            assert_eq!(found.ranks.unwrap().spearman, split.top_and_random.spearman);
            let interval = batch.bootstrap.as_ref().unwrap().interval(&stats).unwrap();
            assert_eq!(found.interval, Some(interval));
        }
    }

    fn close(a: MomentScores, b: &Scores) {
        let b = MomentScores::from(*b);
        assert_eq!(a.tokens, b.tokens);
        for statistic in Statistic::ALL {
            match (a.get(statistic), b.get(statistic)) {
                (Ok(a), Ok(b)) => assert!((a - b).abs() < 1e-11 * (1.0 + b.abs()), "{statistic:?} {a} {b}"),
                (a, b) => assert_eq!(a, b),
            }
        }
    }

    #[test]
    fn neither_the_batch_nor_the_layout_matters() {
        let (truth, prediction) = activations((10, 5, 7));
        let table = score_many(&truth, &prediction, &everything()).unwrap();
        let part = |x: &Array3<f32>| x.slice_axis(Axis(0), ndarray::Slice::from(7..9)).to_owned();
        let alone = score_many(&part(&truth), &part(&prediction), &everything()).unwrap();
        assert_eq!(alone.neurons, table.neurons[7..9]);
        let turned = |x: &Array3<f32>| {
            let mut y = Array3::zeros(x.dim().f());
            y.assign(x);
            y
        };
        assert_eq!(score_many(&turned(&truth), &turned(&prediction), &everything()).unwrap(), table);
    }

    #[test]
    fn every_way_to_pool_is_its_single_form() {
        let (truth, prediction) = activations((3, 5, 7));
        let probability = vec![1.0, 1.0, 0.1, 0.2, 0.1];
        let weighted = Batch { pool: Pool::InverseProbability(probability.clone()), ..Batch::default() };
        let weighted = score_many(&truth, &prediction, &weighted).unwrap();
        let means = score_many(&truth, &prediction, &Batch { pool: Pool::SequencesMean, ..Batch::default() }).unwrap();
        for neuron in 0..3 {
            let mut stats = vec![PairStats::default(); 5];
            PairStats::of_table(truth.index_axis(Axis(0), neuron), prediction.index_axis(Axis(0), neuron), &mut stats);
            assert_eq!(weighted.neurons[neuron].scores, inverse_probability(&stats, &probability).unwrap());
            let mean = SequenceMean::of(Statistic::R2, &stats).mean;
            assert_eq!(means.neurons[neuron].scores.r2, mean);
        }
        assert_eq!(means.column(Statistic::R2).len(), 3);
        let plain = score_many(&truth, &prediction, &Batch::default()).unwrap();
        let pooled = stats_many(&truth, &prediction).unwrap();
        assert!(pooled.iter().zip(&plain.neurons).all(|(stats, found)| MomentScores::of(stats) == found.scores));
    }

    #[test]
    fn bad_settings_are_refused_and_nothing_is_a_table() {
        let (truth, prediction) = activations((2, 3, 4));
        let refused = |batch: Batch| score_many(&truth, &prediction, &batch).is_err();
        assert!(refused(Batch { top: Some(4), ..Batch::default() }));
        assert!(refused(Batch { groups: vec![vec![3]], ..Batch::default() }));
        assert!(refused(Batch { pool: Pool::InverseProbability(vec![0.5]), ..Batch::default() }));
        let bootstrap = Some(Bootstrap::default());
        assert!(refused(Batch { pool: Pool::SequencesMean, bootstrap, ..Batch::default() }));
        assert!(score_many(&truth, &Array3::zeros((2, 4, 3)), &Batch::default()).is_err());
        let empty = Array3::<f32>::zeros((2, 0, 4));
        assert!(score_many(&empty, &empty, &Batch { groups: vec![vec![0]], ..Batch::default() }).is_err());
        let table = score_many(&empty, &empty, &Batch::default()).unwrap();
        assert_eq!(table.neurons[1].scores.pearson, Err(Undefined::Empty));
        let none = Array3::<f32>::zeros((0, 3, 4));
        assert_eq!(
            score_many(&none, &none, &Batch::default()).unwrap().mean(Statistic::R2).mean,
            Err(Undefined::Empty)
        );
    }
}
