//! kADD-SHAP of order 2: KernelSHAP with a term for every pair, so that interactions come out with the values.
//!
//! ```text
//! v(S) ≈ v(∅) + Σ_{i in S} e_i + Σ_{i<j in S} e_ij      weighted least squares under the Shapley kernel, both ends met
//! value of i   φ_i = e_i + ½ Σ_j e_ij                   interaction of i and j   I_ij = e_ij
//! ```
//!
//! These are the Shapley values and the Shapley interaction indices of the fitted game, which is 2-additive; they are those of
//! `v` where `v` is 2-additive itself. Then far fewer coalitions do than KernelSHAP needs. With all coalitions the fit is
//! Faith-Shap of order 2. The matrix has the form of [`Interactions`](super::Interactions): both entries of a pair carry half,
//! and here rows add up to the values `φ`, and the whole matrix to `v(N) - v(∅)`.
//!
//! Source: Pelegrina, Duarte and Grabisch, "A k-additive Choquet integral-based approach to approximate the SHAP values for
//! local interpretability in machine learning" (2023), <https://arxiv.org/abs/2211.02166>, with `k = 2`, in Möbius
//! coefficients; Tsai, Yeh and Ravikumar, "Faith-Shap" (2023), <https://arxiv.org/abs/2203.00870>, for the limit.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use ndarray::{Array1, Array3};

use super::game::Game;
use super::interactions::{InteractionIndex, InteractionValues, Interactions};
use super::kernel_fit::{Fit, Plan, Terms};
use super::play::Play;
use crate::attribution::{Explained, Status};
use crate::error::check_limit;
use crate::{Scalar, Seed};

/// Most players: the fit needs a matrix of the pairs of their pairs.
const MAX_PLAYERS: usize = 90;

/// Shapley values and interactions of the closest 2-additive game.
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::{KaddShap, Table};
/// use ndarray::array;
///
/// // alone 2 and 3, 3 more together
/// let mut game = Table::single(array![0.0, 2.0, 3.0, 8.0])?;
/// let found = KaddShap::default().of(&mut game).unwrap();
/// let expected = array![[2.0, 1.5], [1.5, 3.0]];
/// assert!((&found.values.index_axis(ndarray::Axis(2), 0) - &expected).iter().all(|e: &f64| e.abs() < 1e-12));
/// assert!((found.shapley()[[0, 0]] - 3.5).abs() < 1e-12);
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct KaddShap {
    /// Most coalitions that are asked for, nobody and all included; `None`: `M (M + 1) + 2050`.
    pub budget: Option<u64>,
    /// Where the random numbers start.
    pub seed: Seed,
}

/// The closest 2-additive game.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct KaddValues<T> {
    /// `(players, players, values)`, symmetric: `e_i` on the diagonal, half of `e_ij` in both entries of a pair.
    pub values: Array3<T>,
    /// Standard errors of these entries, where enough was sampled to tell.
    pub standard_error: Option<Array3<T>>,
    /// Batches of sampled pairs of coalitions behind the standard errors; 0 where there are none.
    pub units: u64,
    /// Worth of nobody, `(values)`.
    pub base: Array1<T>,
    /// Worth of all, `(values)`.
    pub full: Array1<T>,
    /// Coalitions that the game was asked for.
    pub evaluations: u64,
    /// [`Status::Exact`] where all coalitions were asked for.
    pub status: Status,
    /// Name of the method that was used.
    pub method: Cow<'static, str>,
    /// Seed, where something was sampled.
    pub seed: Option<Seed>,
}

impl<T: Scalar> KaddValues<T> {
    /// Shapley values of the fitted game, `(players, values)`: the sums of the rows.
    #[must_use]
    pub fn shapley(&self) -> ndarray::Array2<T> {
        self.values.sum_axis(ndarray::Axis(1))
    }
}

impl KaddShap {
    /// Fits a game, such as a [`Masked`](super::Masked) model.
    ///
    /// # Errors
    /// [`Failure::Input`](crate::attribution::Failure::Input) with [`Error::Singular`](crate::Error::Singular) for a budget
    /// whose coalitions do not tell all pairs apart, and for too many players,
    /// [`Failure::Model`](crate::attribution::Failure::Model) with the game's own error,
    /// [`Failure::NotFinite`](crate::attribution::Failure::NotFinite) where the game gives NaN or infinity.
    pub fn of<T: Scalar, G: Game<T> + ?Sized>(&self, game: &mut G) -> Explained<KaddValues<T>, G::Error> {
        let mut play = Play::new(&mut *game)?;
        let (n, v) = (play.n, play.v);
        check_limit("players", n, MAX_PLAYERS)?;
        let budget = self.budget.unwrap_or((n * (n + 1)) as u64 + 2050);
        let plan = Plan::new(n, budget.saturating_sub(2), self.seed)?;
        if n <= 2 {
            // every game of two is 2-additive
            let exact = Interactions { index: InteractionIndex::FaithShapley, max_players: 2 };
            return exact.of(game).map(KaddValues::from_all);
        }
        let (ends, terms) = (play.ends()?, Terms::players_and_pairs(n));
        let mut fit = Fit::new(plan, terms, &ends, v);
        fit.ask(&mut play)?;
        let solution = fit.solve()?;
        let single = |x: &Vec<f64>| x.iter().map(|&x| T::of(x)).collect();
        let mut result = KaddValues::from_all(InteractionValues {
            values: as_matrix(&solution.values, terms, (n, v)),
            base: single(&ends.base),
            full: single(&ends.full),
            evaluations: play.evaluations,
        });
        if fit.plan.sampled_share > 0.0 {
            result.status = if fit.plan.pairs > 0 { Status::Finished } else { Status::Partial };
            result.seed = Some(self.seed);
            if let Some((errors, batches)) = fit.standard_errors(&solution)? {
                result.standard_error = Some(as_matrix(&errors, terms, (n, v)));
                result.units = batches as u64;
            }
        }
        Ok(result)
    }
}

