//! Games, and what takes parts of an input away: no panic, no hang, no unbounded allocation.

use crate::model::Hostile;
use crate::source::Source;
use crate::summaries::{Play, Steps, Work, game, players, summarise};
use arbitrary::Unstructured;
use limpid::Scalar;
use limpid::attribution::perturbation::{
    Absent, Cached, Coalitions, ConditionalLinear, Distance, FeatureAblation, Game, Groups, InteractionIndex,
    Interactions, LeaveOneOut, Lime, Link, MaskSampling, Masked, Occlusion, OneFlip, PermutationImportance, Regression,
    Removal, Similarity, Summary, Table, additive_shap, linear_shap,
};
use limpid::attribution::{Explainer, Target};
use ndarray::Array2;

/// Does what these bytes say.
pub fn fuzz(bytes: &[u8]) {
    let mut source = Source(Unstructured::new(bytes));
    match source.below(8) {
        0 => linear::<f64>(&mut source),
        1 => regression(&mut source),
        2 => explain::<f32>(&mut source),
        3 | 4 => explain::<f64>(&mut source),
        5 => play::<f32>(&mut source),
        _ => play::<f64>(&mut source),
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
