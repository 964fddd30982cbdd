//! Games, and what takes parts of an input away: no panic, no hang, no unbounded allocation.
#![no_main]

mod model;
mod source;

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use limpid::Scalar;
use limpid::attribution::perturbation::{
    Absent, Banzhaf, BanzhafSamples, Cached, Coalition, Coalitions, ConditionalLinear, Distance, ExactShapley,
    FeatureAblation, Game, GameFunction, Groups, IncrementalGame, InteractionIndex, Interactions, KernelShap,
    LeaveOneOut, Lime, Link, MaskSampling, Masked, NeymanShapley, Occlusion, OneFlip, Owen, Partition,
    PermutationImportance, PlayerTree, Regression, Removal, Sampling, Shapley, Similarity, Summary, Table,
    UnbiasedKernelShap, Walks, additive_shap, linear_shap,
};
use limpid::attribution::{Explainer, Target};
use model::Hostile;
use ndarray::{Array2, ArrayRef2, ArrayViewMut1};
use source::Source;

/// Coalitions that a game is asked for before it gives up.
const MAX_ROWS: usize = 3000;

fuzz_target!(|bytes: &[u8]| {
    let mut source = Source(Unstructured::new(bytes));
    match source.below(8) {
        0 => linear::<f64>(&mut source),
        1 => regression(&mut source),
        2 => explain::<f32>(&mut source),
        3 | 4 => explain::<f64>(&mut source),
        5 => play::<f32>(&mut source),
        _ => play::<f64>(&mut source),
    }
});

fn players(source: &mut Source<'_>) -> usize {
    match source.byte() {
        245.. => source.count(),
        byte => usize::from(byte) % 12,
    }
}

/// A game that may say anything of its size, gives odd values and stops half-way.
fn game<T: Scalar>(source: &mut Source<'_>) -> impl Game<T, Error = ()> + use<T> {
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
struct Steps {
    players: usize,
    left: u64,
    cost: u64,
    present: Vec<bool>,
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
fn summarise<T: Scalar, V>(source: &mut Source<'_>, players: usize, work: &mut impl Work<T, V>) -> V {
    let sampling = sampling(source);
    match source.below(9) {
        0 => work.with(ExactShapley { max_players: source.count() }),
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
trait Work<T: Scalar, V> {
    fn with<S: Summary<T> + std::fmt::Debug + 'static>(&mut self, summary: S) -> V;
}

struct Play<'a, G: ?Sized>(&'a mut G, f64);

impl<T: Scalar, G: Game<T> + ?Sized> Work<T, ()> for Play<'_, G> {
    fn with<S: Summary<T> + std::fmt::Debug + 'static>(&mut self, summary: S) {
        if let Ok(found) = summary.of(self.0) {
            let _ = (found.interval(self.1), found.delta());
        }
    }
}

fn play<T: Scalar>(source: &mut Source<'_>) {
    let level = source.setting();
    match source.below(6) {
        0 => {
            let (values, players) = (source.length(), source.below(6));
            let single = source.vector::<T>(1 << players);
            let (table, other) = (source.values(values, 2), Table::single(single));
            for mut table in Table::<T>::new(table).into_iter().chain(other) {
                let players = table.n_players();
                summarise(source, players, &mut Play(&mut table, level));
            }
        }
        1 => {
            let mut cached = Cached::new(game::<T>(source), source.count());
            let players = Game::<T>::n_players(&cached);
            summarise(source, players, &mut Play(&mut cached, level));
            let _ = (cached.evaluations(), cached.into_inner());
        }
        2 => {
            let (players, cost) = (players(source), source.count() as u64);
            let mut game = OneFlip::new(Steps { players, left: 5000, cost, present: Vec::new() });
            summarise::<T, _>(source, players, &mut Play(&mut game, level));
            let _ = (game.flips(), game.resets());
        }
        3 => {
            let index =
                source.pick(&[InteractionIndex::ShapleyTaylor, InteractionIndex::Shapley, InteractionIndex::Banzhaf]);
            let _ = Interactions { index, max_players: source.count() }.of(&mut game::<T>(source));
        }
        _ => {
            let mut game = game::<T>(source);
            let players = game.n_players();
            summarise(source, players, &mut Play(&mut game, level));
        }
    }
}

struct Removing<T>(Removal<T>);

impl<T: Scalar + std::fmt::Debug + 'static> Work<T, Box<dyn Explainer<T, Hostile<T>>>> for Removing<T> {
    fn with<S: Summary<T> + std::fmt::Debug + 'static>(&mut self, summary: S) -> Box<dyn Explainer<T, Hostile<T>>> {
        Box::new(summary.by_removal(self.0.clone()))
    }
}

fn removal<T: Scalar>(source: &mut Source<'_>, b: usize, n: usize) -> Removal<T> {
    let absent = if source.flag() {
        Absent::Baseline(source.baseline(b, n))
    } else {
        let rows = 1 + source.below(4);
        Absent::Background(source.values(rows, n))
    };
    let link = if source.byte() > 200 { Link::Logit } else { Link::Identity };
    Removal { absent, groups: source.groups(n), link, batch: source.batch() }
}

fn groups(source: &mut Source<'_>, b: usize, n: usize) -> Groups {
    match source.below(4) {
        0 => source.groups(n).map_or(Groups::Single, Groups::All),
        1 => Groups::PerRow((0..source.near(b).min(20)).map(|_| source.indices(n, 3)).collect()),
        2 => {
            Groups::blocks(if source.flag() { n } else { source.count().min(500) }, source.count()).unwrap_or_default()
        }
        _ => Groups::Single,
    }
}

