//! Arrays of numpy: `.npy`, and `.npz`, a zip archive of them.
//!
//! ```text
//! \x93NUMPY | version u8 u8 | header length, u16 or u32 | {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } | data
//! ```
//!
//! `|V2` is read as bfloat16, which numpy has no type for. Arrays of Python objects are refused: they are pickles.
//!
//! Source: NumPy manual, "numpy.lib.format".

use alloc::borrow::Cow;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::bytes::Bytes;
use super::tensor::{Dtype, Tensor, Tensors};
use super::{fail, zip};
use crate::{FormatKind, Result};

/// Bytes of a header that are read.
const MAX_HEADER: usize = 1 << 20;

/// The arrays of an `.npz` file by name, without the ending `.npy`.
///
/// # Errors
/// [`Error::Format`](crate::Error::Format): `Zip`, `Truncated`, `Checksum`, `Overlap` and `Limit` for the archive,
/// `Header` and `Dtype` for a member that cannot be understood, `Forbidden` for Python objects, `Truncated` and `Bounds`
/// where a member does not have as many bytes as its shape needs.
pub fn read(bytes: &[u8]) -> Result<Tensors<'_>> {
    let mut tensors = Tensors::new();
    for member in zip::open(bytes)? {
        let name = member.name.strip_suffix(".npy").unwrap_or(member.name);
        if tensors.insert(name.to_string(), array(member.read()?)?).is_some() {
            return Err(fail(FormatKind::Zip, "members of different names", 0));
        }
    }
    Ok(tensors)
}

/// One `.npy` array.
///
/// # Errors
/// As [`read`], without those of the archive.
pub fn read_array(bytes: &[u8]) -> Result<Tensor<'_>> {
    array(Cow::Borrowed(bytes))
}

fn array(bytes: Cow<'_, [u8]>) -> Result<Tensor<'_>> {
    let (header, start) = header(&bytes)?;
    let header = Header::parse(header)?;
    let needed = header.shape.iter().try_fold(header.dtype.size(), |product, &axis| product.checked_mul(axis));
    let needed = needed.ok_or(fail(FormatKind::Shape, "shape of a countable size", 0))?;
    let have = bytes.len() - start;
    if needed != have {
        let kind = if have < needed { FormatKind::Truncated } else { FormatKind::Bounds };
        return Err(fail(kind, "as many bytes as the shape needs", bytes.len()));
    }
    let data = match bytes {
        Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[start..]),
        Cow::Owned(mut bytes) => {
            bytes.drain(..start);
            Cow::Owned(bytes)
        }
    };
    if header.column_major {
        Tensor::column_major(header.dtype, &header.shape, data)
    } else {
        Tensor::new(header.dtype, &header.shape, data)
    }
}

/// The text of the header, and where the data begins.
fn header(bytes: &[u8]) -> Result<(&str, usize)> {
    let mut at = Bytes::new(bytes, FormatKind::Truncated);
    if at.take(6)? != b"\x93NUMPY" {
        return Err(fail(FormatKind::Header, "the magic of a npy file", 0));
    }
    let version = (at.u8()?, at.u8()?);
    let width = match version {
        (1, 0) => 2,
        (2 | 3, 0) => 4,
        _ => return Err(fail(FormatKind::Header, "npy version 1.0, 2.0 or 3.0", 6)),
    };
    let length = at.length(width)?;
    if length > MAX_HEADER {
        return Err(fail(FormatKind::Limit, "length of the npy header", 8));
    }
    let text = core::str::from_utf8(at.take(length)?);
    text.map(|text| (text, at.at())).map_err(|_| fail(FormatKind::Header, "npy header in UTF-8", 10))
}

struct Header {
    dtype: Dtype,
    column_major: bool,
    shape: Vec<usize>,
}

impl Header {
    /// Reads the Python dictionary with exactly the three keys that numpy writes.
    fn parse(text: &str) -> Result<Self> {
        let wrong = |what| fail(FormatKind::Header, what, 10);
        let inside = text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let mut rest = inside.ok_or(wrong("a dictionary"))?.trim();
        let (mut dtype, mut column_major, mut shape) = (None, None, None);
        while !rest.is_empty() {
            let (key, after) = quoted(rest).ok_or(wrong("a quoted key"))?;
            let value = after.trim_start().strip_prefix(':').ok_or(wrong("a colon"))?.trim_start();
            let after = match key {
                "descr" if dtype.is_none() => {
                    // a list describes a record, which has no single type
                    let (name, after) = quoted(value).ok_or(fail(FormatKind::Dtype, "a plain descr", 10))?;
                    dtype = Some(dtype_of(name)?);
                    after
                }
                "fortran_order" if column_major.is_none() => {
                    column_major = Some(value.starts_with("True"));
                    let after = value.strip_prefix("True").or_else(|| value.strip_prefix("False"));
                    after.ok_or(wrong("True or False"))?
                }
                "shape" if shape.is_none() => {
                    let inside = value.strip_prefix('(').and_then(|rest| rest.split_once(')'));
                    let (axes, after) = inside.ok_or(wrong("a tuple as shape"))?;
                    shape = Some(axes_of(axes).ok_or(wrong("whole axes"))?);
                    after
                }
                _ => return Err(wrong("the keys descr, fortran_order and shape, once each")),
            };
            let after = after.trim_start();
            rest = after.strip_prefix(',').unwrap_or(after).trim_start();
            if !rest.is_empty() && !after.starts_with(',') {
                return Err(wrong("a comma"));
            }
        }
        let parts = dtype.zip(column_major).zip(shape).ok_or(wrong("descr, fortran_order and shape"))?;
        let ((dtype, column_major), shape) = parts;
        Ok(Self { dtype, column_major, shape })
    }
}

