//! What is collected.

use alloc::vec::Vec;

use super::hash_sample::HashSample;
use super::log_histogram::LogHistogram;
use super::moments::NeuronMoments;
use super::quantile_sketch::QuantileSketch;
use super::token_table::TokenCounts;
use super::top_activations::TopActivations;
use crate::explanation::Side;
use crate::math::merge::{Bytes, Reader};
use crate::{Result, Seed};

/// What is kept of every neuron. A count of 0 and `None` keep nothing of that kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CollectSettings {
    /// Sequences with the largest values, per neuron.
    pub positive: usize,
    /// Sequences with the smallest values, per neuron.
    pub negative: usize,
    /// Sequences with the largest magnitudes, per neuron.
    pub magnitude: usize,
    /// Sequences chosen at random, the same for all neurons.
    pub random: usize,
    /// Sequences chosen at random among those where a neuron is anywhere different from 0, per neuron.
    pub active: usize,
    /// Mean, variance, skewness and kurtosis; without them a neuron still has its range and its counts.
    pub moments: bool,
    /// Exponent of the first bin of the histograms: it begins at `2^lowest` on either side of 0.
    pub lowest: i32,
    /// Bins of the histograms on either side, one per power of two; without any no histogram is kept, and so no density.
    pub octaves: usize,
    /// Quantiles within `2^-(bits + 1)` of themselves over 24 powers of two, at most `192·2^bits` bytes per neuron and side.
    pub quantile_bits: Option<u32>,
    /// Mean activation by token, of so many different tokens.
    pub vocabulary: Option<usize>,
    /// What the random choices follow from.
    pub seed: Seed,
}

impl Default for CollectSettings {
    fn default() -> Self {
        Self {
            positive: 20,
            negative: 20,
            magnitude: 0,
            random: 20,
            active: 0,
            moments: true,
            lowest: -16,
            octaves: 32,
            quantile_bits: None,
            vocabulary: None,
            seed: Seed(0),
        }
    }
}

/// Powers of two that quantiles cover.
const QUANTILE_OCTAVES: usize = 24;

/// The stream of the sample that all neurons share; those of neurons are their numbers.
const SHARED: u64 = u64::MAX;

impl CollectSettings {
    /// How many places of a side are kept.
    pub(super) fn kept(&self, side: Side) -> usize {
        match side {
            Side::Positive => self.positive,
            Side::Negative => self.negative,
            Side::Magnitude => self.magnitude,
        }
    }

    pub(super) fn top(&self, side: Side) -> Result<TopActivations> {
        TopActivations::new(self.kept(side), side)
    }

    pub(super) fn random(&self) -> Result<HashSample> {
        HashSample::new(self.random, self.seed, SHARED)
    }

    pub(super) fn active(&self, neuron: u64) -> Result<HashSample> {
        HashSample::new(self.active, self.seed, neuron)
    }

    pub(super) fn histogram(&self) -> Result<LogHistogram> {
        LogHistogram::new(self.lowest, self.octaves)
    }

    pub(super) fn moments(&self) -> NeuronMoments {
        if self.moments { NeuronMoments::default() } else { NeuronMoments::of_range() }
    }

    pub(super) fn quantiles(&self) -> Result<Option<QuantileSketch>> {
        self.quantile_bits.map(|bits| QuantileSketch::new(bits, QUANTILE_OCTAVES)).transpose()
    }

    pub(super) fn tokens(&self) -> Result<Option<TokenCounts>> {
        self.vocabulary.map(TokenCounts::new).transpose()
    }
}

impl Bytes for CollectSettings {
    fn write(&self, out: &mut Vec<u8>) {
        let counts = [self.positive, self.negative, self.magnitude, self.random, self.active, self.octaves];
        counts.iter().for_each(|&count| out.extend((count as u64).to_le_bytes()));
        // none is 0, and what there is counts from 1
        let bits = self.quantile_bits.map_or(0, |bits| u64::from(bits).saturating_add(1));
        let vocabulary = self.vocabulary.map_or(0, |vocabulary| (vocabulary as u64).saturating_add(1));
        [bits, vocabulary, self.seed.0].iter().for_each(|number| out.extend(number.to_le_bytes()));
        out.extend(i64::from(self.lowest).to_le_bytes());
        out.extend(u64::from(self.moments).to_le_bytes());
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let error = input.error("settings of a collection");
        let mut numbers = [0_u64; 11];
        for number in &mut numbers {
            *number = input.u64("settings of a collection")?;
        }
        let [positive, negative, magnitude, random, active, octaves, bits, vocabulary, seed, lowest, moments] = numbers;
        if moments > 1 {
            return Err(error);
        }
        let count = |number: u64| usize::try_from(number).map_err(|_| error);
        Ok(Self {
            positive: count(positive)?,
            negative: count(negative)?,
            magnitude: count(magnitude)?,
            random: count(random)?,
            active: count(active)?,
            moments: moments == 1,
            lowest: i32::try_from(lowest.cast_signed()).map_err(|_| error)?,
            octaves: count(octaves)?,
            quantile_bits: bits.checked_sub(1).map(|bits| u32::try_from(bits).map_err(|_| error)).transpose()?,
            vocabulary: vocabulary.checked_sub(1).map(count).transpose()?,
            seed: Seed(seed),
        })
    }
}
