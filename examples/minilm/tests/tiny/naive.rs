//! The same model with plain loops in f64.

use crate::model::{D, HEADS, LAYERS, Named};

pub(crate) type Rows = Vec<Vec<f64>>;

fn linear(x: &Rows, named: &Named, name: &str) -> Rows {
    let (shape, weight) = &named[&format!("{name}.weight")];
    let bias = &named[&format!("{name}.bias")].1;
    let cell = |row: &[f64], o: usize| bias[o] + (0..shape[1]).map(|i| row[i] * weight[o * shape[1] + i]).sum::<f64>();
    x.iter().map(|row| (0..shape[0]).map(|o| cell(row, o)).collect()).collect()
}

fn norm(x: &Rows, named: &Named, name: &str) -> Rows {
    let (weight, bias) = (&named[&format!("{name}.weight")].1, &named[&format!("{name}.bias")].1);
    let one = |row: &Vec<f64>| {
        let mean = row.iter().sum::<f64>() / D as f64;
        let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / D as f64;
        (0..D).map(|i| (row[i] - mean) / (variance + 1e-12).sqrt() * weight[i] + bias[i]).collect()
    };
    x.iter().map(one).collect()
}

fn plus(x: &Rows, y: &Rows) -> Rows {
    x.iter().zip(y).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect()).collect()
}

/// `x Φ(x)`, with the error function as its Taylor series.
fn gelu(x: f64) -> f64 {
    let z = x / 2.0_f64.sqrt();
    if z.abs() > 5.0 {
        return x.max(0.0);
    }
    let (mut term, mut sum) = (z, z);
    for n in 1..200 {
        term *= -z * z / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    0.5 * x * (1.0 + sum * 2.0 / std::f64::consts::PI.sqrt())
}

/// What the heads of a layer take from each token, side by side.
fn attention(x: &Rows, named: &Named, layer: usize) -> Rows {
    let [q, k, v] =
        ["query", "key", "value"].map(|n| linear(x, named, &format!("encoder.layer.{layer}.attention.self.{n}")));
    let wide = D / HEADS;
    let mut seen = vec![vec![0.0; D]; x.len()];
    for (head, i) in (0..HEADS).flat_map(|h| (0..x.len()).map(move |i| (h, i))) {
        let span = head * wide..(head + 1) * wide;
        let score = |j: usize| span.clone().map(|c| q[i][c] * k[j][c]).sum::<f64>() / (wide as f64).sqrt();
        let weights: Vec<f64> = (0..x.len()).map(|j| score(j).exp()).collect();
        let total: f64 = weights.iter().sum();
        for c in span.clone() {
            seen[i][c] = (0..x.len()).map(|j| weights[j] / total * v[j][c]).sum();
        }
    }
    seen
}

/// Per layer: activations and output.
pub(crate) fn naive(named: &Named, ids: &[u32]) -> Vec<(Rows, Rows)> {
    let row = |name: &str, i: usize| named[&format!("embeddings.{name}.weight")].1[i * D..(i + 1) * D].to_vec();
    let sum = |(t, &id): (usize, &u32)| {
        let (a, b, c) =
            (row("word_embeddings", id as usize), row("position_embeddings", t), row("token_type_embeddings", 0));
        (0..D).map(|i| a[i] + b[i] + c[i]).collect()
    };
    let mut x = norm(&ids.iter().enumerate().map(sum).collect(), named, "embeddings.LayerNorm");
    let mut out = Vec::new();
    for layer in 0..LAYERS {
        let at = |rest: &str| format!("encoder.layer.{layer}.{rest}");
        let seen = attention(&x, named, layer);
        let attended = plus(&linear(&seen, named, &at("attention.output.dense")), &x);
        let middle = norm(&attended, named, &at("attention.output.LayerNorm"));
        let before = linear(&middle, named, &at("intermediate.dense"));
        let neurons: Rows = before.iter().map(|row| row.iter().map(|&x| gelu(x)).collect()).collect();
        x = norm(&plus(&linear(&neurons, named, &at("output.dense")), &middle), named, &at("output.LayerNorm"));
        out.push((neurons, x.clone()));
    }
    out
}
