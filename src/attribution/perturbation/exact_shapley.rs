//! Shapley values from all coalitions.
//!
//! ```text
//! φ_i = Σ_{S ∌ i} w_|S| (v(S ∪ i) - v(S)),   w_k = k! (M - k - 1)! / M!
//! ```
//!
//! Every coalition is asked for once, `2^M` in all, in the order of the Gray code, in which neighbours differ by one player:
//! a coalition of `k` players gives `w_{k-1} v` to its members and takes `w_k v` from everybody else. (Enumerating the
//! permutations instead, as one library does, asks `M M!` times.)
//!
//! Source: Shapley, "A value for n-person games" (1953); the weights as in Strumbelj and Kononenko, "An Efficient
//! Explanation of Individual Classifications using Game Theory", JMLR 11 (2010), equation 4.

use alloc::vec::Vec;

use super::coalitions::{Coalitions, Ones};
use super::game::Game;
use super::play::{Ends, Play, ROUND, check_players, gray};
use super::summary::{GameAttribution, Summary};
use crate::attribution::Explained;
use crate::{Scalar, Seed};

/// Exact Shapley values; `2^M` coalitions.
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::{ExactShapley, Summary, Table};
/// use ndarray::array;
///
/// // worth 6 together, 1 and 3 alone
/// let mut game = Table::single(array![0.0, 1.0, 3.0, 6.0])?;
/// let found = ExactShapley::default().of(&mut game).unwrap();
/// assert_eq!((found.values, found.evaluations), (array![[2.0], [4.0]], 4));
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ExactShapley {
    /// Most players that are accepted, at most 40.
    pub max_players: usize,
}

impl Default for ExactShapley {
    fn default() -> Self {
        Self { max_players: 16 }
    }
}

impl<T: Scalar> Summary<T> for ExactShapley {
    fn of<G: Game<T> + ?Sized>(&self, game: &mut G) -> Explained<GameAttribution<T>, G::Error> {
        let mut play = Play::new(game)?;
        check_players(play.n, self.max_players)?;
        shapley(&mut play)
    }

    fn with_seed(&self, _: Seed) -> Self {
        *self
    }
}

/// Shapley values of a game that is small enough.
pub(crate) fn shapley<T: Scalar, G: Game<T> + ?Sized>(
    play: &mut Play<'_, T, G>,
) -> Explained<GameAttribution<T>, G::Error> {
    let (n, v) = (play.n, play.v);
    let weights = weights(n);
    let (mut values, mut taken) = (play.zeros(), alloc::vec![0.0; v]);
    let ends = every_coalition(play, |mask, worth| {
        let k = mask.count_ones() as usize;
        // who is absent loses w_k: everybody does, and the members get it back
        let (absent, member) = (weights[k], weights[k] + k.checked_sub(1).map_or(0.0, |k| weights[k]));
        taken.iter_mut().zip(worth).for_each(|(taken, worth)| *taken += absent * worth);
        for player in Ones(mask) {
            let row = &mut values[player * v..(player + 1) * v];
            row.iter_mut().zip(worth).for_each(|(value, worth)| *value += member * worth);
        }
    })?;
    for row in values.chunks_mut(v) {
        row.iter_mut().zip(&taken).for_each(|(value, taken)| *value -= taken);
    }
    Ok(play.result("exact_shapley", &values, &ends))
}

/// `w_k` for `k < n`, and 0 for `k = n`: nobody is absent there.
fn weights(n: usize) -> Vec<f64> {
    // w_0 = 1/n, w_k = w_{k-1} k/(n - k)
    let mut weights = alloc::vec![1.0 / n as f64];
    for k in 1..n {
        weights.push(weights[k - 1] * k as f64 / (n - k) as f64);
    }
    weights.push(0.0);
    weights
}

