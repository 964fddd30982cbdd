//! Scores of all neurons of a model from true and predicted activations, with intervals where they are asked for.

use std::time::Instant;

use limpid::Seed;
use limpid::explanation::score::{Batch, Bootstrap, ScoreTable, Statistic, score_many};
use limpid::math::random::uniform;
use ndarray::{Array3, Axis};
use serde_json::json;

use super::Measured;
use super::options::Options;

pub fn run(options: &Options) -> Result<String, String> {
    let known = [("neurons", 307_200, 200), ("sequences", 10, 10), ("tokens", 64, 16), ("iterations", 3, 1)];
    let ([neurons, sequences, tokens, iterations], resamples) = options.sizes_and(known, "resamples")?;
    let truth = activations((neurons, sequences, tokens), 0);
    let mut prediction = activations((neurons, sequences, tokens), 1);
    prediction.zip_mut_with(&truth, |s, &t| *s = 0.6 * t + 0.4 * *s);
    let bootstrap = (resamples > 0).then(|| Bootstrap { resamples, ..Bootstrap::default() });
    let batch = Batch { bootstrap, ..Batch::default() };
    let score = || score_many(&truth, &prediction, &batch).map_err(|error| error.to_string());
    let mut table = score()?;
    let start = Instant::now();
    for _ in 0..iterations {
        table = score()?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let per_second = (neurons * iterations) as f64 / seconds;
    let read = (2 * size_of::<f32>() * sequences * tokens) as f64;
    Ok(Measured {
        workload: "score",
        sizes: json!({"neurons": neurons, "sequences": sequences, "tokens": tokens, "resamples": resamples, "iterations": iterations}),
        seconds,
        per_second,
        // the sums of a pair, and those of each text in each resample
        flops: per_second * (17 * sequences * tokens + 12 * resamples * sequences) as f64,
        checks: json!({
            "mean_pearson": table.mean(Statistic::Pearson).mean.ok(),
            "largest_error": largest_error(&table, &truth, &prediction),
            "mean_interval_width": mean_width(&table),
            "bytes_per_second": per_second * read,
        }),
    }
    .line())
}

/// Activations of which three in four are 0.
fn activations(shape: (usize, usize, usize), item: u64) -> Array3<f32> {
    let mut stream = Seed(0).stream(0, item);
    Array3::from_shape_simple_fn(shape, || (uniform::<f32>(&mut stream) - 0.75).max(0.0) * 20.0)
}

/// Largest difference to a correlation in two passes, over a sample of neurons.
fn largest_error(table: &ScoreTable, truth: &Array3<f32>, prediction: &Array3<f32>) -> f64 {
    let found = table.column(Statistic::Pearson);
    let step = found.len().div_ceil(100);
    (0..found.len())
        .step_by(step)
        .filter_map(|neuron| {
            let of = |x: &Array3<f32>| x.index_axis(Axis(0), neuron).iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
            let (t, s) = (of(truth), of(prediction));
            let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
            let (of_t, of_s) = (mean(&t), mean(&s));
            let sum = |f: &dyn Fn(f64, f64) -> f64| t.iter().zip(&s).map(|(&t, &s)| f(t - of_t, s - of_s)).sum::<f64>();
            let r = sum(&|t, s| t * s) / (sum(&|t, _| t * t) * sum(&|_, s| s * s)).sqrt();
            found[neuron].map(|found| (found - r).abs())
        })
        .fold(0.0, f64::max)
}

fn mean_width(table: &ScoreTable) -> Option<f64> {
    let widths = table.neurons.iter().filter_map(|neuron| neuron.interval.and_then(Result::ok).map(|i| i.high - i.low));
    let (sum, count) = widths.fold((0.0, 0), |(sum, count), width| (sum + width, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}
