//! Activations in a safetensors file that is larger than memory: read stretch by stretch.
//!
//! The file holds a matrix with a sample per row, such as one token each, and any number of columns with one number per
//! sample, such as the document and the position that it comes from.

use alloc::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::Array2;

use super::disk::{DiskError, Result};
use super::fail;
use super::safetensors::{Entry, Header, LENGTH, MAX_HEADER};
use super::tensor::{Dtype, values};
use crate::{Error, FormatKind, Scalar};

/// Name of the matrix where a file holds several.
const USUAL: &str = "activations";

/// An open file of activations.
#[derive(Debug)]
pub struct ActivationFile {
    file: File,
    path: PathBuf,
    /// Bytes before the data.
    start: u64,
    matrix: Entry,
    columns: Vec<Entry>,
    metadata: BTreeMap<String, String>,
}

impl ActivationFile {
    /// Opens a file; `name` chooses the matrix, `None` the one called `activations`, or the only one of floats.
    ///
    /// # Errors
    /// [`DiskError::Io`]; [`DiskError::Format`] for a file that is not whole or not safetensors, of the kind `Missing` where
    /// there is no such matrix of floats and `Ambiguous` where there are several.
    ///
    /// # Example
    /// ```
    /// use limpid::formats::{Dtype, Tensor, activations::ActivationFile, safetensors};
    /// use ndarray::array;
    ///
    /// let path = std::env::temp_dir().join("limpid-activations-example.safetensors");
    /// let x = Tensor::from_array(&array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], Dtype::F32)?;
    /// std::fs::write(&path, safetensors::write(&[("activations", x)], &[])?)?;
    /// let mut file = ActivationFile::open(&path, None)?;
    /// assert_eq!((file.rows(), file.width()), (3, 2));
    /// assert_eq!(file.read::<f32>(1..2)?, array![[3.0, 4.0]]);
    /// let rows: Vec<usize> = file.batches::<f32>(2).map(|x| x.map(|x| x.nrows())).collect::<Result<_, _>>()?;
    /// assert_eq!(rows, [2, 1]);
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(path: impl AsRef<Path>, name: Option<&str>) -> Result<Self> {
        let path = path.as_ref();
        let io = |error| DiskError::Io { path: path.to_owned(), error };
        let mut file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let mut length = [0; LENGTH];
        file.read_exact(&mut length).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => fail(FormatKind::Truncated, "length of the safetensors header", 0).into(),
            _ => io(error),
        })?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER as u64 {
            return Err(fail(FormatKind::Limit, "length of the safetensors header", 0).into());
        }
        let start = LENGTH as u64 + length;
        let data = size.checked_sub(start).and_then(|data| usize::try_from(data).ok());
        let data = data.ok_or(fail(FormatKind::Truncated, "safetensors header", LENGTH))?;
        let mut header = Vec::new();
        file.by_ref().take(length).read_to_end(&mut header).map_err(io)?;
        let Header { entries, metadata } = Header::parse(&header, data)?;
        let matrix = choose(&entries, name)?.clone();
        let columns = entries.into_iter().filter(|entry| entry.shape == [matrix.shape[0]]).collect();
        Ok(Self { file, path: path.to_owned(), start, matrix, columns, metadata })
    }

    /// Number of samples.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.matrix.shape[0]
    }

    /// Numbers of one sample.
    #[must_use]
    pub fn width(&self) -> usize {
        self.matrix.shape[1]
    }

    /// Texts of the header.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Names of the columns with one number per sample.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|entry| entry.name.as_str())
    }

    /// These rows, `(rows.len(), width)`; rows past the last are left out.
    ///
    /// # Errors
    /// [`DiskError::Io`].
    pub fn read<T: Scalar>(&mut self, rows: Range<usize>) -> Result<Array2<T>> {
        let (from, to) = (rows.start.min(self.rows()), rows.end.min(self.rows()));
        let width = self.width();
        let bytes = self.bytes(self.matrix.span.start, self.matrix.dtype, from * width..to.max(from) * width)?;
        let shape = (to.saturating_sub(from), width);
        let matrix = Array2::from_shape_vec(shape, values(self.matrix.dtype, &bytes));
        matrix.map_err(|_| fail(FormatKind::Shape, "rows of the matrix", 0).into())
    }

    /// A stretch of a column of whole numbers, such as document, position or token.
    ///
    /// # Errors
    /// [`DiskError::Io`]; [`DiskError::Format`] of the kind `Missing` for a column that is not there, and of the kind
    /// `Dtype` for one that is not of unsigned numbers up to 32 bits.
    pub fn column(&mut self, name: &str, rows: Range<usize>) -> Result<Vec<u32>> {
        let found = self.columns.iter().find(|entry| entry.name == name);
        let Entry { dtype, span, .. } = found.ok_or(fail(FormatKind::Missing, "column of the samples", 0))?.clone();
        let (from, to) = (rows.start.min(self.rows()), rows.end.min(self.rows()));
        let bytes = self.bytes(span.start, dtype, from..to.max(from))?;
        match dtype {
            Dtype::U32 => Ok(bytes.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect()),
            Dtype::U16 => Ok(bytes.as_chunks().0.iter().map(|&bytes| u16::from_le_bytes(bytes).into()).collect()),
            Dtype::U8 => Ok(bytes.into_iter().map(u32::from).collect()),
            _ => Err(fail(FormatKind::Dtype, "a column of unsigned numbers up to 32 bits", 0).into()),
        }
    }

    /// All rows from the first to the last, `rows` at a time; the last matrix may have fewer.
    pub fn batches<T: Scalar>(mut self, rows: usize) -> impl Iterator<Item = Result<Array2<T>>> {
        let step = rows.max(1);
        (0..self.rows()).step_by(step).map(move |from| self.read(from..from.saturating_add(step)))
    }

    /// The bytes of elements of a tensor that begins at `begin`.
    fn bytes(&mut self, begin: usize, dtype: Dtype, elements: Range<usize>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; elements.len() * dtype.size()];
        let at = self.start + (begin + elements.start * dtype.size()) as u64;
        let read = self.file.seek(SeekFrom::Start(at)).and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(|error| DiskError::Io { path: self.path.clone(), error })?;
        Ok(bytes)
    }
}

