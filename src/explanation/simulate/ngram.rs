//! N-gram simulator: the mean activation after the longest stretch of tokens that training has seen often enough.
//!
//! ```text
//! prediction at i = mean over training of the activation at the last token of the n-gram (x_(i-n+1), .., x_i),
//!                   n the largest up to the order for which it occurred at least `min_count` times
//! ```
//!
//! Stretches do not reach over the start of a text. With order 1 it is the token table; with more it knows neurons of successors
//! and fixed phrases. Where not even the token is known: 0, or the mean of all.
//!
//! Source: Katz, "Estimation of probabilities from sparse data for the language model component of a speech recognizer", IEEE
//! Transactions on Acoustics, Speech, and Signal Processing 35(3), 1987, for backing off to shorter stretches; here without discounts.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::simulation::{Scale, Simulation, TokenStatus};
use super::simulator::Simulator;
use super::training::{Mean, Unseen, check_records};
use crate::error::{check_each, check_limit};
use crate::explanation::ActivationRecord;
use crate::{Result, Scalar};

/// Longest stretch.
const MAX_ORDER: usize = 32;

/// Settings of an n-gram simulator.
///
/// # Example
/// ```
/// use limpid::explanation::ActivationRecord;
/// use limpid::explanation::simulate::{NgramSettings, Simulator};
/// use ndarray::array;
///
/// // the neuron responds to "b" after "a"
/// let train = [ActivationRecord::new(["a", "b", "c", "b"], array![0.0, 8.0, 0.0, 0.0])?];
/// let simulator = NgramSettings::default().fit(&train)?;
/// let tokens = ["b", "a", "b"].map(String::from);
/// let (found, used) = simulator.predict::<f64>(&tokens);
/// assert_eq!(found.expected, [4.0, 0.0, 8.0].map(Some));
/// assert_eq!(used, [1, 1, 2]);
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NgramSettings {
    /// Longest stretch, from 1 to 32.
    pub order: usize,
    /// Occurrences that a stretch needs, at least 1.
    pub min_count: u64,
    /// What is predicted for a token that is not known.
    pub unseen: Unseen,
}

impl Default for NgramSettings {
    fn default() -> Self {
        Self { order: 2, min_count: 1, unseen: Unseen::Zero }
    }
}

/// Stretches with their means.
#[derive(Debug, Clone, PartialEq)]
pub struct Ngram {
    settings: NgramSettings,
    tokens: BTreeMap<String, u32>,
    /// From a stretch and the token before it to the longer stretch; stretch 0 is empty.
    longer: BTreeMap<(u32, u32), u32>,
    /// Of every stretch; the first is of all tokens.
    means: Vec<Mean>,
}

impl NgramSettings {
    /// Counts the stretches of these records.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for a record that is not whole, [`Error::OutOfRange`](crate::Error::OutOfRange) for
    /// settings, and activations that are NaN or beyond `±1e70`, [`Error::TooLarge`](crate::Error::TooLarge) for an order beyond
    /// 32 or 2³² stretches.
    pub fn fit<T: Scalar>(self, records: &[ActivationRecord<T>]) -> Result<Ngram> {
        check_limit("order", self.order, MAX_ORDER)?;
        check_each("order", &[self.order as f64], ">= 1", |order: f64| order >= 1.0)?;
        check_each("min_count", &[self.min_count as f64], ">= 1", |count: f64| count >= 1.0)?;
        check_records(records)?;
        let total: usize = records.iter().map(|record| record.tokens.len()).sum();
        check_limit("stretches", total.saturating_mul(self.order), (u32::MAX - 1) as usize)?;
        let mut ngram = Ngram {
            settings: self,
            tokens: BTreeMap::new(),
            longer: BTreeMap::new(),
            means: alloc::vec![Mean::default()],
        };
        records.iter().for_each(|record| ngram.learn(record));
        Ok(ngram)
    }
}

impl Ngram {
    fn learn<T: Scalar>(&mut self, record: &ActivationRecord<T>) {
        let mut text = Vec::with_capacity(record.tokens.len());
        for (token, activation) in record.tokens.iter().zip(&record.activations) {
            text.push(self.number(token));
            self.means[0].add(activation.as_f64());
            let mut stretch = 0;
            for &before in text.iter().rev().take(self.settings.order) {
                stretch = self.lengthen(stretch, before);
                self.means[stretch as usize].add(activation.as_f64());
            }
        }
    }

    fn number(&mut self, token: &str) -> u32 {
        if let Some(&number) = self.tokens.get(token) {
            return number;
        }
        let number = next(self.tokens.len());
        self.tokens.insert(String::from(token), number);
        number
    }

    fn lengthen(&mut self, stretch: u32, before: u32) -> u32 {
        let number = next(self.means.len());
        let longer = *self.longer.entry((stretch, before)).or_insert(number);
        if longer == number {
            self.means.push(Mean::default());
        }
        longer
    }

