//! What features and neurons do in contexts, collected in one pass: histograms of activations, from which specificity,
//! sensitivity and separation follow for every threshold.

use ndarray::{Array2, ArrayRef2};

/// Bins per doubling, and the doublings from 2^-10 to 2^6; bin 0 is for units that are not active.
const PER_DOUBLING: f32 = 4.0;
const LOWEST: f32 = -10.0;
const BINS: usize = 65;

fn bin(activation: f32) -> usize {
    if activation > 0.0 {
        let place = ((activation.log2() - LOWEST) * PER_DOUBLING).floor();
        1 + place.clamp(0.0, (BINS - 2) as f32) as usize
    } else {
        0
    }
}

/// Counts of all units, without context and in each.
pub(crate) struct Units {
    units: usize,
    rows: u64,
    in_context: Vec<u64>,
    /// Of active rows alone: all rows first, then each context; units, bins.
    counts: Vec<u32>,
    /// `Σ x`, `Σ x²` by unit, and `Σ x` in each context.
    sums: Array2<f64>,
}

/// How well a unit tells a context.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Told {
    pub(crate) unit: usize,
    /// Least bin that counts as active.
    threshold: usize,
    /// Share of the places where it is active that are in the context: specificity in the sense of the paper.
    pub(crate) precision: f64,
    /// Share of the context where it is active: sensitivity.
    pub(crate) recall: f64,
    pub(crate) f1: f64,
    /// Chance that it is more active at a place in the context than at one outside, ties counting a half.
    pub(crate) auc: f64,
    /// Correlation of its activation with the context.
    pub(crate) correlation: f64,
}

impl Units {
    pub(crate) fn new(units: usize, contexts: usize) -> Self {
        Self {
            units,
            rows: 0,
            in_context: vec![0; contexts],
            counts: vec![0; (contexts + 1) * units * BINS],
            sums: Array2::zeros((contexts + 2, units)),
        }
    }

    /// Takes up a row: what is active, and which contexts hold.
    pub(crate) fn add(&mut self, active: impl Iterator<Item = (usize, f32)>, holds: &[bool]) {
        self.rows += 1;
        self.in_context.iter_mut().zip(holds).for_each(|(count, &holds)| *count += u64::from(holds));
        for (unit, x) in active.filter(|&(_, x)| x > 0.0) {
            let (at, wide) = (unit * BINS + bin(x), self.units * BINS);
            let x = f64::from(x);
            self.counts[at] += 1;
            self.sums[[0, unit]] += x;
            self.sums[[1, unit]] += x * x;
            for (context, _) in holds.iter().enumerate().filter(|(_, holds)| **holds) {
                self.counts[(context + 1) * wide + at] += 1;
                self.sums[[context + 2, unit]] += x;
            }
        }
    }

    /// Rows at which a context holds.
    pub(crate) fn in_context(&self, context: usize) -> u64 {
        self.in_context[context]
    }

    /// Rows at which a unit is active.
    pub(crate) fn fired(&self, unit: usize) -> u64 {
        self.histogram(0, unit).iter().map(|&count| u64::from(count)).sum()
    }

    /// Bins of a unit without context (0), or in context `part - 1`; bin 0 is empty.
    fn histogram(&self, part: usize, unit: usize) -> &[u32] {
        let start = (part * self.units + unit) * BINS;
        &self.counts[start..start + BINS]
    }

    /// The unit of a range that tells a context best by F1, at the threshold that suits it best.
    pub(crate) fn best(&self, context: usize, units: std::ops::Range<usize>) -> Option<Told> {
        let mut best: Option<(f64, usize, usize)> = None;
        for unit in units {
            let (all, inside) = (self.histogram(0, unit), self.histogram(context + 1, unit));
            let (mut active, mut hit) = (0.0, 0.0);
            for threshold in (1..BINS).rev() {
                active += f64::from(all[threshold]);
                hit += f64::from(inside[threshold]);
                let f1 = 2.0 * hit / (active + self.in_context[context] as f64).max(1.0);
                if best.is_none_or(|(most, ..)| f1 > most) {
                    best = Some((f1, unit, threshold));
                }
            }
        }
        best.map(|(_, unit, threshold)| self.told(context, unit, threshold))
    }

    /// What a unit that was chosen elsewhere is worth here.
    pub(crate) fn again(&self, context: usize, told: &Told) -> Told {
        self.told(context, told.unit, told.threshold)
    }

    fn told(&self, context: usize, unit: usize, threshold: usize) -> Told {
        let (all, inside) = (self.histogram(0, unit), self.histogram(context + 1, unit));
        let sum = |counts: &[u32]| counts.iter().map(|&count| f64::from(count)).sum::<f64>();
        let (active, hit, members) =
            (sum(&all[threshold..]), sum(&inside[threshold..]), self.in_context[context] as f64);
        Told {
            unit,
            threshold,
            precision: hit / active,
            recall: hit / members,
            f1: 2.0 * hit / (active + members),
            auc: self.auc(context, all, inside),
            correlation: self.correlation(context, unit),
        }
    }

    fn auc(&self, context: usize, all: &[u32], inside: &[u32]) -> f64 {
        let members = self.in_context[context] as f64;
        let others = self.rows as f64 - members;
        let (mut inside_left, mut others_left, mut won) = (members, others, 0.0);
        // from the top: a member beats every other that is below it
        for bin in (1..BINS).rev() {
            let (hit, miss) = (f64::from(inside[bin]), f64::from(all[bin]) - f64::from(inside[bin]));
            others_left -= miss;
            won += hit * (others_left + miss / 2.0);
            inside_left -= hit;
        }
        (won + inside_left * others_left / 2.0) / (members * others)
    }

    fn correlation(&self, context: usize, unit: usize) -> f64 {
        let (n, members) = (self.rows as f64, self.in_context[context] as f64);
        let [sum, square, inside] = [0, 1, context + 2].map(|row| self.sums[[row, unit]]);
        let covariance = inside / n - sum / n * members / n;
        let spread = (square / n - (sum / n).powi(2)) * (members / n) * (1.0 - members / n);
        covariance / spread.sqrt()
    }
}

/// Activations of all neurons of a row, as units from `first` on.
pub(crate) fn neurons(rows: &ArrayRef2<f32>, row: usize, first: usize) -> impl Iterator<Item = (usize, f32)> + '_ {
    (0..rows.ncols()).map(move |neuron| (first + neuron, rows[[row, neuron]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_knows_the_context_is_found() {
        let mut units = Units::new(3, 1);
        for i in 0..1000_u32 {
            let holds = i % 10 == 0;
            let noise = (i * 7919 % 101) as f32 / 100.0;
            let knows = if holds { 2.0 } else { 0.0 };
            units.add([(0, noise), (1, knows), (2, 1.0)].into_iter(), &[holds]);
        }
        let best = units.best(0, 0..3).unwrap();
        assert_eq!((best.unit, best.precision, best.recall, best.auc), (1, 1.0, 1.0, 1.0));
        assert!((best.correlation - 1.0).abs() < 1e-9 && units.fired(1) == 100 && units.in_context(0) == 100);
        let other = units.best(0, 2..3).unwrap();
        assert_eq!((other.precision, other.recall, other.auc), (0.1, 1.0, 0.5));
        assert!((units.best(0, 0..1).unwrap().auc - 0.5).abs() < 0.1);
        assert_eq!(units.again(0, &best), best);
    }
}
