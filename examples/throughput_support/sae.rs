//! Sparse autoencoders: training steps and encoding, on data with a known dictionary.

use std::time::Instant;

use limpid::Seed;
use limpid::math::random::{below, uniform};
use limpid::sae::train::{LearningRate, SaeTraining, Trainer};
use limpid::sae::{Activation, Loss, PreparedSae, Sae, Sparsity, StraightThrough};
use ndarray::{Array1, Array2};
use serde_json::json;

use super::Measured;
use super::options::Options;

/// Directions in one sample.
const ACTIVE: usize = 16;

/// `rows` samples, each a sum of random unit rows of `dictionary: (m, d)` with coefficients from U(0, 1).
fn samples(dictionary: &Array2<f32>, rows: usize, item: u64) -> Array2<f32> {
    let mut stream = Seed(2).stream(1, item);
    let mut x = Array2::zeros((rows, dictionary.ncols()));
    for mut row in x.rows_mut() {
        for _ in 0..ACTIVE {
            let direction = dictionary.row(below(&mut stream, dictionary.nrows()));
            row.scaled_add(uniform(&mut stream), &direction);
        }
    }
    x
}

fn autoencoder(options: &Options, d: usize, m: usize, k: usize) -> Result<(Sae<f32>, Loss), String> {
    let plain = Loss::default();
    let (activation, loss) = match options.architecture.as_deref().unwrap_or("top_k") {
        "top_k" => (Activation::TopK { k, by_decoder_norm: false }, plain),
        "batch_top_k" => (Activation::BatchTopK { k: k as f64, by_decoder_norm: false, threshold: None }, plain),
        "relu" => (Activation::Relu, Loss { sparsity: Sparsity::l1(0.05), ..plain }),
        "jump_relu" => {
            let straight_through = StraightThrough { bandwidth: 0.01, ..StraightThrough::default() };
            let loss = Loss { sparsity: Sparsity::L0 { coefficient: 0.001 }, straight_through, ..plain };
            (Activation::JumpRelu { threshold: Array1::from_elem(m, 0.01) }, loss)
        }
        other => return Err(format!("unknown architecture {other}; --help lists them")),
    };
    Ok((Sae::initialise(d, m, activation, Seed(0)).map_err(|error| error.to_string())?, loss))
}

fn dictionary(d: usize, m: usize) -> Result<Array2<f32>, String> {
    let sae = Sae::<f32>::initialise(d, m, Activation::Relu, Seed(1)).map_err(|error| error.to_string())?;
    Ok(sae.w_dec)
}

pub fn train(options: &Options) -> Result<String, String> {
    let [d, m, batch, k, steps] =
        options.sizes([("d", 512, 64), ("m", 4096, 512), ("batch", 4096, 256), ("k", 32, 8), ("steps", 20, 4)])?;
    let text = |error: limpid::Error| error.to_string();
    let (sae, loss) = autoencoder(options, d, m, k)?;
    let settings =
        SaeTraining { steps: steps + 2, learning_rate: LearningRate::constant(3e-4), loss, ..SaeTraining::default() };
    let mut trainer = Trainer::new(sae, settings).map_err(text)?;
    // few batches, made beforehand: the time is that of the steps
    let batches: Vec<Array2<f32>> = {
        let dictionary = dictionary(d, m)?;
        (0..2).map(|item| samples(&dictionary, batch, item)).collect()
    };
    for x in &batches {
        trainer.step(x, None).map_err(text)?;
    }
    let start = Instant::now();
    let mut last = None;
    for step in 0..steps {
        last = Some(trainer.step(&batches[step % batches.len()], None).map_err(text)?);
    }
    let seconds = start.elapsed().as_secs_f64();
    let last = last.ok_or("no steps")?;
    let per_second = (steps * batch) as f64 / seconds;
    Ok(Measured {
        workload: "sae-train",
        sizes: json!({"d": d, "m": m, "batch": batch, "k": k, "steps": steps, "architecture": options.architecture}),
        seconds,
        per_second,
        // the encoder product alone
        flops: per_second * (2 * d * m) as f64,
        checks: json!({"loss": last.terms.total(), "l0": last.l0, "dead_fraction": last.dead_fraction, "fused": last.fused}),
    }
    .line())
}

pub fn encode(options: &Options) -> Result<String, String> {
    let [d, m, batch, k, iterations] =
        options.sizes([("d", 512, 64), ("m", 4096, 512), ("batch", 4096, 256), ("k", 32, 8), ("iterations", 10, 2)])?;
    let text = |error: limpid::Error| error.to_string();
    let (sae, _) = autoencoder(options, d, m, k)?;
    let x = samples(&dictionary(d, m)?, batch, 0);
    let sae = PreparedSae::new(sae).map_err(text)?;
    let codes = sae.encode_sparse(&x).map_err(text)?;
    let start = Instant::now();
    let mut active = 0;
    for _ in 0..iterations {
        active += sae.encode_sparse(&x).map_err(text)?.active();
    }
    let seconds = start.elapsed().as_secs_f64();
    let per_second = (iterations * batch) as f64 / seconds;
    Ok(Measured {
        workload: "sae-encode",
        sizes: json!({"d": d, "m": m, "batch": batch, "k": k, "iterations": iterations}),
        seconds,
        per_second,
        flops: per_second * (2 * d * m) as f64,
        checks: json!({"l0": active as f64 / (iterations * codes.rows()) as f64}),
    }
    .line())
}