impl<T> KaddValues<T> {
    /// Where all coalitions were asked for.
    fn from_all(found: InteractionValues<T>) -> Self {
        Self {
            values: found.values,
            standard_error: None,
            units: 0,
            base: found.base,
            full: found.full,
            evaluations: found.evaluations,
            status: Status::Exact,
            method: Cow::Borrowed("kadd_shap"),
            seed: None,
        }
    }
}

/// Numbers of `(values, terms)` as a matrix in which both entries of a pair carry half.
fn as_matrix<T: Scalar>(numbers: &[f64], terms: Terms, (n, v): (usize, usize)) -> Array3<T> {
    Array3::from_shape_fn((n, n, v), |(i, j, value)| {
        let of = |term: usize| numbers[value * terms.count() + term];
        T::of(if i == j { of(i) } else { 0.5 * of(terms.pair(i.min(j), i.max(j))) })
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::growing as noise;
    use super::*;
    use crate::Error;
    use crate::attribution::Failure;
    use crate::attribution::perturbation::{Coalitions, ExactShapley, GameFunction, Summary};
    use ndarray::{ArrayRef2, Axis};

    #[test]
    fn all_coalitions_give_faith_shap() {
        let faithful = Interactions { index: InteractionIndex::FaithShapley, ..Interactions::default() };
        for players in 1..8 {
            let found = KaddShap::default().of(&mut noise(players)).unwrap();
            let expected = faithful.of(&mut noise(players)).unwrap();
            assert!((found.values - expected.values).iter().all(|e| e.abs() < 1e-10), "{players}");
            assert_eq!((found.evaluations, found.status), (1 << players, Status::Exact));
        }
    }

    /// `Σ i z_i + Σ sin(3 i + j) z_i z_j + 2` of `players`.
    fn two_additive(players: usize) -> GameFunction<impl FnMut(&Coalitions, &mut ArrayRef2<f64>) -> Result<(), ()>> {
        GameFunction::new((players, 1), |coalitions: &Coalitions, out: &mut ArrayRef2<f64>| {
            for (coalition, out) in coalitions.iter().zip(out.iter_mut()) {
                let members: Vec<usize> = coalition.members().collect();
                let pairs = members.iter().flat_map(|&i| members.iter().filter(move |&&j| i < j).map(move |&j| (i, j)));
                let of_pairs: f64 = pairs.map(|(i, j)| libm::sin((3 * i + j) as f64)).sum();
                *out = 2.0 + of_pairs + members.iter().sum::<usize>() as f64;
            }
            Ok(())
        })
    }

    #[test]
    fn a_game_of_pairs_is_found_from_few_coalitions() {
        let n = 12;
        let found = KaddShap { budget: Some(400), seed: Seed(2) }.of(&mut two_additive(n)).unwrap();
        assert!(found.evaluations <= 400 && found.status == Status::Finished);
        for ((i, j, _), value) in found.values.indexed_iter() {
            let expected = if i == j { i as f64 } else { 0.5 * libm::sin((3 * i.min(j) + i.max(j)) as f64) };
            assert!((value - expected).abs() < 1e-8, "{i} {j}: {value} {expected}");
        }
        let exact = ExactShapley::default().of(&mut two_additive(n)).unwrap().values;
        assert!((found.shapley() - exact).iter().all(|e| e.abs() < 1e-8));
    }

    #[test]
    fn samples_come_close_and_say_how_close() {
        let exact = KaddShap::default().of(&mut noise(9)).unwrap();
        let found = KaddShap { budget: Some(400), seed: Seed(4) }.of(&mut noise(9)).unwrap();
        let errors = found.standard_error.as_ref().unwrap();
        for ((value, exact), error) in found.values.iter().zip(&exact.values).zip(errors) {
            assert!((value - exact).abs() < 5.0 * error && *error > 0.0, "{value} {exact} {error}");
        }
        let total = found.values.sum_axis(Axis(0)).sum_axis(Axis(0));
        assert!((total - (&found.full - &found.base)).iter().all(|e| e.abs() < 1e-9));
    }

    #[test]
    fn what_cannot_be_fitted_is_named() {
        let few = KaddShap { budget: Some(40), ..KaddShap::default() }.of(&mut noise(9));
        assert!(matches!(few, Err(Failure::Input(Error::Singular { .. }))));
        assert!(matches!(
            KaddShap { budget: Some(3), ..KaddShap::default() }.of(&mut noise(2)),
            Err(Failure::Input(Error::OutOfRange { what: "budget", .. }))
        ));
        let failure = KaddShap::default().of(&mut two_additive(91)).unwrap_err();
        assert!(matches!(failure, Failure::Input(Error::TooLarge { what: "players", .. })));
    }
}
