//! Interactions of two players: what a pair is worth beyond its members.
//!
//! ```text
//! Δ_ij(S) = v(S ∪ {i, j}) - v(S ∪ i) - v(S ∪ j) + v(S),   S without i and j,  s = |S|
//! Shapley interaction index   I_ij = Σ_S s! (M - s - 2)! / (M - 1)!  Δ_ij(S)
//! Shapley-Taylor index        I_ij = 2/M Σ_S Δ_ij(S) / C(M - 1, s),   I_ii = v(i) - v(∅)
//! Banzhaf interaction index   I_ij = 2^{2-M} Σ_S Δ_ij(S)
//! Faith-Shap                  I_ij = 6 Σ_S (s + 1)! (M - s - 1)! / (M + 1)!  Δ_ij(S),
//!                             I_ii = Σ_S s! (M - s - 1)! / M! (4 - 6 (s + 1)/(M + 1)) (v(S ∪ i) - v(S)),  S without i
//! ```
//!
//! They are given as a symmetric matrix in which both entries of a pair carry half of `I_ij`, so that sums over the matrix
//! count a pair once. The diagonal is what the players have alone: with Shapley-Taylor and Faith-Shap the matrix adds up to
//! `v(N) - v(∅)`; with the other two its rows add up to Shapley and Banzhaf values.
//!
//! Faithful indices are the coefficients of the game of singles and pairs `Σ_{i in S} E_i + Σ_{i<j in S} E_ij` that comes
//! closest to `v` in weighted squares: with the Shapley kernel and both ends met, Faith-Shap; with equal weights and a free
//! constant, Faith-Banzhaf, which in this form is the matrix of the Banzhaf interaction index.
//!
//! Source: Grabisch and Roubens, "An axiomatic approach to the concept of interaction among players in cooperative games"
//! (1999); Sundararajan, Dhamdhere and Agarwal, "The Shapley Taylor Interaction Index" (2020),
//! <https://arxiv.org/abs/1902.05622>, equation for `k = 2`; Tsai, Yeh and Ravikumar, "Faith-Shap: The Faithful Shapley
//! Interaction Index" (2023), <https://arxiv.org/abs/2203.00870>, at order 2, in the form of weights derived here from the
//! closed form in Möbius coefficients; the halves as in Lundberg et al., "Consistent Individualized
//! Feature Attribution for Tree Ensembles" (2018), <https://arxiv.org/abs/1802.03888>.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array3};

use super::exact_shapley::every_coalition;
use super::game::Game;
use super::kernel::binomial;
use super::play::{Play, check_players};
use crate::Scalar;
use crate::attribution::Explained;

/// Exact interactions of all pairs; `2^M` coalitions.
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::{Interactions, Table};
/// use ndarray::array;
///
/// // Δ = 8 - 3 - 2 + 0
/// let mut game = Table::single(array![0.0, 2.0, 3.0, 8.0])?;
/// let found = Interactions::default().of(&mut game).unwrap();
/// assert_eq!(found.values.index_axis(ndarray::Axis(2), 0), array![[2.0, 1.5], [1.5, 3.0]]);
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Interactions {
    /// Which index.
    pub index: InteractionIndex,
    /// Most players that are accepted, at most 40.
    pub max_players: usize,
}

impl Default for Interactions {
    fn default() -> Self {
        Self { index: InteractionIndex::ShapleyTaylor, max_players: 16 }
    }
}

/// An index of interaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum InteractionIndex {
    /// The matrix adds up to `v(N) - v(∅)`, its diagonal is what players are worth alone.
    #[default]
    ShapleyTaylor,
    /// Rows add up to Shapley values.
    Shapley,
    /// Rows add up to Banzhaf values; the faithful index of equal weights, Faith-Banzhaf, is the same matrix.
    Banzhaf,
    /// The matrix adds up to `v(N) - v(∅)`, and as a game of singles and pairs it comes closest to `v` under the Shapley
    /// kernel.
    FaithShapley,
}

/// Interactions of all pairs of players.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct InteractionValues<T> {
    /// `(players, players, values)`, symmetric; both entries of a pair carry half of its index.
    pub values: Array3<T>,
    /// Worth of nobody, `(values)`.
    pub base: Array1<T>,
    /// Worth of all, `(values)`.
    pub full: Array1<T>,
    /// Coalitions that the game was asked for.
    pub evaluations: u64,
}

