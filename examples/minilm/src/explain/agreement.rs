//! Predicted beside true activations of all units, as statistics of pairs: of the calibration documents, of groups of scored
//! ones, and of the strongest and some random ones each on its own. Memory does not grow with the text.

use limpid::Seed;
use limpid::explanation::score::{PairStats, stats_many};
use ndarray::{Array2, ArrayRef2, Axis};

use super::means::KINDS;
use super::part::{GROUPS, Part};
use super::sweep::Reading;
use crate::Result;

/// Strongest documents of a unit, and random documents, the same for all.
pub(crate) const SINGLE: usize = 10;

/// What this file draws random numbers for.
const PURPOSE: u64 = 0x7261_6e64;

/// Statistics of each explanation.
pub(crate) type Pairs = [PairStats; KINDS];

/// A scored document of a unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Document {
    /// Largest activation.
    pub(crate) peak: f32,
    pub(crate) line: u32,
    pub(crate) pairs: Pairs,
}

/// Statistics of `n` units.
pub(crate) struct Agreement {
    seed: Seed,
    /// `(n)`
    calibration: Vec<Pairs>,
    /// `(n, groups)`
    groups: Vec<[Pairs; GROUPS]>,
    /// `(n, up to SINGLE)`, the strongest first.
    top: Vec<Vec<Document>>,
    /// Random documents by priority: priority, line, and statistics `(n)`.
    random: Vec<(u64, u32, Vec<Document>)>,
}

impl Agreement {
    pub(crate) fn new(n: usize, seed: Seed) -> Self {
        let empty = Pairs::default();
        let (calibration, groups) = (vec![empty; n], vec![[empty; GROUPS]; n]);
        Self { seed, calibration, groups, top: vec![Vec::new(); n], random: Vec::new() }
    }

    /// Takes up a document that explanations were not made from.
    pub(crate) fn add(&mut self, part: Part, reading: &Reading, predicted: &[Array2<f32>; KINDS]) -> Result<()> {
        let mut pairs = vec![Pairs::default(); self.len()];
        for (kind, prediction) in predicted.iter().enumerate() {
            let all = stats(&reading.activations, prediction)?;
            pairs.iter_mut().zip(all).for_each(|(pairs, stats)| pairs[kind] = stats);
        }
        match part {
            Part::Train => {}
            Part::Calibrate => self.calibration.iter_mut().zip(&pairs).for_each(|(sum, pairs)| merge(sum, pairs)),
            Part::Score(group) => {
                self.groups.iter_mut().zip(&pairs).for_each(|(groups, pairs)| merge(&mut groups[group], pairs));
                let line = reading.line;
                let peaks = reading.activations.fold_axis(Axis(0), f32::NEG_INFINITY, |most, x| most.max(*x));
                let of = |(&peak, pairs)| Document { peak, line, pairs };
                let documents: Vec<Document> = peaks.iter().zip(pairs).map(of).collect();
                self.top.iter_mut().zip(&documents).for_each(|(top, document)| keep(top, document));
                self.keep_random(line, documents);
            }
        }
        Ok(())
    }

    /// Keeps the documents of the lowest priority, which a line has whenever it comes.
    fn keep_random(&mut self, line: u32, documents: Vec<Document>) {
        let priority = self.seed.child(PURPOSE, u64::from(line)).0;
        let at = self.random.partition_point(|(other, ..)| *other < priority);
        if at < SINGLE {
            self.random.truncate(SINGLE - 1);
            self.random.insert(at, (priority, line, documents));
        }
    }

    /// Number of units.
    pub(crate) fn len(&self) -> usize {
        self.calibration.len()
    }

    pub(crate) fn calibration(&self, unit: usize) -> &Pairs {
        &self.calibration[unit]
    }

    /// The groups of scored documents, of which some may be empty.
    pub(crate) fn groups(&self, unit: usize) -> &[Pairs; GROUPS] {
        &self.groups[unit]
    }

