//! Collecting what neurons do, scoring explanations of all of them, simulating by a table of tokens, and reading what models say.

use std::fmt::Write;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use limpid::Seed;
use limpid::explanation::ActivationRecord;
use limpid::explanation::collect::{Batch as Texts, CollectSettings, Collector, SparseActivation};
use limpid::explanation::score::{Batch, Bootstrap, score_many};
use limpid::explanation::self_report::parse;
use limpid::explanation::simulate::{
    Completion, DigitPolicy, Form, NgramSettings, Simulator, TokenTable, Unseen, expected_value,
};
use limpid::math::random::{below, fill_normal};
use ndarray::{Array1, Array3};

/// Neurons of a small encoder, and tokens of a text.
const NEURONS: usize = 9216;
const TOKENS: usize = 64;

/// Normal values, of which those below a level are 0.
fn activations(shape: (usize, usize, usize), level: f32) -> Array3<f32> {
    let mut values = vec![0.0_f32; shape.0 * shape.1 * shape.2];
    fill_normal(&mut Seed(1).stream(0, 0), 1.0, &mut values);
    values.iter_mut().for_each(|x| *x = if *x < level { 0.0 } else { *x - level.max(0.0) });
    Array3::from_shape_vec(shape, values).expect("as many values as the shape holds")
}

/// A collector whose top lists are full, so that nearly nothing enters them any more.
fn warm(settings: CollectSettings, x: &Array3<f32>) -> Collector {
    let mut collector = Collector::new(NEURONS, settings, 0).expect("settings within their range");
    let documents: Vec<u64> = (0..x.shape()[0] as u64).collect();
    // stronger than all that follows
    let strong = x.mapv(|x| 3.0 * x);
    for round in 0..5 {
        let documents: Vec<u64> = documents.iter().map(|document| document + 100 * round).collect();
        collector.update(&strong, &Texts { documents: &documents, ..Texts::default() }).expect("a batch that fits");
    }
    collector
}

fn collecting(c: &mut Criterion) {
    let mut group = c.benchmark_group("collecting, 9216 neurons, 4 texts of 64 tokens");
    group.sample_size(20);
    let shape = (4, TOKENS, NEURONS);
    let (dense, sparse) = (activations(shape, f32::NEG_INFINITY), activations(shape, 2.3));
    let documents: Vec<u64> = (900_000..900_004).collect();
    let batch = Texts { documents: &documents, ..Texts::default() };
    group.throughput(Throughput::Elements(dense.len() as u64));
    group.bench_function("bare: the sum of all activations", |bench| bench.iter(|| black_box(&dense).sum()));
    let default = CollectSettings::default();
    for (name, settings) in [
        ("dense", default),
        ("dense, without histograms", CollectSettings { octaves: 0, ..default }),
        ("dense, strongest texts and range alone", CollectSettings { octaves: 0, moments: false, ..default }),
        ("dense, with quantiles", CollectSettings { quantile_bits: Some(5), ..default }),
    ] {
        let mut collector = warm(settings, &dense);
        group.bench_function(name, |bench| bench.iter(|| collector.update(black_box(&dense), &batch).is_ok()));
    }
    let small = |x: usize| u32::try_from(x).unwrap_or(u32::MAX);
    let entries: Vec<SparseActivation<f32>> = sparse
        .indexed_iter()
        .filter(|(_, value)| **value != 0.0)
        .map(|((row, at, neuron), &value)| SparseActivation {
            row: small(row),
            at: small(at),
            neuron: small(neuron),
            value,
        })
        .collect();
    let mut collector = warm(default, &sparse);
    group.bench_function("the same of which 1 % are not 0, sparse", |bench| {
        bench.iter(|| collector.update_sparse(black_box(&entries), (4, TOKENS), &batch).is_ok());
    });
    group.finish();
}

fn scoring(c: &mut Criterion) {
    const SCORED: usize = 2048;
    let mut group = c.benchmark_group("scoring 2048 neurons on 10 texts of 64 tokens");
    group.sample_size(20).throughput(Throughput::Elements(SCORED as u64));
    let truth = activations((SCORED, 10, TOKENS), 1.0);
    let mut prediction = truth.clone();
    prediction.iter_mut().enumerate().for_each(|(at, x)| *x += (at % 7) as f32 * 0.1);
    let resampled =
        |resamples| Batch { bootstrap: Some(Bootstrap { resamples, ..Bootstrap::default() }), ..Batch::default() };
    for (name, batch) in [
        ("four scores", Batch::default()),
        ("with ranks", Batch { ranks: true, ..Batch::default() }),
        ("with 200 resamples", resampled(200)),
        ("with 1000 resamples", resampled(1000)),
    ] {
        group.bench_function(name, |bench| {
            bench.iter(|| score_many(black_box(&truth), black_box(&prediction), &batch).is_ok());
        });
    }
    group.finish();
}

