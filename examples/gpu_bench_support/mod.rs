//! Command line and stopwatch of the benchmark on graphics adapters.
#![expect(unreachable_pub, reason = "an example has no crate to reach from")]

use std::time::Instant;

use lexopt::prelude::*;
use limpid::Seed;
use limpid::gpu::GpuContext;
use limpid::math::random::fill_normal;
use ndarray::Array2;

pub const HELP: &str = "\
gpu_bench [OPTIONS]: speed of products, autoencoders and memory on a graphics adapter

  --adapter NAME      the first adapter whose name contains this [the fastest]
  --peak-tflops X     peak of the card in single precision, to print shares of it
  --peak-gbs X        memory bandwidth of the card in GB/s, likewise
  --d, --m, --k, --b  width, latents, active latents and batch of the autoencoder [4096, 65536, 64, 4096]
  --quick             small sizes, to see that it works
  --help              this text";

/// What the command line asks for.
#[derive(Default)]
pub struct Options {
    pub adapter: Option<String>,
    pub tflops: Option<f64>,
    pub gbs: Option<f64>,
    pub sizes: [Option<usize>; 4],
    pub quick: bool,
}

impl Options {
    /// The command line; `None` for a call for help.
    pub fn read() -> Result<Option<Self>, lexopt::Error> {
        let (mut options, mut parser) = (Self::default(), lexopt::Parser::from_env());
        while let Some(argument) = parser.next()? {
            match argument {
                Long("adapter") => options.adapter = Some(parser.value()?.string()?),
                Long("peak-tflops") => options.tflops = Some(parser.value()?.parse()?),
                Long("peak-gbs") => options.gbs = Some(parser.value()?.parse()?),
                Long("d") => options.sizes[0] = Some(parser.value()?.parse()?),
                Long("m") => options.sizes[1] = Some(parser.value()?.parse()?),
                Long("k") => options.sizes[2] = Some(parser.value()?.parse()?),
                Long("b") => options.sizes[3] = Some(parser.value()?.parse()?),
                Long("quick") => options.quick = true,
                Long("help") => return Ok(None),
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(Some(options))
    }
}

/// Seconds of one call: at least three calls, and at least a third of a second of them, after one that compiles.
pub fn seconds(gpu: &GpuContext, mut call: impl FnMut() -> limpid::Result<()>) -> limpid::Result<f64> {
    let settled = || gpu.read_blocking(&gpu.zeros::<f32>(1, 1)?).map(|_| ());
    call()?;
    settled()?;
    let (start, mut calls) = (Instant::now(), 0);
    while calls < 3 || start.elapsed().as_secs_f64() < 0.33 {
        call()?;
        calls += 1;
        settled()?;
    }
    Ok(start.elapsed().as_secs_f64() / f64::from(calls))
}

/// Normal numbers.
pub fn noise(rows: usize, columns: usize) -> Array2<f32> {
    let mut x = Array2::zeros((rows, columns));
    if let Some(flat) = x.as_slice_mut() {
        fill_normal(&mut Seed(1).stream(0, 0), 1.0, flat);
    }
    x
}

/// `what`, milliseconds, a rate and its share of the peak.
pub fn line(what: &str, seconds: f64, (rate, unit): (f64, &str), peak: Option<f64>) {
    let share = peak.map_or(String::new(), |peak| format!("{:6.1} % of peak", 100.0 * rate / peak));
    println!("{what:<44}{:>12.3} ms{rate:>12.1} {unit:<10}{share}", 1e3 * seconds);
}
