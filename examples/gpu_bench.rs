//! Speed of the compute shaders on whatever adapter there is, and its share of the peak where that is given.
//!
//! `cargo run --release --features gpu --example gpu_bench -- --peak-tflops 60 --peak-gbs 4800`
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

#[path = "gpu_bench_support/mod.rs"]
mod gpu_bench_support;

use std::error::Error;
use std::process::ExitCode;

use limpid::Seed;
use limpid::gpu::{GpuAdapter, GpuContext, GpuFeatures, GpuSae, GpuSettings, GpuTrainer, Tiling, gemm, sparse};
use limpid::sae::train::SaeTraining;
use limpid::sae::{Activation, Sae};

use gpu_bench_support::{HELP, Options, line, noise, seconds};

fn products(settings: &GpuSettings, options: &Options) -> limpid::Result<()> {
    let sizes: &[usize] = if options.quick { &[64, 128] } else { &[256, 1024, 2048, 4096] };
    for tiling in [Tiling::Automatic, Tiling::Tile64, Tiling::Tile128] {
        let gpu = GpuContext::new(GpuSettings { tiling, ..settings.clone() })?;
        for &n in sizes {
            let a = gpu.upload(&noise(n, n))?;
            let mut out = gpu.zeros(n, n)?;
            let time = seconds(&gpu, || gemm::multiply_into(&gpu, &gemm::Product::new(&a, &a), &mut out))?;
            let gflops = 2e-9 * (n as f64).powi(3) / time;
            line(&format!("product {n}^3, {tiling:?}"), time, (gflops, "GF/s"), options.tflops.map(|peak| 1e3 * peak));
        }
    }
    Ok(())
}

fn autoencoder(gpu: &GpuContext, options: &Options) -> limpid::Result<()> {
    let usual = if options.quick { [32, 256, 8, 64] } else { [4096, 65_536, 64, 4096] };
    let [d, m, k, b]: [usize; 4] = core::array::from_fn(|at| options.sizes[at].unwrap_or(usual[at]));
    let sizes = format!("d {d}, m {m}, k {k}, b {b}");
    let sae = Sae::initialise(d, m, Activation::TopK { k, by_decoder_norm: false }, Seed(0))?;
    let (on_device, x) = (GpuSae::new(gpu, &sae)?, noise(b, d));
    let peak = options.tflops.map(|peak| 1e3 * peak);
    let product = 2e-9 * (b * d) as f64 * m as f64;
    let mut features = on_device.encode(&x)?;
    let time = seconds(gpu, || on_device.encode(&x).map(|found| features = found))?;
    line(&format!("encode {sizes}"), time, (product / time, "GF/s"), peak);
    if let GpuFeatures::Sparse { slots, .. } = &features {
        let (w, shift) = (gpu.upload(&sae.w_dec)?, gpu.upload_vector(&sae.b_dec)?);
        let time = seconds(gpu, || sparse::decode(gpu, slots, &w, &shift).map(|_| ()))?;
        line(&format!("decode {sizes}"), time, (4e-9 * (b * (k + 1)) as f64 * d as f64 / time, "GB/s"), options.gbs);
    }
    drop(on_device);
    let mut trainer = GpuTrainer::new(gpu, sae, SaeTraining::default())?;
    let time = seconds(gpu, || trainer.step(&x).map(|_| ()))?;
    line(&format!("training step {sizes}"), time, (b as f64 / time, "samples/s"), None);
    Ok(())
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let adapter = options.adapter.clone().map_or(GpuAdapter::HighPerformance, GpuAdapter::Named);
    let settings = GpuSettings { adapter, ..GpuSettings::default() };
    let gpu = GpuContext::new(settings.clone())?;
    println!(
        "{} through {}{}",
        gpu.adapter(),
        gpu.backend(),
        if gpu.is_software() { ", on the processor" } else { "" }
    );
    let n = if options.quick { 1 << 20 } else { 1 << 26 };
    let x = gpu.zeros::<f32>(n / 1024, 1024)?;
    let time = seconds(&gpu, || x.duplicate().map(|_| ()))?;
    line("copy", time, (8e-9 * n as f64 / time, "GB/s"), options.gbs);
    products(&settings, options)?;
    Ok(autoencoder(&gpu, options)?)
}

fn main() -> ExitCode {
    match Options::read().map_err(Into::into).and_then(|options| options.map(|options| run(&options)).transpose()) {
        Ok(Some(())) => ExitCode::SUCCESS,
        Ok(None) => {
            println!("{HELP}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("gpu_bench: {error}");
            ExitCode::from(2)
        }
    }
}
