//! How good attributions are said to be: no panic, no hang, no unbounded allocation.

use crate::model::{Hostile, Refusal};
use crate::source::Source;
use arbitrary::Unstructured;
use limpid::Scalar;
use limpid::attribution::faithfulness::{
    AttributionUnit, Bounds, By, Decision, Erasure, FaithfulnessCorrelation, GroupValue, Infidelity, Judging, Levels,
    Masking, MonotonicityCorrelation, Neighbourhood, NormalisedAopc, OtherLogits, ParameterRandomisation, Perturbation,
    ReferenceOrders, Replacement, Road, Sensitivity, Similarity, Stability, Subsets, agreement,
    attribution_localisation, completeness_gap, complexity, effective_complexity, explain_and_judge,
    faithfulness_estimate, focus, group_values, impute_linearly, judge_side_by_side, mask_auc, monotonicity,
    non_sensitivity, pointing_game, random_logit, relevance_mass_accuracy, relevance_rank_accuracy, sparseness,
    top_k_intersection,
};
use limpid::attribution::gradient::{InputXGradient, IntegratedGradients, Saliency};
use limpid::attribution::perturbation::FeatureAblation;
use limpid::attribution::{Explainer, Target};
use ndarray::Array2;

/// Does what these bytes say.
pub fn fuzz(bytes: &[u8]) {
    let mut source = Source(Unstructured::new(bytes));
    match source.below(5) {
        0 => alone::<f64>(&mut source),
        1 => alone::<f32>(&mut source),
        2 => explain::<f32>(&mut source),
        _ => explain::<f64>(&mut source),
    }
}

fn by(source: &mut Source<'_>) -> By {
    source.pick(&[By::Magnitude, By::Value])
}

fn mask(source: &mut Source<'_>, rows: usize, columns: usize) -> Array2<bool> {
    Array2::from_shape_simple_fn((source.near(rows).min(300), source.near(columns).min(300)), || source.flag())
}

fn similarity(source: &mut Source<'_>, n: usize) -> Similarity {
    match source.below(3) {
        0 => Similarity::Spearman,
        1 => Similarity::Cosine,
        _ => {
            let height = if source.byte() > 230 { source.count() } else { 1 + source.below(3) };
            Similarity::Ssim { height, width: if source.flag() { n / height.max(1) } else { source.count() } }
        }
    }
}

/// Measures of an attribution by itself.
fn alone<T: Scalar>(source: &mut Source<'_>) {
    let (b, n) = (source.below(5), source.length());
    let (x, mask, by) = (source.values::<T>(b, n), mask(source, b, n), by(source));
    let _ = (sparseness(&x, source.number()), complexity(&x), effective_complexity(&x, source.number()));
    let _ = (pointing_game(&x, &mask, by), relevance_mass_accuracy(&x, &mask, by));
    let _ = (relevance_rank_accuracy(&x, &mask, by), top_k_intersection(&x, &mask, source.count(), by));
    let _ = (mask_auc(&x, &mask, by), attribution_localisation(&x, &mask, source.flag()), focus(&x, &mask));
    let groups = source.indices(n, 4);
    let _ = group_values(&x, &groups, source.pick(&[GroupValue::Sum, GroupValue::Shared]));
    let (left, right) = (source.row::<T>(n), source.row::<T>(n));
    let _ = (similarity(source, n).of(&left, &right), agreement(&left, &right, source.count(), by));
    let [channels, height, width] = [source.below(3), source.below(6), source.below(6)];
    let image = source.stack::<T>([channels, height, width]);
    let removed = self::mask(source, height, width);
    let _ = impute_linearly(&image, &removed);
    let rows = source.count().min(1000);
    let _ = OtherLogits::draw(&source.class(rows, 4), rows, source.count(), source.seed());
    let hood = neighbourhood::<T>(source, b, n);
    let _ = (hood.neighbour(&x, source.count()), hood.samples(), hood.seed());
}

fn neighbourhood<T: Scalar>(source: &mut Source<'_>, b: usize, n: usize) -> Neighbourhood<T> {
    let (reach, samples, seed) = (source.setting(), source.count(), source.seed());
    match source.below(3) {
        0 => Neighbourhood::Uniform { radius: reach, samples, seed },
        1 => Neighbourhood::Normal { deviation: reach, samples, seed },
        _ => {
            let samples = source.below(4);
            Neighbourhood::Given(source.stack([samples, b, n]))
        }
    }
}

