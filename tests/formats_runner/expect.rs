//! One saved model against its `expect.json`.

use std::path::Path;

use limpid::formats::{self, Axis, Dtype, Files, Format, Hint, LoadedSae, StoredTensor, disk};
use limpid::sae::{Activation, InputNormalisation};
use limpid::{Error, FormatKind, Scalar};
use ndarray::{Array2, ArrayD, IxDyn};
use serde_json::{Value, json};

use super::{difference, read, tensor, texts};

const FORMATS: [Format; 9] = [
    Format::SaeLens,
    Format::GemmaScope,
    Format::GemmaScope2,
    Format::DictionaryLearning,
    Format::Sparsify,
    Format::OpenAi,
    Format::LlamaScope,
    Format::CircuitTracer,
    Format::Crosscoder,
];

/// The format of this name.
pub fn format(name: &Value) -> Option<Format> {
    FORMATS.into_iter().find(|format| Some(format.to_string().as_str()) == name.as_str())
}

/// Everything that is not as expected.
pub fn failures(folder: &Path, expected: &Value) -> Vec<String> {
    let mut failures = run::<f64>(folder, expected, 0.0, 1e-12);
    let single = run::<f32>(folder, expected, 2e-5, 1e-7);
    failures.extend(single.into_iter().map(|failure| format!("single precision: {failure}")));
    failures
}

/// Checks in the precision `T`: `slack` on top of the tolerance for arithmetic, `exact` for stored values, both relative.
fn run<T: Scalar>(folder: &Path, expected: &Value, slack: f64, exact: f64) -> Vec<String> {
    let owned = read(folder, &texts(&expected["files"]));
    let files: Files<'_> = owned.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    let detected = formats::detect(&files);
    // where files alone do not tell, the caller must: that, and only that, is taken from the expectation
    let ambiguous = matches!(detected, Err(Error::Format { kind: FormatKind::Ambiguous, .. }));
    let hint = Hint { format: format(&expected["format"]).filter(|_| ambiguous), ..Hint::default() };
    let loaded: LoadedSae<T> = match formats::load(&files, &hint) {
        Ok(loaded) => loaded,
        Err(error) => return vec![error.to_string()],
    };
    let mut failures = Vec::new();
    match disk::load::<T>(folder, &hint) {
        Ok(other) if other == loaded => {}
        other => failures.push(format!("from disk: {other:?}")),
    }
    let Some(object) = expected.as_object() else { return vec!["expect.json is no object".to_owned()] };
    for (key, value) in object {
        failures.extend(match key.as_str() {
            "origin" | "files" | "notes" | "tolerance" | "x" => None,
            "orientation" => orientation(&loaded, value),
            "parameters" => parameters(&loaded, value, exact),
            "features" | "reconstruction" => arithmetic(&loaded, expected, key, slack),
            _ => plain(&loaded, key, value, exact),
        });
    }
    failures
}

fn architecture<T: Scalar>(loaded: &LoadedSae<T>) -> &'static str {
    match loaded.sae.activation {
        _ if loaded.format == Format::Crosscoder => "crosscoder",
        Activation::Relu => "relu",
        Activation::TopK { .. } => "top_k",
        Activation::BatchTopK { .. } => "batch_top_k",
        Activation::JumpRelu { .. } => "jump_relu",
        Activation::Gated { .. } => "gated",
        Activation::GroupMax { .. } => "group_max",
        Activation::MatchingPursuit { .. } => "matching_pursuit",
        _ => "unknown",
    }
}

fn dtype(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F64 => "f64",
        Dtype::F32 => "f32",
        Dtype::F16 => "f16",
        Dtype::Bf16 => "bf16",
        _ => "other",
    }
}

fn normalisation<T: Scalar>(loaded: &LoadedSae<T>) -> &'static str {
    match loaded.sae.normalisation {
        _ if loaded.external_scale => "external_scale",
        // a scale that the file holds has a key of its own
        InputNormalisation::None | InputNormalisation::Scale(_) => "none",
        InputNormalisation::ConstantNorm => "constant_norm",
        InputNormalisation::LayerNorm { .. } => "layer_norm",
    }
}

