//! All questions to a game go through here: sizes, counting, the check for NaN.

use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut2};

use super::coalitions::{Coalition, Coalitions};
use super::game::Game;
use super::summary::GameAttribution;
use crate::attribution::{Explained, Failure, Status};
use crate::error::{check_each, check_finite, check_limit};
use crate::{Error, Result, Scalar};

/// Coalitions that are put to a game at once; it decides over memory alone.
pub(crate) const ROUND: usize = 512;

/// Most numbers that are kept for the players of a game.
const MAX_NUMBERS: usize = 1 << 28;

/// A game that is being played.
pub(crate) struct Play<'a, T, G: ?Sized> {
    game: &'a mut G,
    values: Vec<T>,
    /// Players.
    pub(crate) n: usize,
    /// Numbers per coalition.
    pub(crate) v: usize,
    /// Coalitions asked for.
    pub(crate) evaluations: u64,
    calls: u64,
}

/// Worth of nobody and of all, `(values)` each.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ends {
    pub(crate) base: Vec<f64>,
    pub(crate) full: Vec<f64>,
}

impl Ends {
    /// `v(N) - v(∅)`.
    pub(crate) fn gain(&self) -> impl Iterator<Item = f64> + '_ {
        self.full.iter().zip(&self.base).map(|(full, base)| full - base)
    }
}

impl<'a, T: Scalar, G: Game<T> + ?Sized> Play<'a, T, G> {
    /// Checks that there is somebody to play, and something to win.
    pub(crate) fn new(game: &'a mut G) -> Result<Self> {
        let (n, v) = (game.n_players(), game.n_values());
        for (what, count) in [("players", n), ("values", v)] {
            if count == 0 {
                return Err(Error::Empty { what });
            }
        }
        check_limit("players times values", n.saturating_mul(v), MAX_NUMBERS)?;
        Ok(Self { game, values: Vec::new(), n, v, evaluations: 0, calls: 0 })
    }

    /// What the coalitions are worth, `(coalitions, values)`.
    pub(crate) fn values(&mut self, coalitions: &Coalitions) -> Explained<ArrayView2<'_, T>, G::Error> {
        let shape = (coalitions.len(), self.v);
        self.values.clear();
        self.values.resize(shape.0 * shape.1, T::zero());
        if coalitions.is_empty() {
            return Ok(ArrayView2::from_shape(shape, &self.values).expect("the length was just set"));
        }
        let mut out = ArrayViewMut2::from_shape(shape, &mut self.values).expect("the length was just set");
        let call = self.calls;
        self.calls += 1;
        self.evaluations += shape.0 as u64;
        self.game.values(coalitions, &mut out).map_err(|error| Failure::Model { call, error })?;
        let out = ArrayView2::from_shape(shape, &self.values).expect("the length was just set");
        match check_finite("game", &out) {
            Err(Error::NotFinite { index, .. }) => {
                Err(Failure::NotFinite { what: "game", call, row: index / shape.1, column: index % shape.1 })
            }
            _ => Ok(out),
        }
    }

    /// Asks for `count` coalitions, a round at a time: `fill(index, words)` changes the words of all into those of a
    /// coalition, and `take(index, coalition, worth)` gets what it is worth, `(values)`.
    pub(crate) fn each(
        &mut self,
        count: usize,
        mut fill: impl FnMut(usize, &mut [u64]),
        mut take: impl FnMut(usize, Coalition<'_>, ArrayView1<'_, T>),
    ) -> Explained<(), G::Error> {
        let mut coalitions = Coalitions::new(self.n);
        coalitions.push_full();
        let all = coalitions.row(0).words().to_vec();
        let mut words = all.clone();
        for start in (0..count).step_by(ROUND) {
            let end = count.min(start + ROUND);
            coalitions.clear();
            for index in start..end {
                words.copy_from_slice(&all);
                fill(index, &mut words);
                coalitions.push_words(&words);
            }
            let values = self.values(&coalitions)?;
            let asked = (start..end).zip(coalitions.iter()).zip(values.rows());
            asked.for_each(|((index, coalition), worth)| take(index, coalition, worth));
        }
        Ok(())
    }

    /// Asks for nobody and for all.
    pub(crate) fn ends(&mut self) -> Explained<Ends, G::Error> {
        let mut coalitions = Coalitions::new(self.n);
        coalitions.push_empty();
        coalitions.push_full();
        let values = self.values(&coalitions)?;
        let row = |row: usize| values.row(row).iter().map(|value| value.as_f64()).collect();
        Ok(Ends { base: row(0), full: row(1) })
    }

    /// Whether all `2^M` coalitions can be asked for within `budget`.
    pub(crate) fn fits(&self, budget: u64) -> bool {
        self.n < 63 && 1_u64 << self.n <= budget
    }

    /// Zeros for `(players, values)`.
    pub(crate) fn zeros(&self) -> Vec<f64> {
        vec![0.0; self.n * self.v]
    }

    /// The result with these `values: (players, values)`.
    pub(crate) fn result(&self, method: &'static str, values: &[f64], ends: &Ends) -> GameAttribution<T> {
        let single = |x: &Vec<f64>| x.iter().map(|&x| T::of(x)).collect::<Array1<T>>();
        GameAttribution {
            values: matrix(values, (self.n, self.v)),
            standard_error: None,
            units: 0,
            base: single(&ends.base),
            full: single(&ends.full),
            evaluations: self.evaluations,
            status: Status::Exact,
            method: Cow::Borrowed(method),
            seed: None,
        }
    }
}

/// Numbers in rows.
pub(crate) fn matrix<T: Scalar>(values: &[f64], shape: (usize, usize)) -> Array2<T> {
    Array2::from_shape_fn(shape, |(row, column)| T::of(values[row * shape.1 + column]))
}

/// All coalitions of `n` players in the order of the Gray code, one player's step apart: number `index`.
pub(crate) fn gray(index: u64) -> u64 {
    index ^ (index >> 1)
}

/// Checks a number of players against what can be enumerated.
pub(crate) fn check_players(n: usize, max_players: usize) -> Result<()> {
    check_each("max_players", &[max_players as f64], "<= 40", |_: f64| max_players <= 40)?;
    check_limit("players", n, max_players)
}