    /// Predictions for `tokens: (t)`, and the length of the stretch that each comes from, `(t)`; 0 where the token is not known.
    #[must_use]
    pub fn predict<T: Scalar>(&self, tokens: &[String]) -> (Simulation<T>, Vec<usize>) {
        let text: Vec<Option<u32>> = tokens.iter().map(|token| self.tokens.get(token).copied()).collect();
        let mut simulation = Simulation::missing(tokens.len(), Scale::Activation);
        let mut used = Vec::with_capacity(tokens.len());
        for at in 0..tokens.len() {
            let (length, mean) = self.longest(&text[..=at]);
            let known = mean.and_then(Mean::value);
            let value = known.unwrap_or_else(|| self.settings.unseen.value(&self.means[0]));
            let status = if known.is_some() { TokenStatus::Ok } else { TokenStatus::Fallback };
            simulation.set(at, T::of(value), status);
            used.push(length);
        }
        (simulation, used)
    }

    /// The longest stretch at the end of a text that occurred often enough; a longer one never occurs more often.
    fn longest(&self, text: &[Option<u32>]) -> (usize, Option<&Mean>) {
        let (mut stretch, mut length, mut found) = (0, 0, None);
        for &before in text.iter().rev().take(self.settings.order) {
            let longer = before.and_then(|before| self.longer.get(&(stretch, before)));
            let mean = longer.and_then(|&longer| self.means.get(longer as usize));
            let (Some(&longer), Some(mean)) = (longer, mean.filter(|mean| mean.count >= self.settings.min_count))
            else {
                break;
            };
            (stretch, length, found) = (longer, length + 1, Some(mean));
        }
        (length, found)
    }
}

/// The number that comes after `count` others.
fn next(count: usize) -> u32 {
    // the limit on stretches keeps it below
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl<T: Scalar> Simulator<T> for Ngram {
    type Error = crate::Error;

    fn simulate(&mut self, _explanation: &str, tokens: &[String]) -> Result<Simulation<T>> {
        Ok(self.predict(tokens).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::random::below;
    use crate::{Error, Seed};
    use alloc::format;
    use ndarray::{Array1, array};

    fn drawn(records: usize, seed: u64) -> Vec<ActivationRecord<f64>> {
        let mut stream = Seed(seed).stream(0, 0);
        let mut record = |_| {
            let tokens: Vec<String> = (0..9).map(|_| format!("{}", below(&mut stream, 4))).collect();
            let activations: Array1<f64> = (0..9).map(|_| below(&mut stream, 10) as f64).collect();
            ActivationRecord::new(tokens, activations).unwrap()
        };
        (0..records).map(&mut record).collect()
    }

    /// By looking through all of training for every length.
    fn naive(train: &[ActivationRecord<f64>], settings: NgramSettings, text: &[String]) -> (f64, usize) {
        for length in (1..=settings.order.min(text.len())).rev() {
            let end = &text[text.len() - length..];
            let places = train.iter().flat_map(|record| (length..=record.tokens.len()).map(move |at| (record, at)));
            let found: Vec<f64> = places
                .filter(|(record, at)| &record.tokens[at - length..*at] == end)
                .map(|(record, at)| record.activations[at - 1])
                .collect();
            if found.len() as u64 >= settings.min_count {
                return (found.iter().sum::<f64>() / found.len() as f64, length);
            }
        }
        (0.0, 0)
    }

    #[test]
    fn it_is_the_search_through_all_of_training() {
        let (train, test) = (drawn(12, 1), drawn(3, 2));
        for (order, min_count) in [(1, 1), (2, 1), (3, 1), (3, 2), (5, 3), (32, 100)] {
            let settings = NgramSettings { order, min_count, unseen: Unseen::Zero };
            let ngram = settings.fit(&train).unwrap();
            for record in &test {
                let (found, used) = ngram.predict::<f64>(&record.tokens);
                for (at, &length) in used.iter().enumerate() {
                    let expected = naive(&train, settings, &record.tokens[..=at]);
                    assert_eq!((found.expected[at].unwrap(), length), expected, "{order} {min_count}");
                }
            }
        }
    }

    #[test]
    fn settings_have_their_range() {
        let fit = |order, min_count| NgramSettings { order, min_count, ..NgramSettings::default() }.fit(&drawn(1, 1));
        assert!(matches!(fit(0, 1), Err(Error::OutOfRange { what: "order", .. })));
        assert!(matches!(fit(33, 1), Err(Error::TooLarge { what: "order", .. })));
        assert!(matches!(fit(1, 0), Err(Error::OutOfRange { what: "min_count", .. })));
        let nothing = NgramSettings { unseen: Unseen::GlobalMean, ..NgramSettings::default() };
        let nothing = nothing.fit::<f64>(&[]).unwrap();
        let (found, used) = nothing.predict::<f32>(&[String::from("a")]);
        assert_eq!((found.filled(1.0), used), (array![0.0], alloc::vec![0]));
    }
}
