//! Runs one named workload and prints one JSON line with its speed and with checks that the work was done.
//!
//! `cargo run --release --example throughput -- gemm --m 4096 --k 512 --n 4096 --iterations 10`
//! `cargo run --release --example throughput -- superposition --instances 10 --features 5 --hidden 2`
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

#[path = "throughput_support/mod.rs"]
mod throughput_support;

use std::process::ExitCode;

use throughput_support::{attribution, gemm, influence, options::Options, sae, score, superposition};

const HELP: &str = "\
throughput WORKLOAD [OPTIONS]: runs one workload and prints one JSON line

gemm            dense product C = A B in single precision
  --m 4096 --k 512 --n 4096 --iterations 10
superposition   trains ReLU-output toy models on fresh samples (AdamW), densities from 1 to 1/20
  --instances 10 --features 5 --hidden 2 --batch 1024 --steps 1000

sae-train       training steps of a sparse autoencoder on data with a known dictionary
  --architecture top_k|relu|jump_relu|batch_top_k --d 512 --m 4096 --batch 4096 --k 32 --steps 20
sae-encode      active features of a batch
  --architecture .. --d 512 --m 4096 --batch 4096 --k 32 --iterations 10
attribution     explains rows of a perceptron with rectifiers given by closures (a tape for deep_lift)
  --method saliency|integrated_gradients|deep_lift|feature_ablation|shapley_sampling|kernel_shap
  --rows 256 --d 64 --width 256 --depth 2 --steps 50 --iterations 5
score           scores predicted activations of every neuron of a model, with a bootstrap interval where resamples are asked for
  --neurons 307200 --sequences 10 --tokens 64 --resamples 0 --iterations 3
influence       EK-FAC of a perceptron with two hidden layers and exact scores of all pairs; per_second counts pairs
  --train 4096 --query 256 --d 512 --width 512

  --threads N   threads of the pool (default: all cores)
  --quick       small sizes, to see that it works
  --help        this text

The line: workload, sizes, threads, seconds, per_second (operations of gemm, training steps of all instances, samples of
autoencoders, rows explained, neurons scored, pairs scored), flops, peak_rss_bytes, checks.";

fn main() -> ExitCode {
    match run() {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("throughput: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<String, String> {
    let options = Options::from_arguments()?;
    let workload = match options.workload.as_deref() {
        _ if options.help => return Ok(HELP.to_owned()),
        // a bare --quick shows one workload
        None if options.quick => "superposition",
        None => return Err("no workload; --help lists them".to_owned()),
        Some(workload) => workload,
    };
    let body = || match workload {
        "attribution" => attribution::run(&options),
        "gemm" => gemm::run(&options),
        "influence" => influence::run(&options),
        "superposition" => superposition::run(&options),
        "sae-train" => sae::train(&options),
        "sae-encode" => sae::encode(&options),
        "score" => score::run(&options),
        other => Err(format!("unknown workload {other}; --help lists them")),
    };
    throughput_support::on_threads(options.threads, body)
}
