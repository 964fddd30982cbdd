//! Ablation interactions: what two players lose together beyond what each loses alone.
//!
//! ```text
//! I_ij = v(N) - v(N ∖ i) - v(N ∖ j) + v(N ∖ {i, j})        1 + M + M (M - 1)/2 coalitions for all pairs
//! ```
//!
//! It is the difference `Δ_ij` of the interaction indices at one coalition only, that of all others. Positive: each needs the
//! other, as in an "and"; negative: each can stand in for the other, as in an "or"; 0 for players that add up. On a
//! [`Masked`](super::Masked) model the players are features or groups of features, so that the groups and baselines of
//! feature ablation serve here too.
//!
//! Source: the discrete second derivative of Grabisch and Roubens, "An axiomatic approach to the concept of interaction among
//! players in cooperative games" (1999); Tsang, Rambhatla and Liu, "How does this Interaction Affect Me? Interpretable
//! Attribution for Feature Interactions" (2020), <https://arxiv.org/abs/2006.10965>, for this context of all others.

use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2};

use super::coalitions::toggle;
use super::game::Game;
use super::pairs::{PairValues, all_pairs, check_pairs};
use super::play::{Play, matrix};
use crate::attribution::{Explained, Status};
use crate::error::check_limit;
use crate::{Result, Scalar};

/// Most numbers that are kept for the pairs.
const MAX_NUMBERS: usize = 1 << 28;

/// Interactions of pairs of players where all others are present.
///
/// # Example
/// ```
/// use limpid::attribution::Network;
/// use limpid::attribution::perturbation::{AblationInteractions, Masked, Removal};
/// use limpid::attribution::target::Logit;
/// use limpid::math::pointwise::Activation;
/// use ndarray::array;
///
/// // relu(x0 + x1 - 3) + x2
/// let hidden = Network::new(3).linear(array![[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], Some(array![-3.0, 0.0]))?;
/// let mut model = hidden.activation(Activation::Relu)?.linear(array![[1.0, 1.0]], None)?;
/// let (x, target, removal) = (array![[2.0, 2.0, 5.0]], Logit::of(0), Removal::default());
/// let mut game = Masked::new(&mut model, &x, &target, &removal)?;
/// let found = AblationInteractions::default().of(&mut game).unwrap();
/// // 6 - 5 - 5 + 5: only together do the first two reach over 3
/// assert_eq!(found.interactions.of(0, 1).unwrap(), array![1.0]);
/// assert_eq!(found.interactions.of(0, 2).unwrap(), array![0.0]);
/// assert_eq!(found.losses, array![[1.0], [1.0], [5.0]]);
/// assert_eq!(found.interactions.evaluations, 1 + 3 + 3);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AblationInteractions {
    /// Which pairs; `None`: all.
    pub pairs: Option<Vec<(usize, usize)>>,
}

/// What pairs lose, and what their members lose alone.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct AblationPairs<T> {
    /// The interactions.
    pub interactions: PairValues<T>,
    /// Players that are in some pair, ascending.
    pub players: Vec<usize>,
    /// `v(N) - v(N ∖ i)` of these players, `(players, values)`.
    pub losses: Array2<T>,
}

impl AblationInteractions {
    /// Interactions in a game, such as a [`Masked`](super::Masked) model.
    ///
    /// # Errors
    /// [`Failure::Input`](crate::attribution::Failure::Input) for pairs that are not two different players, and for too
    /// many of them, [`Failure::Model`](crate::attribution::Failure::Model) with the game's own error,
    /// [`Failure::NotFinite`](crate::attribution::Failure::NotFinite) where the game gives NaN or infinity.
    pub fn of<T: Scalar, G: Game<T> + ?Sized>(&self, game: &mut G) -> Explained<AblationPairs<T>, G::Error> {
        let mut play = Play::new(game)?;
        let plan = Plan::new(self.pairs.as_deref(), play.n)?;
        let (v, singles) = (play.v, plan.players.len());
        let rows = 1 + singles + plan.pairs.len();
        check_limit("pairs times values", rows.saturating_mul(v), MAX_NUMBERS)?;
        let mut worth = vec![0.0; rows * v];
        play.each(
            rows,
            |row, words| plan.removed(row).for_each(|player| toggle(words, player)),
            |row, _, found| {
                worth[row * v..(row + 1) * v].iter_mut().zip(found).for_each(|(slot, x)| *slot = x.as_f64());
            },
        )?;
        let (full, rest) = worth.split_at(v);
        let (alone, together) = rest.split_at(singles * v);
        let losses: Vec<f64> = alone.iter().zip(full.iter().cycle()).map(|(without, full)| full - without).collect();
        let mut values = Vec::with_capacity(together.len());
        for (&(i, j), without) in plan.pairs.iter().zip(together.chunks(v)) {
            let [i, j] = [i, j].map(|player| plan.place[player] * v);
            values.extend((0..v).map(|k| losses[i + k] + losses[j + k] - (full[k] - without[k])));
        }
        let interactions = PairValues {
            values: matrix(&values, (plan.pairs.len(), v)),
            pairs: plan.pairs,
            standard_error: None,
            full: full.iter().map(|&x| T::of(x)).collect::<Array1<T>>(),
            evaluations: play.evaluations,
            status: Status::Exact,
            method: Cow::Borrowed("ablation_interactions"),
            seed: None,
        };
        Ok(AblationPairs { interactions, losses: matrix(&losses, (singles, v)), players: plan.players })
    }
}

