//! Small weight files for unit tests.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use ndarray::{Array, Array1, Array2, ArrayD, Dimension};

use super::files::{Files, Hint};
use super::loaded::LoadedSae;
use super::tensor::{Dtype, Tensor};
use super::{load, safetensors};
use crate::Result;
use crate::math::crc32::crc32;

/// Files that own their bytes.
#[derive(Clone, Default)]
pub(super) struct Folder(pub(super) Vec<(String, Vec<u8>)>);

impl Folder {
    pub(super) fn with(mut self, name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.0.retain(|(other, _)| other != name);
        self.0.push((name.to_string(), bytes.into()));
        self
    }

    pub(super) fn files(&self) -> Files<'_> {
        self.0.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect()
    }

    pub(super) fn load(&self) -> Result<LoadedSae<f64>> {
        self.load_with(Hint::default())
    }

    pub(super) fn load_with(&self, hint: Hint) -> Result<LoadedSae<f64>> {
        load(&self.files(), &hint)
    }
}

/// Weights by name, in double precision.
#[derive(Clone, Default)]
pub(super) struct Named(Vec<(&'static str, ArrayD<f64>)>);

impl Named {
    pub(super) fn with<D: Dimension>(mut self, name: &'static str, array: Array<f64, D>) -> Self {
        self.0.retain(|(other, _)| *other != name);
        self.0.push((name, array.into_dyn()));
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.0.retain(|(other, _)| *other != name);
        self
    }

    pub(super) fn safetensors(&self) -> Vec<u8> {
        let tensors: Vec<_> =
            self.0.iter().map(|(name, array)| (*name, Tensor::from_array(array, Dtype::F64).unwrap())).collect();
        safetensors::write(&tensors, &[]).unwrap()
    }

    /// A PyTorch archive of the dictionary, with `others` as further entries: texts and the pickles of their values.
    pub(super) fn torch(&self, others: &[(&str, &[u8])]) -> Vec<u8> {
        self.torch_inside(&[], others)
    }

    /// The same under a key of an outer dictionary that holds `others`.
    pub(super) fn torch_inside(&self, key: &[&str], others: &[(&str, &[u8])]) -> Vec<u8> {
        let own: Vec<u8> = self.0.iter().enumerate().flat_map(|(i, (name, a))| entry(name, &rebuilt(i, a))).collect();
        let further: Vec<u8> = others.iter().flat_map(|(name, value)| entry(name, value)).collect();
        let inner = match key {
            [key] => [entry(key, &[&b"}"[..], &own].concat()), further].concat(),
            _ => [own, further].concat(),
        };
        let program = [&b"\x80\x02}"[..], &inner, b"."].concat();
        let mut members = alloc::vec![("archive/data.pkl".to_string(), program)];
        for (index, (_, array)) in self.0.iter().enumerate() {
            let data = array.iter().flat_map(|x| x.to_le_bytes()).collect();
            members.push((alloc::format!("archive/data/{index}"), data));
        }
        let members: Vec<(&str, &[u8])> = members.iter().map(|(name, data)| (name.as_str(), &data[..])).collect();
        archive(&members)
    }
}

/// Pickled text.
pub(super) fn text(text: &str) -> Vec<u8> {
    [&b"X"[..], &u32::try_from(text.len()).unwrap().to_le_bytes(), text.as_bytes()].concat()
}

fn entry(key: &str, value: &[u8]) -> Vec<u8> {
    [&text(key), value, b"s"].concat()
}

/// Pickle of a row-major tensor of doubles in the storage of this number.
fn rebuilt(storage: usize, array: &ArrayD<f64>) -> Vec<u8> {
    let whole = |n: usize| [&b"J"[..], &i32::try_from(n).unwrap().to_le_bytes()].concat();
    let strides = array.strides().iter().map(|&stride| usize::try_from(stride).unwrap());
    [
        &b"ctorch._utils\n_rebuild_tensor_v2\n(("[..],
        &text("storage"),
        b"ctorch\nDoubleStorage\n",
        &text(&storage.to_string()),
        &text("cpu"),
        &whole(array.len()),
        b"tQK\0(",
        &array.shape().iter().flat_map(|&n| whole(n)).collect::<Vec<_>>(),
        b"t(",
        &strides.flat_map(whole).collect::<Vec<_>>(),
        b"t\x89}tR",
    ]
    .concat()
}

/// An archive of stored members.
pub(super) fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let packed: Vec<_> = members.iter().map(|(name, data)| (*name, *data, 0, crc32(data), data.len())).collect();
    packed_archive(&packed)
}

/// Members as name, packed bytes, method, checksum and size.
pub(super) fn packed_archive(members: &[(&str, &[u8], u16, u32, usize)]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    let word = |x: usize| u32::try_from(x).unwrap().to_le_bytes();
    for (name, packed, method, crc, size) in members {
        let offset = file.len();
        let common = [
            &[20, 0, 0, 0][..],
            &method.to_le_bytes(),
            &[0; 4],
            &crc.to_le_bytes(),
            &word(packed.len()),
            &word(*size),
            &u16::try_from(name.len()).unwrap().to_le_bytes(),
            &[0, 0],
        ]
        .concat();
        file.extend([b"PK\x03\x04", &common[..], name.as_bytes(), packed].concat());
        directory.extend([b"PK\x01\x02", &[20, 0][..], &common, &[0; 10], &word(offset), name.as_bytes()].concat());
    }
    let count = u16::try_from(members.len()).unwrap().to_le_bytes();
    let end = [b"PK\x05\x06", &[0; 4][..], &count, &count, &word(directory.len()), &word(file.len()), &[0; 2]];
    [file, directory, end.concat()].concat()
}

/// Distinct numbers in a matrix, none of them symmetric.
pub(super) fn matrix(rows: usize, columns: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns), |(i, j)| ((i * 7 + j * 3) % 11) as f64 / 5.0 - 1.0)
}

/// Distinct numbers in a vector.
pub(super) fn vector(n: usize) -> Array1<f64> {
    Array1::from_shape_fn(n, |i| ((i * 5) % 7) as f64 / 10.0)
}
