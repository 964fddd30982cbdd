//! All statistics of one neuron.

use alloc::vec::Vec;

use super::hash_sample::HashSample;
use super::log_histogram::LogHistogram;
use super::moments::NeuronMoments;
use super::quantile_sketch::QuantileSketch;
use super::row::{Extreme, LARGEST, Row};
use super::settings::CollectSettings;
use super::token_table::TokenTable;
use super::top_activations::{Hit, TopActivations};
use crate::Result;
use crate::explanation::Side;
use crate::math::double::Double;
use crate::math::merge::{Bytes, Merge, Reader};

/// Statistics of one neuron over all sequences seen.
#[derive(Debug, Clone, PartialEq)]
pub struct NeuronStats {
    moments: NeuronMoments,
    /// Positive, negative, magnitude.
    top: [TopActivations; 3],
    active: HashSample,
    histogram: LogHistogram,
    quantiles: Option<QuantileSketch>,
    tokens: Option<TokenTable>,
}

impl NeuronStats {
    /// Bytes that the written form has at least: a range, three tops, a sample, a histogram.
    pub(super) const LEAST_BYTES: usize = 32 + 1 + 3 * 32 + 32 + 12 + 40;

    pub(super) fn new(settings: &CollectSettings, neuron: u64) -> Result<Self> {
        Ok(Self {
            moments: settings.moments(),
            top: [settings.top(Side::Positive)?, settings.top(Side::Negative)?, settings.top(Side::Magnitude)?],
            active: settings.active(neuron)?,
            histogram: settings.histogram()?,
            quantiles: settings.quantiles()?,
            tokens: settings.vocabulary.map(|_| TokenTable::default()),
        })
    }

    /// The same without anything seen, for the given neuron.
    pub(super) fn for_neuron(&self, settings: &CollectSettings, neuron: u64) -> Result<Self> {
        Ok(Self { active: settings.active(neuron)?, ..self.clone() })
    }

    /// Counts and range, and, unless the settings leave them out, mean, variance, skewness and kurtosis.
    #[must_use]
    pub fn moments(&self) -> &NeuronMoments {
        &self.moments
    }

    /// The sequences with the best value of a side, each with the place of that value, best first.
    #[must_use]
    pub fn top(&self, side: Side) -> &[Hit] {
        let at = match side {
            Side::Positive => 0,
            Side::Negative => 1,
            Side::Magnitude => 2,
        };
        self.top[at].hits()
    }

    /// Random sequences among those where the neuron is anywhere different from 0, each with its largest magnitude.
    #[must_use]
    pub fn active(&self) -> &HashSample {
        &self.active
    }

    /// Values by powers of two; empty where the settings have no bins.
    #[must_use]
    pub fn histogram(&self) -> &LogHistogram {
        &self.histogram
    }

    /// Quantiles, where they were asked for.
    #[must_use]
    pub fn quantiles(&self) -> Option<&QuantileSketch> {
        self.quantiles.as_ref()
    }

    /// Activations by token, where they were asked for.
    #[must_use]
    pub fn tokens(&self) -> Option<&TokenTable> {
        self.tokens.as_ref()
    }

    /// Share of values that are not 0; `None` without values, and where no histogram is kept.
    #[must_use]
    pub fn density(&self) -> Option<f64> {
        let count = self.moments.count();
        (count > 0 && self.counts_values()).then(|| count.saturating_sub(self.histogram.zero()) as f64 / count as f64)
    }

    /// Counts one value of a sequence in the histogram.
    #[inline]
    pub(super) fn count(&mut self, value: f64) {
        if value.abs() <= LARGEST && self.counts_values() {
            self.histogram.add(value);
        }
    }

    /// Whether there is a histogram.
    fn counts_values(&self) -> bool {
        !self.histogram.positive().is_empty()
    }

    /// Counts values by slot of the histogram.
    pub(super) fn add_counts(&mut self, counts: impl Iterator<Item = u16>) {
        self.histogram.add_counts(counts);
    }

    /// Takes up one value of a sequence, for all that is neither in its row nor in the histogram.
    #[inline]
    pub(super) fn value(&mut self, value: f64, token: Option<u32>) {
        // what is no number for one statistic is none for the others
        let taken = value.abs() <= LARGEST;
        if let Some(quantiles) = self.quantiles.as_mut().filter(|_| taken) {
            quantiles.add(value);
        }
        if let Some((tokens, token)) = self.tokens.as_mut().zip(token) {
            tokens.add(token, if taken { value } else { f64::NAN });
        }
    }