/// Which players go in which coalition: nobody, each alone, each pair.
struct Plan {
    pairs: Vec<(usize, usize)>,
    players: Vec<usize>,
    /// Where a player stands among `players`.
    place: Vec<usize>,
}

impl Plan {
    fn new(pairs: Option<&[(usize, usize)]>, n: usize) -> Result<Self> {
        let pairs = match pairs {
            None => all_pairs(n)?,
            Some(pairs) => {
                check_pairs(pairs, n)?;
                pairs.to_vec()
            }
        };
        let mut used = vec![n == 1; n];
        pairs.iter().for_each(|&(i, j)| (used[i], used[j]) = (true, true));
        let (mut players, mut place) = (Vec::new(), vec![0; n]);
        for player in (0..n).filter(|&player| used[player]) {
            place[player] = players.len();
            players.push(player);
        }
        Ok(Self { pairs, players, place })
    }

    /// Players that are not in coalition `row`.
    fn removed(&self, row: usize) -> impl Iterator<Item = usize> + use<> {
        let pair = match (row.checked_sub(1), row.checked_sub(1 + self.players.len())) {
            (_, Some(pair)) => [Some(self.pairs[pair].0), Some(self.pairs[pair].1)],
            (Some(single), None) => [Some(self.players[single]), None],
            (None, None) => [None; 2],
        };
        pair.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{inputs, smooth};
    use super::*;
    use crate::Error;
    use crate::attribution::perturbation::{FeatureAblation, Groups, Masked, Removal, Table};
    use crate::attribution::target::Logit;
    use crate::attribution::{Explainer, Failure};
    use ndarray::array;

    #[test]
    fn by_hand_with_two_values() {
        // v({0, 1}) = 8, v({1}) = 3, v({0}) = 2, v(∅) = 1
        let mut game = Table::new(array![[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [8.0, 4.0]]).unwrap();
        let found = AblationInteractions::default().of(&mut game).unwrap();
        assert_eq!((found.interactions.values, found.losses), (array![[4.0, 4.0]], array![[5.0, 4.0], [6.0, 4.0]]));
        let one = AblationInteractions::default().of(&mut Table::single(array![1.0, 3.0]).unwrap()).unwrap();
        assert_eq!((one.interactions.values.dim(), one.losses), ((0, 1), array![[2.0]]));
    }

    #[test]
    fn given_pairs_ask_for_no_more_than_they_need() {
        let worth = |i: usize| libm::sin(1.7 * (i * i) as f64);
        let mut game = Table::single((0..64).map(worth).collect()).unwrap();
        let all = AblationInteractions::default().of(&mut game).unwrap();
        assert_eq!(all.interactions.evaluations, 1 + 6 + 15);
        let some = AblationInteractions { pairs: Some(vec![(4, 1), (1, 2)]) }.of(&mut game).unwrap();
        assert_eq!((some.interactions.evaluations, some.players.as_slice()), (1 + 3 + 2, &[1, 2, 4][..]));
        for (i, j) in [(4, 1), (1, 2)] {
            assert_eq!(some.interactions.of(i, j), all.interactions.of(j, i));
            let expected = worth(63) - worth(63 - (1 << i)) - worth(63 - (1 << j)) + worth(63 - (1 << i) - (1 << j));
            assert!((all.interactions.of(i, j).unwrap()[0] - expected).abs() < 1e-14);
        }
        assert_eq!(some.losses.row(1), all.losses.row(2));
        assert_eq!(some.interactions.of(0, 1), None);
    }

    #[test]
    fn losses_are_those_of_feature_ablation() {
        let (x, target, groups) = (inputs(), Logit::of(1), vec![0, 1, 1, 2, 0, 3]);
        let removal = Removal { groups: Some(groups.clone()), ..Removal::default() };
        let ablation = FeatureAblation { groups: Groups::from(groups.clone()), ..FeatureAblation::default() };
        let expected = ablation.attribute(&mut smooth(), &x, &target).unwrap().values;
        let mut model = smooth();
        let mut game = Masked::new(&mut model, &x, &target, &removal).unwrap();
        for row in 0..5 {
            game.select(row).unwrap();
            let found = AblationInteractions::default().of(&mut game).unwrap();
            let spread = groups.iter().map(|&group| found.losses[[group, 0]]);
            assert!(spread.zip(expected.row(row)).all(|(found, expected)| (found - expected).abs() < 1e-14));
        }
    }

    #[test]
    fn bad_pairs_are_named() {
        let mut game = Table::single(array![0.0, 1.0, 2.0, 3.0]).unwrap();
        let failure = AblationInteractions { pairs: Some(vec![(0, 2)]) }.of(&mut game).unwrap_err();
        assert!(matches!(failure, Failure::Input(Error::OutOfRange { what: "pairs", index: 0, .. })));
        let failure = AblationInteractions { pairs: Some(Vec::new()) }.of(&mut game).unwrap_err();
        assert!(matches!(failure, Failure::Input(Error::Empty { what: "pairs" })));
    }
}
