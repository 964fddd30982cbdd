//! The loops that everything else stands on: products, random streams, reductions, optimiser steps.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use limpid::Seed;
use limpid::math::gemm::Workspace;
use limpid::math::optim::{Optimizer, OptimizerState};
use limpid::math::random::{fill_normal, uniform};
use limpid::math::{pointwise, quadrature, reduce, stats::Moments};
use ndarray::Array2;

fn noise(rows: usize, columns: usize, item: u64) -> Array2<f32> {
    let mut values = Array2::zeros((rows, columns));
    if let Some(values) = values.as_slice_mut() {
        fill_normal(&mut Seed(0).stream(0, item), 1.0, values);
    }
    values
}

fn products(c: &mut Criterion) {
    let mut group = c.benchmark_group("gemm");
    group.sample_size(20);
    for (m, k, n) in [(1, 512, 4096), (4, 512, 4096), (5, 5, 5), (64, 512, 1024), (1024, 512, 1024)] {
        group.throughput(Throughput::Elements(2 * (m * k * n) as u64));
        let (a, b, columns) = (noise(m, k, 0), noise(k, n, 1), noise(n, k, 2));
        let (mut out, mut workspace) = (Array2::zeros((m, n)), Workspace::new());
        let mut multiply = |b: &ndarray::ArrayRef2<f32>| workspace.product_into(&a, b, &mut out).is_ok();
        group.bench_function(format!("{m}x{k}x{n}"), |bench| bench.iter(|| multiply(black_box(&b))));
        group.bench_function(format!("{m}x{k}x{n} transposed"), |bench| {
            bench.iter(|| multiply(black_box(&columns.t())));
        });
        if m >= 64 {
            let rectified = a.mapv(|x| x.max(0.0));
            let mut multiply = |a: &ndarray::ArrayRef2<f32>| workspace.product_into(a, &b, &mut out).is_ok();
            group.bench_function(format!("{m}x{k}x{n} rectified"), |bench| {
                bench.iter(|| multiply(black_box(&rectified)));
            });
        }
    }
    group.finish();
}

fn random(c: &mut Criterion) {
    let mut group = c.benchmark_group("random");
    let mut stream = Seed(1).stream(0, 0);
    group.throughput(Throughput::Elements(1));
    group.bench_function("uniform", |bench| bench.iter(|| uniform::<f64>(&mut stream)));
    let mut out = vec![0.0_f32; 4096];
    group.throughput(Throughput::Elements(4096));
    group.bench_function("normal", |bench| bench.iter(|| fill_normal(&mut stream, 1.0, black_box(&mut out))));
    group.finish();
}

fn reductions(c: &mut Criterion) {
    let mut group = c.benchmark_group("reduce");
    let x = noise(1, 1 << 16, 3).row(0).to_owned();
    let batch = noise(1024, 64, 4);
    group.throughput(Throughput::Elements(1 << 16));
    group.bench_function("sum", |bench| bench.iter(|| reduce::sum(black_box(&x))));
    group.bench_function("dot", |bench| bench.iter(|| reduce::dot(black_box(&x), &x).is_ok()));
    group.bench_function("column_sums", |bench| bench.iter(|| reduce::column_sums(black_box(&batch))));
    group.bench_function("moments", |bench| {
        bench.iter(|| Moments::new(64).and_then(|mut moments| moments.update(black_box(&batch))).is_ok());
    });
    group.bench_function("gelu", |bench| bench.iter(|| pointwise::Activation::Gelu.forward(black_box(&batch))));
    group.bench_function("softmax", |bench| bench.iter(|| pointwise::softmax(black_box(&batch)).is_ok()));
    group.finish();
    c.bench_function("gauss-legendre 50", |bench| {
        bench.iter(|| quadrature::Rule::GaussLegendre.nodes::<f64>(black_box(50)).is_ok());
    });
}

fn optimiser(c: &mut Criterion) {
    let mut group = c.benchmark_group("adam step");
    let gradient = vec![0.01_f32; 1 << 16];
    let (mut theta, mut state) = (vec![0.5_f32; 1 << 16], OptimizerState::new(Optimizer::adam(), 1 << 16));
    group.throughput(Throughput::Elements(1 << 16));
    group.bench_function("65536", |bench| bench.iter(|| state.step(&mut theta, black_box(&gradient), 1e-3).is_ok()));
    group.finish();
}

criterion_group!(benches, products, random, reductions, optimiser);
criterion_main!(benches);
