//! Everything that is learned of a set of units, the neurons of a model or the features of a dictionary, document by document.

use limpid::Seed;
use limpid::explanation::collect::{Batch, CollectSettings, Collector, SparseActivation};
use limpid::sae::Codes;
use ndarray::Axis;

use super::agreement::Agreement;
use super::means::Means;
use super::part::Part;
use super::stretch::Stretches;
use super::sweep::Reading;
use crate::{Error, Result};

/// Places that are kept of every unit: the strongest of either sign, and random ones.
const PLACES: usize = 10;

/// What is known of `n` units.
pub(crate) struct Study<'a> {
    pub(crate) stretches: &'a Stretches,
    pub(crate) collector: Collector,
    pub(crate) means: Means,
    pub(crate) agreement: Agreement,
    seed: Seed,
}

impl<'a> Study<'a> {
    pub(crate) fn new(n: usize, stretches: &'a Stretches, seed: Seed) -> Result<Self> {
        // a table of all tokens in the collector would take a sum for each neuron and word, as all neurons of a GELU are
        // active everywhere; the means hold the tokens that come often enough
        let settings = CollectSettings {
            positive: PLACES,
            negative: PLACES,
            random: PLACES,
            quantile_bits: Some(3),
            seed,
            ..CollectSettings::default()
        };
        let (collector, means) = (Collector::new(n, settings, 0)?, Means::new(stretches, n));
        Ok(Self { stretches, collector, means, agreement: Agreement::new(n, seed), seed })
    }

    /// Takes up a document, each one once, the documents of [`Part::Train`] before all others.
    pub(crate) fn see(&mut self, reading: &Reading) -> Result<()> {
        let activations = reading.activations.view().insert_axis(Axis(0));
        self.collector.update(&activations, &Batch { documents: &[reading.line.into()], ..Batch::default() })?;
        self.weigh(reading)
    }

    /// The same of units that are nearly always 0; `reading` has their activations, `codes` those that are not 0.
    pub(crate) fn see_sparse(&mut self, reading: &Reading, codes: &Codes<f32>) -> Result<()> {
        let small = |x: usize| u32::try_from(x).map_err(|e| Error(e.to_string()));
        let mut entries = Vec::with_capacity(codes.active());
        for at in 0..codes.rows() {
            for (unit, value) in codes.row(at) {
                entries.push(SparseActivation { row: 0, at: small(at)?, neuron: small(unit)?, value });
            }
        }
        let batch = Batch { documents: &[reading.line.into()], ..Batch::default() };
        self.collector.update_sparse(&entries, (1, codes.rows()), &batch)?;
        self.weigh(reading)
    }

    fn weigh(&mut self, reading: &Reading) -> Result<()> {
        match Part::of(reading.line, self.seed) {
            Part::Train => {
                self.means.learn(self.stretches, reading);
                Ok(())
            }
            part => self.agreement.add(part, reading, &self.means.predict(self.stretches, &reading.tokens)),
        }
    }

    /// The tokens at which each unit is most active on average in training, the highest mean first.
    pub(crate) fn top_tokens(&self, count: usize) -> Vec<Vec<TokenMean>> {
        let mut all = vec![Vec::with_capacity(count + 1); self.agreement.len()];
        for (token, stretch) in self.stretches.tokens() {
            let (Some(means), places) = (self.means.row(stretch), self.means.count(stretch)) else { continue };
            for (top, &mean) in all.iter_mut().zip(means) {
                keep(top, TokenMean { token, mean, places }, count);
            }
        }
        all
    }
}

/// What a unit does at a token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TokenMean {
    pub(crate) token: u32,
    pub(crate) mean: f32,
    /// Places of the token in training.
    pub(crate) places: u64,
}

fn keep(top: &mut Vec<TokenMean>, new: TokenMean, count: usize) {
    if top.len() == count && top.last().is_none_or(|last| last.mean >= new.mean) {
        return;
    }
    let at = top.partition_point(|other| other.mean >= new.mean);
    top.insert(at, new);
    top.truncate(count);
}
