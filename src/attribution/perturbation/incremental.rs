//! Games that are cheap to play when one player at a time comes or goes.
//!
//! A language model with cached keys and values, or a model that is linear in its first layer, pays for a change and not
//! for a whole coalition. The methods of this module ask for coalitions in orders in which neighbours differ by few players
//! (Gray code, walks along permutations), so that [`OneFlip`] serves all of them.

use alloc::vec::Vec;

use ndarray::{ArrayRef2, ArrayViewMut1};

use super::coalitions::{Coalition, Coalitions, Ones};
use super::game::Game;
use crate::Scalar;

/// A game with a current coalition, from which players come and go.
pub trait IncrementalGame<T: Scalar> {
    /// What the game says when it cannot be played.
    type Error;

    /// Number of players.
    fn n_players(&self) -> usize;

    /// Numbers that one coalition is worth.
    fn n_values(&self) -> usize {
        1
    }

    /// Makes `coalition` the current one, and writes its worth into `out: (values)`.
    ///
    /// # Errors
    /// Whatever the game reports.
    fn reset(&mut self, coalition: Coalition<'_>, out: ArrayViewMut1<'_, T>) -> Result<(), Self::Error>;

    /// Lets `player` come or go, and writes the worth of the new coalition into `out: (values)`.
    ///
    /// # Errors
    /// Whatever the game reports.
    fn flip(&mut self, player: usize, out: ArrayViewMut1<'_, T>) -> Result<(), Self::Error>;

    /// Cost of letting `player` come or go, in any unit.
    fn flip_cost(&self, player: usize) -> u64 {
        let _ = player;
        1
    }

    /// Cost of a reset, in the same unit.
    fn reset_cost(&self) -> u64 {
        self.n_players() as u64
    }
}

/// An [`IncrementalGame`] as a [`Game`]: goes from coalition to coalition by the cheaper of flips and a reset.
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::{Coalition, ExactShapley, IncrementalGame, OneFlip, Summary};
/// use ndarray::{ArrayViewMut1, array};
///
/// /// The square of a sum that is kept up to date.
/// struct Square { weights: [f64; 3], present: [bool; 3], sum: f64 }
///
/// impl IncrementalGame<f64> for Square {
///     type Error = core::convert::Infallible;
///     fn n_players(&self) -> usize { 3 }
///     fn reset(&mut self, coalition: Coalition<'_>, mut out: ArrayViewMut1<'_, f64>) -> Result<(), Self::Error> {
///         self.present = core::array::from_fn(|i| coalition.contains(i));
///         self.sum = coalition.members().map(|i| self.weights[i]).sum();
///         out[0] = self.sum * self.sum;
///         Ok(())
///     }
///     fn flip(&mut self, player: usize, mut out: ArrayViewMut1<'_, f64>) -> Result<(), Self::Error> {
///         self.present[player] = !self.present[player];
///         self.sum += if self.present[player] { self.weights[player] } else { -self.weights[player] };
///         out[0] = self.sum * self.sum;
///         Ok(())
///     }
/// }
///
/// let mut game = OneFlip::new(Square { weights: [1.0, 2.0, 3.0], present: [false; 3], sum: 0.0 });
/// let found = ExactShapley::default().of(&mut game).unwrap();
/// // φ_i = w_i Σ_j w_j
/// assert!((&found.values - &array![[6.0], [12.0], [18.0]]).iter().all(|e| e.abs() < 1e-12));
/// assert!(game.resets() <= 2 && game.flips() >= 6);
/// ```
#[derive(Debug, Clone)]
pub struct OneFlip<G> {
    game: G,
    now: Option<Vec<u64>>,
    flips: u64,
    resets: u64,
}

impl<G> OneFlip<G> {
    /// Starts without a current coalition.
    pub fn new(game: G) -> Self {
        Self { game, now: None, flips: 0, resets: 0 }
    }

    /// Players that came or went so far.
    #[must_use]
    pub fn flips(&self) -> u64 {
        self.flips
    }

    /// Resets so far.
    #[must_use]
    pub fn resets(&self) -> u64 {
        self.resets
    }

    /// The game itself.
    pub fn into_inner(self) -> G {
        self.game
    }
}

impl<T: Scalar, G: IncrementalGame<T>> Game<T> for OneFlip<G> {
    type Error = G::Error;

    fn n_players(&self) -> usize {
        self.game.n_players()
    }

    fn n_values(&self) -> usize {
        self.game.n_values()
    }

    fn values(&mut self, coalitions: &Coalitions, out: &mut ArrayRef2<T>) -> Result<(), G::Error> {
        for (coalition, mut out) in coalitions.iter().zip(out.rows_mut()) {
            // a call that fails leaves no current coalition behind
            let now = self.now.take().filter(|now| self.by_flips::<T>(now, coalition));
            match now {
                None => {
                    self.game.reset(coalition, out)?;
                    self.resets += 1;
                }
                Some(now) => {
                    for player in different(&now, coalition) {
                        self.game.flip(player, out.view_mut())?;
                        self.flips += 1;
                    }
                }
            }
            self.now = Some(coalition.words().to_vec());
        }
        Ok(())
    }
}

impl<G> OneFlip<G> {
    /// Whether flips lead to the coalition, and no reset is cheaper.
    fn by_flips<T: Scalar>(&self, now: &[u64], coalition: Coalition<'_>) -> bool
    where
        G: IncrementalGame<T>,
    {
        let cost = different(now, coalition)
            .map(|player| self.game.flip_cost(player))
            .fold(0_u64, |sum, cost| sum.saturating_add(cost));
        now != coalition.words() && cost <= self.game.reset_cost()
    }
}

/// Players in whom the coalitions differ.
fn different<'a>(now: &'a [u64], coalition: Coalition<'a>) -> impl Iterator<Item = usize> + 'a {
    let words = now.iter().zip(coalition.words()).enumerate();
    words.flat_map(|(at, (now, next))| Ones(now ^ next).map(move |bit| at * 64 + bit))
}