    /// Takes up the zeros of a sequence that were not given one by one, the first of them at `position`.
    pub(super) fn zeros(&mut self, row: &mut Row, count: u64, position: u32) {
        row.add_zeros(count, position);
        if self.counts_values() {
            self.histogram.add_zeros(count);
        }
        if let Some(quantiles) = &mut self.quantiles {
            quantiles.add_zeros(count);
        }
    }

    /// Takes up a whole sequence, whose values were given, with the power sums of its row. `locate` completes the row with
    /// the positions of its extremes, and is called where one could be kept.
    pub(super) fn sequence(&mut self, document: u64, mut row: Row, sums: [Double; 4], locate: impl FnOnce(&mut Row)) {
        self.moments.push(&row, sums);
        let (least, largest) = (row.least.value, row.largest.value);
        let active = least < 0.0 || largest > 0.0;
        let ends = [largest, least, largest.max(-least)];
        let admitted = self.top.iter().zip(ends).any(|(top, end)| top.admits(end, document));
        if row.count == 0 || !(admitted || active) {
            return;
        }
        if admitted || self.active.k() > 0 {
            locate(&mut row);
        }
        let hit = |extreme: Extreme| Hit { value: extreme.value, document, position: extreme.position };
        if admitted {
            for (top, extreme) in self.top.iter_mut().zip([row.largest, row.least, row.strongest()]) {
                top.push(hit(extreme));
            }
        }
        if active {
            self.active.push(hit(row.strongest()));
        }
    }

    /// Whether both were collected with the same settings for the same neuron.
    pub(super) fn belongs_to(&self, other: &Self) -> bool {
        let same_top = |(a, b): (&TopActivations, &TopActivations)| (a.k(), a.side()) == (b.k(), b.side());
        let same_quantiles = match (&self.quantiles, &other.quantiles) {
            (Some(a), Some(b)) => a.belongs_to(b),
            (a, b) => a.is_none() && b.is_none(),
        };
        self.top.iter().zip(&other.top).all(same_top)
            && self.moments.has_sums() == other.moments.has_sums()
            && self.active.belongs_to(&other.active)
            && self.histogram.belongs_to(&other.histogram)
            && same_quantiles
            && self.tokens.is_some() == other.tokens.is_some()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.moments.write(out);
        self.top.iter().for_each(|top| top.write(out));
        self.active.write(out);
        self.histogram.write(out);
        if let Some(quantiles) = &self.quantiles {
            quantiles.write(out);
        }
        if let Some(tokens) = &self.tokens {
            tokens.write(out);
        }
    }

    /// Reads what was written with the settings of `empty`.
    pub(super) fn read(input: &mut Reader<'_>, empty: &Self) -> Result<Self> {
        let error = input.error("statistics that fit the settings");
        let stats = Self {
            moments: NeuronMoments::read(input)?,
            top: [TopActivations::read(input)?, TopActivations::read(input)?, TopActivations::read(input)?],
            active: HashSample::read(input)?,
            histogram: LogHistogram::read(input)?,
            quantiles: empty.quantiles.as_ref().map(|_| QuantileSketch::read(input)).transpose()?,
            tokens: empty.tokens.as_ref().map(|_| TokenTable::read(input)).transpose()?,
        };
        if stats.belongs_to(empty) { Ok(stats) } else { Err(error) }
    }
}

impl Merge for NeuronStats {
    fn merge(&mut self, other: &Self) -> Result<()> {
        if !self.belongs_to(other) {
            return Err(crate::Error::Unsupported { what: "merging statistics of different settings or neurons" });
        }
        self.moments.merge(&other.moments)?;
        self.top.iter_mut().zip(&other.top).try_for_each(|(top, other)| top.merge(other))?;
        self.active.merge(&other.active)?;
        self.histogram.merge(&other.histogram)?;
        if let Some((quantiles, other)) = self.quantiles.as_mut().zip(other.quantiles.as_ref()) {
            quantiles.merge(other)?;
        }
        match self.tokens.as_mut().zip(other.tokens.as_ref()) {
            Some((tokens, other)) => tokens.merge(other),
            None => Ok(()),
        }
    }
}
