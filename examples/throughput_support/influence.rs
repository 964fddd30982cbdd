//! Influence of training rows of a perceptron with rectifiers and biases on query rows: EK-FAC, exact pairwise scores.

use std::time::Instant;

use limpid::Seed;
use limpid::influence::{Bias, Curvature, Examples, LayerRows, Queries, QuerySettings, Spectral, Strategy};
use limpid::math::gemm::product;
use limpid::math::random::fill_normal;
use ndarray::{Array1, Array2, Axis, Slice};
use serde_json::json;

use super::Measured;
use super::mlp::OUTPUTS;
use super::options::Options;

/// What entered every layer, and the gradients at its output.
type Rows = (Vec<Array2<f32>>, Vec<Array2<f32>>);

pub fn run(options: &Options) -> Result<String, String> {
    let known = [("train", 4096, 64), ("query", 256, 8), ("d", 512, 12), ("width", 512, 10), ("iterations", 1, 1)];
    let [train, query, d, width, iterations] = options.sizes(known)?;
    let sizes = [d, width, width, OUTPUTS];
    let weights: Vec<_> =
        (0..3).map(|l| noise(sizes[l], sizes[l + 1], 2 + l as u64) * (2.0 / sizes[l] as f32).sqrt()).collect();
    let (train_x, query_x) = (noise(train, d, 0), noise(query, d, 1));
    let start = Instant::now();
    let of_train = rows(&weights, &train_x)?;
    let train_layers = layers(&of_train)?;
    let curvature = Curvature::fit(Strategy::Ekfac, &train_layers).map_err(|e| e.to_string())?;
    let fit_seconds = start.elapsed().as_secs_f64();
    let mut scores = Array2::zeros((0, 0));
    let start = Instant::now();
    let of_query = rows(&weights, &query_x)?;
    let query_layers = layers(&of_query)?;
    let settings = QuerySettings { rank: None, train_rows: Some(train as u64) };
    for _ in 0..iterations {
        let queries = curvature.queries(&Spectral::default(), &query_layers, &settings);
        scores = queries.and_then(|queries: Queries<f32>| queries.scores(&train_layers)).map_err(|e| e.to_string())?;
    }
    let score_seconds = start.elapsed().as_secs_f64() / iterations as f64;
    let parameters: usize = sizes.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum();
    Ok(Measured {
        workload: "influence",
        sizes: json!({"train": train, "query": query, "d": d, "width": width}),
        seconds: fit_seconds + score_seconds,
        per_second: (train * query) as f64 / score_seconds,
        flops: 2.0 * (train * query * parameters) as f64 / score_seconds,
        checks: json!({
            "fit_seconds": fit_seconds,
            "score_seconds": score_seconds,
            "root_mean_square": (scores.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / scores.len() as f64).sqrt(),
            "relative_error": relative_error(&curvature, &scores, &query_layers, &train_layers)?,
        }),
    }
    .line())
}

/// Normal numbers: a pattern would have no rank.
fn noise(rows: usize, columns: usize, item: u64) -> Array2<f32> {
    let mut x = vec![0.0; rows * columns];
    fill_normal(&mut Seed(0).stream(0, item), 1.0, &mut x);
    Array2::from_shape_fn((rows, columns), |(i, j)| x[i * columns + j])
}

/// Inputs and gradients of every layer; row `i` has the label `i % 10`.
fn rows(weights: &[Array2<f32>], x: &Array2<f32>) -> Result<Rows, String> {
    let mut inputs = vec![x.clone()];
    for weight in &weights[..weights.len() - 1] {
        let mut z = product(&inputs[inputs.len() - 1], weight).map_err(|e| e.to_string())?;
        z.mapv_inplace(|z| z.max(0.0));
        inputs.push(z);
    }
    let mut g = product(&inputs[inputs.len() - 1], &weights[weights.len() - 1]).map_err(|e| e.to_string())?;
    for (i, mut row) in g.rows_mut().into_iter().enumerate() {
        let largest = row.iter().fold(f32::MIN, |m, &z| m.max(z));
        row.mapv_inplace(|z| (z - largest).exp());
        let sum = row.sum();
        row.mapv_inplace(|p| p / sum);
        row[i % OUTPUTS] -= 1.0;
    }
    let mut gradients = vec![g];
    for layer in (1..weights.len()).rev() {
        let mut g = product(&gradients[gradients.len() - 1], &weights[layer].t()).map_err(|e| e.to_string())?;
        g.zip_mut_with(&inputs[layer], |g, &h| *g = if h > 0.0 { *g } else { 0.0 });
        gradients.push(g);
    }
    gradients.reverse();
    Ok((inputs, gradients))
}

fn layers((inputs, gradients): &Rows) -> Result<Vec<LayerRows<'_, f32>>, String> {
    let rows = inputs.iter().zip(gradients).map(|(a, g)| LayerRows::new(a, g, Examples::EachRow));
    rows.map(|rows| rows.map(|rows| rows.with_bias(Bias::Homogeneous)))
        .collect::<Result<_, _>>()
        .map_err(|e| e.to_string())
}

/// Largest difference to scores in double precision, gradient by gradient, relative to their size; over a small part.
fn relative_error(
    curvature: &Curvature,
    scores: &Array2<f32>,
    query: &[LayerRows<'_, f32>],
    train: &[LayerRows<'_, f32>],
) -> Result<f64, String> {
    let (queries, examples) = (scores.nrows().min(2), scores.ncols().min(16));
    let mut worst = 0.0_f64;
    for q in 0..queries {
        let mut exact = Array1::<f64>::zeros(examples);
        for ((layer, query), train) in curvature.layers().iter().zip(query).zip(train) {
            let v = layer
                .preconditioner(&Spectral::default())
                .and_then(|inverse| inverse.apply(&query.gradient(q)?))
                .map_err(|e| e.to_string())?;
            for (e, sum) in exact.iter_mut().enumerate() {
                *sum += (train.gradient(e).map_err(|e| e.to_string())? * &v).sum();
            }
        }
        let found = scores.row(q).slice_axis(Axis(0), Slice::from(0..examples)).mapv(f64::from);
        let size = exact.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        let error = (&found - &exact).iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        worst = worst.max(error / size);
    }
    Ok(worst)
}