    /// The strongest scored documents.
    pub(crate) fn top(&self, unit: usize) -> &[Document] {
        &self.top[unit]
    }

    /// Random scored documents that are not among the strongest.
    pub(crate) fn random(&self, unit: usize) -> impl Iterator<Item = Document> {
        let top = &self.top[unit];
        let others = self.random.iter().map(move |(.., documents)| documents[unit]);
        others.filter(|document| top.iter().all(|other| other.line != document.line))
    }
}

/// Statistics of every unit of `truth, prediction: (t, n)`.
fn stats(truth: &ArrayRef2<f32>, prediction: &ArrayRef2<f32>) -> Result<Vec<PairStats>> {
    let [truth, prediction] = [truth, prediction].map(|x| x.t().insert_axis(Axis(1)));
    Ok(stats_many(&truth, &prediction)?)
}

fn merge(sum: &mut Pairs, pairs: &Pairs) {
    sum.iter_mut().zip(pairs).for_each(|(sum, pairs)| *sum = PairStats::pool([&*sum, pairs]));
}

/// Of documents with equal peaks the earlier comes first, whatever the order in which they are read.
fn keep(top: &mut Vec<Document>, new: &Document) {
    let key = |document: &Document| (-document.peak, document.line);
    if top.len() == SINGLE && top.last().is_some_and(|last| key(last) <= key(new)) {
        return;
    }
    let at = top.partition_point(|other| key(other) < key(new));
    top.truncate(SINGLE - usize::from(at < SINGLE));
    top.insert(at, *new);
}

#[cfg(test)]
mod tests {
    use limpid::explanation::score::{Statistic, score};
    use limpid::math::random::uniform;
    use ndarray::Array1;

    use super::*;

    fn reading(line: u32) -> (Reading, [Array2<f32>; KINDS]) {
        let mut stream = Seed(5).stream(1, u64::from(line));
        let mut random = || Array2::from_shape_fn((4 + line as usize % 3, 3), |_| uniform::<f32>(&mut stream));
        let (activations, predicted) = (random(), [random(), random(), random()]);
        let tokens = vec![0; activations.nrows()];
        (Reading { line, tokens, activations }, predicted)
    }

    #[test]
    fn groups_together_are_all_tokens_and_the_strongest_come_first() {
        let mut agreement = Agreement::new(3, Seed(0));
        let mut reversed = Agreement::new(3, Seed(0));
        let (mut truth, mut predicted): (Vec<f32>, Vec<f32>) = (Vec::new(), Vec::new());
        let lines: Vec<u32> = (0..60).collect();
        for &line in &lines {
            let (reading, prediction) = reading(line);
            truth.extend(reading.activations.column(1));
            predicted.extend(prediction[1].column(1));
            agreement.add(Part::Score(line as usize % 7), &reading, &prediction).unwrap();
        }
        for &line in lines.iter().rev() {
            let (reading, prediction) = reading(line);
            reversed.add(Part::Score(line as usize % 7), &reading, &prediction).unwrap();
        }
        let pooled = PairStats::pool(agreement.groups(1).iter().map(|pairs| &pairs[1]));
        let expected = score(&Array1::from(truth), &Array1::from(predicted)).unwrap();
        assert!((Statistic::Pearson.of(&pooled).unwrap() - expected.pearson.unwrap()).abs() < 1e-9);
        let lines = |agreement: &Agreement| agreement.top(2).iter().map(|top| top.line).collect::<Vec<_>>();
        let random = |agreement: &Agreement| agreement.random(2).map(|top| top.line).collect::<Vec<_>>();
        assert_eq!((lines(&agreement), random(&agreement)), (lines(&reversed), random(&reversed)));
        assert!(agreement.top(2).len() == SINGLE && agreement.top(2).is_sorted_by(|a, b| a.peak >= b.peak));
        let most = (0..60).map(|line| reading(line).0.activations.column(2).fold(0.0_f32, |a, b| a.max(*b)));
        assert_eq!(agreement.top(2)[0].peak, most.fold(0.0, f32::max));
    }
}
