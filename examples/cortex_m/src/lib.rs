//! What both the microcontroller and the host run, and print to the bit: the autoencoder of `build.rs` in 32 and in 8 bits,
//! read where it is linked, integrated gradients of a small network, and how well the 8 bits predict the 32.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt::Write;

use limpid::Seed;
use limpid::attribution::gradient::IntegratedGradients;
use limpid::attribution::target::Logit;
use limpid::attribution::{Batch, Explainer, Network};
use limpid::explanation::score::score;
use limpid::math::pointwise::Activation;
use limpid::math::random::fill_normal;
use limpid::sae::CompactSae;
use ndarray::{Array1, Array2};

/// What can go wrong.
pub type Trouble = Box<dyn core::error::Error>;

/// The program's weights and samples.
pub static SINGLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/f32.bin"));
/// The same weights in 8 bits.
pub static INT8: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/int8.bin"));
static SAMPLES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/samples.bin"));

/// Inputs of the autoencoder.
pub const WIDTH: usize = 128;
/// Sizes of the network: inputs, hidden units, classes.
const SIZES: [usize; 3] = [16, 32, 4];

/// Active latents of each sample.
type Codes = Vec<Vec<(u32, f32)>>;

/// What the lines say, for those who want to judge it.
#[derive(Debug, Clone, Copy)]
pub struct Summary {
    /// Share of the active latents of 32 bits that are active in 8 bits too.
    pub shared: f64,
    /// Share of the samples' squares that the reconstruction in 32 and 8 bits misses.
    pub missed: [f64; 2],
    /// How well the features in 8 bits predict those in 32.
    pub pearson: f64,
    /// What integrated gradients miss of the difference that they explain.
    pub delta: f64,
}

/// Runs everything and writes a line for each result, floats by their bits.
///
/// # Errors
/// Those of the crate, and of `out`.
pub fn report(out: &mut impl Write) -> Result<Summary, Trouble> {
    let (single, missed_single) = encode("f32", SINGLE, out)?;
    let (int8, missed_int8) = encode("int8", INT8, out)?;
    let (all, both) = (count(&single, |_, _| true), count(&single, |sample, latent| has(&int8[sample], latent)));
    let delta = attribute(out)?;
    let pearson = compare(&single, &int8, out)?;
    Ok(Summary { shared: both as f64 / all as f64, missed: [missed_single, missed_int8], pearson, delta })
}

/// Encodes and reconstructs every sample; gives the codes and what the reconstruction misses.
fn encode(name: &str, image: &'static [u8], out: &mut impl Write) -> Result<(Codes, f64), Trouble> {
    let sae = CompactSae::linked(image)?;
    let (mut scratch, mut back, mut x) = (sae.scratch(), [0.0_f32; WIDTH], [0.0_f32; WIDTH]);
    let (mut codes, mut errors, mut squares) = (Codes::new(), 0.0, 0.0);
    for (number, bytes) in SAMPLES.chunks_exact(4 * WIDTH).enumerate() {
        x.iter_mut().zip(bytes.as_chunks().0).for_each(|(x, &bits)| *x = f32::from_le_bytes(bits));
        let active = sae.encode_into(&x, &mut scratch)?;
        write!(out, "{name} sample {number}:")?;
        active.iter().try_for_each(|(latent, feature)| write!(out, " {latent}={:08x}", feature.to_bits()))?;
        writeln!(out)?;
        codes.push(active.to_vec());
        sae.reconstruct_into(&x, &mut scratch, &mut back)?;
        errors += x.iter().zip(&back).map(|(x, back)| f64::from(x - back) * f64::from(x - back)).sum::<f64>();
        squares += x.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
    }
    writeln!(out, "{name} missed: {:016x}", (errors / squares).to_bits())?;
    Ok((codes, errors / squares))
}

/// Why a network of two layers gives its first class what it gives.
fn attribute(out: &mut impl Write) -> Result<f64, Trouble> {
    let [n, m, c] = SIZES;
    let network = Network::new(n).linear(noise(m, n, 0), Some(Array1::zeros(m)))?.activation(Activation::Gelu)?;
    let mut network = network.linear(noise(c, m, 1), None)?;
    let method = IntegratedGradients { batch: Batch::Rows(8), ..IntegratedGradients::default() };
    let found = method.attribute(&mut network, &noise(1, n, 2), &Logit::of(0))?;
    write!(out, "integrated gradients:")?;
    found.values.iter().try_for_each(|value| write!(out, " {:08x}", value.to_bits()))?;
    let delta = found.delta.ok_or("integrated gradients without a delta")?[0];
    writeln!(out, ", delta {:08x}", delta.to_bits())?;
    Ok(f64::from(delta))
}

/// Scores the latent that is active in most samples.
fn compare(single: &Codes, int8: &Codes, out: &mut impl Write) -> Result<f64, Trouble> {
    let often = |latent: u32| single.iter().filter(|codes| has(codes, latent)).count();
    let all = single.iter().flatten().map(|&(latent, _)| latent);
    let latent = all.max_by_key(|&latent| (often(latent), latent)).ok_or("nothing is active")?;
    let column = |codes: &Codes| -> Array1<f32> { codes.iter().map(|codes| feature(codes, latent)).collect() };
    let scores = score(&column(single), &column(int8))?;
    let [pearson, spearman, r2] = [scores.pearson, scores.spearman, scores.r2].map(|score| score.map(f64::to_bits));
    writeln!(out, "score of latent {latent}: {pearson:x?} {spearman:x?} {r2:x?}")?;
    Ok(scores.pearson.unwrap_or(f64::NAN))
}

fn noise(rows: usize, columns: usize, item: u64) -> Array2<f32> {
    let mut values = alloc::vec![0.0; rows * columns];
    fill_normal(&mut Seed(3).stream(0, item), 0.5, &mut values);
    Array2::from_shape_fn((rows, columns), |(i, j)| values[i * columns + j])
}

fn has(codes: &[(u32, f32)], latent: u32) -> bool {
    codes.iter().any(|&(active, _)| active == latent)
}

fn feature(codes: &[(u32, f32)], latent: u32) -> f32 {
    codes.iter().find(|&&(active, _)| active == latent).map_or(0.0, |&(_, feature)| feature)
}

fn count(codes: &Codes, counts: impl Fn(usize, u32) -> bool) -> usize {
    let of_sample =
        |(sample, codes): (usize, &Vec<(u32, f32)>)| codes.iter().filter(|(latent, _)| counts(sample, *latent)).count();
    codes.iter().enumerate().map(of_sample).sum()
}
