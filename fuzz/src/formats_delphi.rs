//! Any bytes as a cache of activations: refused with a kind, or read.

use limpid::formats::delphi::{latents_of, read_delphi_cache};

/// Does what these bytes say.
pub fn fuzz(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else { return };
    match read_delphi_cache::<f32>(rest, u32::from(first)) {
        Ok(cache) => assert!(cache.activations.iter().all(|entry| entry.neuron >= u32::from(first))),
        Err(error) => assert!(error.format_kind().is_some(), "{error:?}"),
    }
    if let Ok(name) = core::str::from_utf8(rest) {
        assert!(latents_of(name).is_none_or(|(first, last)| first <= last));
    }
}
