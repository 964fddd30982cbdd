//! Activations of the latents of a sparse autoencoder as `delphi` caches them: safetensors, in.
//!
//! ```text
//! {first}_{last}.safetensors:   locations (n, 3) = (sequence, token, latent - first), whole numbers
//!                               activations (n), floats          tokens (b, t), whole numbers, in some versions
//! ```

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayD, Dimension};

use super::tensor::Tensors;
use super::{fail, safetensors};
use crate::explanation::collect::SparseActivation;
use crate::{FormatKind, Result, Scalar};

/// One file of a cache: some latents of a layer over all sequences.
#[derive(Debug, Clone, PartialEq)]
pub struct DelphiCache<T> {
    /// All activations that are not 0, in the order of the file; neurons are latents of the whole autoencoder.
    pub activations: Vec<SparseActivation<T>>,
    /// The tokens of all sequences, `(b, t)`, where the file holds them.
    pub tokens: Option<Array2<u32>>,
}

/// The latents of a file called `first_last.safetensors`, the last one included; `None` for another name.
///
/// # Example
/// ```
/// assert_eq!(limpid::formats::delphi::latents_of("layer/4096_8191.safetensors"), Some((4096, 8191)));
/// ```
#[must_use]
pub fn latents_of(name: &str) -> Option<(u32, u32)> {
    let name = name.rsplit(['/', '\\']).next()?;
    let (first, last) = name.strip_suffix(".safetensors")?.split_once('_')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

/// The cache that `bytes` hold; its latents count from `first`.
///
/// # Errors
/// [`Error::Format`](crate::Error::Format): those of [`safetensors::read`], `Missing`, `Shape` and `Dtype` for tensors that
/// are absent or not as above, `Bounds` for a sequence or token that is not among the tokens of the file.
///
/// # Example
/// ```
/// use limpid::explanation::collect::{Batch, CollectSettings, Collector};
/// use limpid::formats::delphi::read_delphi_cache;
/// use limpid::formats::{Dtype, Tensor, safetensors};
///
/// // latent 2 of the file is 0.5 at token 1 of sequence 0
/// let file = safetensors::write(
///     &[
///         ("locations", Tensor::new(Dtype::U16, &[1, 3], vec![0, 0, 1, 0, 2, 0])?),
///         ("activations", Tensor::new(Dtype::F16, &[1], vec![0x00, 0x38])?),
///     ],
///     &[],
/// )?;
/// let cache = read_delphi_cache::<f32>(&file, 0)?;
/// let mut collector = Collector::new(4, CollectSettings::default(), 0)?;
/// collector.update_sparse(&cache.activations, (1, 2), &Batch { documents: &[0], ..Batch::default() })?;
/// assert_eq!(collector.neuron(2).unwrap().moments().mean(), Some(0.25));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn read_delphi_cache<T: Scalar>(bytes: &[u8], first: u32) -> Result<DelphiCache<T>> {
    let tensors = safetensors::read(bytes)?;
    let locations: Array2<u32> = whole(&tensors, "locations")?.ok_or(fail(FormatKind::Missing, "locations", 0))?;
    let values = tensors.get("activations").ok_or(fail(FormatKind::Missing, "activations", 0))?;
    if !values.dtype().is_float() {
        return Err(fail(FormatKind::Dtype, "activations", 0));
    }
    let values: Array1<T> = ranked(values.array()?, "activations")?;
    if locations.dim() != (values.len(), 3) {
        return Err(fail(FormatKind::Shape, "locations", 0));
    }
    let tokens: Option<Array2<u32>> = whole(&tensors, "tokens")?;
    let mut activations = Vec::with_capacity(values.len());
    for (location, &value) in locations.rows().into_iter().zip(&values) {
        let (row, at) = (location[0], location[1]);
        let inside = |tokens: &Array2<u32>| tokens.get([row as usize, at as usize]).is_some();
        let neuron = location[2].checked_add(first).filter(|_| tokens.as_ref().is_none_or(inside));
        let neuron = neuron.ok_or(fail(FormatKind::Bounds, "locations", 0))?;
        activations.push(SparseActivation { row, at, neuron, value });
    }
    Ok(DelphiCache { activations, tokens })
}

