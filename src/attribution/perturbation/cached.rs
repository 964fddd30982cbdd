//! A game that is asked for no coalition twice.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2};

use super::coalitions::Coalitions;
use super::game::Game;
use crate::Scalar;

/// Remembers what coalitions are worth, up to a number of them.
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::{Cached, Coalitions, Game, Table};
/// use ndarray::{Array2, array};
///
/// let mut game = Cached::new(Table::single(array![0.0, 1.0, 2.0, 5.0])?, 1000);
/// let mut coalitions = Coalitions::new(2);
/// coalitions.push([1])?;
/// coalitions.push([1])?;
/// let mut out = Array2::zeros((2, 1));
/// game.values(&coalitions, &mut out).unwrap();
/// assert_eq!((out, game.evaluations()), (array![[2.0], [2.0]], 1));
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Cached<T, G> {
    game: G,
    limit: usize,
    known: BTreeMap<Vec<u64>, Vec<T>>,
    evaluations: u64,
}

impl<T: Scalar, G: Game<T>> Cached<T, G> {
    /// Remembers at most `limit` coalitions; the first ones stay.
    pub fn new(game: G, limit: usize) -> Self {
        Self { game, limit, known: BTreeMap::new(), evaluations: 0 }
    }

    /// Coalitions that the game itself was asked for.
    #[must_use]
    pub fn evaluations(&self) -> u64 {
        self.evaluations
    }

    /// The game itself, with which everything that is known is dropped.
    pub fn into_inner(self) -> G {
        self.game
    }
}

impl<T: Scalar, G: Game<T>> Game<T> for Cached<T, G> {
    type Error = G::Error;

    fn n_players(&self) -> usize {
        self.game.n_players()
    }

    fn n_values(&self) -> usize {
        self.game.n_values()
    }

    fn values(&mut self, coalitions: &Coalitions, out: &mut ArrayRef2<T>) -> Result<(), G::Error> {
        let mut missing = Coalitions::new(coalitions.n_players());
        let mut rows: BTreeMap<&[u64], usize> = BTreeMap::new();
        for coalition in coalitions.iter().filter(|coalition| !self.known.contains_key(coalition.words())) {
            if let alloc::collections::btree_map::Entry::Vacant(entry) = rows.entry(coalition.words()) {
                entry.insert(missing.len());
                missing.push_words(coalition.words());
            }
        }
        let mut fresh = Array2::zeros((missing.len(), self.game.n_values()));
        if !missing.is_empty() {
            self.game.values(&missing, &mut fresh)?;
            self.evaluations += missing.len() as u64;
        }
        for (coalition, mut out) in coalitions.iter().zip(out.rows_mut()) {
            if let Some(known) = self.known.get(coalition.words()) {
                out.iter_mut().zip(known).for_each(|(slot, &value)| *slot = value);
            } else if let Some(&row) = rows.get(coalition.words()) {
                out.assign(&fresh.row(row));
            }
        }
        for (coalition, values) in missing.iter().zip(fresh.rows()) {
            if self.known.len() >= self.limit {
                break;
            }
            self.known.insert(coalition.words().to_vec(), values.to_vec());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::perturbation::Table;
    use ndarray::array;

    #[test]
    fn a_full_memory_still_answers() {
        let mut game = Cached::new(Table::single(array![0.0, 1.0, 2.0, 5.0]).unwrap(), 1);
        let mut coalitions = Coalitions::new(2);
        coalitions.push_full();
        coalitions.push_empty();
        for expected in [2, 3] {
            let mut out = Array2::zeros((2, 1));
            game.values(&coalitions, &mut out).unwrap();
            assert_eq!((out, game.evaluations()), (array![[5.0], [0.0]], expected));
        }
    }
}
