//! The stretches of one to three tokens that explanations know: those that training has often enough, the most frequent of
//! them where they are too many.

use std::collections::HashMap;

/// Longest stretch.
pub(crate) const ORDER: usize = 3;
/// Occurrences that a stretch needs, by its length.
const LEAST: [u64; ORDER] = [2, 4, 4];
/// Stretches that are counted at a time; beyond, the rarest are forgotten.
const COUNTED: usize = 1 << 21;
/// Stands where a stretch has no further token.
const NONE: u32 = u32::MAX;

/// The tokens of a stretch, the last one first.
pub(crate) type Key = [u32; ORDER];

/// How often stretches come.
pub(crate) struct Counter {
    counts: HashMap<Key, u64>,
    limit: usize,
}

impl Default for Counter {
    fn default() -> Self {
        Self { counts: HashMap::new(), limit: COUNTED }
    }
}

/// The stretch of so many tokens that ends at `at`.
fn key(tokens: &[u32], at: usize, length: usize) -> Key {
    let mut key = [NONE; ORDER];
    key.iter_mut().zip(tokens[..=at].iter().rev().take(length)).for_each(|(slot, &token)| *slot = token);
    key
}

fn length(key: &Key) -> usize {
    key.iter().take_while(|token| **token != NONE).count()
}

impl Counter {
    pub(crate) fn add(&mut self, tokens: &[u32]) {
        for at in 0..tokens.len() {
            for length in 1..=ORDER.min(at + 1) {
                *self.counts.entry(key(tokens, at, length)).or_default() += 1;
            }
        }
        let mut least = 1;
        while self.counts.len() > self.limit {
            self.counts.retain(|_, count| *count > least);
            least += 1;
        }
    }

    /// The most frequent `keep` stretches. None is kept without the shorter ones that it ends with.
    pub(crate) fn most(self, keep: usize) -> Stretches {
        let often = |(key, count): &(Key, u64)| length(key).checked_sub(1).is_some_and(|at| *count >= LEAST[at]);
        let mut all: Vec<(Key, u64)> = self.counts.into_iter().filter(often).collect();
        // a longer stretch never comes more often
        all.sort_unstable_by_key(|(key, count)| (u64::MAX - count, length(key), *key));
        all.truncate(keep);
        let keys: Vec<Key> = all.into_iter().map(|(key, _)| key).collect();
        let numbers = keys.iter().copied().zip(1..).collect();
        Stretches { numbers, keys }
    }
}

/// The stretches that are kept, numbered from 1; number 0 is the empty one, which is everywhere.
pub(crate) struct Stretches {
    numbers: HashMap<Key, usize>,
    keys: Vec<Key>,
}

impl Stretches {
    /// Number of stretches with the empty one.
    pub(crate) fn len(&self) -> usize {
        self.keys.len() + 1
    }

    /// The stretches that end at `at`, from the empty one to the longest.
    pub(crate) fn ending(&self, tokens: &[u32], at: usize) -> impl Iterator<Item = usize> {
        let known =
            (1..=ORDER.min(at + 1)).map_while(move |length| self.numbers.get(&key(tokens, at, length)).copied());
        std::iter::once(0).chain(known)
    }

    /// The single tokens among them, each with its number.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = (u32, usize)> {
        self.keys.iter().zip(1..).filter(|(key, _)| length(key) == 1).map(|(key, number)| (key[0], number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_that_is_known_comes_last() {
        let mut counter = Counter::default();
        (0..4).for_each(|_| counter.add(&[1, 2, 3]));
        counter.add(&[9, 2]);
        let stretches = counter.most(100);
        // 1, 2, 3, 12, 23, 123, and not 9 or 92
        assert_eq!((stretches.len(), stretches.tokens().count()), (7, 3));
        let lengths = |tokens: &[u32], at| stretches.ending(tokens, at).count();
        assert_eq!((lengths(&[1, 2, 3], 2), lengths(&[9, 2], 1), lengths(&[9, 2], 0)), (4, 2, 1));
        assert_eq!(stretches.ending(&[5], 0).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn few_are_the_most_frequent_and_end_with_each_other() {
        let mut counter = Counter { limit: 12, ..Counter::default() };
        for round in 0..50 {
            counter.add(&[1, 2, 1, 2, 100 + round]);
        }
        let stretches = counter.most(4);
        assert_eq!(stretches.len(), 5);
        assert_eq!(stretches.ending(&[1, 2], 1).count(), 3);
    }
}
