//! KernelSHAP: Shapley values as a weighted least-squares fit.
//!
//! ```text
//! min_φ Σ_S π(S) (v(S) - v(∅) - Σ_{i in S} φ_i)²   so that   Σ φ_i = v(N) - v(∅),    π(S) = (M - 1)/(C(M, |S|) |S| (M - |S|))
//! A = Σ π z zᵀ,  b = Σ π z (v(S) - v(∅)):   φ = A⁻¹ (b - λ 1),   λ = (1ᵀ A⁻¹ b - v(N) + v(∅)) / 1ᵀ A⁻¹ 1
//! ```
//!
//! Sizes are taken completely, from the outside in and each with its complements, while the budget has room for as many
//! coalitions as the size deserves; the rest of the weight is sampled in complementary pairs. With all `2^M - 2` coalitions
//! the fit is exact. Nothing is dropped: there is no L1 penalty. (The best-known implementation keeps ten features at most
//! by default and sets the others to 0.) Standard errors linearise the fit around its solution and take batches of pairs as
//! observations.
//!
//! Source: Lundberg and Lee, "A Unified Approach to Interpreting Model Predictions" (2017), section 4.1; Covert and Lee,
//! "Improving KernelSHAP" (2021), <https://arxiv.org/abs/2012.01536>, sections 3 and 4.

use alloc::vec::Vec;

use super::game::Game;
use super::kernel_fit::{Fit, Plan, Terms, transposed};
use super::play::{Play, matrix};
use super::summary::{GameAttribution, Summary};
use crate::attribution::{Explained, Status};
use crate::error::check_limit;
use crate::{Scalar, Seed};

/// Most players: the fit needs a matrix of their pairs.
const MAX_PLAYERS: usize = 4096;

/// Shapley values by weighted least squares.
///
/// # Example
/// ```
/// use limpid::attribution::perturbation::{KernelShap, Summary, Table};
/// use ndarray::array;
///
/// let mut game = Table::single(array![0.0, 1.0, 3.0, 6.0])?;
/// let found = KernelShap::default().of(&mut game).unwrap();
/// assert!((found.values[[0, 0]] - 2.0_f64).abs() < 1e-12 && found.evaluations == 4);
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct KernelShap {
    /// Most coalitions that are asked for, nobody and all included, at most 2²⁶; `None`: `2 M + 2050`.
    pub budget: Option<u64>,
    /// Where the random numbers start.
    pub seed: Seed,
}

impl<T: Scalar> Summary<T> for KernelShap {
    fn of<G: Game<T> + ?Sized>(&self, game: &mut G) -> Explained<GameAttribution<T>, G::Error> {
        let mut play = Play::new(game)?;
        check_limit("players", play.n, MAX_PLAYERS)?;
        let budget = self.budget.unwrap_or(2 * play.n as u64 + 2050).saturating_sub(2);
        let plan = Plan::new(play.n, budget, self.seed)?;
        let ends = play.ends()?;
        if play.n == 1 {
            return Ok(play.result("kernel_shap", &ends.gain().collect::<Vec<_>>(), &ends));
        }
        let mut fit = Fit::new(plan, Terms::players(play.n), &ends, play.v);
        fit.ask(&mut play)?;
        let solution = fit.solve()?;
        let values: Vec<f64> = transposed(&solution.values, play.v);
        let mut result = play.result("kernel_shap", &values, &ends);
        if fit.plan.sampled_share > 0.0 {
            result.status = if fit.plan.pairs > 0 { Status::Finished } else { Status::Partial };
            result.seed = Some(self.seed);
            if let Some((errors, batches)) = fit.standard_errors(&solution)? {
                result.standard_error = Some(matrix(&transposed(&errors, play.v), (play.n, play.v)));
                result.units = batches as u64;
            }
        }
        Ok(result)
    }

    fn seed(&self) -> Option<Seed> {
        Some(self.seed)
    }

    fn with_seed(&self, seed: Seed) -> Self {
        Self { seed, ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::growing as noise;
    use super::*;
    use crate::Error;
    use crate::attribution::perturbation::{Coalitions, ExactShapley, GameFunction};
    use ndarray::ArrayRef2;

    #[test]
    fn all_coalitions_give_the_exact_values() {
        for players in 1..8 {
            let exact = ExactShapley::default().of(&mut noise(players)).unwrap();
            let found = KernelShap::default().of(&mut noise(players)).unwrap();
            assert!((found.values - exact.values).iter().all(|e| e.abs() < 1e-11), "{players}");
            assert_eq!((found.evaluations, found.status), (1 << players, Status::Exact));
        }
    }

    #[test]
    fn samples_come_close_and_say_how_close() {
        let exact = ExactShapley::default().of(&mut noise(9)).unwrap();
        for budget in [300, 400] {
            let found = KernelShap { budget: Some(budget), ..KernelShap::default() }.of(&mut noise(9)).unwrap();
            let errors = found.standard_error.as_ref().unwrap();
            for ((value, exact), error) in found.values.iter().zip(&exact.values).zip(errors) {
                assert!((value - exact).abs() < 5.0 * error && *error < 0.5 && *error > 0.0);
            }
            assert!(found.evaluations <= budget && found.status == Status::Finished);
            assert!(found.delta().iter().all(|delta| delta.abs() < 1e-10));
        }
    }

    #[test]
    fn an_additive_game_of_many_players_is_found_exactly() {
        let mut game = GameFunction::new((70, 1), |coalitions: &Coalitions, out: &mut ArrayRef2<f64>| {
            for (coalition, out) in coalitions.iter().zip(out.iter_mut()) {
                *out = coalition.members().map(|player| player as f64).sum::<f64>() - 4.0;
            }
            Ok::<(), ()>(())
        });
        let found = KernelShap::default().of(&mut game).unwrap();
        assert!(found.values.iter().enumerate().all(|(i, value)| (value - i as f64).abs() < 1e-9));
        assert!(found.standard_error.unwrap().iter().all(|error| *error < 1e-9));
    }

    #[test]
    fn too_few_coalitions_are_named() {
        let too_few = KernelShap { budget: Some(6), ..KernelShap::default() }.of(&mut noise(9));
        assert!(matches!(too_few, Err(crate::attribution::Failure::Input(Error::Singular { .. }))));
    }
}
