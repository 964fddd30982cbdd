//! The public functions of `superposition`: no panic, no hang, no unbounded allocation.

use core::ops::ControlFlow;
use std::sync::Arc;

use crate::source::Source;
use arbitrary::Unstructured;
use limpid::Scalar;
use limpid::math::optim::Optimizer;
use limpid::math::schedule::Schedule;
use limpid::superposition::adversarial::{AttackScope, attack, vulnerability};
use limpid::superposition::expected::{ExpectedLoss, expected_loss, linear_optimum};
use limpid::superposition::geometry::{self, polytope};
use limpid::superposition::{
    Architecture, Data, DictionaryData, FeatureDistribution, FixedDataset, Joint, Problem, Reduction, Start, ToyModel,
    Training, Value, importance, initialisation, memorisation, phase, recovery, train, train_every_restart,
};

/// Does what these bytes say.
pub fn fuzz(bytes: &[u8]) {
    let mut source = Source(Unstructured::new(bytes));
    if source.flag() { drive::<f32>(&mut source) } else { drive::<f64>(&mut source) }
}

fn drive<T: Scalar>(source: &mut Source<'_>) {
    match source.below(9) {
        0 => measure::<T>(source),
        1 => compare::<T>(source),
        2 => sample::<T>(source),
        3 => dictionary::<T>(source),
        4 => run_model::<T>(source),
        5 => expect::<T>(source),
        6 => theory::<T>(source),
        7 => memorise::<T>(source),
        _ => learn::<T>(source),
    }
}

fn measure<T: Scalar>(source: &mut Source<'_>) {
    let (m, n) = (source.length(), source.length());
    let w = source.matrix::<T>(m, n);
    let threshold = source.share();
    let _ = geometry::feature_norms(&w);
    let _ = geometry::represented_features(&w, threshold);
    let _ = geometry::frobenius_squared(&w);
    let _ = geometry::interference(&w);
    let _ = geometry::coherence(&w);
    let _ = geometry::superposition_per_feature(&w, threshold);
    let _ = geometry::feature_dimensionality(&w);
    let _ = geometry::capacity(&w);
    let _ = geometry::features_per_dimension(&w);
    let _ = geometry::dimensions_per_feature(&w);
    let _ = geometry::data_dimensionality(&w);
    let _ = geometry::polysemanticity(&w, threshold);
    let _ = geometry::tegum_factors(&w, threshold);
    let _ = geometry::canonical_2d(&w);
}

fn compare<T: Scalar>(source: &mut Source<'_>) {
    let (m, n) = (source.length(), source.length());
    let (w, target) = (source.matrix::<T>(m, n), source.matrix::<T>(m, n));
    let _ = geometry::align(&w, &target);
    let _ = geometry::rescale_neurons(&w, &target);
    let _ = recovery::match_dictionaries(&w, &target, source.share());
    let k = source.below(40);
    let _ = polytope::polygon::<T>(k);
    let _ = polytope::simplex::<T>(k);
    let _ = polytope::cross_polytope::<T>(k);
    let _ = polytope::square_antiprism::<T>();
}

fn distribution<T: Scalar>(source: &mut Source<'_>, n: usize) -> Option<FeatureDistribution<T>> {
    let value = source.pick(&[Value::Uniform, Value::Symmetric, Value::One]);
    let size = source.count();
    let joint = source.pick(&[
        Joint::Independent,
        Joint::Correlated { size },
        Joint::OneOfSet { size },
        Joint::ExclusivePairs,
        Joint::ExactlyOne,
    ]);
    FeatureDistribution::new(source.shares(n), value, joint).ok()
}

fn sample<T: Scalar>(source: &mut Source<'_>) {
    let n = source.length();
    let _ = FeatureDistribution::<T>::uniform(source.count(), source.share());
    let Some(distribution) = distribution::<T>(source, n) else { return };
    let (rows, seed) = (source.count(), source.seed());
    if let Ok(samples) = distribution.sample(rows, seed) {
        assert!(samples.iter().all(|x| x.is_finite() && x.abs() <= T::one()), "{distribution:?}");
    }
    let _ = (distribution.active_rate(), distribution.mean());
    if let Ok(points) = FixedDataset::on_unit_sphere(&distribution, rows, seed) {
        assert!(points.points().iter().all(|x| x.is_finite()), "{distribution:?}");
    }
}

fn dictionary<T: Scalar>(source: &mut Source<'_>) {
    let data = DictionaryData {
        features: source.count(),
        width: source.count(),
        mean_active: source.number(),
        decay: source.share(),
        correlation: source.share(),
    };
    let seed = source.seed();
    let (probability, dictionary) = (data.probability(), data.dictionary::<T>(seed));
    assert_eq!(probability.is_ok(), dictionary.is_ok());
    if let Ok(sample) = data.sample::<T>(source.count(), seed) {
        assert!(sample.data.iter().all(|x| x.is_finite()), "{data:?}");
    }
}

fn architecture(source: &mut Source<'_>) -> Architecture {
    source.pick(&[
        Architecture::Linear,
        Architecture::ReluOutput,
        Architecture::ReluHidden,
        Architecture::AbsoluteValue,
    ])
}