/// Texts of 5,000 different tokens, some far more frequent than others.
fn records(count: usize, seed: u64) -> Vec<ActivationRecord<f32>> {
    let mut stream = Seed(seed).stream(0, 0);
    let mut record = |_| {
        let tokens: Vec<String> =
            (0..TOKENS).map(|_| format!(" w{}", below(&mut stream, 5000).min(below(&mut stream, 5000)))).collect();
        let values: Array1<f32> = (0..TOKENS).map(|_| below(&mut stream, 10) as f32).collect();
        ActivationRecord::new(tokens, values).expect("a value for each token")
    };
    (0..count).map(&mut record).collect()
}

fn simulating(c: &mut Criterion) {
    let mut group = c.benchmark_group("simulating one neuron, 500 texts of 64 tokens");
    group.sample_size(20).throughput(Throughput::Elements(500 * TOKENS as u64));
    let (train, test) = (records(500, 1), records(500, 2));
    group.bench_function("fit a token table", |bench| {
        bench.iter(|| TokenTable::fit(black_box(&train), Unseen::Zero).is_ok());
    });
    let settings = NgramSettings { order: 3, ..NgramSettings::default() };
    group.bench_function("fit n-grams up to 3", |bench| bench.iter(|| settings.fit(black_box(&train)).is_ok()));
    let mut table = TokenTable::fit(&train, Unseen::Zero).expect("records that are whole");
    let mut ngram = settings.fit(&train).expect("records that are whole");
    let mut simulate = |name: &str, simulator: &mut dyn Simulator<f32, Error = limpid::Error>| {
        group.bench_function(name, |bench| {
            bench.iter(|| black_box(&test).iter().all(|record| simulator.simulate("", &record.tokens).is_ok()));
        });
    };
    simulate("predict by a token table", &mut table);
    simulate("predict by n-grams", &mut ngram);
    group.finish();
}

fn reading(c: &mut Criterion) {
    let mut group = c.benchmark_group("reading a model's answer on 64 tokens");
    group.throughput(Throughput::Elements(TOKENS as u64));
    let tokens: Vec<String> = records(1, 3).remove(0).tokens;
    let (mut lines, mut json, mut tuples) = (String::new(), String::from("{\"activations\": ["), String::from("["));
    for (at, token) in tokens.iter().enumerate() {
        let digit = at % 11;
        let _ = writeln!(lines, "{token}\t{digit}");
        let comma = if at > 0 { ", " } else { "" };
        let _ = write!(json, "{comma}{{\"token\": \"{token}\", \"activation\": {digit}}}");
        let _ = write!(tuples, "{comma}({at}, '{token}', {digit})");
    }
    json.push_str("]}");
    tuples.push(']');
    for (name, form, text) in
        [("lines", Form::Lines, &lines), ("JSON", Form::Json, &json), ("tuples", Form::Tuples, &tuples)]
    {
        group.bench_function(name, |bench| {
            bench.iter(|| Completion::default().read::<f32>(form, black_box(text), &tokens).is_ok());
        });
    }
    let top: Vec<(String, f64)> = (0..15).map(|at| (format!(" {at}"), -0.3 * f64::from(at))).collect();
    group.bench_function("digit log-probabilities, 15 at each", |bench| {
        bench.iter(|| {
            let top = || black_box(&top).iter().map(|(token, l)| (token.as_str(), *l));
            (0..TOKENS).all(|_| expected_value(top(), DigitPolicy::Merged).is_ok())
        });
    });
    let report: Vec<String> =
        tokens.iter().enumerate().map(|(at, token)| format!("('{}', 0.{})", token.trim(), at % 10)).collect();
    let report = format!("[{}]\n(1, 0.75)", report.join(", "));
    group.bench_function("a rating of its own tokens", |bench| bench.iter(|| parse(black_box(&report), &[])));
    group.finish();
}

criterion_group!(benches, collecting, scoring, simulating, reading);
criterion_main!(benches);
