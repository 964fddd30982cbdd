//! Estimators of Shapley values, how far they are from the truth, and how often their intervals hold it.

use limpid::Seed;
use limpid::attribution::perturbation::{
    Coalitions, Game, GameAttribution, KernelShap, NeymanShapley, Sampling, Shapley, Summary, Table,
    UnbiasedKernelShap, Walks,
};
use limpid::math::random::{choose, uniform};
use limpid::math::solve::Cholesky;
use ndarray::{Array1, Array2};

use super::Outcome;
use super::games::Known;

/// A way to estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// Permutations one by one.
    Plain,
    /// Weighted least squares on coalitions drawn one by one.
    PlainLeastSquares,
    Antithetic,
    LatinSquare,
    Orthogonal,
    Neyman,
    Unbiased,
    KernelShap,
}

impl Method {
    pub const ALL: [Self; 8] = [
        Self::Plain,
        Self::PlainLeastSquares,
        Self::Antithetic,
        Self::LatinSquare,
        Self::Orthogonal,
        Self::Neyman,
        Self::Unbiased,
        Self::KernelShap,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain permutations",
            Self::PlainLeastSquares => "plain least squares",
            Self::Antithetic => "antithetic",
            Self::LatinSquare => "Latin squares",
            Self::Orthogonal => "orthogonal",
            Self::Neyman => "Neyman",
            Self::Unbiased => "unbiased KernelSHAP",
            Self::KernelShap => "KernelSHAP",
        }
    }

    /// One estimate from at most `budget` coalitions; `None` for the method that the library does not have.
    fn library(self, game: &mut Table<f64>, budget: u64, seed: Seed) -> Outcome<Option<GameAttribution<f64>>> {
        let sampling = Sampling { budget, exact: false, seed, ..Sampling::default() };
        let walk = |walks| Shapley { walks, sampling };
        Ok(Some(match self {
            Self::PlainLeastSquares => return Ok(None),
            Self::Plain => walk(Walks::Independent).of(game)?,
            Self::Antithetic => walk(Walks::Antithetic).of(game)?,
            Self::LatinSquare => walk(Walks::LatinSquare).of(game)?,
            Self::Orthogonal => walk(Walks::Orthogonal).of(game)?,
            Self::Neyman => NeymanShapley { sampling, ..NeymanShapley::default() }.of(game)?,
            Self::Unbiased => UnbiasedKernelShap { sampling, ..UnbiasedKernelShap::default() }.of(game)?,
            Self::KernelShap => KernelShap { budget: Some(budget), seed }.of(game)?,
        }))
    }

    fn values(self, game: &mut Table<f64>, budget: u64, seed: Seed) -> Outcome<Array1<f64>> {
        match self.library(game, budget, seed)? {
            Some(found) => Ok(found.values.column(0).to_owned()),
            None => plain_least_squares(game, budget, seed),
        }
    }

    /// Root mean square error over players and `repeats` seeds.
    pub fn error(self, known: &Known, budget: u64, repeats: u64) -> Outcome<f64> {
        let mut game = known.table.clone();
        let mut sum = 0.0;
        for repeat in 0..repeats {
            let found = self.values(&mut game, budget, Seed(repeat))?;
            sum += (found - &known.values).mapv(|miss| miss * miss).mean().unwrap_or(f64::NAN);
        }
        Ok((sum / repeats as f64).sqrt())
    }

    /// Share of players and seeds for which the 95 % interval holds the truth; `None` for methods without intervals.
    pub fn coverage(self, known: &Known, budget: u64, repeats: u64) -> Outcome<Option<f64>> {
        let mut game = known.table.clone();
        let (mut held, mut all) = (0, 0);
        for repeat in 0..repeats {
            let Some(found) = self.library(&mut game, budget, Seed(1_000_000 + repeat))? else { return Ok(None) };
            let Some((low, high)) = found.interval(0.95)? else { return Ok(None) };
            let ends = low.iter().zip(&high).zip(&known.values);
            held += ends.filter(|((low, high), truth)| (*low..=*high).contains(truth)).count();
            all += known.players();
        }
        Ok(Some(held as f64 / all as f64))
    }
}

/// Sizes drawn by the weight of all their coalitions, members at random, then least squares in which all count the same and the
/// values add up: KernelSHAP without pairs, and without sizes that are taken completely.
fn plain_least_squares(game: &mut Table<f64>, budget: u64, seed: Seed) -> Outcome<Array1<f64>> {
    let n = game.n_players();
    let mut coalitions = Coalitions::new(n);
    coalitions.push_empty();
    coalitions.push_full();
    let stream = &mut seed.stream(0x706c_6169, 0);
    let shares: Vec<f64> = (1..n).map(|size| 1.0 / (size * (n - size)) as f64).collect();
    let mut order: Vec<usize> = (0..n).collect();
    for _ in 2..budget {
        let mut left = uniform::<f64>(stream) * shares.iter().sum::<f64>();
        let reached = shares.iter().position(|share| {
            left -= share;
            left < 0.0
        });
        let size = 1 + reached.unwrap_or(n - 2);
        choose(stream, size, &mut order);
        coalitions.push(order[..size].iter().copied())?;
    }
    let mut worths = Array2::zeros((coalitions.len(), 1));
    game.values(&coalitions, &mut worths)?;
    let (base, full) = (worths[[0, 0]], worths[[1, 0]]);
    let (mut a, mut b) = (Array2::<f64>::eye(n) * 1e-9, vec![0.0; n]);
    for (coalition, worth) in coalitions.iter().zip(worths.column(0)).skip(2) {
        for i in coalition.members() {
            b[i] += worth - base;
            coalition.members().for_each(|j| a[[i, j]] += 1.0);
        }
    }
    let (solver, mut ones) = (Cholesky::new(&a, "coalitions")?, vec![1.0; n]);
    solver.solve(&mut b)?;
    solver.solve(&mut ones)?;
    // the Lagrange multiplier of the sum
    let excess = (b.iter().sum::<f64>() - (full - base)) / ones.iter().sum::<f64>();
    Ok(b.iter().zip(&ones).map(|(b, one)| b - excess * one).collect())
}
