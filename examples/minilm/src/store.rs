//! The safetensors file of captured activations, written and read piece by piece.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Result;

const COLUMNS: [&str; 3] = ["document", "position", "token"];
/// A header is small; a larger one is no file of ours.
const MAX_HEADER: u64 = 1 << 20;

/// Where the tensors of a file with `rows` rows and `neurons` columns lie.
#[derive(Debug, Clone)]
struct Layout {
    start: u64,
    rows: u64,
    neurons: u64,
}

impl Layout {
    fn row(&self, row: u64) -> u64 {
        self.start + row * self.neurons * 4
    }

    fn column(&self, column: usize, row: u64) -> u64 {
        self.start + (self.rows * self.neurons + column as u64 * self.rows + row) * 4
    }
}

/// A file in the making, under a temporary name until [`Writer::finish`].
pub struct Writer {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    layout: Layout,
    done: bool,
}

impl Writer {
    /// Starts a file of exactly `rows` rows.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn create(path: &Path, rows: u64, neurons: u64, metadata: &Value) -> Result<Self> {
        let wide = rows * neurons * 4;
        let mut header = json!({
            "__metadata__": metadata,
            "activations": { "dtype": "F32", "shape": [rows, neurons], "data_offsets": [0, wide] },
        });
        for (i, name) in COLUMNS.iter().enumerate() {
            let from = wide + i as u64 * rows * 4;
            header[name] = json!({ "dtype": "U32", "shape": [rows], "data_offsets": [from, from + rows * 4] });
        }
        let mut header = header.to_string().into_bytes();
        header.resize(header.len().next_multiple_of(8), b' ');
        let name = path.file_name().ok_or_else(|| format!("{}: not a file name", path.display()))?;
        let temporary = path.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
        let file = File::create(&temporary).map_err(|e| format!("{}: {e}", path.display()))?;
        let layout = Layout { start: 8 + header.len() as u64, rows, neurons };
        let mut writer = Self { file, temporary, path: path.to_owned(), layout, done: false };
        writer.put(0, &(header.len() as u64).to_le_bytes())?;
        writer.put(8, &header)?;
        Ok(writer)
    }

    fn put(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        let put = self.file.seek(SeekFrom::Start(at)).and_then(|_| self.file.write_all(bytes));
        Ok(put.map_err(|e| format!("{}: {e}", self.path.display()))?)
    }

    /// Writes one document's rows from `row` on.
    ///
    /// # Errors
    /// Rows beyond the size that was stated, or a disk that is full.
    pub fn write(&mut self, row: u64, activations: &[f32], document: u32, tokens: &[u32]) -> Result<()> {
        let length = tokens.len() as u64;
        if row + length > self.layout.rows || activations.len() as u64 != length * self.layout.neurons {
            return Err(format!("{}: the text changed while it was read", self.path.display()).into());
        }
        let bytes: Vec<u8> = activations.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.put(self.layout.row(row), &bytes)?;
        let positions = (0_u32..).take(tokens.len());
        let columns: [Vec<u8>; 3] = [
            tokens.iter().flat_map(|_| document.to_le_bytes()).collect(),
            positions.flat_map(u32::to_le_bytes).collect(),
            tokens.iter().flat_map(|id| id.to_le_bytes()).collect(),
        ];
        columns.iter().enumerate().try_for_each(|(i, bytes)| self.put(self.layout.column(i, row), bytes))
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// A disk that fails.
    pub fn finish(mut self) -> Result<()> {
        let end = self.file.sync_all().and_then(|()| fs::rename(&self.temporary, &self.path));
        end.map_err(|e| format!("{}: {e}", self.path.display()))?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// A captured file, read piece by piece.
pub struct Reader {
    file: File,
    path: PathBuf,
    layout: Layout,
    pub metadata: Value,
}

impl Reader {
    /// Opens a file that [`Writer`] wrote.
    ///
    /// # Errors
    /// A file that is missing, damaged or something else.
    pub fn open(path: &Path) -> Result<Self> {
        let named = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        let mut file = File::open(path).map_err(|e| named(&e))?;
        let size = file.metadata().map_err(|e| named(&e))?.len();
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(|_| named(&"not a safetensors file"))?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER || length + 8 > size {
            return Err(named(&"not a file of captured activations").into());
        }
        let mut header = Vec::new();
        Read::by_ref(&mut file).take(length).read_to_end(&mut header).map_err(|e| named(&e))?;
        let header: Value = serde_json::from_slice(&header).map_err(|e| named(&e))?;
        let shape = &header["activations"]["shape"];
        let (Some(rows), Some(neurons)) = (shape[0].as_u64(), shape[1].as_u64()) else {
            return Err(named(&"no tensor \"activations\" of two axes").into());
        };
        let cells = rows.checked_mul(neurons).and_then(|n| n.checked_add(rows.checked_mul(3)?)?.checked_mul(4));
        let right = cells.is_some_and(|bytes| bytes.checked_add(8 + length) == Some(size));
        if !right || rows == 0 || neurons == 0 || header["activations"]["dtype"] != "F32" {
            return Err(named(&"truncated, or not a file of captured activations").into());
        }
        let layout = Layout { start: 8 + length, rows, neurons };
        Ok(Self { file, path: path.to_owned(), layout, metadata: header["__metadata__"].clone() })
    }

    #[must_use]
    pub fn rows(&self) -> u64 {
        self.layout.rows
    }

    #[must_use]
    pub fn neurons(&self) -> u64 {
        self.layout.neurons
    }

    fn get(&mut self, at: u64, words: u64) -> Result<Vec<[u8; 4]>> {
        let named = |e: &dyn std::fmt::Display| format!("{}: {e}", self.path.display());
        let size = usize::try_from(words * 4).map_err(|e| named(&e))?;
        let mut bytes = vec![0; size];
        self.file.seek(SeekFrom::Start(at)).and_then(|_| self.file.read_exact(&mut bytes)).map_err(|e| named(&e))?;
        Ok(bytes.as_chunks().0.to_vec())
    }

    /// Activations of `count` rows from `row` on.
    ///
    /// # Errors
    /// A disk that fails.
    pub fn activations(&mut self, row: u64, count: u64) -> Result<Vec<f32>> {
        let words = self.get(self.layout.row(row), count * self.layout.neurons)?;
        Ok(words.into_iter().map(f32::from_le_bytes).collect())
    }

    /// A stretch of one of the columns `document` (0), `position` (1) and `token` (2).
    ///
    /// # Errors
    /// A disk that fails.
    pub fn column(&mut self, column: usize, row: u64, count: u64) -> Result<Vec<u32>> {
        let words = self.get(self.layout.column(column, row), count)?;
        Ok(words.into_iter().map(u32::from_le_bytes).collect())
    }
}