/// The matrix that is meant.
fn choose<'a>(entries: &'a [Entry], name: Option<&str>) -> core::result::Result<&'a Entry, Error> {
    let usable = |entry: &&Entry| entry.shape.len() == 2 && entry.dtype.is_float() && entry.shape[1] > 0;
    let missing = fail(FormatKind::Missing, "a matrix of floats with a sample per row", 0);
    let named = |wanted: &str| entries.iter().filter(usable).find(|entry| entry.name == wanted);
    if let Some(name) = name {
        return named(name).ok_or(missing);
    }
    let mut all = entries.iter().filter(usable);
    match (named(USUAL), all.next(), all.next()) {
        (Some(usual), ..) => Ok(usual),
        (None, Some(only), None) => Ok(only),
        (None, Some(_), Some(_)) => {
            Err(fail(FormatKind::Ambiguous, "several matrices, of which one is to be named", 0))
        }
        _ => Err(missing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{Tensor, safetensors};
    use ndarray::array;
    use std::fs;

    fn kind<V>(result: Result<V>) -> Option<FormatKind> {
        match result.err()? {
            DiskError::Format(error) => error.format_kind(),
            DiskError::Io { .. } => None,
        }
    }

    #[test]
    fn stretches_are_what_was_written() {
        let path = std::env::temp_dir().join(format!("limpid-activations-{}", std::process::id()));
        let x = Array2::from_shape_fn((5, 3), |(i, j)| (10 * i + j) as f32);
        let words = |dtype, bytes: &[u8]| Tensor::new(dtype, &[5], bytes.to_vec()).unwrap();
        let token: Vec<u8> = (0..5_u32).flat_map(|t| (t * 1000).to_le_bytes()).collect();
        let tensors = [
            ("x", Tensor::from_array(&x, Dtype::F16).unwrap()),
            ("token", words(Dtype::U32, &token)),
            ("flag", words(Dtype::U8, &[1, 0, 1, 0, 1])),
            ("signed", words(Dtype::I8, &[1, 0, 1, 0, 1])),
        ];
        let bytes = safetensors::write(&tensors, &[("layer", "3")]).unwrap();
        fs::write(&path, &bytes).unwrap();
        let mut file = ActivationFile::open(&path, None).unwrap();
        assert_eq!((file.rows(), file.width(), file.metadata()["layer"].as_str()), (5, 3, "3"));
        assert_eq!(file.columns().collect::<Vec<_>>(), ["flag", "signed", "token"]);
        assert_eq!(file.read::<f32>(1..3).unwrap(), array![[10.0, 11.0, 12.0], [20.0, 21.0, 22.0]]);
        assert_eq!(file.read::<f64>(4..9).unwrap(), array![[40.0, 41.0, 42.0]]);
        assert_eq!(file.read::<f64>(7..9).unwrap().dim(), (0, 3));
        assert_eq!(file.column("token", 2..4).unwrap(), [2000, 3000]);
        assert_eq!(file.column("flag", 3..9).unwrap(), [0, 1]);
        assert_eq!(kind(file.column("signed", 0..1)), Some(FormatKind::Dtype));
        assert_eq!(kind(file.column("x", 0..1)), Some(FormatKind::Missing));
        let all: Vec<Array2<f32>> = file.batches(2).collect::<Result<_>>().unwrap();
        let views: Vec<_> = all.iter().map(|x| x.view()).collect();
        assert_eq!(ndarray::concatenate(ndarray::Axis(0), &views).unwrap(), x);
        // a file that is cut is refused when it is opened
        for end in [0, 5, 30, bytes.len() - 1] {
            fs::write(&path, &bytes[..end]).unwrap();
            let expected = if end > 300 { FormatKind::Bounds } else { FormatKind::Truncated };
            assert_eq!(kind(ActivationFile::open(&path, None)), Some(expected), "{end}");
        }
        fs::remove_file(&path).unwrap();
        assert!(matches!(ActivationFile::open(&path, None), Err(DiskError::Io { .. })));
    }

    #[test]
    fn the_matrix_is_found_or_asked_for() {
        let entry =
            |name: &str, shape: &[usize], dtype| Entry { name: name.into(), dtype, shape: shape.into(), span: 0..0 };
        let all = [
            entry("a", &[4, 2], Dtype::F32),
            entry("activations", &[4, 3], Dtype::F32),
            entry("ids", &[4, 2], Dtype::U32),
        ];
        assert_eq!(choose(&all, None).unwrap().name, "activations");
        assert_eq!(choose(&all, Some("a")).unwrap().name, "a");
        assert_eq!(choose(&all[..1], None).unwrap().name, "a");
        let kind = |entries: &[Entry], name| choose(entries, name).unwrap_err().format_kind().unwrap();
        assert_eq!(kind(&all, Some("ids")), FormatKind::Missing);
        assert_eq!(kind(&all[2..], None), FormatKind::Missing);
        assert_eq!(kind(&[all[0].clone(), entry("b", &[1, 1], Dtype::Bf16)], None), FormatKind::Ambiguous);
    }
}
