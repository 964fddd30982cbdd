//! What each neuron of a captured file does, in one pass: moments, how often it is active, where it is most.

use limpid::math::stats::Moments;
use ndarray::ArrayView2;

use crate::store::Reader;
use crate::support::progress::Bar;
use crate::{Error, Result};

/// Rows in memory at once.
const ROWS: u64 = 512;
/// Documents whose largest activations are kept.
const TOP: usize = 5;

/// The largest activation of a document.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Peak {
    pub(crate) value: f32,
    pub(crate) row: u64,
    pub(crate) document: u32,
}

/// What one neuron does.
#[derive(Debug, Clone)]
pub(crate) struct Neuron {
    pub(crate) mean: f64,
    /// Excess kurtosis, 0 for a normal distribution and for a neuron that never changes.
    pub(crate) kurtosis: f64,
    /// Share of tokens with an activation above 0.
    pub(crate) share: f64,
    /// Largest activations of different documents, largest first.
    pub(crate) top: Vec<Peak>,
}

/// What each neuron does; memory does not grow with the file.
pub(crate) fn activity(reader: &mut Reader) -> Result<Vec<Neuron>> {
    let path = reader.path().to_owned();
    let width = usize::try_from(reader.neurons()).map_err(|e| Error::at(&path, e))?;
    let (mut moments, mut peaks) = (Moments::new(width)?, vec![Peaks::default(); width]);
    let (mut row, rows, mut bar) = (0, reader.rows(), Bar::new("look"));
    while row < rows {
        let count = ROWS.min(rows - row);
        let (values, documents) = (reader.activations(row, count)?, reader.column(0, row, count)?);
        let values = ArrayView2::from_shape((documents.len(), width), &values).map_err(|e| Error::at(&path, e))?;
        moments.update(&values).map_err(|e| Error::at(&path, e))?;
        for ((row, values), document) in (row..).zip(values.rows()).zip(documents) {
            peaks.iter_mut().zip(values).for_each(|(peaks, &value)| peaks.add(Peak { value, row, document }));
        }
        row += count;
        bar.show(usize::try_from(row).unwrap_or(0), usize::try_from(rows).unwrap_or(0));
    }
    let (means, tails) = (moments.mean().unwrap_or_default(), moments.kurtosis());
    let neurons = means.iter().zip(tails).zip(peaks).map(|((&mean, kurtosis), Peaks { active, top })| {
        let kurtosis = kurtosis.map_or(0.0, |kurtosis| kurtosis - 3.0);
        Neuron { mean, kurtosis, share: active as f64 / rows as f64, top }
    });
    Ok(neurons.collect())
}

#[derive(Debug, Clone, Default)]
struct Peaks {
    active: u64,
    top: Vec<Peak>,
}

impl Peaks {
    fn add(&mut self, peak: Peak) {
        self.active += u64::from(peak.value > 0.0);
        if self.top.len() == TOP && self.top.last().is_some_and(|last| peak.value <= last.value) {
            return;
        }
        // one phrase that excites a neuron token after token would fill the list
        if let Some(same) = self.top.iter().position(|other| other.document == peak.document) {
            if self.top[same].value >= peak.value {
                return;
            }
            self.top.remove(same);
        }
        let at = self.top.partition_point(|other| other.value >= peak.value);
        self.top.insert(at, peak);
        self.top.truncate(TOP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_document_is_in_the_top_once() {
        let values = [(3.0, 0), (5.0, 0), (4.0, 0), (1.0, 1), (9.0, 2), (2.0, 3), (0.0, 4), (2.0, 5), (-1.0, 6)];
        let mut peaks = Peaks::default();
        (0..).zip(values).for_each(|(row, (value, document))| peaks.add(Peak { value, row, document }));
        let top: Vec<_> = peaks.top.iter().map(|peak| (peak.value, peak.document, peak.row)).collect();
        assert_eq!(top, [(9.0, 2, 4), (5.0, 0, 1), (2.0, 3, 5), (2.0, 5, 7), (1.0, 1, 3)]);
        assert_eq!(peaks.active, 7);
    }
}