impl Interactions {
    /// Interactions of a game, such as a [`Masked`](super::Masked) model.
    ///
    /// # Errors
    /// [`Failure::Input`](crate::attribution::Failure::Input) for too many players,
    /// [`Failure::Model`](crate::attribution::Failure::Model) with the game's own error,
    /// [`Failure::NotFinite`](crate::attribution::Failure::NotFinite) where the game gives NaN or infinity.
    pub fn of<T: Scalar, G: Game<T> + ?Sized>(&self, game: &mut G) -> Explained<InteractionValues<T>, G::Error> {
        let mut play = Play::new(game)?;
        check_players(play.n, self.max_players)?;
        let (n, v) = (play.n, play.v);
        let (pair, alone) = (self.index.pair_weights(n), self.index.single_weights(n));
        let mut sums = vec![0.0; n * n * v];
        let ends = every_coalition(&mut play, |mask, worth| {
            let k = mask.count_ones() as usize;
            // weight where both are members, one is, none is
            let of_pair = [pair(k, 0), -pair(k, 1), pair(k, 2)];
            let of_one = [-alone(k, 0), alone(k, 1)];
            let mut add = |i: usize, j: usize, weight: f64| {
                let slots = sums[(i * n + j) * v..(i * n + j + 1) * v].iter_mut();
                slots.zip(worth).for_each(|(sum, worth)| *sum += weight * worth);
            };
            for i in 0..n {
                let present = |player: usize| usize::from(mask >> player & 1 == 1);
                add(i, i, of_one[present(i)]);
                for j in i + 1..n {
                    add(i, j, 0.5 * of_pair[2 - present(i) - present(j)]);
                }
            }
        })?;
        mirror(&mut sums, n, v, self.index);
        let single = |x: &Vec<f64>| x.iter().map(|&x| T::of(x)).collect();
        Ok(InteractionValues {
            values: Array3::from_shape_fn((n, n, v), |(i, j, value)| T::of(sums[(i * n + j) * v + value])),
            base: single(&ends.base),
            full: single(&ends.full),
            evaluations: play.evaluations,
        })
    }
}

/// Fills the lower half, and takes the shares of pairs out of the diagonal where rows are to add up to values.
fn mirror(sums: &mut [f64], n: usize, v: usize, index: InteractionIndex) {
    for i in 0..n {
        for j in i + 1..n {
            for value in 0..v {
                let half = sums[(i * n + j) * v + value];
                sums[(j * n + i) * v + value] = half;
                if index.rows_add_up() {
                    sums[(i * n + i) * v + value] -= half;
                    sums[(j * n + j) * v + value] -= half;
                }
            }
        }
    }
}