fn masking<T: Scalar>(source: &mut Source<'_>, b: usize, n: usize) -> Masking<T> {
    Masking { baseline: source.baseline(b, n), groups: source.groups(n), batch: source.batch() }
}

fn levels(source: &mut Source<'_>) -> Levels {
    if source.flag() { Levels::All } else { Levels::Counts((0..source.below(5)).map(|_| source.count()).collect()) }
}

fn decision<T: Scalar>(source: &mut Source<'_>) -> Decision<T> {
    if source.flag() { Decision::Largest } else { Decision::Threshold(source.number()) }
}

fn explain<T: Scalar>(source: &mut Source<'_>) {
    let (b, n) = (source.below(4), if source.byte() > 250 { source.length() } else { source.below(9) });
    let network = source.network::<T>(n);
    let x = source.values::<T>(b, n);
    let target = source.target::<T>(b, network.width(network.output()).unwrap_or(n));
    let mut model = Hostile::new(source, network);
    if source.flag() {
        judge(source, &mut model, &x, &*target);
    } else {
        rerun(source, &mut model, &x, &*target);
    }
}

/// Measures that ask the model about an attribution.
fn judge<T: Scalar>(source: &mut Source<'_>, model: &mut Hostile<T>, x: &Array2<T>, target: &dyn Target<T>) {
    let (b, n) = x.dim();
    let masking = masking::<T>(source, b, n);
    // measures of groups take a value for each
    let columns = masking.groups.as_ref().map_or(n, |groups| groups.iter().max().map_or(0, |group| group + 1));
    let values = source.values::<T>(b, columns.min(300));
    match source.below(12) {
        0 => drop(completeness_gap(model, x, &values, target, &masking)),
        1 => drop(non_sensitivity(model, x, &values, target, &masking, source.setting())),
        2 => {
            let subsets = if source.flag() {
                let count = source.below(4);
                Subsets::Given((0..source.below(4)).map(|_| subsets(source, count, columns)).collect())
            } else {
                let sizes = (0..source.below(4)).map(|_| source.count()).collect();
                Subsets::Random { sizes, count: source.count(), seed: source.seed() }
            };
            drop(FaithfulnessCorrelation { masking, subsets }.judge(model, x, &values, target));
        }
        3 => {
            let counts = (0..source.below(4)).map(|_| source.count()).collect();
            let (levels, singles, decision) = (levels(source), source.flag(), decision(source));
            let erasure = Erasure { masking, levels, counts, singles, decision };
            if let Ok(found) = erasure.judge(model, x, &values, target) {
                let _ = (found.full(), found.empty());
            }
        }
        4 => drop(faithfulness_estimate(model, x, &values, target, &masking)),
        5 | 6 => drop(infidelity(source, b, n).judge(model, x, &values, target)),
        7 => drop(monotonicity(model, x, &values, target, &masking)),
        8 => {
            let replacement = if source.flag() {
                let rows = source.below(4);
                Replacement::Background(source.values(rows, n))
            } else {
                Replacement::Noise { deviation: source.setting(), samples: source.count(), seed: source.seed() }
            };
            let method = MonotonicityCorrelation { replacement, groups: masking.groups, batch: masking.batch };
            drop(method.judge(model, x, &values, target));
        }
        9 => {
            let method = NormalisedAopc { masking, exact_up_to: source.count(), beam: source.count() };
            drop(method.judge(model, x, &values, target));
        }
        10 => {
            let (levels, orders, seed) = (levels(source), source.count(), source.seed());
            if let Ok(found) = (ReferenceOrders { masking, levels, orders, seed }).judge(model, x, target) {
                let _ = found.half_width(source.setting());
            }
        }
        _ => {
            let road = Road { batch: masking.batch, ..road(source, n) };
            drop(road.judge(model, x, &source.values(b, n), target));
        }
    }
}

fn road<T: Scalar>(source: &mut Source<'_>, n: usize) -> Road<T> {
    let percents = (0..source.below(4)).map(|_| source.count()).collect();
    Road { percents, noise: source.setting(), decision: decision(source), ..Road::new(source.image(n)) }
}

