//! Owen values: Shapley values among unions of players, and again within each union.
//!
//! ```text
//! φ_i = Σ_{R ⊆ unions without U} w_m(|R|) Σ_{S ⊆ U without i} w_u(|S|) (v(Q_R ∪ S ∪ i) - v(Q_R ∪ S))
//! w_m(r) = r! (m - r - 1)! / m!          i in U of u players, m unions, Q_R = all players of the unions in R
//! ```
//!
//! Players of other unions come all together or not at all. `Σ_U 2^(m-1+u)` coalitions at most, and not `2^M`: 16 players in
//! four unions take 512.
//!
//! Source: Owen, "Values of games with a priori unions" (1977).

use alloc::vec;
use alloc::vec::Vec;

use super::coalitions::{Coalitions, Ones, toggle};
use super::exact_shapley::weights;
use super::game::Game;
use super::play::{Ends, Play, ROUND, gray};
use super::summary::{GameAttribution, Summary};
use crate::attribution::Explained;
use crate::error::check_limit;
use crate::{Dims, Error, Result, Scalar, Seed};

/// Exact Owen values of a partition of the players into unions.
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::{Owen, Summary, Table};
/// use ndarray::array;
///
/// // a majority of three in which players 0 and 1 always join first
/// let mut game = Table::single(array![0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0])?;
/// let found = Owen::new(vec![0, 0, 1]).of(&mut game).unwrap();
/// assert_eq!(found.values, array![[0.5], [0.5], [0.0]]);
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Owen {
    /// Union of every player, `(players)`, each of `0..m` at least once.
    pub unions: Vec<usize>,
    /// Most coalitions that are accepted.
    pub max_evaluations: u64,
}

/// Most coalitions that can be counted off.
const MAX_COALITIONS: u64 = 1 << 62;

impl Owen {
    /// Owen values for these unions, at most a million coalitions.
    #[must_use]
    pub fn new(unions: Vec<usize>) -> Self {
        Self { unions, max_evaluations: 1 << 20 }
    }

    /// Members of every union.
    fn members(&self, players: usize) -> Result<Vec<Vec<usize>>> {
        if self.unions.len() != players {
            let (expected, got) = (Dims::new(&[players]), Dims::new(&[self.unions.len()]));
            return Err(Error::Shape { what: "unions", expected, got });
        }
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); players];
        for (index, &union) in self.unions.iter().enumerate() {
            let expected = "a union below the number of players";
            let error = Error::OutOfRange { what: "unions", index, value: union as f64, expected };
            members.get_mut(union).ok_or(error)?.push(index);
        }
        let count = self.unions.iter().max().map_or(0, |last| last + 1);
        members.truncate(count);
        if let Some(index) = members.iter().position(Vec::is_empty) {
            let expected = "at least one player in every union up to the last";
            return Err(Error::OutOfRange { what: "players of a union", index, value: 0.0, expected });
        }
        Ok(members)
    }
}

impl<T: Scalar> Summary<T> for Owen {
    fn of<G: Game<T> + ?Sized>(&self, game: &mut G) -> Explained<GameAttribution<T>, G::Error> {
        let mut play = Play::new(game)?;
        let members = self.members(play.n)?;
        let m = members.len();
        let cost = members.iter().fold(2_u64, |sum, union| {
            let bits = u32::try_from(m - 1 + union.len()).unwrap_or(u32::MAX);
            sum.saturating_add(1_u64.checked_shl(bits).unwrap_or(u64::MAX))
        });
        let cost = usize::try_from(cost).unwrap_or(usize::MAX);
        check_limit(
            "coalitions",
            cost,
            usize::try_from(self.max_evaluations.min(MAX_COALITIONS)).unwrap_or(usize::MAX),
        )?;
        let ends = play.ends()?;
        let mut values = play.zeros();
        for union in 0..m {
            one_union(&mut play, &members, union, &ends, &mut values)?;
        }
        Ok(play.result("owen", &values, &ends))
    }

    fn with_seed(&self, _: Seed) -> Self {
        self.clone()
    }
}