impl InteractionIndex {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::ShapleyTaylor, Self::Shapley, Self::Banzhaf, Self::FaithShapley];

    /// Whether the diagonal leaves room for the halves of a row's pairs.
    fn rows_add_up(self) -> bool {
        matches!(self, Self::Shapley | Self::Banzhaf)
    }

    /// Weight of `Δ_ij(S)` for a coalition of `k` players that is `S` and all of the pair but `absent` of it; 0 for none.
    pub(crate) fn pair_weights(self, n: usize) -> impl Fn(usize, usize) -> f64 {
        let mut weights = Vec::new();
        for s in 0..(n + 1).saturating_sub(2) {
            weights.push(match self {
                // s! (n-s-2)!/(n-1)! = 1/((n-1) C(n-2, s))
                Self::Shapley => 1.0 / ((n - 1) as f64 * binomial(n - 2, s)),
                Self::ShapleyTaylor => 2.0 / (n as f64 * binomial(n - 1, s)),
                Self::Banzhaf => libm::exp2(2.0 - n as f64),
                // (s+1)! (n-s-1)!/(n+1)! = 1/((n+1) C(n, s+1))
                Self::FaithShapley => 6.0 / ((n + 1) as f64 * binomial(n, s + 1)),
            });
        }
        move |k, absent| (k + absent).checked_sub(2).and_then(|s| weights.get(s)).copied().unwrap_or(0.0)
    }

    /// Weight of `v(S ∪ i) - v(S)` for a coalition of `k` players of which `i` is one (`present` is 1) or not (0).
    fn single_weights(self, n: usize) -> impl Fn(usize, usize) -> f64 {
        move |k, present| match k.checked_sub(present) {
            Some(s) if s < n => match self {
                Self::Shapley => 1.0 / (n as f64 * binomial(n - 1, s)),
                Self::ShapleyTaylor => f64::from(u8::from(s == 0)),
                Self::Banzhaf => libm::exp2(1.0 - n as f64),
                Self::FaithShapley => (4.0 - 6.0 * (s + 1) as f64 / (n + 1) as f64) / (n as f64 * binomial(n - 1, s)),
            },
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::noise;
    use super::*;
    use crate::attribution::perturbation::{Banzhaf, ExactShapley, Summary, Table};
    use ndarray::{Array2, Axis, array};

    fn matrix(index: InteractionIndex, game: &mut Table<f64>) -> Array2<f64> {
        let found = Interactions { index, ..Interactions::default() }.of(game).unwrap();
        found.values.index_axis(Axis(2), 0).to_owned()
    }

    #[test]
    fn two_players_and_two_outputs() {
        let mut game = Table::new(array![[0.0, 10.0], [2.0, 20.0], [3.0, 30.0], [8.0, 80.0]]).unwrap();
        let found = Interactions::default().of(&mut game).unwrap();
        assert_eq!((found.values[[0, 1, 0]], found.values[[1, 0, 1]]), (1.5, 20.0));
        assert_eq!(matrix(InteractionIndex::ShapleyTaylor, &mut noise(1)).dim(), (1, 1));
    }

    #[test]
    fn rows_and_totals_add_up() {
        let n = 5;
        let shapley = ExactShapley::default().of(&mut noise(n)).unwrap();
        let rows = matrix(InteractionIndex::Shapley, &mut noise(n)).sum_axis(Axis(1));
        assert!((rows - shapley.values.column(0)).iter().all(|e| e.abs() < 1e-12));
        let rows = matrix(InteractionIndex::Banzhaf, &mut noise(n)).sum_axis(Axis(1));
        let banzhaf = Banzhaf::default().of(&mut noise(n)).unwrap();
        assert!((rows - banzhaf.values.column(0)).iter().all(|e| e.abs() < 1e-12));
        let total = matrix(InteractionIndex::ShapleyTaylor, &mut noise(n)).sum();
        assert!((total - (shapley.full[0] - shapley.base[0])).abs() < 1e-12);
    }

    #[test]
    fn a_product_of_two_is_all_interaction() {
        // v = z0 z2
        let worth = |i: usize| (i & i >> 2 & 1) as f64;
        let mut game = Table::single((0..16).map(worth).collect()).unwrap();
        for index in InteractionIndex::ALL {
            let found = matrix(index, &mut game);
            let mut expected = Array2::zeros((4, 4));
            (expected[[0, 2]], expected[[2, 0]]) = (0.5, 0.5);
            assert!((found - expected).iter().all(|e: &f64| e.abs() < 1e-14), "{index:?}");
        }
    }

    /// `v(S) - v(∅)` less the game of singles and pairs, for all coalitions.
    fn residuals(n: usize, matrix: &Array2<f64>) -> Vec<f64> {
        let worth = |i: usize| libm::sin(1.7 * (i * i) as f64 + 0.3) * 3.0;
        let within = |mask: usize, i: usize, j: usize| mask >> i & mask >> j & 1 == 1;
        let told =
            |mask: usize| matrix.indexed_iter().filter(|((i, j), _)| within(mask, *i, *j)).map(|(_, e)| e).sum::<f64>();
        (0..1 << n).map(|mask| worth(mask) - worth(0) - told(mask)).collect()
    }

    /// `Σ_S weight(S) residual(S)` over the coalitions that hold each player and each pair.
    fn moments(n: usize, weighted: &[f64]) -> Vec<f64> {
        let terms = (0..n).flat_map(|i| (i..n).map(move |j| 1_usize << i | 1 << j));
        let sum =
            |term: usize| weighted.iter().enumerate().filter(|(mask, _)| mask & term == term).map(|(_, r)| r).sum();
        terms.map(sum).collect()
    }

    #[test]
    fn faithful_indices_are_the_closest_games_of_pairs() {
        for n in 1..7 {
            let kernel = |mask: usize| match mask.count_ones() as usize {
                0 => 0.0,
                k if k == n => 0.0,
                k => 1.0 / (binomial(n, k) * (k * (n - k)) as f64),
            };
            let rest = residuals(n, &matrix(InteractionIndex::FaithShapley, &mut noise(n)));
            assert!(rest[(1 << n) - 1].abs() < 1e-12, "both ends are met");
            let weighted: Vec<f64> = rest.iter().enumerate().map(|(mask, rest)| kernel(mask) * rest).collect();
            let moments_of = moments(n, &weighted);
            // one multiplier for the one constraint, in which every term counts alike
            assert!(moments_of.iter().all(|moment| (moment - moments_of[0]).abs() < 1e-12), "{n}: {moments_of:?}");
            let rest = residuals(n, &matrix(InteractionIndex::Banzhaf, &mut noise(n)));
            let constant = rest.iter().sum::<f64>() / rest.len() as f64;
            let free: Vec<f64> = rest.iter().map(|rest| rest - constant).collect();
            assert!(moments(n, &free).iter().all(|moment| moment.abs() < 1e-11), "{n}");
        }
    }

    #[test]
    fn faithful_pairs_by_hand() {
        // v = 1 for all three together: E_ij = 6/(3·4), E_i = -2/(3·4)
        let mut game = Table::single(array![0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]).unwrap();
        let found = matrix(InteractionIndex::FaithShapley, &mut game);
        let expected = Array2::from_shape_fn((3, 3), |(i, j)| if i == j { -1.0 / 6.0 } else { 0.25 });
        assert!((found - expected).iter().all(|e| e.abs() < 1e-15));
    }
}
