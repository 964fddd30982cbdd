//! All statistics of all neurons in one pass over a corpus.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use ndarray::ArrayRef3;

use super::batch::{Batch, Sequence};
use super::dense::{self, Dense};
use super::hash_sample::HashSample;
use super::lanes::LANES;
use super::neuron::NeuronStats;
use super::settings::CollectSettings;
use super::sparse::{self, SparseActivation};
use super::tally::Slots;
use super::token_table::TokenCounts;
use super::top_activations::Hit;
use crate::error::{check_length, check_limit, check_shape};
use crate::math::merge::{Bytes, Merge, Reader};
use crate::math::par;
use crate::math::simd::{dispatch, level};
use crate::{Error, Result, Scalar};

/// Most neurons.
const MAX_NEURONS: usize = 1 << 24;

/// Statistics of `n` neurons over a part of a corpus, a *shard*, or over several that were merged.
///
/// A sequence of a batch is the unit: whatever the batches, the shards and the order in which they are merged, the same
/// sequences give the same bits. Memory does not grow with their number.
#[derive(Debug, Clone, PartialEq)]
pub struct Collector {
    settings: CollectSettings,
    shards: BTreeSet<u64>,
    sequences: u64,
    tokens_seen: u64,
    random: HashSample,
    tokens: Option<TokenCounts>,
    neurons: Vec<NeuronStats>,
}

