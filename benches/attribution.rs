//! What attribution adds to the passes of the model: gradients, rules, coalitions, circuits, drawing.

use std::hint::black_box;

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use limpid::attribution::circuits::{Mixing, attention_flow_of, attention_rollout};
use limpid::attribution::gradient::{IntegratedGradients, Saliency};
use limpid::attribution::model::{Differentiable, Forward};
use limpid::attribution::perturbation::{
    ExactShapley, FeatureAblation, KernelShap, Removal, Sampling, Shapley, Summary, Table,
};
use limpid::attribution::render::{ansi, html, svg, text};
use limpid::attribution::rules::DeepLift;
use limpid::attribution::target::Logit;
use limpid::attribution::{Explainer, Network};
use limpid::math::pointwise::Activation;
use ndarray::{Array1, Array2, Array3};

/// Rows that are explained together.
const ROWS: usize = 16;

/// Coalitions that a sampled summary may ask for, per row.
const BUDGET: usize = 1024;

fn waves(rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(i, j)| ((7 * i + 3 * j + 1) as f32).sin() / (columns as f32).sqrt())
}

/// The reference network of the family: 64 inputs, two hidden layers of 256, 10 outputs.
fn mlp() -> Network<f32> {
    let hidden = |network: Network<f32>, (inputs, outputs)| {
        network.linear(waves(outputs, inputs), Some(Array1::from_elem(outputs, 0.1)))?.activation(Activation::Relu)
    };
    hidden(Network::new(64), (64, 256))
        .and_then(|network| hidden(network, (256, 256)))
        .and_then(|network| network.linear(waves(10, 256), None))
        .expect("layers that fit")
}

/// The bare passes that a method needs, to set it against: `rows` rows, in equal calls of at most 512.
fn bare(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, rows: usize, gradients: bool) {
    let calls = rows.div_ceil(512);
    let (mut model, x) = (mlp(), waves(rows.div_ceil(calls), 64));
    let (mut z, mut gradient) = (Array2::zeros((x.nrows(), 10)), Array2::zeros(x.raw_dim()));
    group.bench_function(name, |bench| {
        bench.iter(|| {
            (0..calls).all(|_| {
                if gradients {
                    model.vjp(black_box(&x), &mut |_, by_output| by_output.fill(1.0), &mut z, &mut gradient).is_ok()
                } else {
                    model.forward(black_box(&x), &mut z).is_ok()
                }
            })
        });
    });
}

fn explain(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, method: &impl Explainer<f32, Network<f32>>) {
    let (mut model, x) = (mlp(), waves(ROWS, 64));
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function(name, |bench| {
        bench.iter(|| method.attribute(&mut model, black_box(&x), &Logit::of(3)).is_ok());
    });
}

fn gradients(c: &mut Criterion) {
    let mut group = c.benchmark_group("gradients, 16 rows of an MLP 64-256-256-10");
    bare(&mut group, "bare: 16 gradients", ROWS, true);
    explain(&mut group, "saliency", &Saliency::default());
    explain(&mut group, "DeepLIFT", &DeepLift::default());
    bare(&mut group, "bare: 800 gradients", 50 * ROWS, true);
    explain(&mut group, "integrated gradients, 50 steps", &IntegratedGradients::default());
    group.finish();
}

fn perturbation(c: &mut Criterion) {
    let mut group = c.benchmark_group("perturbation, 16 rows of an MLP 64-256-256-10");
    group.sample_size(20);
    let sampling = Sampling { budget: BUDGET as u64, ..Sampling::default() };
    bare(&mut group, "bare: 1040 rows", 65 * ROWS, false);
    explain(&mut group, "feature ablation", &FeatureAblation::default());
    bare(&mut group, "bare: 16384 rows", ROWS * BUDGET, false);
    let shapley = Shapley { sampling, ..Shapley::default() };
    explain(&mut group, "Shapley values from 1024 coalitions", &shapley.by_removal(Removal::default()));
    let kernel = KernelShap { budget: Some(BUDGET as u64), ..KernelShap::default() };
    explain(&mut group, "KernelSHAP from 1024 coalitions", &kernel.by_removal(Removal::default()));
    group.finish();
    let worth = Array1::from_shape_fn(1 << 14, |coalition| (coalition as f64).sqrt());
    let mut game = Table::single(worth).expect("a worth for every coalition");
    c.bench_function("exact Shapley values of 14 players", |bench| {
        bench.iter(|| ExactShapley::default().of(black_box(&mut game)).is_ok());
    });
}

fn circuits(c: &mut Criterion) {
    const LAYERS: usize = 12;
    const TOKENS: usize = 64;
    let mut attention =
        Array3::from_shape_fn((LAYERS, TOKENS, TOKENS), |(l, i, j)| 1.0 + ((5 * l + 7 * i + 3 * j) as f64).sin());
    attention.rows_mut().into_iter().for_each(|mut row| row /= row.sum());
    let mut group = c.benchmark_group("attention, 12 layers of 64 tokens");
    group.sample_size(20);
    group.bench_function("rollout", |bench| {
        bench.iter(|| attention_rollout(black_box(&attention), Mixing::default()).is_ok());
    });
    group.bench_function("maximum flow to the last token", |bench| {
        bench.iter(|| attention_flow_of(black_box(&attention), Mixing::default(), &[TOKENS - 1]).is_ok());
    });
    group.finish();
}

fn drawing(c: &mut Criterion) {
    const TOKENS: usize = 64;
    let names: Vec<String> = (0..TOKENS).map(|token| format!("\u{2581}token{token}")).collect();
    let (scores, row) = (waves(TOKENS, TOKENS), waves(1, TOKENS).row(0).to_owned());
    let mut group = c.benchmark_group("a table of 64 x 64 tokens");
    group.bench_function("text", |bench| bench.iter(|| text::table(&names, &names, black_box(&scores)).is_ok()));
    group.bench_function("HTML", |bench| bench.iter(|| html::table(&names, &names, black_box(&scores)).is_ok()));
    group.bench_function("SVG", |bench| bench.iter(|| svg::matrix(&names, &names, black_box(&scores)).is_ok()));
    group.bench_function("one line of it, ANSI", |bench| bench.iter(|| ansi::tokens(&names, black_box(&row)).is_ok()));
    group.finish();
}

criterion_group!(benches, gradients, perturbation, circuits, drawing);
criterion_main!(benches);
