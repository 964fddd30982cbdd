//! Trains the autoencoder that the program carries, and writes it in 32 and in 8 bits, with samples to run it on.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use limpid::Seed;
use limpid::math::merge::Bytes;
use limpid::sae::train::{Preset, Trainer};
use limpid::sae::{CompactSae, Precision};
use limpid::superposition::DictionaryData;
use ndarray::Array2;

const WIDTH: usize = 128;
const LATENTS: usize = 1024;
const K: usize = 8;
const STEPS: usize = 120;
const BATCH: usize = 512;
/// Samples that the program runs; training has not seen them.
const KEPT: usize = 32;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=memory.x");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    if env::var("CARGO_CFG_TARGET_OS")? == "none" {
        fs::copy("memory.x", out.join("memory.x"))?;
        println!("cargo::rustc-link-search={}", out.display());
        println!("cargo::rustc-link-arg-bins=-Tlink.x");
    }
    train(&out)
}

fn train(out: &Path) -> Result<(), Box<dyn Error>> {
    let truth = DictionaryData { features: 512, width: WIDTH, mean_active: 5.0, ..DictionaryData::default() };
    let data = truth.sample::<f32>(STEPS * BATCH + KEPT, Seed(1))?.data;
    let (kept, rest) = data.as_slice().ok_or("samples in rows")?.split_at(KEPT * WIDTH);
    let recipe = Preset::TopK.recipe::<f32>(WIDTH, LATENTS, K, STEPS, Seed(2))?;
    let mut trainer = Trainer::new(recipe.sae, recipe.training)?;
    for batch in rest.chunks_exact(BATCH * WIDTH) {
        trainer.step(&Array2::from_shape_fn((BATCH, WIDTH), |(row, i)| batch[row * WIDTH + i]), None)?;
    }
    for (name, precision) in [("f32.bin", Precision::F32), ("int8.bin", Precision::Int8)] {
        fs::write(out.join(name), CompactSae::new(&trainer.sae(), precision, false)?.to_bytes())?;
    }
    fs::write(out.join("samples.bin"), kept.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
    Ok(())
}
