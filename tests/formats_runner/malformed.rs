//! Files that must be refused, and the memory that refusing them takes.

use std::fs;
use std::path::Path;

use limpid::formats::{self, Files, Hint, LoadedSae, npz, safetensors, torch};
use limpid::{Error, FormatKind};
use peak_alloc::PeakAlloc;
use serde_json::Value;

use super::expect::format;
use super::{difference, read};

/// Memory that a file may cost: so many times its size, and a little for what every reader needs.
const GROWTH: usize = 64;
const BASE: usize = 1 << 17;

fn kind(error: &Error) -> &'static str {
    match error.format_kind() {
        Some(FormatKind::Truncated) => "truncated",
        Some(FormatKind::Header) => "header",
        Some(FormatKind::Bounds) => "bounds",
        Some(FormatKind::Overlap) => "overlap",
        Some(FormatKind::Dtype) => "dtype",
        Some(FormatKind::Shape) => "shape",
        Some(FormatKind::Missing) => "missing",
        Some(FormatKind::NotFinite) => "not_finite",
        Some(FormatKind::Config) => "config",
        Some(FormatKind::Architecture) => "architecture",
        Some(FormatKind::Forbidden) => "forbidden",
        Some(FormatKind::Pickle) => "pickle",
        Some(FormatKind::Zip) => "zip",
        Some(FormatKind::Checksum) => "checksum",
        Some(FormatKind::Limit) => "limit",
        Some(FormatKind::Ambiguous) => "ambiguous",
        _ => "none",
    }
}

/// What `work` gives, or the complaint that it took more memory than `size` bytes justify.
fn measured<V>(memory: &PeakAlloc, size: usize, work: impl FnOnce() -> V) -> Result<V, String> {
    memory.reset_peak_usage();
    let before = memory.current_usage();
    let value = work();
    let taken = memory.peak_usage().saturating_sub(before);
    if taken <= GROWTH * size + BASE { Ok(value) } else { Err(format!("took {taken} bytes for a file of {size}")) }
}

/// What is wrong with how one case of the index went.
pub fn failure(folder: &Path, case: &Value, memory: &PeakAlloc) -> Option<String> {
    let path = folder.join(case["path"].as_str().unwrap_or_default());
    let bare = case["format"] == "safetensors";
    let (owned, format) = if path.is_dir() {
        (read(&path, &names(&path)), format(&case["format"]))
    } else {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (vec![(name, fs::read(&path).unwrap_or_default())], format(&case["format"]))
    };
    if format.is_none() && !bare {
        return Some(format!("unknown format {}", case["format"]));
    }
    let size = owned.iter().map(|(_, bytes)| bytes.len()).sum();
    let files: Files<'_> = owned.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    let outcome = measured(memory, size, || {
        if bare {
            return safetensors::read(&owned[0].1).map(|_| None);
        }
        formats::load::<f32>(&files, &Hint { format, ..Hint::default() }).map(Some)
    });
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(complaint) => return Some(complaint),
    };
    match (outcome, case["loads"].as_bool() == Some(true)) {
        (Ok(Some(loaded)), true) => parameters(&loaded, &case["parameters"]),
        (Ok(_), true) => None,
        (Ok(_), false) => Some("was not refused".to_owned()),
        (Err(error), true) => Some(error.to_string()),
        (Err(error), false) => {
            let allowed = case["error"].as_array().into_iter().flatten().any(|allowed| allowed == kind(&error));
            (!allowed).then(|| format!("{} ({error}), expected {}", kind(&error), case["error"]))
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn parameters(loaded: &LoadedSae<f32>, expected: &Value) -> Option<String> {
    let sae = &loaded.sae;
    expected.as_object().into_iter().flatten().find_map(|(name, value)| {
        let got = match (name.as_str(), &sae.activation) {
            ("w_enc", _) => sae.w_enc.mapv(f64::from).into_dyn(),
            ("w_dec", _) => sae.w_dec.mapv(f64::from).into_dyn(),
            ("b_enc", _) => sae.b_enc.mapv(f64::from).into_dyn(),
            ("b_dec", _) => sae.b_dec.mapv(f64::from).into_dyn(),
            ("threshold", limpid::sae::Activation::JumpRelu { threshold }) => threshold.mapv(f64::from).into_dyn(),
            _ => return Some(format!("unknown parameter {name}")),
        };
        difference(name, &got, value, (0.0, 0.0))
    })
}

/// Cuts and changes every file of a folder of a valid model, and looks whether reading it stays within bounds.
pub fn damage(folder: &Path, memory: &PeakAlloc) -> Option<String> {
    let owned = read(folder, &names(folder).into_iter().filter(|name| name != "expect.json").collect::<Vec<_>>());
    owned.iter().find_map(|(name, good)| {
        let cuts = (0..good.len()).step_by(7).map(|end| good[..end].to_vec());
        let flips = (0..good.len()).map(|at| {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << (at % 8);
            bytes
        });
        cuts.chain(flips).find_map(|bytes| {
            let replace = |(other, kept): &(String, Vec<u8>)| if other == name { bytes.clone() } else { kept.clone() };
            let changed: Vec<Vec<u8>> = owned.iter().map(replace).collect();
            let files: Files<'_> =
                owned.iter().zip(&changed).map(|((name, _), bytes)| (name.as_str(), &bytes[..])).collect();
            let size = changed.iter().map(Vec::len).sum();
            let outcome = measured(memory, size, || {
                let containers =
                    (safetensors::read(&bytes).is_ok(), npz::read(&bytes).is_ok(), torch::read(&bytes).is_ok());
                (formats::load::<f32>(&files, &Hint::default()).err(), containers)
            });
            match outcome {
                Err(complaint) => Some(format!("{name}: {complaint}")),
                Ok((Some(error), _)) if kind(&error) == "none" => {
                    Some(format!("{name}: error without a kind: {error}"))
                }
                Ok(_) => None,
            }
        })
    })
}