fn model<T: Scalar>(source: &mut Source<'_>, m: usize, n: usize) -> Option<ToyModel<T>> {
    let (weight, bias) = (source.matrix(m, n), source.vector(n));
    match architecture(source) {
        Architecture::AbsoluteValue => ToyModel::untied(weight, source.matrix(n, m), bias).ok(),
        tied => ToyModel::new(tied, weight, bias).ok(),
    }
}

fn reduction(source: &mut Source<'_>) -> Reduction {
    source.pick(&[Reduction::Mean, Reduction::FeatureSum, Reduction::Sum])
}

fn run_model<T: Scalar>(source: &mut Source<'_>) {
    let (m, n, b) = (source.length(), source.length(), source.length());
    let Some(mut model) = model::<T>(source, m, n) else { return };
    if source.byte() == 7 {
        // public fields may be changed after the check
        model.bias = source.vector(n);
        model.weight = source.matrix(m, n);
        model.decoder = source.flag().then(|| source.matrix(n, m));
    }
    let (x, weights) = (source.matrix(b, n), source.shares(n));
    let _ = model.forward(&x);
    let _ = model.loss_and_gradient(&x, &weights, reduction(source));
    let scope = source.pick(&[AttackScope::Shared, AttackScope::PerSample]);
    if let Ok(attacked) = attack(&model, &x, &weights, source.share(), scope) {
        let _ = vulnerability(&attacked, &attacked);
    }
}

fn expect<T: Scalar>(source: &mut Source<'_>) {
    let (m, n) = (source.length(), source.length());
    let (probability, weights) = (source.shares::<T>(n), source.shares::<T>(n));
    let reduction = reduction(source);
    let _ = linear_optimum(source.count(), source.share(), &weights);
    let Some(model) = model::<T>(source, m, n) else { return };
    let _ = expected_loss(&model, &probability, &weights, reduction);
    let Ok(mut expected) = ExpectedLoss::new(&probability, &weights, reduction) else { return };
    let _ = expected.loss_and_gradient(&model);
    // the number of sets grows with both: beyond this a call is slow by design, up to its limit
    let max_active = source.count();
    if n <= 8 || max_active <= 2 {
        let _ = expected.truncated(&model, max_active);
    }
}

fn theory<T: Scalar>(source: &mut Source<'_>) {
    let n = source.length();
    let (probability, relative) = (source.shares::<T>(n), source.vector::<T>(n));
    if let Ok(losses) = phase::two_in_one(&probability, &relative) {
        assert_eq!(losses.winner().len(), probability.len());
    }
    let _ = phase::three_in_two(&probability, &relative);
    let _ = phase::confused(&probability, &relative);
    let _ = phase::boundaries(&probability);
    let _ = importance::geometric::<T>(source.count(), source.number(), source.count());
    let _ = importance::log_spaced::<T>(source.count(), source.number());
    let _ = importance::density_grid::<T>(source.number(), source.number(), source.number(), source.count());
    let axes: Vec<usize> = (0..source.length().min(6)).map(|_| source.count()).collect();
    let _ = initialisation::xavier_scale(&axes);
}

fn memorise<T: Scalar>(source: &mut Source<'_>) {
    let (count, n) = (source.length(), source.length());
    let points = source.matrix::<T>(count, n);
    let _ = memorisation::memorise(&points);
    let _ = memorisation::memorise(&ndarray::Array2::<T>::eye(source.below(40)));
    let _ = FixedDataset::new(points);
}

fn problem<T: Scalar>(source: &mut Source<'_>) -> Option<Problem<T>> {
    let (m, n) = (source.length(), source.length());
    let distribution = distribution::<T>(source, n)?;
    let weights = source.shares(n);
    let data = match source.below(3) {
        0 => Data::Sampled(distribution),
        1 => Data::Expected(distribution),
        _ => Data::Fixed(Arc::new(FixedDataset::new(source.matrix(4, n)).ok()?)),
    };
    let start = match source.below(5) {
        0 => Start::Xavier,
        1 => Start::NotebookXavier { instances: source.count() },
        2 => Start::Normal(source.share()),
        3 => Start::KaimingUniform,
        _ => Start::Model { model: model(source, m, n)?, noise: source.share() },
    };
    let n_hidden = if source.byte() > 250 { source.count() } else { m };
    let (architecture, hidden_l1) = (architecture(source), source.share());
    Some(Problem { architecture, n_hidden, importance: weights, data, start, hidden_l1 })
}

fn learn<T: Scalar>(source: &mut Source<'_>) {
    let schedule = source.pick(&[Schedule::Constant, Schedule::Linear, Schedule::WarmupCosine { warmup: 2 }]);
    let sgd = Optimizer::Sgd { momentum: source.share(), weight_decay: source.share() };
    let settings = Training {
        steps: source.below(4),
        batch: source.length(),
        learning_rate: source.share(),
        schedule,
        optimizer: source.pick(&[Optimizer::default(), Optimizer::adam(), sgd]),
        reduction: reduction(source),
        restarts: if source.byte() > 250 { source.count() } else { source.below(3) },
        seed: source.seed(),
        record_every: source.count(),
        snapshot_every: source.count(),
    };
    let problems: Vec<Problem<T>> = (0..source.below(3)).filter_map(|_| problem(source)).collect();
    let stop = source.flag();
    let _ = train(&problems, &settings, |_| if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
    let _ = train_every_restart(&problems, &settings, |_| ControlFlow::Continue(()));
}
