//! A trained model on disk: `model.safetensors`, and `model.json` with its sizes and its vocabulary.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use limpid::files::write_atomically;
use serde_json::{Value, json};

use crate::model::{Model, Shape};
use crate::text::Vocabulary;
use crate::{Error, Result};

const WEIGHTS: &str = "model.safetensors";
const SIZES: &str = "model.json";

/// Writes a model into a folder.
///
/// # Errors
/// A folder that cannot be written.
pub fn save(folder: &Path, model: &Model, vocabulary: &Vocabulary) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| Error::at(folder, e))?;
    let Shape { width, heads, neurons, context, .. } = model.shape;
    let characters: String = vocabulary.characters().iter().collect();
    let sizes =
        json!({ "width": width, "heads": heads, "neurons": neurons, "context": context, "vocabulary": characters });
    let names = model.shape.weights();
    let tensors = names.iter().zip(&model.weights).map(|((name, _), weight)| (*name, weight.as_tensor()));
    let bytes = safetensors::serialize(tensors, None).map_err(|e| Error::at(folder, e))?;
    write(&folder.join(WEIGHTS), &bytes)?;
    write_json(&folder.join(SIZES), &sizes)
}

/// Reads a model.
///
/// # Errors
/// A file that is missing, damaged, or not of such a model.
pub fn load(folder: &Path) -> Result<(Model, Vocabulary)> {
    let path = folder.join(SIZES);
    let sizes = read_json(&path)?;
    let number = |name: &str| {
        let value = sizes[name].as_u64().and_then(|n| usize::try_from(n).ok());
        value.ok_or_else(|| Error::at(&path, format!("no number {name}")))
    };
    let vocabulary = sizes["vocabulary"].as_str().and_then(Vocabulary::listed);
    let vocabulary = vocabulary.ok_or_else(|| Error::at(&path, "no vocabulary"))?;
    let shape = Shape {
        vocabulary: vocabulary.size(),
        width: number("width")?,
        heads: number("heads")?,
        neurons: number("neurons")?,
        context: number("context")?,
    };
    shape.check().map_err(|e| Error::at(&path, e))?;
    Ok((Model::of(shape, &tensors(&folder.join(WEIGHTS), &shape)?)?, vocabulary))
}

fn tensors(path: &Path, shape: &Shape) -> Result<Vec<Tensor>> {
    fs::metadata(path).map_err(|e| Error::at(path, e))?;
    let mut all: HashMap<String, Tensor> = candle_core::safetensors::load(path, &Device::Cpu)
        .map_err(|e| Error::at(path, format!("truncated or damaged: {e}")))?;
    let take = |(name, dims): (&str, Vec<usize>)| {
        let tensor = all.remove(name).ok_or_else(|| Error::at(path, format!("tensor {name} is missing")))?;
        if tensor.dims() != dims || tensor.dtype() != DType::F32 {
            let says = format!("{name} has shape {:?}, {SIZES} says {dims:?} of F32", tensor.dims());
            return Err(Error::at(path, says));
        }
        if !tensor.sum_all()?.to_scalar::<f32>()?.is_finite() {
            return Err(Error::at(path, format!("{name} has numbers that are not finite")));
        }
        Ok(tensor)
    };
    shape.weights().into_iter().map(take).collect()
}

/// Reads what a stage wrote.
///
/// # Errors
/// A file that is missing or damaged.
pub fn read_json(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).map_err(|e| Error::at(path, e))?;
    serde_json::from_str(&text).map_err(|e| Error::at(path, format!("damaged: {e}")))
}

/// Writes a result, for a later stage.
///
/// # Errors
/// A file that cannot be written.
pub fn write_json(path: &Path, value: &Value) -> Result<()> {
    write(path, serde_json::to_string_pretty(value).map_err(|e| Error::at(path, e))?.as_bytes())
}

/// Writes a file whole or not at all, and the folder it is in.
///
/// # Errors
/// A file that cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|e| Error::at(folder, e))?;
    }
    write_atomically(path, bytes).map_err(|e| Error::at(path, e))
}
