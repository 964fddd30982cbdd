//! Coalitions: sets of players, one bit each.
//!
//! Player `i` of a coalition is bit `i mod 64` of word `i / 64`, for any number of players; unused bits are 0. With few
//! players the one word is the index `Σ_i 2^i` of the coalition in a table of all of them.

use alloc::vec::Vec;

use crate::error::check_each;
use crate::{Error, Result};

/// Bits of a word.
const BITS: usize = 64;

/// A list of coalitions of the same players.
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::Coalitions;
///
/// let mut coalitions = Coalitions::new(100);
/// coalitions.push([2, 70])?;
/// let last = coalitions.row(0);
/// assert!(last.contains(70) && !last.contains(3));
/// assert_eq!((last.size(), last.members().collect::<Vec<_>>()), (2, vec![2, 70]));
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coalitions {
    n_players: usize,
    rows: usize,
    words: Vec<u64>,
}

impl Coalitions {
    /// An empty list of coalitions of `n_players` players.
    #[must_use]
    pub fn new(n_players: usize) -> Self {
        Self { n_players, rows: 0, words: Vec::new() }
    }

    /// Number of players.
    #[must_use]
    pub fn n_players(&self) -> usize {
        self.n_players
    }

    /// Number of coalitions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Forgets all coalitions and keeps the memory.
    pub fn clear(&mut self) {
        self.rows = 0;
        self.words.clear();
    }

    /// Words of a coalition.
    pub(crate) fn stride(&self) -> usize {
        self.n_players.div_ceil(BITS)
    }

    /// Appends the coalition of these players.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a player that does not exist; nothing is appended then.
    pub fn push(&mut self, members: impl IntoIterator<Item = usize>) -> Result<()> {
        let start = self.words.len();
        self.push_empty();
        for (index, player) in members.into_iter().enumerate() {
            if player >= self.n_players {
                self.words.truncate(start);
                self.rows -= 1;
                let value = player as f64;
                return Err(Error::OutOfRange { what: "player", index, value, expected: "a player of the game" });
            }
            self.words[start + player / BITS] |= 1 << (player % BITS);
        }
        Ok(())
    }

    /// Appends the coalition of nobody.
    pub fn push_empty(&mut self) {
        self.words.resize(self.words.len() + self.stride(), 0);
        self.rows += 1;
    }

    /// Appends the coalition of all.
    pub fn push_full(&mut self) {
        let start = self.words.len();
        self.words.resize(start + self.stride(), u64::MAX);
        if let Some(last) = self.words[start..].last_mut() {
            *last = last_word(self.n_players);
        }
        self.rows += 1;
    }

    /// Appends a copy of a coalition that is given by its words.
    #[inline]
    pub(crate) fn push_words(&mut self, words: &[u64]) {
        debug_assert_eq!(words.len(), self.stride());
        self.words.extend_from_slice(words);
        self.rows += 1;
    }

    /// Appends those who are not in a coalition that is given by its words.
    #[inline]
    pub(crate) fn push_complement(&mut self, words: &[u64]) {
        self.words.extend(words.iter().map(|word| !word));
        if let Some(last) = self.words.last_mut() {
            *last &= last_word(self.n_players);
        }
        self.rows += 1;
    }

    /// Coalition number `row`.
    ///
    /// # Panics
    /// Where there is no such coalition, as an index of a slice does.
    #[must_use]
    pub fn row(&self, row: usize) -> Coalition<'_> {
        let stride = self.stride();
        assert!(row < self.rows, "coalition {row} of {}", self.rows);
        Coalition { n_players: self.n_players, words: &self.words[row * stride..(row + 1) * stride] }
    }

    /// All coalitions in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Coalition<'_>> + '_ {
        (0..self.rows).map(|row| self.row(row))
    }

    /// Checks that they are coalitions of so many players.
    pub(crate) fn check(&self, n_players: usize) -> Result<()> {
        check_each("players", &[self.n_players as f64], "the players of the game", |n: f64| n == n_players as f64)
    }
}

/// The used bits of the last word.
fn last_word(n_players: usize) -> u64 {
    match n_players % BITS {
        0 => u64::MAX,
        used => (1 << used) - 1,
    }
}

/// One set of players.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coalition<'a> {
    n_players: usize,
    words: &'a [u64],
}

impl<'a> Coalition<'a> {
    /// Whether the player is a member.
    #[must_use]
    #[inline]
    pub fn contains(self, player: usize) -> bool {
        self.words.get(player / BITS).is_some_and(|word| word >> (player % BITS) & 1 == 1)
    }

    /// Number of members.
    #[must_use]
    pub fn size(self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Number of players, members or not.
    #[must_use]
    pub fn n_players(self) -> usize {
        self.n_players
    }

    /// Members in ascending order.
    pub fn members(self) -> impl Iterator<Item = usize> + 'a {
        self.words.iter().enumerate().flat_map(|(at, &word)| Ones(word).map(move |bit| at * BITS + bit))
    }

    /// The bits, 64 players to a word.
    #[must_use]
    pub fn words(self) -> &'a [u64] {
        self.words
    }

    /// `Σ 2^i` over the members: the index in a table of all coalitions; `None` for more than 63 players.
    #[must_use]
    pub fn index(self) -> Option<usize> {
        if self.n_players >= BITS {
            return None;
        }
        usize::try_from(self.words.first().copied().unwrap_or(0)).ok()
    }
}

/// Positions of the set bits of a word.
pub(crate) struct Ones(pub(crate) u64);

impl Iterator for Ones {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        (self.0 != 0).then(|| {
            let bit = self.0.trailing_zeros() as usize;
            self.0 &= self.0 - 1;
            bit
        })
    }
}

/// Turns the membership of one player around.
#[inline]
pub(crate) fn toggle(words: &mut [u64], player: usize) {
    words[player / BITS] ^= 1 << (player % BITS);
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn bits_of_many_players() {
        for n in [1, 63, 64, 65, 130] {
            let mut coalitions = Coalitions::new(n);
            coalitions.push_empty();
            coalitions.push_full();
            coalitions.push([n - 1]).unwrap();
            let words = coalitions.row(2).words().to_vec();
            coalitions.push_complement(&words);
            let sizes: Vec<usize> = coalitions.iter().map(Coalition::size).collect();
            assert_eq!(sizes, [0, n, 1, n - 1]);
            assert!(coalitions.row(2).contains(n - 1) && !coalitions.row(3).contains(n - 1));
            assert_eq!(coalitions.row(1).members().collect::<Vec<_>>(), (0..n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_unknown_player_changes_nothing() {
        let mut coalitions = Coalitions::new(3);
        assert!(matches!(coalitions.push([0, 3]), Err(Error::OutOfRange { what: "player", index: 1, .. })));
        assert!(coalitions.is_empty());
        coalitions.push([0, 2]).unwrap();
        assert_eq!((coalitions.row(0).index(), coalitions.row(0).words()), (Some(5), &vec![5][..]));
    }
}
