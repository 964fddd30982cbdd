//! Crosscoders over layers or models: `cc_weights.pt` (or a safetensors file with the same names) and `cfg.json`.
//!
//! ```text
//! W_enc (L, d, m)   W_dec (m, L, d)   b_enc (m)   b_dec (L, d)        relu, nothing subtracted
//! ```
//!
//! The `L` inputs of width `d` lie side by side in one row of `L d`.
//!
//! Source: Lindsey et al., "Sparse Crosscoders" (2024); files as of
//! <https://github.com/ckkissane/crosscoder-model-diff-replication>, `crosscoder.py`.

use alloc::vec::Vec;

use ndarray::{Array2, Array3};

use super::detect::Format;
use super::fail;
use super::files::Files;
use super::loaded::{Axis, LoadedSae};
use super::weights::Weights;
use super::{safetensors, torch};
use crate::error::check_shape;
use crate::sae::{Activation, InputNormalisation, Sae};
use crate::{FormatKind, Result, Scalar};

pub(super) const WEIGHTS: &str = "cc_weights.pt";
pub(super) const SETTINGS: &str = "cfg.json";

pub(super) fn load<T: Scalar>(files: &Files<'_>) -> Result<LoadedSae<T>> {
    let settings = files.settings(&[SETTINGS])?;
    let torch = match files.get(WEIGHTS) {
        Some(bytes) => Some(bytes),
        None => files.only(".pt")?.map(|(_, bytes)| bytes),
    };
    let mut weights = Weights::new(match torch {
        Some(bytes) => torch::read(bytes)?,
        None => safetensors::read(files.weights(&[], ".safetensors")?)?,
    });
    let w_enc: Array3<T> = weights.cube("W_enc", [Axis::Layer, Axis::Input, Axis::Latent])?;
    let w_dec: Array3<T> = weights.cube("W_dec", [Axis::Latent, Axis::Layer, Axis::Output])?;
    let b_dec: Array2<T> = weights.table("b_dec", [Axis::Layer, Axis::Output])?;
    let (layers, d, m) = w_enc.dim();
    check_shape("W_dec", &w_dec, &[m, layers, d])?;
    check_shape("b_dec", &b_dec, &[layers, d])?;
    let flat = |_| fail(FormatKind::Shape, "W_enc", 0);
    let sae = Sae {
        w_enc: w_enc.as_standard_layout().into_owned().into_shape_with_order((layers * d, m)).map_err(flat)?,
        b_enc: weights.vector("b_enc", Axis::Latent)?,
        w_dec: w_dec.as_standard_layout().into_owned().into_shape_with_order((m, layers * d)).map_err(flat)?,
        b_dec: b_dec.as_standard_layout().into_owned().into_shape_with_order(layers * d).map_err(flat)?,
        w_skip: None,
        activation: Activation::Relu,
        apply_b_dec_to_input: false,
        normalisation: InputNormalisation::None,
        layers: layers.max(1),
        prefixes: Vec::new(),
    };
    let loaded = LoadedSae::new(Format::Crosscoder, sae, weights)?;
    let Some(settings) = settings else { return Ok(loaded) };
    let width = settings.count("d_in")?;
    let width = width.map(|d| d.checked_mul(layers).ok_or(fail(FormatKind::Config, "d_in", 0))).transpose()?;
    loaded.sized(width, settings.count("dict_size")?, None)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, Named, vector};
    use super::*;
    use ndarray::array;

    fn weights() -> Named {
        let cube = |shape: (usize, usize, usize)| Array3::from_shape_fn(shape, |(i, j, k)| (i * 3 + j * 2 + k) as f64);
        let named = Named::default().with("W_enc", cube((3, 2, 4))).with("W_dec", cube((4, 3, 2)));
        named.with("b_enc", vector(4)).with("b_dec", array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    }

    #[test]
    fn layers_lie_side_by_side() {
        for folder in [
            Folder::default().with(WEIGHTS, weights().torch(&[])),
            Folder::default().with("any.pt", weights().torch(&[])),
            Folder::default().with("any.safetensors", weights().safetensors()),
        ] {
            let folder = folder.with(SETTINGS, r#"{"d_in": 2, "dict_size": 4}"#);
            let loaded = folder.load().unwrap();
            assert_eq!((loaded.format, loaded.sae.layers, loaded.output_layers), (Format::Crosscoder, 3, 3));
            assert_eq!([loaded.sae.w_enc[[2, 1]], loaded.sae.w_enc[[3, 1]]], [4.0, 6.0]);
            assert_eq!([loaded.sae.w_dec[[1, 2]], loaded.sae.w_dec[[1, 3]]], [5.0, 6.0]);
            assert_eq!(loaded.sae.b_dec, array![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
            let wrong = folder.with(SETTINGS, r#"{"d_in": 3}"#).load().unwrap_err();
            assert_eq!(wrong.format_kind(), Some(FormatKind::Shape));
        }
        let short = weights().with("b_dec", array![[1.0, 2.0]]);
        let error = Folder::default().with(WEIGHTS, short.torch(&[])).load().unwrap_err();
        assert_eq!(error.format_kind(), Some(FormatKind::Shape));
    }
}