/// Keys whose values are numbers, texts, truth values and lists of them.
fn plain<T: Scalar>(loaded: &LoadedSae<T>, key: &str, expected: &Value, exact: f64) -> Option<String> {
    let sae = &loaded.sae;
    let got = match (key, &sae.activation) {
        ("format", _) => json!(loaded.format.to_string()),
        ("architecture", _) => json!(architecture(loaded)),
        ("d_in", _) => json!(sae.d_in() / sae.layers),
        ("d_sae", _) => json!(sae.latents()),
        ("d_out", _) => json!(sae.d_out() / sae.layers),
        ("dtype", _) => json!(dtype(loaded.dtype)),
        ("k", Activation::TopK { k, .. } | Activation::GroupMax { k }) => json!(k),
        ("k", _) => Value::Null,
        ("threshold", Activation::JumpRelu { threshold }) => {
            return difference(key, &threshold.mapv(T::as_f64).into_dyn(), expected, (0.0, exact));
        }
        ("threshold", _) => Value::Null,
        ("apply_b_dec_to_input", _) => json!(sae.apply_b_dec_to_input),
        ("normalisation", _) => json!(normalisation(loaded)),
        ("select_by_decoder_norm", Activation::TopK { by_decoder_norm, .. }) => json!(by_decoder_norm),
        ("transcoder", _) => json!(loaded.transcoder),
        ("batch_k", _) => json!(loaded.batch_k),
        ("group_sizes", _) => json!(group_sizes(&sae.prefixes)),
        ("norm_factor", _) => json!(loaded.norm_factor),
        ("input_scale", _) => json!(loaded.input_scale),
        ("residual_threshold", Activation::MatchingPursuit { residual_threshold, .. }) => {
            json!(residual_threshold.as_f64())
        }
        ("max_iterations", Activation::MatchingPursuit { max_iterations, .. }) => json!(max_iterations),
        ("stop_on_duplicate_support", Activation::MatchingPursuit { stop_on_duplicate_support, .. }) => {
            json!(stop_on_duplicate_support)
        }
        ("log10_sparsity", _) => {
            let sparsity = loaded.log10_sparsity.as_ref().map(|sparsity| sparsity.mapv(T::as_f64).into_dyn());
            let absent = || Some("no sparsity was found".to_owned());
            return sparsity.map_or_else(absent, |sparsity| difference(key, &sparsity, expected, (0.0, exact)));
        }
        _ => return Some(format!("unknown key {key} in expect.json")),
    };
    let close = |x: f64, y: f64| (x - y).abs() <= exact.max(1e-12) * y.abs();
    let equal = got == *expected || got.as_f64().zip(expected.as_f64()).is_some_and(|(x, y)| close(x, y));
    (!equal).then(|| format!("{key}: {got}, expected {expected}"))
}

fn group_sizes(prefixes: &[usize]) -> Vec<usize> {
    let starts = core::iter::once(0).chain(prefixes.iter().copied());
    prefixes.iter().zip(starts).map(|(end, start)| end - start).collect()
}

/// `[d_sae, d_in], transpose to canonical`: the axes, whether this is the other way round, and how it was stored.
fn orientation<T: Scalar>(loaded: &LoadedSae<T>, expected: &Value) -> Option<String> {
    for (name, stated) in expected.as_object().into_iter().flatten() {
        let stated = stated.as_str().unwrap_or_default();
        let Some(tensor) = loaded.tensors.iter().find(|tensor| tensor.name == *name) else {
            return Some(format!("orientation: tensor {name} was not read"));
        };
        let axes = stated.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(axes, _)| axes);
        let axes: Vec<&str> = axes.unwrap_or_default().split(", ").collect();
        let square = loaded.sae.d_in() == loaded.sae.d_out();
        let fits =
            axes.len() == tensor.axes.len() && tensor.axes.iter().zip(&axes).all(|(a, b)| is_axis(*a, b, square));
        let column_major = stated.contains("column-major") || stated.contains("transposed strides");
        if !fits
            || stated.contains("transpose to canonical") != is_transposed(tensor)
            || column_major && !tensor.column_major
        {
            return Some(format!("orientation of {name}: {tensor:?}, expected {stated}"));
        }
    }
    None
}

