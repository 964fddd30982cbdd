//! Taking up sequences of which all activations are given, [`LANES`] neurons at a time.

use core::ops::Range;

use ndarray::{ArrayRef2, ArrayRef3, Axis};

use super::batch::{Place, Sequence};
use super::lanes::{BLOCK, LANES, Lane, Lanes};
use super::neuron::NeuronStats;
use super::settings::CollectSettings;
use super::tally::{Slots, Tally};
use crate::Scalar;
use crate::math::simd::Simd;

/// Sequences after which the statistics of a neuron are fetched from memory.
const TOGETHER: usize = 8;

/// What is the same for all neurons.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dense<'a, T> {
    /// `(b, t, n)`.
    pub(super) activations: &'a ArrayRef3<T>,
    pub(super) sequences: &'a [Sequence],
    pub(super) settings: &'a CollectSettings,
    /// `None` where values are counted one by one, or not at all.
    pub(super) slots: Option<&'a Slots>,
}

/// Takes up the sequences for at most [`LANES`] neurons from `first` on.
#[inline(always)]
pub(super) fn update<T: Scalar, S: Simd>(simd: S, neurons: &mut [NeuronStats], first: usize, input: Dense<'_, T>) {
    let mut tally = input.slots.and_then(Tally::new);
    // lanes without a neuron stay 0
    let mut values = alloc::vec![[T::zero(); LANES]; BLOCK];
    let mut lanes = alloc::vec![Lanes::new(); TOGETHER.min(input.sequences.len())];
    for (at, sequences) in (0..).step_by(TOGETHER).zip(input.sequences.chunks(TOGETHER)) {
        for ((lanes, sequence), at) in lanes.iter_mut().zip(sequences).zip(at..) {
            lanes.clear();
            for places in sequence.places.chunks(BLOCK) {
                let block = &mut values[..places.len()];
                fill(block, places, &input.activations.index_axis(Axis(0), at), first..first + neurons.len());
                let clean = lanes.add(simd, block, input.settings.moments);
                add_values(neurons, block, places, input.settings, tally.as_mut().filter(|_| clean));
            }
            if input.settings.moments {
                lanes.finish();
            }
        }
        for (lane, stats) in neurons.iter_mut().enumerate() {
            for ((lanes, sequence), at) in lanes.iter().zip(sequences).zip(at..) {
                let sums = if input.settings.moments { lanes.sums(lane) } else { Default::default() };
                stats.sequence(sequence.document, lanes.row(lane), sums, |row| {
                    let value = |place: &Place| (input.activations[[at, place.at, first + lane]], place.position);
                    row.locate(sequence.places.iter().map(value).map(|(value, position)| (value.as_f64(), position)));
                });
            }
        }
    }
    if let Some(tally) = &mut tally {
        tally.flush(neurons);
    }
}

/// Copies the values of some neurons at these places.
#[inline(always)]
fn fill<T: Scalar>(block: &mut [Lane<T>], places: &[Place], activations: &ArrayRef2<T>, neurons: Range<usize>) {
    for (values, place) in block.iter_mut().zip(places) {
        let row = activations.index_axis(Axis(0), place.at);
        match row.as_slice() {
            Some(row) => values[..neurons.len()].copy_from_slice(&row[neurons.clone()]),
            None => {
                let row = row.iter().skip(neurons.start).take(neurons.len());
                values.iter_mut().zip(row).for_each(|(slot, value)| *slot = *value);
            }
        }
    }
}

/// Takes up the values of a block for all that looks at each of them; `tally` counts them, where it can.
#[inline(always)]
fn add_values<T: Scalar>(
    neurons: &mut [NeuronStats],
    block: &[Lane<T>],
    places: &[Place],
    settings: &CollectSettings,
    tally: Option<&mut Tally<'_>>,
) {
    match tally {
        Some(tally) => tally.add(block, neurons),
        None if settings.octaves > 0 => for_each_value(neurons, block, |stats, _, value| stats.count(value)),
        None => {}
    }
    if settings.quantile_bits.is_some() || settings.vocabulary.is_some() {
        for_each_value(neurons, block, |stats, at, value| stats.value(value, places[at].token));
    }
}

/// Calls `work` with the statistics, the place within the block and the value of every neuron.
fn for_each_value<T: Scalar>(
    neurons: &mut [NeuronStats],
    block: &[Lane<T>],
    mut work: impl FnMut(&mut NeuronStats, usize, f64),
) {
    for (at, values) in block.iter().enumerate() {
        neurons.iter_mut().zip(values).for_each(|(stats, value)| work(stats, at, value.as_f64()));
    }
}