/// The string at the front of `text`, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

fn axes_of(text: &str) -> Option<Vec<usize>> {
    let text = text.trim();
    let text = text.strip_suffix(',').unwrap_or(text);
    if text.is_empty() { Some(Vec::new()) } else { text.split(',').map(|axis| axis.trim().parse().ok()).collect() }
}

fn dtype_of(name: &str) -> Result<Dtype> {
    Ok(match name {
        "<f8" => Dtype::F64,
        "<f4" => Dtype::F32,
        "<f2" => Dtype::F16,
        "|V2" | "<V2" => Dtype::Bf16,
        "<i8" => Dtype::I64,
        "<i4" => Dtype::I32,
        "<i2" => Dtype::I16,
        "|i1" => Dtype::I8,
        "<u8" => Dtype::U64,
        "<u4" => Dtype::U32,
        "<u2" => Dtype::U16,
        "|u1" => Dtype::U8,
        "|b1" => Dtype::Bool,
        "|O" => return Err(fail(FormatKind::Forbidden, "array of Python objects, which needs a pickle", 10)),
        _ => return Err(fail(FormatKind::Dtype, "little-endian numbers", 10)),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::archive;
    use super::*;
    use ndarray::array;

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(header.len()).unwrap().to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
    }

    fn singles(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    #[test]
    fn both_orders_are_read() {
        let data = singles(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let rows = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", &data);
        let columns = npy("{'shape': (2, 3), 'descr': '<f4', 'fortran_order': True}", &data);
        let file = archive(&[("a.npy", &rows), ("b.npy", &columns)]);
        let arrays = read(&file).unwrap();
        assert_eq!(arrays["a"].array::<f64>().unwrap(), array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]].into_dyn());
        assert_eq!(arrays["b"].array::<f64>().unwrap(), array![[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]].into_dyn());
    }

    #[test]
    fn shapes_of_all_ranks_and_types_are_read() {
        let shape = |header: &str, bytes: usize| read_array(&npy(header, &vec![0; bytes])).map(|t| t.shape().to_vec());
        let with = |descr: &str, axes: &str| {
            alloc::format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({axes})}}")
        };
        assert_eq!(shape(&with("<f8", ""), 8), Ok(vec![]));
        assert_eq!(shape(&with("<f2", "3,"), 6), Ok(vec![3]));
        assert_eq!(shape(&with("|V2", "3, 2"), 12), Ok(vec![3, 2]));
        for (descr, size) in [("<i8", 8), ("<i4", 4), ("<i2", 2), ("|i1", 1), ("<u8", 8), ("<u4", 4), ("<u2", 2)] {
            assert_eq!(shape(&with(descr, "1, 1, 1"), size), Ok(vec![1, 1, 1]), "{descr}");
        }
        assert!(shape(&with("|u1", "1"), 1).is_ok() && shape(&with("|b1", "1"), 1).is_ok());
        let header = with("|u1", "");
        let length = u32::try_from(header.len()).unwrap().to_le_bytes();
        assert!(read_array(&[b"\x93NUMPY\x02\x00", &length[..], header.as_bytes(), &[1]].concat()).is_ok());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let kind = |bytes: &[u8]| read_array(bytes).unwrap_err().format_kind().unwrap();
        let of = |header: &str| kind(&npy(header, &[0; 8]));
        assert_eq!(of("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}"), FormatKind::Truncated);
        assert_eq!(of("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}"), FormatKind::Bounds);
        assert_eq!(of("{'descr': '>f4', 'fortran_order': False, 'shape': (2,)}"), FormatKind::Dtype);
        assert_eq!(of("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (2,)}"), FormatKind::Dtype);
        assert_eq!(of("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"), FormatKind::Forbidden);
        assert_eq!(
            of("{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999, 9999999999999)}"),
            FormatKind::Shape
        );
        for header in [
            "",
            "{",
            "{}",
            "{'descr': '<f4', 'shape': (2,)}",
            "{'descr': '<f4', 'fortran_order': None, 'shape': (2,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': 2}",
            "{'descr': '<f4' 'fortran_order': False, 'shape': (2,)}",
            "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'other': 1}",
        ] {
            assert_eq!(of(header), FormatKind::Header, "{header}");
        }
        assert_eq!(kind(b"\x93NUMPX\x01\x00\x00\x00"), FormatKind::Header);
        assert_eq!(kind(b"\x93NUMPY\x09\x00\x00\x00"), FormatKind::Header);
        assert_eq!(kind(b"\x93NUMPY\x01\x00\x09\x00"), FormatKind::Truncated);
        assert_eq!(kind(b"\x93NUMPY\x02\x00\xff\xff\xff\xff"), FormatKind::Limit);
    }
}