fn is_axis(axis: Axis, name: &str, square: bool) -> bool {
    match axis {
        Axis::Layer => name == "L",
        Axis::Latent => name == "d_sae",
        Axis::Input => name == "d_in",
        Axis::Output => name == "d_out" || square && name == "d_in",
    }
}

/// Whether an encoder or decoder is the other way round; paths past the latents say so in other words.
fn is_transposed(tensor: &StoredTensor) -> bool {
    tensor.axes == [Axis::Latent, Axis::Input] || tensor.axes == [Axis::Output, Axis::Latent]
}

fn parameters<T: Scalar>(loaded: &LoadedSae<T>, expected: &Value, exact: f64) -> Option<String> {
    let sae = &loaded.sae;
    for (name, value) in expected.as_object().into_iter().flatten() {
        let two = |x: &Array2<T>| x.mapv(T::as_f64).into_dyn();
        let one = |x: &ndarray::Array1<T>| x.mapv(T::as_f64).into_dyn();
        let mut got = match (name.as_str(), &sae.activation) {
            ("w_enc", _) => two(&sae.w_enc),
            ("b_enc" | "b_gate", _) => one(&sae.b_enc),
            ("w_dec", _) => two(&sae.w_dec),
            ("b_dec", _) => one(&sae.b_dec),
            ("w_skip", _) => sae.w_skip.as_ref().map(two).unwrap_or_default(),
            ("threshold", Activation::JumpRelu { threshold }) => one(threshold),
            ("b_mag", Activation::Gated { b_mag, .. }) => one(b_mag),
            ("r_mag", Activation::Gated { r_mag, .. }) => one(r_mag),
            _ => return Some(format!("unknown parameter {name}")),
        };
        if loaded.format == Format::Crosscoder && name != "b_enc" {
            got = apart(&got, value);
        }
        // stored values are exact in double precision; thresholds may be the outcome of an exponential or a product
        let bound = if name == "threshold" || exact > 1e-10 { exact } else { 0.0 };
        if let Some(failure) = difference(name, &got, value, (0.0, bound)) {
            return Some(failure);
        }
    }
    None
}

/// Layers side by side, taken apart to the expected shape where the number of elements is the same.
fn apart(got: &ArrayD<f64>, expected: &Value) -> ArrayD<f64> {
    let shape = tensor(expected).map(|expected| expected.shape().to_vec()).unwrap_or_default();
    let flat = got.as_standard_layout().into_owned();
    flat.into_shape_with_order(IxDyn(&shape)).unwrap_or_else(|_| got.clone())
}

fn arithmetic<T: Scalar>(loaded: &LoadedSae<T>, expected: &Value, key: &str, slack: f64) -> Option<String> {
    let bound = |key: &str| expected["tolerance"][key].as_f64();
    let Some((absolute, relative)) = bound("absolute").zip(bound("relative")) else {
        return Some("no tolerance".to_owned());
    };
    let Some(x) = tensor(&expected["x"]) else { return Some("no x".to_owned()) };
    // the expectation leaves the norm factor out: what is fed here is divided by it, what comes back multiplied
    let factor = loaded.norm_factor.unwrap_or(1.0);
    let rows = x.shape().first().copied().unwrap_or(0);
    let flat = x.mapv(|x| T::of(x * factor)).into_shape_with_order((rows, x.len() / rows.max(1)));
    let flat = match flat {
        Ok(flat) => flat,
        Err(error) => return Some(error.to_string()),
    };
    let run = if key == "features" { loaded.sae.encode(&flat) } else { loaded.sae.reconstruct(&flat) };
    let undo = if key == "features" { 1.0 } else { factor };
    match run {
        Ok(out) => {
            let out = apart(&out.mapv(|x| x.as_f64() / undo).into_dyn(), &expected[key]);
            difference(key, &out, &expected[key], (absolute + slack, relative + slack))
        }
        Err(error) => Some(format!("{key}: {error}")),
    }
}