impl Collector {
    /// Nothing collected yet, of `n` neurons; `shard` is the number of the part of the corpus that will be.
    ///
    /// # Errors
    /// [`Error::TooLarge`] and [`Error::OutOfRange`] for absurd settings.
    ///
    /// # Example
    /// ```
    /// use limpid::Error;
    /// use limpid::explanation::Side;
    /// use limpid::explanation::collect::{Batch, CollectSettings, Collector};
    /// use limpid::math::merge::Merge;
    /// use ndarray::array;
    ///
    /// let settings = CollectSettings { positive: 1, ..CollectSettings::default() };
    /// let mut first = Collector::new(2, settings, 0)?;
    /// // one sequence of three tokens and two neurons, from document 7
    /// first.update(&array![[[0.0, 1.0], [2.5, 1.0], [0.0, -1.0]]], &Batch { documents: &[7], ..Batch::default() })?;
    /// let mut second = Collector::new(2, settings, 1)?;
    /// second.update(&array![[[0.5, 3.0], [0.0, 0.0], [0.0, 0.0]]], &Batch { documents: &[8], ..Batch::default() })?;
    ///
    /// first.merge(&second)?;
    /// let best = first.neuron(1).unwrap().top(Side::Positive)[0];
    /// assert_eq!((best.value, best.document, best.position), (3.0, 8, 0));
    /// assert_eq!(first.neuron(0).unwrap().moments().mean(), Some(0.5));
    /// assert_eq!(first.merge(&second), Err(Error::DuplicateShard { shard: 1 }));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new(n: usize, settings: CollectSettings, shard: u64) -> Result<Self> {
        check_limit("neurons", n, MAX_NEURONS)?;
        let random = settings.random()?;
        let tokens = settings.tokens()?;
        let empty = NeuronStats::new(&settings, 0)?;
        let neurons = (0..n as u64).map(|neuron| empty.for_neuron(&settings, neuron)).collect::<Result<_>>()?;
        Ok(Self { settings, shards: BTreeSet::from([shard]), sequences: 0, tokens_seen: 0, random, tokens, neurons })
    }

    /// Takes up a batch of `activations: (b, t, n)`. Values that are not finite, or beyond `±1e60`, are counted for their
    /// neuron and otherwise left out.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Empty`] where means by token are collected and tokens are not given,
    /// [`Error::OutOfRange`] for a token outside the vocabulary; nothing is changed then.
    pub fn update<T: Scalar>(&mut self, activations: &ArrayRef3<T>, batch: &Batch<'_>) -> Result<()> {
        let (b, t, _) = activations.dim();
        check_shape("activations", activations, &[b, t, self.neurons.len()])?;
        let sequences = batch.sequences(b, t, self.tokens.as_ref())?;
        self.count(&sequences);
        let places = sequences.iter().map(|sequence| sequence.places.len()).sum();
        let first = self.neurons.first().filter(|_| self.settings.octaves > 0);
        let slots = first.and_then(|stats| Slots::new::<T>(stats.histogram(), places));
        let (sequences, settings, slots) = (sequences.as_slice(), &self.settings, slots.as_ref());
        let input = Dense { activations, sequences, settings, slots };
        par::for_each_chunk_mut(&mut self.neurons, LANES, |chunk, neurons| {
            dispatch!(level(), simd => dense::update(simd, neurons, chunk * LANES, input));
        });
        Ok(())
    }

    /// Takes up a batch of `b` sequences of `t` tokens of which only these activations are not 0: the same statistics, to
    /// the bit, as from all of them. `entries` may come in any order.
    ///
    /// # Errors
    /// As [`Collector::update`], and [`Error::OutOfRange`] for an entry outside of the batch, [`Error::Unsupported`] where one
    /// comes twice; nothing is changed then.
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::collect::{Batch, CollectSettings, Collector, SparseActivation};
    /// use ndarray::array;
    ///
    /// let batch = Batch { documents: &[7], ..Batch::default() };
    /// let (mut dense, mut sparse) =
    ///     (Collector::new(2, CollectSettings::default(), 0)?, Collector::new(2, CollectSettings::default(), 0)?);
    /// dense.update(&array![[[0.0, 0.0], [2.5, 0.0]]], &batch)?;
    /// sparse.update_sparse(&[SparseActivation { row: 0, at: 1, neuron: 0, value: 2.5 }], (1, 2), &batch)?;
    /// assert_eq!(sparse, dense);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn update_sparse<T: Scalar>(
        &mut self,
        entries: &[SparseActivation<T>],
        (b, t): (usize, usize),
        batch: &Batch<'_>,
    ) -> Result<()> {
        let sequences = batch.sequences(b, t, self.tokens.as_ref())?;
        let entries = sparse::by_neuron(entries, (t, self.neurons.len()), &sequences)?;
        self.count(&sequences);
        par::for_each_chunk_mut(&mut self.neurons, LANES, |chunk, neurons| {
            sparse::update(neurons, chunk * LANES, &entries, &sequences);
        });
        Ok(())
    }

    /// What is the same for all neurons.
    fn count(&mut self, sequences: &[Sequence]) {
        for sequence in sequences {
            let Some(first) = sequence.places.first() else { continue };
            let tokens = sequence.places.len() as u64;
            self.sequences = self.sequences.saturating_add(1);
            self.tokens_seen = self.tokens_seen.saturating_add(tokens);
            let hit = Hit { value: tokens as f64, document: sequence.document, position: first.position };
            self.random.push(hit);
            if let Some(counts) = &mut self.tokens {
                sequence.places.iter().filter_map(|place| place.token).for_each(|token| {
                    counts.add(token);
                });
            }
        }
    }

    /// Statistics of one neuron.
    #[must_use]
    pub fn neuron(&self, index: usize) -> Option<&NeuronStats> {
        self.neurons.get(index)
    }

    /// Statistics of all neurons.
    #[must_use]
    pub fn neurons(&self) -> &[NeuronStats] {
        &self.neurons
    }

    /// Random sequences, the same for all neurons; the value of each is its number of tokens that count, and its position
    /// that of the first of them.
    #[must_use]
    pub fn random(&self) -> &HashSample {
        &self.random
    }

    /// How often each token came, where means by token are collected.
    #[must_use]
    pub fn token_counts(&self) -> Option<&TokenCounts> {
        self.tokens.as_ref()
    }

    /// Sequences seen that had a token that counts.
    #[must_use]
    pub fn sequences(&self) -> u64 {
        self.sequences
    }

    /// Tokens seen that count.
    #[must_use]
    pub fn tokens_seen(&self) -> u64 {
        self.tokens_seen
    }

    /// The parts of the corpus that were seen.
    pub fn shards(&self) -> impl ExactSizeIterator<Item = u64> {
        self.shards.iter().copied()
    }

    /// What is collected.
    #[must_use]
    pub fn settings(&self) -> &CollectSettings {
        &self.settings
    }
}

