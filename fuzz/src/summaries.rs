//! Games that nobody should have to trust, and the summaries of a game.

use limpid::Scalar;
use limpid::attribution::perturbation::{
    Banzhaf, BanzhafSamples, Coalition, Coalitions, ExactShapley, Game, GameFunction, IncrementalGame, KernelShap,
    NeymanShapley, Owen, Partition, PlayerTree, Sampling, Shapley, Summary, UnbiasedKernelShap, Walks,
};
use ndarray::{ArrayRef2, ArrayViewMut1};

use crate::source::Source;

/// Coalitions that a game is asked for before it gives up.
const MAX_ROWS: usize = 3000;

pub fn players(source: &mut Source<'_>) -> usize {
    match source.byte() {
        // so many that all coalitions fit, or far more than can be enumerated
        245.. => Some(source.count()).filter(|count| *count > 40).unwrap_or(70),
        byte => usize::from(byte) % 12,
    }
}

/// A game that may say anything of its size, gives odd values and stops half-way.
pub fn game<T: Scalar>(source: &mut Source<'_>) -> impl Game<T, Error = ()> + use<T> {
    let sizes = (players(source), if source.byte() > 240 { source.count() } else { 1 + source.below(3) });
    let odd = (source.byte() > 220).then(|| (usize::from(source.byte()), source.number::<T>()));
    let (mut rows, scale) = (if source.byte() > 220 { source.length() } else { MAX_ROWS }, source.setting());
    GameFunction::new(sizes, move |coalitions: &Coalitions, out: &mut ArrayRef2<T>| {
        rows = rows.checked_sub(coalitions.len().max(1)).ok_or(())?;
        for (coalition, mut out) in coalitions.iter().zip(out.rows_mut()) {
            let worth = coalition.members().fold(0.0, |sum, player| sum * 0.5 + scale * (player % 7) as f64);
            out.fill(T::of(worth));
        }
        if let (Some(slot), Some((_, value))) = (out.first_mut(), odd.filter(|&(left, _)| rows < left)) {
            *slot = value;
        }
        Ok(())
    })
}

/// The same as a game that is told of one player at a time.
pub struct Steps {
    pub players: usize,
    pub left: u64,
    pub cost: u64,
    pub present: Vec<bool>,
}

impl<T: Scalar> IncrementalGame<T> for Steps {
    type Error = ();

    fn n_players(&self) -> usize {
        self.players
    }

    fn reset(&mut self, coalition: Coalition<'_>, out: ArrayViewMut1<'_, T>) -> Result<(), ()> {
        self.present = (0..coalition.n_players()).map(|player| coalition.contains(player)).collect();
        self.write(out)
    }

    fn flip(&mut self, player: usize, out: ArrayViewMut1<'_, T>) -> Result<(), ()> {
        self.present[player] = !self.present[player];
        self.write(out)
    }

    fn flip_cost(&self, player: usize) -> u64 {
        self.cost.wrapping_mul(player as u64 + 1)
    }

    fn reset_cost(&self) -> u64 {
        self.cost.rotate_left(7)
    }
}

impl Steps {
    fn write<T: Scalar>(&mut self, mut out: ArrayViewMut1<'_, T>) -> Result<(), ()> {
        self.left = self.left.checked_sub(1).ok_or(())?;
        out.fill(T::of(self.present.iter().filter(|&&present| present).count() as f64));
        Ok(())
    }
}

fn sampling(source: &mut Source<'_>) -> Sampling {
    Sampling {
        budget: (source.count() as u64).saturating_mul(1 + u64::from(source.byte())),
        tolerance: source.flag().then(|| source.setting()),
        exact: source.flag(),
        seed: source.seed(),
    }
}

fn tree(source: &mut Source<'_>, players: usize) -> Option<PlayerTree> {
    match source.below(4) {
        0 => PlayerTree::balanced(source.near(players).min(500)).ok(),
        1 => PlayerTree::balanced(source.count()).ok(),
        2 => {
            let joins = source.near(players.saturating_sub(1)).min(500);
            PlayerTree::new((0..joins).map(|at| (source.index(players + at), source.index(players + at))).collect())
                .ok()
        }
        _ => None,
    }
}

/// Hands the game to the summary that the next byte names.
pub fn summarise<T: Scalar, V>(source: &mut Source<'_>, players: usize, work: &mut impl Work<T, V>) -> V {
    let sampling = sampling(source);
    match source.below(9) {
        0 => work.with(ExactShapley { max_players: source.below(60) }),
        1 => {
            let walks = [Walks::Independent, Walks::Antithetic, Walks::LatinSquare, Walks::Orthogonal];
            work.with(Shapley { walks: source.pick(&walks), sampling })
        }
        2 => work.with(NeymanShapley { first: source.setting(), sampling }),
        3 => work.with(KernelShap { budget: source.flag().then_some(sampling.budget), seed: sampling.seed }),
        4 => work.with(UnbiasedKernelShap { paired: source.flag(), sampling }),
        5 => work.with(Banzhaf { samples: source.pick(&[BanzhafSamples::Pairs, BanzhafSamples::Flips]), sampling }),
        6 | 7 => work.with(Partition { tree: tree(source, players), budget: sampling.budget, wave: source.count() }),
        _ => {
            let unions = 1 + source.below(4);
            work.with(Owen { unions: source.indices(players.min(300), unions), max_evaluations: sampling.budget })
        }
    }
}

/// What is done with a summary of any type.
pub trait Work<T: Scalar, V> {
    fn with<S: Summary<T> + std::fmt::Debug + 'static>(&mut self, summary: S) -> V;
}

/// Plays a game, and asks for intervals of this level.
pub struct Play<'a, G: ?Sized>(pub &'a mut G, pub f64);

impl<T: Scalar, G: Game<T> + ?Sized> Work<T, ()> for Play<'_, G> {
    fn with<S: Summary<T> + std::fmt::Debug + 'static>(&mut self, summary: S) {
        if let Ok(found) = summary.of(self.0) {
            let _ = (found.interval(self.1), found.delta());
        }
    }
}
