//! What `example.c` has to find: `twin FOLDER` writes an autoencoder there and prints the features and reconstructions.
#![expect(clippy::print_stdout, reason = "a command-line program")]

use limpid::Seed;
use limpid::formats::{Hint, SaveSettings, disk};
use limpid::sae::{Activation, Sae};
use ndarray::Array2;

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("twin FOLDER")?;
    let activation = Activation::TopK { k: 3, by_decoder_norm: false };
    disk::save(&folder, &Sae::<f32>::initialise(8, 40, activation, Seed(7))?, &SaveSettings::default())?;
    let sae = disk::load::<f32>(&folder, &Hint::default())?.sae;
    // eighths are exact
    let x = Array2::from_shape_fn((5, sae.d_in()), |(row, i)| ((row * 7 + i * 5) % 13) as f32 / 8.0 - 0.75);
    let codes = sae.encode_sparse(&x)?;
    let out = sae.decode_sparse(&codes)?;
    for row in 0..codes.rows() {
        let features: Vec<String> =
            codes.row(row).map(|(latent, value)| format!(" {latent}:{:08x}", value.to_bits())).collect();
        let numbers: Vec<String> = out.row(row).iter().map(|value| format!(" {:08x}", value.to_bits())).collect();
        println!("{row}:{} ->{}", features.concat(), numbers.concat());
    }
    Ok(())
}