fn lime<T: Scalar>(source: &mut Source<'_>, removal: Removal<T>) -> Lime<T> {
    let distance = source.pick(&[Distance::Euclidean, Distance::Cosine, Distance::CosineOfMasks]);
    Lime {
        removal,
        similarity: if source.flag() {
            Similarity::Uniform
        } else {
            Similarity::Exponential { distance, width: source.setting() }
        },
        regression: solver(source),
        sampling: source.pick(&[MaskSampling::Bernoulli, MaskSampling::UniformSize, MaskSampling::All]),
        samples: source.count(),
        tolerance: source.flag().then(|| source.setting()),
        replicates: source.count(),
        seed: source.seed(),
    }
}

fn solver(source: &mut Source<'_>) -> Regression {
    let alpha = source.setting();
    if source.flag() { Regression::Ridge { alpha } } else { Regression::Lasso { alpha } }
}

fn explain<T: Scalar + 'static>(source: &mut Source<'_>) {
    let (b, n) = (source.below(4), if source.byte() > 250 { source.length() } else { source.below(9) });
    let network = source.network::<T>(n);
    let x = source.values::<T>(b, n);
    let target = source.target::<T>(b, network.width(network.output()).unwrap_or(n));
    let mut model = Hostile::new(source, network);
    method(source, &mut model, &x, &*target);
}

fn method<T: Scalar + 'static>(source: &mut Source<'_>, model: &mut Hostile<T>, x: &Array2<T>, target: &dyn Target<T>) {
    let ((b, n), batch) = (x.dim(), source.batch());
    let baseline = source.baseline(b, n);
    let method: Box<dyn Explainer<T, Hostile<T>>> = match source.below(9) {
        0 => Box::new(FeatureAblation { baseline, groups: groups(source, b, n), batch }),
        1 => {
            let axes = source.below(4);
            let input_shape = if source.flag() { source.image(n).to_vec() } else { vec![n] };
            let (window, stride) =
                ((0..axes).map(|_| source.count()).collect(), (0..axes).map(|_| source.count()).collect());
            Box::new(Occlusion { baseline, input_shape, window, stride, batch })
        }
        2 => {
            let _ = LeaveOneOut::with_mask(&source.row::<T>(n), source.count().min(300));
            Box::new(LeaveOneOut { width: source.count(), baseline, batch })
        }
        3 => {
            let (repeats, seed) = (source.count(), source.seed());
            Box::new(PermutationImportance { groups: groups(source, b, n), repeats, seed, batch })
        }
        4 => {
            let removal = removal(source, b, n);
            Box::new(lime(source, removal))
        }
        5 => return masked(source, model, x, target),
        _ => {
            let removal = removal(source, b, n);
            let players = removal.groups.as_ref().map_or(n, |groups| groups.iter().max().map_or(0, |group| group + 1));
            summarise(source, players.min(600), &mut Removing(removal))
        }
    };
    let _ = method.attribute(model, x, target);
}

fn coalitions(source: &mut Source<'_>, players: usize) -> Coalitions {
    let mut coalitions = Coalitions::new(source.near(players));
    for _ in 0..source.below(12) {
        let count = source.below(5);
        match source.below(4) {
            0 => coalitions.push_empty(),
            1 => coalitions.push_full(),
            _ => drop(coalitions.push(source.indices(count, players))),
        }
    }
    coalitions
}

/// Samples that the caller chose, and the model as a game.
fn masked<T: Scalar>(source: &mut Source<'_>, model: &mut Hostile<T>, x: &Array2<T>, target: &dyn Target<T>) {
    let (b, n) = x.dim();
    let removal = removal(source, b, n);
    if source.flag() {
        let masks = coalitions(source, n);
        let weights = source.flag().then(|| source.vector(masks.len()));
        let lime = lime(source, removal);
        let _ = lime.explain_samples(model, x, target, &masks, weights.as_deref());
        return;
    }
    let Ok(mut game) = Masked::new(model, x, target, &removal) else { return };
    let _ = game.select(source.index(b));
    let (players, level) = (game.n_players(), source.setting());
    let (asked, width) = (coalitions(source, players), source.near(1));
    let _ = game.values(&asked, &mut Array2::zeros((source.near(asked.len()), width)));
    summarise(source, players, &mut Play(&mut game, level));
}

fn regression(source: &mut Source<'_>) {
    let players = source.length();
    let samples = coalitions(source, players);
    let (values, weights) = (source.vector::<f64>(samples.len()), source.vector::<f64>(samples.len()));
    let _ = solver(source).fit(&samples, &values.to_vec(), &weights.to_vec());
    for coalition in samples.iter() {
        let _ = (coalition.index(), coalition.size(), coalition.contains(source.count()), coalition.words());
    }
}

fn linear<T: Scalar>(source: &mut Source<'_>) {
    let (b, n) = (source.length(), source.below(9));
    let (x, mean, weights) = (source.values::<T>(b, n), source.row::<T>(n), source.row::<T>(n));
    let _ = linear_shap(&weights, &x, &mean);
    let rows = source.below(5);
    let _ = additive_shap(&x, &source.values(rows, n));
    let half = source.values::<T>(n, n);
    let covariance = if source.flag() && half.is_square() { half.dot(&half.t()) } else { half };
    let level = source.setting();
    if let Ok(mut game) = ConditionalLinear::new(&weights, &x, &mean, &covariance) {
        let players = Game::<T>::n_players(&game);
        summarise::<T, _>(source, players, &mut Play(&mut game, level));
    }
}
