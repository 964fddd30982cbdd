//! The histograms of many neurons side by side: counts of a few places are kept small and together, so that they stay in
//! the cache, and are added to the histograms once.

use alloc::boxed::Box;

use super::lanes::{BLOCK, LANES, Lane};
use super::log_histogram::LogHistogram;
use super::neuron::NeuronStats;
use crate::Scalar;

/// Most slots of a histogram.
const SLOTS: usize = 1 << 8;

/// More than there are signs and exponents.
const EXPONENTS: usize = 1 << 13;

/// Where a histogram counts values, by sign and exponent.
#[derive(Debug)]
pub(super) struct Slots {
    by_exponent: Box<[u8; EXPONENTS]>,
    count: usize,
}

impl Slots {
    /// `None` where one at a time is better: bins within the numbers that have no exponent of their own, and more bins than
    /// `places` would fill.
    pub(super) fn new<T: Scalar>(histogram: &LogHistogram, places: usize) -> Option<Self> {
        let count = histogram.slots();
        let normal = libm::scalbn(1.0, histogram.lowest()) >= T::min_positive_value().as_f64();
        if !normal || count > SLOTS.min(places.saturating_mul(4)) {
            return None;
        }
        let mut by_exponent = boxed::<u8, EXPONENTS>(0)?;
        let tiny = T::min_positive_value() * T::epsilon();
        // one number of each sign and exponent; what is 0 only in the shorter precision is not 0 here
        for x in (0..1_u64 << 12).map(|top| f64::from_bits(top << 52 | 1)).filter(|x| x.is_finite()) {
            let near = if T::of(x) == T::zero() { tiny.copysign(T::of(x)) } else { T::of(x) };
            by_exponent[usize::from(near.sign_and_exponent())] = u8::try_from(histogram.slot(x)).ok()?;
        }
        by_exponent[usize::from(T::ZERO_EXPONENT)] = u8::try_from(histogram.slot(0.0)).ok()?;
        Some(Self { by_exponent, count })
    }
}

/// An array that was never on the stack.
fn boxed<V: Clone, const N: usize>(value: V) -> Option<Box<[V; N]>> {
    alloc::vec![value; N].into_boxed_slice().try_into().ok()
}

/// Counts of [`LANES`] neurons that are not in their histograms yet.
#[derive(Debug)]
pub(super) struct Tally<'a> {
    slots: &'a Slots,
    /// By slot, then by neuron.
    counts: Box<[Lane<u16>; SLOTS]>,
    places: usize,
}

impl<'a> Tally<'a> {
    pub(super) fn new(slots: &'a Slots) -> Option<Self> {
        Some(Self { slots, counts: boxed([0; LANES])?, places: 0 })
    }

    /// Counts the finite values of a block.
    #[inline(always)]
    pub(super) fn add<T: Scalar>(&mut self, block: &[Lane<T>], neurons: &mut [NeuronStats]) {
        if self.places + BLOCK > usize::from(u16::MAX) {
            self.flush(neurons);
        }
        self.places += block.len();
        let (slots, counts) = (&*self.slots.by_exponent, &mut *self.counts);
        let mut exponents = [0; LANES];
        for row in block {
            for lane in 0..LANES {
                exponents[lane] = row[lane].sign_and_exponent();
            }
            // neighbours count in different places, so that no count waits for the one before
            for at in (0..LANES).step_by(8) {
                for lane in at..at + 8 {
                    let slot = slots[usize::from(exponents[lane]) % EXPONENTS];
                    counts[usize::from(slot)][lane] += 1;
                }
            }
        }
    }

    /// Adds the counts to the histograms.
    pub(super) fn flush(&mut self, neurons: &mut [NeuronStats]) {
        let counts = &mut self.counts[..self.slots.count];
        for (lane, stats) in neurons.iter_mut().enumerate() {
            stats.add_counts(counts.iter().map(|counts| counts[lane]));
        }
        counts.fill([0; LANES]);
        self.places = 0;
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::explanation::collect::CollectSettings;

    /// Counts values side by side and one by one.
    fn both<T: Scalar>(lowest: i32, values: &[T]) {
        let settings = CollectSettings { lowest, octaves: 7, ..CollectSettings::default() };
        let mut plain = settings.histogram().unwrap();
        let slots = Slots::new::<T>(&plain, 1000).unwrap();
        let mut neurons = [NeuronStats::new(&settings, 0).unwrap(), NeuronStats::new(&settings, 1).unwrap()];
        let mut tally = Tally::new(&slots).unwrap();
        for rows in values.chunks(BLOCK) {
            let block: Vec<Lane<T>> = rows.iter().map(|&value| [value; LANES]).collect();
            tally.add(&block, &mut neurons);
        }
        tally.flush(&mut neurons);
        values.iter().for_each(|value| plain.add(value.as_f64()));
        neurons.iter().for_each(|stats| assert_eq!(stats.histogram(), &plain));
    }

    #[test]
    fn side_by_side_is_one_by_one() {
        let mut values =
            alloc::vec![0.0_f64, -0.0, 0.25, 0.4999, 0.5, 1.0, -1.0, -7.9, 1e9, -1e30, 1e-40, -1e-45, 5e-324];
        values.extend((-60..60).flat_map(|e| [1.0, -1.999].map(|x| libm::scalbn(x, e))));
        for lowest in [-2, 0, -20, 30, -126] {
            both(lowest, &values);
            both(lowest, &values.iter().map(|&x| f32::of(x)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn counts_do_not_overflow() {
        both(-2, &alloc::vec![1.0_f32; if cfg!(miri) { 100 } else { 70_000 }]);
    }

    #[test]
    fn bins_without_an_exponent_are_counted_one_by_one() {
        let of = |lowest| LogHistogram::new(lowest, 3).unwrap();
        assert!(Slots::new::<f32>(&of(-127), 100).is_none() && Slots::new::<f64>(&of(-1023), 100).is_none());
        assert!(Slots::new::<f64>(&of(-127), 100).is_some() && Slots::new::<f64>(&of(-127), 2).is_none());
    }
}