/// Adds the values of the players of one union.
fn one_union<T: Scalar, G: Game<T> + ?Sized>(
    play: &mut Play<'_, T, G>,
    members: &[Vec<usize>],
    union: usize,
    ends: &Ends,
    values: &mut [f64],
) -> Explained<(), G::Error> {
    let (m, inside, v) = (members.len(), &members[union], play.v);
    let (outer, inner) = (weights(m), weights(inside.len()));
    let mut words = vec![0_u64; play.n.div_ceil(64)];
    let (mut coalitions, mut asked) = (Coalitions::new(play.n), Vec::new());
    let per_outer = 1_u64 << inside.len();
    let total = per_outer << (m - 1);
    for index in 0..total {
        let (others, mask) = (gray(index / per_outer), gray(index % per_outer));
        words.fill(0);
        for other in Ones(others) {
            // unions after this one are one bit lower: it has none of its own
            members[other + usize::from(other >= union)].iter().for_each(|&player| toggle(&mut words, player));
        }
        Ones(mask).for_each(|at| toggle(&mut words, inside[at]));
        coalitions.push_words(&words);
        asked.push((outer[others.count_ones() as usize], mask));
        if asked.len() < ROUND && index + 1 < total {
            continue;
        }
        let worth = play.values(&coalitions)?;
        for (&(outer, mask), worth) in asked.iter().zip(worth.rows()) {
            let k = mask.count_ones() as usize;
            for (at, &player) in inside.iter().enumerate() {
                let weight = if mask >> at & 1 == 1 { inner[k - 1] } else { -inner[k] };
                for (value, slot) in values[player * v..(player + 1) * v].iter_mut().enumerate() {
                    *slot += outer * weight * (worth[value].as_f64() - ends.base[value]);
                }
            }
        }
        coalitions.clear();
        asked.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::noises as noise;
    use super::*;
    use crate::attribution::perturbation::{ExactShapley, GameFunction, Table};
    use ndarray::{Array2, ArrayRef2, array};

    #[test]
    fn unions_without_choice_change_nothing() {
        let shapley = ExactShapley::default().of(&mut noise(5)).unwrap();
        for unions in [vec![0; 5], vec![0, 1, 2, 3, 4]] {
            let found = Owen::new(unions).of(&mut noise(5)).unwrap();
            assert!((found.values - &shapley.values).iter().all(|e| e.abs() < 1e-13));
        }
    }

    #[test]
    fn a_union_gets_what_it_gets_as_one_player() {
        // unions {0, 3}, {1}, {2, 4}
        let (mut game, unions) = (noise(5), vec![0, 1, 2, 0, 2]);
        let found = Owen::new(unions.clone()).of(&mut game).unwrap();
        let mut merged = Table::new(Array2::from_shape_fn((8, 2), |(i, value)| {
            let mask = (0..5).filter(|&player| i >> unions[player] & 1 == 1).map(|player| 1 << player).sum::<usize>();
            libm::sin(1.7 * ((mask + value) * (mask + value)) as f64 + 0.3) * 3.0
        }))
        .unwrap();
        let quotient = ExactShapley::default().of(&mut merged).unwrap();
        let of_union = |a: usize, b: usize| &found.values.row(a) + &found.values.row(b);
        assert!((of_union(0, 3) - quotient.values.row(0)).iter().all(|e| e.abs() < 1e-13));
        assert!((of_union(2, 4) - quotient.values.row(2)).iter().all(|e| e.abs() < 1e-13));
        assert!((&found.values.row(1) - &quotient.values.row(1)).iter().all(|e| e.abs() < 1e-13));
        assert!(found.evaluations == 2 + 16 + 8 + 16 && found.delta().iter().all(|delta| delta.abs() < 1e-13));
    }

    #[test]
    fn unions_must_fit() {
        let of = |unions| Owen::new(unions).of(&mut noise(3)).map(|_| ()).unwrap_err();
        let input = |failure| matches!(failure, crate::attribution::Failure::Input(_));
        assert!(input(of(vec![0, 0])) && input(of(vec![0, 3, 1])) && input(of(vec![0, 2, 2])));
        let few = Owen { max_evaluations: 9, ..Owen::new(vec![0, 0, 0]) }.of(&mut noise(3));
        assert!(few.is_err());
        let mut many = GameFunction::new((80, 1), |_: &Coalitions, _: &mut ArrayRef2<f64>| Err(()));
        let endless = Owen { max_evaluations: u64::MAX, ..Owen::new(vec![0; 80]) }.of(&mut many);
        assert!(matches!(endless, Err(crate::attribution::Failure::Input(Error::TooLarge { .. }))));
        let one = Owen::new(vec![0]).of(&mut Table::single(array![1.0, 3.0]).unwrap()).unwrap();
        assert_eq!(one.values, array![[2.0]]);
    }
}
