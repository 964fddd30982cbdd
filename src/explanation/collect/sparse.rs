//! Activations of which nearly all are 0, such as the codes of sparse autoencoders.

use alloc::vec::Vec;

use super::batch::Sequence;
use super::neuron::NeuronStats;
use super::row::Row;
use crate::{Error, Result, Scalar};

/// An activation that is not 0; all others of the batch are.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SparseActivation<T> {
    /// Sequence within the batch.
    pub row: u32,
    /// Token within the sequence.
    pub at: u32,
    /// The neuron.
    pub neuron: u32,
    /// The activation.
    pub value: T,
}

impl<T> SparseActivation<T> {
    fn key(&self) -> (u32, u32, u32) {
        (self.neuron, self.row, self.at)
    }
}

/// The entries in the order of neuron, sequence and token, without those whose token does not count.
pub(super) fn by_neuron<T: Scalar>(
    entries: &[SparseActivation<T>],
    (t, n): (usize, usize),
    sequences: &[Sequence],
) -> Result<Vec<SparseActivation<T>>> {
    let mut sorted = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let outside = |what, got: u32, limit: usize| match usize::try_from(got).ok().filter(|got| *got < limit) {
            Some(got) => Ok(got),
            None => Err(Error::OutOfRange { what, index, value: f64::from(got), expected: "within the batch" }),
        };
        let row = outside("row", entry.row, sequences.len())?;
        let at = outside("at", entry.at, t)?;
        outside("neuron", entry.neuron, n)?;
        if sequences[row].places.binary_search_by_key(&at, |place| place.at).is_ok() {
            sorted.push(*entry);
        }
    }
    sorted.sort_unstable_by_key(SparseActivation::key);
    if sorted.windows(2).any(|pair| pair[0].key() == pair[1].key()) {
        return Err(Error::Unsupported { what: "two activations of one neuron at one token" });
    }
    Ok(sorted)
}

/// Takes up the sequences for the neurons from `first` on; `entries` are those of [`by_neuron`].
pub(super) fn update<T: Scalar>(
    neurons: &mut [NeuronStats],
    first: usize,
    entries: &[SparseActivation<T>],
    sequences: &[Sequence],
) {
    for (neuron, stats) in (first..).zip(neurons) {
        let from = entries.partition_point(|entry| (entry.neuron as usize) < neuron);
        let mut own = &entries[from..];
        own = &own[..own.partition_point(|entry| entry.neuron as usize == neuron)];
        for (row, sequence) in sequences.iter().enumerate() {
            let (here, rest) = own.split_at(own.iter().take_while(|entry| entry.row as usize == row).count());
            own = rest;
            update_sequence(stats, here, sequence);
        }
    }
}

fn update_sequence<T: Scalar>(stats: &mut NeuronStats, entries: &[SparseActivation<T>], sequence: &Sequence) {
    let (mut row, mut rest, mut first_zero) = (Row::default(), entries, None);
    if entries.is_empty() {
        first_zero = sequence.places.first();
    } else {
        for place in &sequence.places {
            match rest {
                [entry, after @ ..] if entry.at as usize == place.at => {
                    let value = entry.value.as_f64();
                    row.add(value, place.position);
                    stats.count(value);
                    stats.value(value, place.token);
                    rest = after;
                }
                _ => first_zero = first_zero.or(Some(place)),
            }
        }
    }
    if let Some(place) = first_zero {
        stats.zeros(&mut row, (sequence.places.len() - entries.len()) as u64, place.position);
    }
    stats.sequence(sequence.document, row, row.power_sums(), |_| ());
}
