//! The safetensors container, read and written.
//!
//! ```text
//! u64 n, little-endian | n bytes of JSON {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ..,
//! "__metadata__": {"key": "text"}} | data, row-major, offsets from its start
//! ```
//!
//! The tensors fill the data without gaps and without sharing, as the reference reader requires.
//!
//! Source: <https://github.com/huggingface/safetensors>, "Format".

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

use super::fail;
use super::json::{Json, write_string};
use super::tensor::{Dtype, Tensor, Tensors, elements};
use crate::{Error, FormatKind, Result};

/// Bytes of a header that are read; that of the reference reader.
pub(super) const MAX_HEADER: usize = 100_000_000;

/// Bytes before the header.
pub(super) const LENGTH: usize = 8;

/// Key of what is no tensor.
const METADATA: &str = "__metadata__";

const TYPES: [(&str, Dtype); 13] = [
    ("F64", Dtype::F64),
    ("F32", Dtype::F32),
    ("F16", Dtype::F16),
    ("BF16", Dtype::Bf16),
    ("I64", Dtype::I64),
    ("I32", Dtype::I32),
    ("I16", Dtype::I16),
    ("I8", Dtype::I8),
    ("U64", Dtype::U64),
    ("U32", Dtype::U32),
    ("U16", Dtype::U16),
    ("U8", Dtype::U8),
    ("BOOL", Dtype::Bool),
];

/// The tensors of a file, borrowed from its `bytes`.
///
/// # Errors
/// [`Error::Format`]: `Truncated` for a file shorter than its header says, `Limit` for a header above 100 MB, `Header`
/// where it cannot be understood, `Dtype`, `Shape`, `Bounds` and `Overlap` for an entry that is impossible.
///
/// # Example
/// ```
/// use limpid::formats::{Dtype, Tensor, safetensors};
/// use ndarray::array;
///
/// let bytes = safetensors::write(&[("w", Tensor::from_array(&array![[1.0, 2.0]], Dtype::F32)?)], &[])?;
/// assert_eq!(safetensors::read(&bytes)?["w"].array::<f64>()?, array![[1.0, 2.0]].into_dyn());
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn read(bytes: &[u8]) -> Result<Tensors<'_>> {
    let cut = fail(FormatKind::Truncated, "length of the safetensors header", bytes.len());
    let length = bytes.first_chunk().map(|b| u64::from_le_bytes(*b)).ok_or(cut)?;
    let rest = &bytes[LENGTH..];
    let (header, data) = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length)).ok_or(fail(
        FormatKind::Truncated,
        "safetensors header",
        bytes.len(),
    ))?;
    if header.len() > MAX_HEADER {
        return Err(fail(FormatKind::Limit, "length of the safetensors header", 0));
    }
    let header = Header::parse(header, data.len())?;
    let tensor = |entry: Entry| {
        let bytes = data.get(entry.span).ok_or(fail(FormatKind::Bounds, "data of a tensor", bytes.len()))?;
        Ok((entry.name, Tensor::new(entry.dtype, &entry.shape, bytes)?))
    };
    header.entries.into_iter().map(tensor).collect()
}

/// One tensor of a header.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// Its bytes, counted from the end of the header.
    pub(super) span: Range<usize>,
}

/// What stands before the data.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    /// By name.
    pub(super) entries: Vec<Entry>,
    pub(super) metadata: BTreeMap<String, String>,
}