/// A tensor of whole numbers from 0; `None` where there is none of this name.
fn whole<D: Dimension>(tensors: &Tensors<'_>, name: &'static str) -> Result<Option<ndarray::Array<u32, D>>> {
    let Some(tensor) = tensors.get(name) else { return Ok(None) };
    if tensor.dtype().is_float() {
        return Err(fail(FormatKind::Dtype, name, 0));
    }
    let values = ranked::<f64, D>(tensor.array()?, name)?;
    if values.iter().any(|x| !(0.0..=f64::from(u32::MAX)).contains(x)) {
        return Err(fail(FormatKind::Bounds, name, 0));
    }
    Ok(Some(values.mapv(narrow)))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and checked to fit")]
fn narrow(x: f64) -> u32 {
    x as u32
}

fn ranked<T, D: Dimension>(values: ArrayD<T>, name: &'static str) -> Result<ndarray::Array<T, D>> {
    values.into_dimensionality().map_err(|_| fail(FormatKind::Shape, name, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{Dtype, Tensor};
    use alloc::vec;
    use ndarray::array;

    fn file(locations: &Tensor<'_>, activations: &Tensor<'_>, tokens: Option<&Tensor<'_>>) -> Vec<u8> {
        let mut all = vec![("locations", locations.clone()), ("activations", activations.clone())];
        all.extend(tokens.map(|tokens| ("tokens", tokens.clone())));
        safetensors::write(&all, &[]).unwrap()
    }

    fn of_u32(shape: &[usize], values: &[u32]) -> Tensor<'static> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Tensor::new(Dtype::U32, shape, bytes).unwrap()
    }

    #[test]
    fn activations_come_with_their_places() {
        let locations = of_u32(&[2, 3], &[0, 1, 5, 1, 0, 0]);
        let values = Tensor::from_array(&array![0.5_f32, 2.0], Dtype::F16).unwrap();
        let bytes = file(&locations, &values, Some(&of_u32(&[2, 2], &[9, 8, 7, 50_000])));
        let cache = read_delphi_cache::<f64>(&bytes, 100).unwrap();
        assert_eq!(cache.activations[0], SparseActivation { row: 0, at: 1, neuron: 105, value: 0.5 });
        assert_eq!(cache.activations[1].value, 2.0);
        assert_eq!(cache.tokens, Some(array![[9, 8], [7, 50_000]]));
        for end in 0..bytes.len() {
            assert!(read_delphi_cache::<f64>(&bytes[..end], 0).is_err());
        }
    }

    #[test]
    fn what_contradicts_is_refused() {
        let locations = of_u32(&[1, 3], &[0, 1, 5]);
        let values = Tensor::from_array(&array![0.5], Dtype::F32).unwrap();
        let kind = |locations: &Tensor<'_>, values: &Tensor<'_>, tokens: Option<&Tensor<'_>>, first| {
            read_delphi_cache::<f32>(&file(locations, values, tokens), first).unwrap_err().format_kind().unwrap()
        };
        assert_eq!(kind(&of_u32(&[1, 2], &[0, 1]), &values, None, 0), FormatKind::Shape);
        assert_eq!(kind(&of_u32(&[3], &[0, 1, 2]), &values, None, 0), FormatKind::Shape);
        assert_eq!(kind(&locations, &of_u32(&[1], &[1]), None, 0), FormatKind::Dtype);
        assert_eq!(kind(&locations, &values, Some(&of_u32(&[1, 1], &[3])), 0), FormatKind::Bounds);
        assert_eq!(kind(&locations, &values, None, u32::MAX), FormatKind::Bounds);
        let negative = Tensor::new(Dtype::I16, &[1, 3], vec![0, 0, 0xff, 0xff, 0, 0]).unwrap();
        assert_eq!(kind(&negative, &values, None, 0), FormatKind::Bounds);
        let empty = safetensors::write(&[("activations", values)], &[]).unwrap();
        assert_eq!(read_delphi_cache::<f32>(&empty, 0).unwrap_err().format_kind(), Some(FormatKind::Missing));
    }

    #[test]
    fn names_say_which_latents() {
        assert_eq!(latents_of("0_4095.safetensors"), Some((0, 4095)));
        for name in ["cfg.json", "5_4.safetensors", "a_b.safetensors", "1.safetensors", "-1_3.safetensors"] {
            assert_eq!(latents_of(name), None);
        }
    }
}