/// Calls `visit(mask, v(mask) - v(∅))` for every coalition, in the order of the Gray code.
pub(crate) fn every_coalition<T: Scalar, G: Game<T> + ?Sized>(
    play: &mut Play<'_, T, G>,
    mut visit: impl FnMut(u64, &[f64]),
) -> Explained<Ends, G::Error> {
    let (total, full) = (1_u64 << play.n, (1_u64 << play.n) - 1);
    let mut coalitions = Coalitions::new(play.n);
    let mut ends = Ends { base: alloc::vec![0.0; play.v], full: alloc::vec![0.0; play.v] };
    let mut worth = alloc::vec![0.0; play.v];
    let mut start = 0;
    while start < total {
        let end = total.min(start + ROUND as u64);
        coalitions.clear();
        (start..end).for_each(|index| coalitions.push_words(&[gray(index)]));
        let values = play.values(&coalitions)?;
        for (index, row) in (start..end).zip(values.rows()) {
            if index == 0 {
                ends.base.iter_mut().zip(row).for_each(|(slot, value)| *slot = value.as_f64());
            }
            let mask = gray(index);
            if mask == full {
                ends.full.iter_mut().zip(row).for_each(|(slot, value)| *slot = value.as_f64());
            }
            worth.iter_mut().zip(row).zip(&ends.base).for_each(|((slot, value), base)| *slot = value.as_f64() - base);
            visit(mask, &worth);
        }
        start = end;
    }
    Ok(ends)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::attribution::perturbation::{GameFunction, Table};
    use crate::attribution::{Failure, Status};
    use ndarray::{Array2, ArrayRef2, array};

    #[test]
    fn one_player_takes_all() {
        let found = ExactShapley::default().of(&mut Table::new(array![[1.0, 2.0], [4.0, 0.0]]).unwrap()).unwrap();
        assert_eq!((found.values, found.status), (array![[3.0, -2.0]], Status::Exact));
    }

    #[test]
    fn the_relu_network_of_three_features() {
        // out_0 = relu(s - 10) + 3 relu(s + 1) - 1 with s the sum of the features (20, 50, 30) that are present
        let mut game = GameFunction::new((3, 1), |coalitions: &Coalitions, out: &mut ArrayRef2<f64>| {
            for (coalition, out) in coalitions.iter().zip(out.iter_mut()) {
                let s: f64 = coalition.members().map(|i| [20.0, 50.0, 30.0][i]).sum();
                *out = (s - 10.0).max(0.0) + 3.0 * (s + 1.0).max(0.0) - 1.0;
            }
            Ok::<(), ()>(())
        });
        let found = ExactShapley::default().of(&mut game).unwrap();
        let expected = array![[230.0 / 3.0], [590.0 / 3.0], [350.0 / 3.0]];
        assert!((found.values - expected).iter().all(|e| e.abs() < 1e-12));
        assert_eq!(found.evaluations, 8);
    }

    #[test]
    fn what_cannot_be_played_is_named() {
        let method = ExactShapley { max_players: 2 };
        let mut large = Table::new(Array2::<f64>::zeros((8, 1))).unwrap();
        let failure = method.of(&mut large).unwrap_err();
        assert!(matches!(failure, Failure::Input(Error::TooLarge { what: "players", got: 3, limit: 2 })));
        assert!(ExactShapley { max_players: 41 }.of(&mut large).is_err());
        let mut none = Table::new(Array2::<f64>::zeros((1, 1))).unwrap();
        assert!(matches!(method.of(&mut none), Err(Failure::Input(Error::Empty { what: "players" }))));
        let mut bad = GameFunction::new((1, 1), |_: &Coalitions, out: &mut ArrayRef2<f64>| {
            out[[1, 0]] = f64::NAN;
            Ok::<(), ()>(())
        });
        let failure = method.of(&mut bad).unwrap_err();
        assert!(matches!(failure, Failure::NotFinite { what: "game", call: 0, row: 1, column: 0 }));
    }
}
