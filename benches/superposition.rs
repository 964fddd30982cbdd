//! Toy models: the training step, sampling, the exact expected loss.

use core::ops::ControlFlow;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use limpid::Seed;
use limpid::superposition::{
    Architecture, DictionaryData, ExpectedLoss, FeatureDistribution, Problem, Reduction, ToyModel, Training, train,
};
use ndarray::{Array1, Array2};

fn law(n: usize, p: f32) -> FeatureDistribution<f32> {
    FeatureDistribution::uniform(n, p).expect("a density between 0 and 1")
}

fn training(c: &mut Criterion) {
    const STEPS: usize = 20;
    let mut group = c.benchmark_group("training step, batch 1024");
    group.sample_size(20).throughput(Throughput::Elements(STEPS as u64));
    for (n, m, p) in [(5, 2, 0.05), (5, 2, 1.0), (200, 20, 0.05), (200, 20, 1.0)] {
        let problems = [Problem::new(m, Array1::ones(n), law(n, p))];
        let settings = Training { steps: STEPS, record_every: 0, ..Training::default() };
        let run = || train(black_box(&problems), &settings, |_| ControlFlow::Continue(())).is_ok();
        group.bench_function(format!("{n} in {m}, density {p}"), |bench| bench.iter(run));
    }
    group.finish();
}

fn sampling(c: &mut Criterion) {
    let mut group = c.benchmark_group("sampling 1024 rows");
    group.throughput(Throughput::Elements(1024));
    for (n, p) in [(200, 0.01), (200, 0.5), (10_000, 0.001)] {
        let law = law(n, p);
        group.bench_function(format!("{n} features, density {p}"), |bench| {
            bench.iter(|| law.sample(1024, Seed(0)).is_ok());
        });
    }
    let dictionary = DictionaryData::default();
    group.bench_function("dictionary data", |bench| bench.iter(|| dictionary.sample::<f32>(1024, Seed(0)).is_ok()));
    group.finish();
}

fn gradients(c: &mut Criterion) {
    let mut group = c.benchmark_group("loss and gradient");
    for (n, m) in [(5, 2), (200, 20)] {
        let weight = Array2::from_shape_fn((m, n), |(d, i)| 0.1 * ((d * 7 + i * 3) % 11) as f32 - 0.5);
        let model = ToyModel::new(Architecture::ReluOutput, weight, Array1::zeros(n)).expect("finite parameters");
        let x = law(n, 0.1).sample(1024, Seed(1)).expect("few samples");
        let importance = Array1::ones(n);
        group.bench_function(format!("{n} in {m}, 1024 samples"), |bench| {
            bench.iter(|| model.loss_and_gradient(black_box(&x), &importance, Reduction::Mean).is_ok());
        });
    }
    for n in [5, 8, 10] {
        let weight = Array2::from_shape_fn((2, n), |(d, i)| ((d + 2 * i) as f64).sin());
        let model = ToyModel::new(Architecture::ReluOutput, weight, Array1::zeros(n)).expect("finite parameters");
        let (p, ones) = (Array1::from_elem(n, 0.1), Array1::ones(n));
        let expected = ExpectedLoss::new(&p, &ones, Reduction::Mean).expect("valid densities");
        group.bench_function(format!("exact, {n} in 2"), |bench| {
            let run = |mut expected: ExpectedLoss| expected.loss_and_gradient(black_box(&model)).is_ok();
            bench.iter_batched(|| expected.clone(), run, BatchSize::SmallInput);
        });
    }
    group.finish();
}

criterion_group!(benches, training, sampling, gradients);
criterion_main!(benches);