impl Merge for Collector {
    /// # Errors
    /// [`Error::DuplicateShard`] where both saw the same part of the corpus, [`Error::Shape`] for another number of neurons,
    /// [`Error::Unsupported`] for other settings; `self` is then unchanged.
    fn merge(&mut self, other: &Self) -> Result<()> {
        check_length("neurons", other.neurons.len(), self.neurons.len())?;
        if self.settings != other.settings {
            return Err(Error::Unsupported { what: "merging collections of different settings" });
        }
        if let Some(&shard) = self.shards.intersection(&other.shards).next() {
            return Err(Error::DuplicateShard { shard });
        }
        self.random.merge(&other.random)?;
        if let Some((tokens, other)) = self.tokens.as_mut().zip(other.tokens.as_ref()) {
            tokens.merge(other)?;
        }
        self.neurons.iter_mut().zip(&other.neurons).try_for_each(|(stats, other)| stats.merge(other))?;
        self.shards.extend(&other.shards);
        self.sequences = self.sequences.saturating_add(other.sequences);
        self.tokens_seen = self.tokens_seen.saturating_add(other.tokens_seen);
        Ok(())
    }
}

/// First bytes of the written form.
const MAGIC: &[u8; 8] = b"limpcol2";

impl Bytes for Collector {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(MAGIC);
        self.settings.write(out);
        let counts = [self.sequences, self.tokens_seen, self.shards.len() as u64];
        counts.iter().chain(&self.shards).for_each(|count| out.extend(count.to_le_bytes()));
        self.random.write(out);
        if let Some(tokens) = &self.tokens {
            tokens.write(out);
        }
        out.extend((self.neurons.len() as u64).to_le_bytes());
        self.neurons.iter().for_each(|neuron| neuron.write(out));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self> {
        let error = input.error("a collection");
        if input.take(MAGIC.len(), "a collection")? != MAGIC {
            return Err(error);
        }
        let settings = CollectSettings::read(input)?;
        let (sequences, tokens_seen) = (input.u64("a count")?, input.u64("a count")?);
        let mut shards = BTreeSet::new();
        for _ in 0..input.count(8, "a number of shards")? {
            let error = input.error("ascending shard numbers");
            let shard = input.u64("a shard number")?;
            if shards.last().is_some_and(|last| *last >= shard) {
                return Err(error);
            }
            shards.insert(shard);
        }
        let error = input.error("statistics that fit the settings");
        let random = HashSample::read(input)?;
        let tokens = settings.vocabulary.map(|_| TokenCounts::read(input)).transpose()?;
        let fits = settings.random().is_ok_and(|expected| random.belongs_to(&expected))
            && tokens.as_ref().map(TokenCounts::vocabulary) == settings.vocabulary;
        if !fits {
            return Err(error);
        }
        let error = input.error("a number of neurons");
        let n = input.count(NeuronStats::LEAST_BYTES, "a number of neurons")?;
        check_limit("neurons", n, MAX_NEURONS).map_err(|_| error)?;
        let empty = NeuronStats::new(&settings, 0).map_err(|_| error)?;
        let mut neurons = Vec::new();
        for neuron in 0..n as u64 {
            let expected = empty.for_neuron(&settings, neuron).map_err(|_| error)?;
            neurons.push(NeuronStats::read(input, &expected)?);
        }
        Ok(Self { settings, shards, sequences, tokens_seen, random, tokens, neurons })
    }
}