impl Header {
    /// Reads and checks the header of a file with `data` bytes after it.
    pub(super) fn parse(header: &[u8], data: usize) -> Result<Self> {
        let json = Json::parse(header, FormatKind::Header).map_err(inside_header)?;
        let all = json.object().ok_or(fail(FormatKind::Header, "a JSON object", LENGTH))?;
        let text = |(key, value): (&str, &Json<'_>)| Some((key.to_owned(), value.text()?.to_owned()));
        let metadata = all.get(METADATA).and_then(Json::object);
        let metadata = metadata.map(|metadata| metadata.iter().filter_map(text).collect()).unwrap_or_default();
        let tensors = all.iter().filter(|(name, _)| *name != METADATA);
        let entries: Vec<Entry> = tensors.map(|(name, json)| entry(name, json, data)).collect::<Result<_>>()?;
        let mut spans: Vec<&Range<usize>> = entries.iter().map(|entry| &entry.span).collect();
        spans.sort_unstable_by_key(|span| (span.start, span.end));
        let mut end = 0;
        for span in spans {
            if span.start != end {
                let kind = if span.start < end { FormatKind::Overlap } else { FormatKind::Bounds };
                return Err(fail(kind, "tensors that follow each other", LENGTH + header.len() + span.start));
            }
            end = span.end;
        }
        let whole = fail(FormatKind::Bounds, "data of a tensor", LENGTH + header.len() + data);
        if end == data { Ok(Self { entries, metadata }) } else { Err(whole) }
    }
}

/// Moves the offset of a JSON error past the length.
fn inside_header(error: Error) -> Error {
    match error {
        Error::Format { kind, what, offset } => fail(kind, what, offset + LENGTH),
        other => other,
    }
}

/// One entry of a header whose file has `data` bytes of data.
fn entry(name: &str, json: &Json<'_>, data: usize) -> Result<Entry> {
    let entry = json.object().ok_or(fail(FormatKind::Header, "entry of a tensor", LENGTH))?;
    let part = |key: &str, what| entry.get(key).ok_or(fail(FormatKind::Header, what, LENGTH));
    let known = part("dtype", "dtype of a tensor")?.text().unwrap_or_default();
    let dtype = TYPES.iter().find(|(name, _)| *name == known).map(|(_, dtype)| *dtype);
    let dtype = dtype.ok_or(fail(FormatKind::Dtype, "dtype that can be read", LENGTH))?;
    let axes = part("shape", "shape of a tensor")?.list().ok_or(fail(FormatKind::Header, "list of axes", LENGTH))?;
    let shape: Option<Vec<usize>> = axes.iter().map(Json::count).collect();
    let shape = shape.ok_or(fail(FormatKind::Shape, "axes that are whole and not negative", LENGTH))?;
    let offsets = part("data_offsets", "data_offsets of a tensor")?.list().unwrap_or_default();
    let [begin, end] = offsets else { return Err(fail(FormatKind::Header, "two data_offsets", LENGTH)) };
    let (begin, end) = begin.count().zip(end.count()).ok_or(fail(FormatKind::Header, "whole data_offsets", LENGTH))?;
    if begin > end || end > data {
        return Err(fail(FormatKind::Bounds, "data_offsets inside of the file", LENGTH));
    }
    if elements(&shape)?.checked_mul(dtype.size()) != Some(end - begin) {
        return Err(fail(FormatKind::Shape, "shape that needs as many bytes as there are", LENGTH));
    }
    Ok(Entry { name: name.to_owned(), dtype, shape, span: begin..end })
}

/// A file with these tensors and these texts as metadata; the header is padded so that data begins at a multiple of 8.
///
/// # Errors
/// [`Error::Unsupported`] for a tensor that is not row-major, for a name that comes twice, and for the name
/// `__metadata__`.
pub fn write(tensors: &[(&str, Tensor<'_>)], metadata: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut order: Vec<&(&str, Tensor<'_>)> = tensors.iter().collect();
    // wide elements first keeps every tensor aligned
    order.sort_by(|a, b| b.1.dtype().size().cmp(&a.1.dtype().size()).then(a.0.cmp(b.0)));
    let (mut header, mut data) = (String::from("{"), Vec::<u8>::new());
    if !metadata.is_empty() {
        header.push_str("\"__metadata__\":{");
        for (index, (key, text)) in metadata.iter().enumerate() {
            header.push_str(if index == 0 { "" } else { "," });
            write_string(key, &mut header);
            header.push(':');
            write_string(text, &mut header);
        }
        header.push_str(if tensors.is_empty() { "}" } else { "}," });
    }
    for (index, (name, tensor)) in order.into_iter().enumerate() {
        let twice = tensors.iter().filter(|(other, _)| other == name).count() > 1;
        if twice || *name == METADATA {
            return Err(Error::Unsupported { what: "tensors of the same name, or of the name __metadata__" });
        }
        header.push_str(if index == 0 { "" } else { "," });
        write_entry(name, tensor, data.len(), &mut header);
        let bytes = tensor.row_major_bytes();
        data.extend(bytes.ok_or(Error::Unsupported { what: "writing of a tensor that is not row-major" })?);
    }
    header.push('}');
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    Ok(file)
}

fn write_entry(name: &str, tensor: &Tensor<'_>, begin: usize, header: &mut String) {
    let dtype = TYPES.iter().find(|(_, dtype)| *dtype == tensor.dtype()).map_or("F32", |(name, _)| name);
    let axes: Vec<String> = tensor.shape().iter().map(ToString::to_string).collect();
    let end = begin + tensor.shape().iter().product::<usize>() * tensor.dtype().size();
    write_string(name, header);
    header.push_str(&alloc::format!(
        ":{{\"dtype\":\"{dtype}\",\"shape\":[{}],\"data_offsets\":[{begin},{end}]}}",
        axes.join(",")
    ));
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use ndarray::{Array0, array};

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    fn kind(header: &str, data: &[u8]) -> FormatKind {
        read(&file(header, data)).unwrap_err().format_kind().unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let matrix = Tensor::from_array(&array![[1.0, -2.5]], Dtype::F32).unwrap();
        let wide = Tensor::from_array(&Array0::from_elem((), 0.1), Dtype::F64).unwrap();
        let bytes = write(&[("a", matrix.clone()), ("b \"1\"", wide.clone())], &[("format", "pt")]).unwrap();
        let tensors = read(&bytes).unwrap();
        assert_eq!((&tensors["a"], &tensors["b \"1\""], tensors.len()), (&matrix, &wide, 2));
        assert_eq!(read(&write(&[], &[("k", "v")]).unwrap()).unwrap().len(), 0);
        assert_eq!(read(&write(&[], &[]).unwrap()).unwrap().len(), 0);
        assert!(write(&[("a", matrix.clone()), ("a", matrix.clone())], &[]).is_err());
        assert!(write(&[("__metadata__", matrix)], &[]).is_err());
    }

    #[test]
    fn impossible_entries_are_named() {
        let entry = |dtype: &str, shape: &str, offsets: &str| {
            format!(r#"{{"w": {{"dtype": "{dtype}", "shape": {shape}, "data_offsets": {offsets}}}}}"#)
        };
        assert!(read(&file(&entry("F32", "[2]", "[0, 8]"), &[0; 8])).is_ok());
        for (header, expected) in [
            (entry("F31", "[2]", "[0, 8]"), FormatKind::Dtype),
            (entry("F32", "[-2]", "[0, 8]"), FormatKind::Shape),
            (entry("F32", "[3]", "[0, 8]"), FormatKind::Shape),
            (entry("F32", "[4294967296, 4294967296, 4294967296]", "[0, 8]"), FormatKind::Shape),
            (entry("F32", "[2]", "[8, 0]"), FormatKind::Bounds),
            (entry("F32", "[3]", "[0, 12]"), FormatKind::Bounds),
            (entry("F32", "[1]", "[0, 4]"), FormatKind::Bounds),
            (entry("F32", "[1]", "[4, 8]"), FormatKind::Bounds),
            (entry("F32", "[2]", "[0]"), FormatKind::Header),
            (entry("F32", "2", "[0, 8]"), FormatKind::Header),
            ("[]".into(), FormatKind::Header),
            ("{\"w\": 1}".into(), FormatKind::Header),
            ("{\"w\": {\"dtype\": \"F32\"}}".into(), FormatKind::Header),
        ] {
            assert_eq!(kind(&header, &[0; 8]), expected, "{header}");
        }
        let one = r#""dtype": "F32", "shape": [2], "data_offsets": [0, 8]"#;
        assert_eq!(kind(&format!("{{\"a\": {{{one}}}, \"b\": {{{one}}}}}"), &[0; 8]), FormatKind::Overlap);
        assert_eq!(kind(&format!("{{\"a\": {{{one}}}, \"a\": {{{one}}}}}"), &[0; 8]), FormatKind::Header);
    }

    #[test]
    fn a_file_that_ends_early_is_truncated() {
        let whole = write(&[("a", Tensor::from_array(&array![1.0, 2.0], Dtype::F32).unwrap())], &[]).unwrap();
        let header = whole.len() - 8;
        for end in 0..whole.len() {
            let kind = read(&whole[..end]).unwrap_err().format_kind().unwrap();
            assert_eq!(kind, if end < header { FormatKind::Truncated } else { FormatKind::Bounds }, "{end}");
        }
        let huge = [&(1_u64 << 63).to_le_bytes()[..], b"{}"].concat();
        assert_eq!(read(&huge).unwrap_err().format_kind(), Some(FormatKind::Truncated));
    }
}
