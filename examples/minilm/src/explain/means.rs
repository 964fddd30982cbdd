//! Mean activations of all neurons after each stretch of tokens: the token table and the n-gram explanation of every neuron.
//!
//! They are those of `limpid::explanation::simulate::{TokenTable, NgramSettings}`, which take the records of one neuron; all
//! neurons share the stretches, so that here a place of the text costs one row of sums for each stretch that ends there.

use ndarray::{Array2, ArrayRef1, ArrayView1, Axis, Slice};

use super::stretch::Stretches;
use super::sweep::Reading;

/// What predicts a unit, by its place in arrays of [`KINDS`]: two explanations of it, and as a floor one of another unit.
pub(crate) const NAMES: [&str; KINDS] = ["token table", "n-grams", "another's n-grams"];
pub(crate) const KINDS: usize = 3;
/// Those of them that explain.
pub(crate) const EXPLANATIONS: usize = 2;
/// Length of the longest stretch that each looks at.
const LONGEST: [usize; EXPLANATIONS] = [1, super::stretch::ORDER];

/// Means `(stretches, n)`, the first row over all places.
pub(crate) struct Means {
    counts: Vec<u64>,
    means: Array2<f32>,
}

impl Means {
    pub(crate) fn new(stretches: &Stretches, n: usize) -> Self {
        Self { counts: vec![0; stretches.len()], means: Array2::zeros((stretches.len(), n)) }
    }

    pub(crate) fn learn(&mut self, stretches: &Stretches, reading: &Reading) {
        for (at, values) in reading.activations.rows().into_iter().enumerate() {
            for stretch in stretches.ending(&reading.tokens, at) {
                self.add(stretch, &values);
            }
        }
    }

    fn add(&mut self, stretch: usize, values: &ArrayRef1<f32>) {
        self.counts[stretch] += 1;
        let share = 1.0 / self.counts[stretch] as f32;
        let mut mean = self.means.row_mut(stretch);
        mean.iter_mut().zip(values).for_each(|(mean, &value)| *mean += share * (value - *mean));
    }

    /// The row of a stretch; `None` where training does not have it.
    pub(crate) fn row(&self, stretch: usize) -> Option<ArrayView1<'_, f32>> {
        (self.counts[stretch] > 0).then(|| self.means.row(stretch))
    }

    /// Places of a stretch in training.
    pub(crate) fn count(&self, stretch: usize) -> u64 {
        self.counts[stretch]
    }

    /// Predictions `(t, n)` of each kind; a token that is not known gets the mean of all.
    pub(crate) fn predict(&self, stretches: &Stretches, tokens: &[u32]) -> [Array2<f32>; KINDS] {
        let [table, ngrams] = LONGEST.map(|longest| {
            let mut out = Array2::zeros((tokens.len(), self.means.ncols()));
            for (at, mut row) in out.rows_mut().into_iter().enumerate() {
                let known = stretches.ending(tokens, at).take(longest + 1).filter_map(|stretch| self.row(stretch));
                if let Some(mean) = known.last() {
                    row.assign(&mean);
                }
            }
            out
        });
        // the unit that is half of all away: of another layer, where there are several
        let n = ngrams.ncols();
        let (first, last) = ngrams.view().split_at(Axis(1), n / 2);
        let mut others = Array2::zeros(ngrams.raw_dim());
        others.slice_axis_mut(Axis(1), Slice::from(..n - n / 2)).assign(&last);
        others.slice_axis_mut(Axis(1), Slice::from(n - n / 2..)).assign(&first);
        [table, ngrams, others]
    }
}

#[cfg(test)]
mod tests {
    use limpid::explanation::ActivationRecord;
    use limpid::explanation::simulate::{NgramSettings, Unseen};
    use limpid::math::random::{below, uniform};
    use ndarray::Array1;

    use super::*;
    use crate::explain::stretch::{Counter, ORDER};

    /// Texts in which every stretch that comes at all comes often enough.
    fn readings() -> Vec<Reading> {
        let mut stream = limpid::Seed(3).stream(0, 0);
        let mut reading = |line| {
            let tokens: Vec<u32> = (0..12).map(|_| u32::try_from(below(&mut stream, 3)).unwrap()).collect();
            let activations = Array2::from_shape_fn((12, 5), |_| uniform::<f32>(&mut stream));
            Reading { line, tokens, activations }
        };
        (0..60).map(&mut reading).collect()
    }

    #[test]
    fn all_neurons_at_once_are_the_library_one_by_one() {
        let (all, mut counter) = (readings(), Counter::default());
        all.iter().for_each(|reading| counter.add(&reading.tokens));
        let stretches = counter.most(1000);
        let mut means = Means::new(&stretches, 5);
        all.iter().for_each(|reading| means.learn(&stretches, reading));
        let unknown = [0, 1, 7, 2, 0, 1];
        let found = means.predict(&stretches, &unknown);
        let names = |tokens: &[u32]| tokens.iter().map(u32::to_string).collect::<Vec<_>>();
        for neuron in 0..5 {
            let record = |reading: &Reading| {
                let activations: Array1<f32> = reading.activations.column(neuron).to_owned();
                ActivationRecord::new(names(&reading.tokens), activations).unwrap()
            };
            let records: Vec<_> = all.iter().map(record).collect();
            assert_eq!(found[2].column(neuron), found[1].column((neuron + 2) % 5));
            for (kind, order) in [(0, 1), (1, ORDER)] {
                let settings = NgramSettings { order, min_count: 4, unseen: Unseen::GlobalMean };
                let (expected, _) = settings.fit(&records).unwrap().predict::<f32>(&names(&unknown));
                for (found, expected) in found[kind].column(neuron).iter().zip(&expected.expected) {
                    assert!((found - expected.unwrap()).abs() < 1e-5, "{found} {expected:?}");
                }
            }
        }
    }
}
