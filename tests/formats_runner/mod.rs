//! Comparison of loaded models with what is expected of them.

pub mod expect;
pub mod malformed;

use std::fs;
use std::path::Path;

use ndarray::{ArrayD, IxDyn};
use serde_json::Value;

/// Names and bytes of files.
pub type Owned = Vec<(String, Vec<u8>)>;

/// The named files of a folder; one that does not exist is left out.
pub fn read(folder: &Path, names: &[String]) -> Owned {
    names.iter().filter_map(|name| Some((name.clone(), fs::read(folder.join(name)).ok()?))).collect()
}

/// The texts of a list.
pub fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

/// A tensor `{"shape": .., "data": ..}`.
pub fn tensor(value: &Value) -> Option<ArrayD<f64>> {
    let shape: Option<Vec<usize>> =
        value["shape"].as_array()?.iter().map(|n| n.as_u64().and_then(|n| usize::try_from(n).ok())).collect();
    let data: Option<Vec<f64>> = value["data"].as_array()?.iter().map(Value::as_f64).collect();
    ArrayD::from_shape_vec(IxDyn(&shape?), data?).ok()
}

/// Where two arrays differ by more than the tolerance (absolute, relative), in words.
pub fn difference(what: &str, got: &ArrayD<f64>, expected: &Value, tolerance: (f64, f64)) -> Option<String> {
    let Some(expected) = tensor(expected) else { return Some(format!("{what}: {expected} is no tensor")) };
    if got.shape() != expected.shape() {
        return Some(format!("{what}: shape {:?}, expected {:?}", got.shape(), expected.shape()));
    }
    let close = |x: f64, y: f64| (x - y).abs() <= tolerance.0 + tolerance.1 * y.abs();
    let index = got.iter().zip(&expected).position(|(&x, &y)| !close(x, y))?;
    let at = |array: &ArrayD<f64>| array.iter().nth(index).copied();
    Some(format!("{what}[{index}]: {:?}, expected {:?}", at(got), at(&expected)))
}
