//! Any settings beside any weights as a SAELens folder: refused with a kind, or an autoencoder that runs and comes back
//! when it is saved.
//!
//! Input: length of the settings (u16, little-endian), settings, weights.

use limpid::formats::{Dtype, Files, Format, Hint, SaveSettings, load, save_saelens};
use ndarray::Array2;

/// Does what these bytes say.
pub fn fuzz(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else { return };
    let Some((settings, weights)) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length))) else { return };
    let files: Files<'_> = [("cfg.json", settings), ("sae_weights.safetensors", weights)].into_iter().collect();
    let loaded = match load::<f64>(&files, &Hint { format: Some(Format::SaeLens), ..Hint::default() }) {
        Ok(loaded) => loaded,
        Err(error) => {
            assert!(error.format_kind().is_some(), "{error}");
            return;
        }
    };
    assert!(loaded.sae.check().is_ok());
    let _ = loaded.sae.encode(&Array2::from_elem((1, loaded.sae.d_in()), 0.5));
    let settings = SaveSettings { dtype: Dtype::F64, transcoder: loaded.transcoder, ..SaveSettings::default() };
    let Ok(saved) = save_saelens(&loaded.sae, &settings) else { return };
    let files: Files<'_> = saved.iter().map(|(name, bytes)| (*name, &bytes[..])).collect();
    let again = load::<f64>(&files, &Hint::default()).expect("what was just saved");
    // batch top-k comes back in another form
    let plain = core::mem::discriminant(&again.sae.activation) == core::mem::discriminant(&loaded.sae.activation);
    assert!(!plain || again.sae == loaded.sae);
}