fn subsets(source: &mut Source<'_>, count: usize, columns: usize) -> Array2<usize> {
    let size = source.below(4);
    Array2::from_shape_simple_fn((count, size), || source.index(columns.min(256)))
}

fn infidelity<T: Scalar>(source: &mut Source<'_>, b: usize, n: usize) -> Infidelity<T> {
    let perturbation = match source.below(3) {
        0 => Perturbation::Noise { deviation: source.setting() },
        1 => {
            let (baseline, groups) = (source.baseline(b, n), source.groups(n));
            Perturbation::Removal { baseline, groups, chance: source.setting() }
        }
        _ => {
            let samples = source.below(4);
            Perturbation::Given(source.stack([samples, b, n]))
        }
    };
    let unit =
        if source.flag() { AttributionUnit::Slope } else { AttributionUnit::Contribution(source.baseline(b, n)) };
    let (samples, seed, normalize) = (source.count(), source.seed(), source.flag());
    Infidelity { perturbation, samples, seed, unit, normalize, batch: source.batch() }
}

fn judging<T: Scalar>(source: &mut Source<'_>, b: usize, n: usize) -> Judging<T> {
    Judging {
        masking: masking(source, b, n),
        group_value: source.pick(&[GroupValue::Sum, GroupValue::Shared]),
        contributions: source.flag().then(|| source.flag()),
        levels: levels(source),
        counts: (0..source.below(4)).map(|_| source.count()).collect(),
        decision: decision(source),
        infidelity_samples: source.count(),
        random_orders: source.count(),
        bounds: source.flag().then(|| Bounds { exact_up_to: source.count(), beam: source.count() }),
        sensitivity: source.flag().then(|| Sensitivity { neighbourhood: neighbourhood(source, b, n) }),
        threshold: source.number(),
        top: source.count(),
        seed: source.seed(),
    }
}

/// Measures that explain again.
fn rerun<T: Scalar>(source: &mut Source<'_>, model: &mut Hostile<T>, x: &Array2<T>, target: &dyn Target<T>) {
    let ((b, n), batch) = (x.dim(), source.batch());
    let integrated = IntegratedGradients { baseline: source.baseline(b, n), steps: 3, ..Default::default() };
    let ablation = FeatureAblation { baseline: source.baseline(b, n), batch, ..Default::default() };
    let methods: [&dyn Explainer<T, Hostile<T>>; 4] = [&Saliency::default(), &InputXGradient, &integrated, &ablation];
    let explainer = source.pick(&methods);
    match source.below(6) {
        0 => {
            let neighbourhood = neighbourhood(source, b, n);
            drop(Sensitivity { neighbourhood }.judge(explainer, model, x, target));
        }
        1 => {
            let stability = Stability {
                neighbourhood: neighbourhood(source, b, n),
                same_decision: source.flag(),
                decision: decision(source),
                floor: source.setting(),
                batch,
            };
            drop(stability.judge(explainer, model, x, target));
        }
        2 => {
            let (stages, similarity) = (source.count(), similarity(source, n));
            let (fails, absolute) = (source.below(9), source.flag());
            let randomise = |_: &mut Hostile<T>, stage| if stage == fails { Err(Refusal::Tired) } else { Ok(()) };
            let method = ParameterRandomisation { stages, similarity, absolute };
            drop(method.judge(explainer, model, x, target, randomise));
        }
        3 => {
            let (own, similarity) = (source.class(b, 3), similarity(source, n));
            drop(random_logit(explainer, model, x, &own, similarity, source.seed()));
        }
        4 => {
            if let Ok(found) = explain_and_judge(explainer, model, x, target, &judging(source, b, n)) {
                let _ = (found.evaluations(), found.to_string());
            }
        }
        _ => {
            let named: Vec<(&str, &dyn Explainer<T, Hostile<T>>)> =
                (0..source.below(4)).map(|_| ("a method", source.pick(&methods))).collect();
            if let Ok(found) = judge_side_by_side(&named, model, x, target, &judging(source, b, n)) {
                let _ = found.to_string();
            }
        }
    }
}
