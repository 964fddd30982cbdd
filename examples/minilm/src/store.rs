//! The safetensors file of captured activations, written and read piece by piece.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::draft::Draft;
use crate::{Error, Result};

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

/// What the header says of the tensors.
fn tensors(rows: u64, neurons: u64) -> Map<String, Value> {
    let wide = rows * neurons * 4;
    let activations = json!({ "dtype": "F32", "shape": [rows, neurons], "data_offsets": [0, wide] });
    let column = |(i, name): (u64, &&str)| {
        let from = wide + i * rows * 4;
        ((*name).to_owned(), json!({ "dtype": "U32", "shape": [rows], "data_offsets": [from, from + rows * 4] }))
    };
    let columns = (0..).zip(&COLUMNS).map(column);
    std::iter::once(("activations".to_owned(), activations)).chain(columns).collect()
}

/// Fills a draft with a file of captured activations.
pub struct Writer {
    draft: Draft,
    layout: Layout,
}

impl Writer {
    /// Writes the header of a file of exactly `rows` rows.
    ///
    /// # Errors
    /// A disk that is full or fails.
    pub fn new(mut draft: Draft, rows: u64, neurons: u64, metadata: &Value) -> Result<Self> {
        let mut header = tensors(rows, neurons);
        header.insert("__metadata__".to_owned(), metadata.clone());
        let mut header = Value::Object(header).to_string().into_bytes();
        header.resize(header.len().next_multiple_of(8), b' ');
        draft.put(0, &(header.len() as u64).to_le_bytes())?;
        draft.put(8, &header)?;
        Ok(Self { draft, layout: Layout { start: 8 + header.len() as u64, rows, neurons } })
    }

    /// Writes one document's rows from `row` on.
    ///
    /// # Errors
    /// Rows beyond the size that was stated, or a disk that is full.
    pub fn write(&mut self, row: u64, activations: &[f32], document: u32, tokens: &[u32]) -> Result<()> {
        let length = tokens.len() as u64;
        if row + length > self.layout.rows || activations.len() as u64 != length * self.layout.neurons {
            return Err(Error::at(self.draft.path(), "the text changed while it was read"));
        }
        let bytes: Vec<u8> = activations.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.draft.put(self.layout.row(row), &bytes)?;
        let positions = (0_u32..).take(tokens.len());
        let columns: [Vec<u8>; 3] = [
            tokens.iter().flat_map(|_| document.to_le_bytes()).collect(),
            positions.flat_map(u32::to_le_bytes).collect(),
            tokens.iter().flat_map(|id| id.to_le_bytes()).collect(),
        ];
        columns.iter().enumerate().try_for_each(|(i, bytes)| self.draft.put(self.layout.column(i, row), bytes))
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// A disk that fails.
    pub fn finish(self) -> Result<()> {
        self.draft.finish()
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
        let mut file = File::open(path).map_err(|e| Error::at(path, e))?;
        let size = file.metadata().map_err(|e| Error::at(path, e))?.len();
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(|_| Error::at(path, "not a safetensors file"))?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER || length + 8 > size {
            return Err(Error::at(path, "truncated, or not a file of captured activations"));
        }
        let mut header = Vec::new();
        file.by_ref().take(length).read_to_end(&mut header).map_err(|e| Error::at(path, e))?;
        let mut header: Map<String, Value> =
            serde_json::from_slice(&header).map_err(|e| Error::at(path, format!("not a safetensors file: {e}")))?;
        let metadata = header.remove("__metadata__").unwrap_or_default();
        let layout = layout(&header, 8 + length, size).map_err(|says| Error::at(path, says))?;
        Ok(Self { file, path: path.to_owned(), layout, metadata })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
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
        let size = usize::try_from(words * 4).map_err(|e| Error::at(&self.path, e))?;
        let mut bytes = vec![0; size];
        let got = self.file.seek(SeekFrom::Start(at)).and_then(|_| self.file.read_exact(&mut bytes));
        got.map_err(|e| Error::at(&self.path, e))?;
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

/// Checks a header against the file's size, and against what [`Writer`] would say.
fn layout(header: &Map<String, Value>, start: u64, size: u64) -> std::result::Result<Layout, &'static str> {
    let shape = header.get("activations").map(|tensor| &tensor["shape"]);
    let (Some(rows), Some(neurons)) = (shape.and_then(|s| s[0].as_u64()), shape.and_then(|s| s[1].as_u64())) else {
        return Err("no tensor \"activations\" of two axes");
    };
    let words = rows.checked_mul(neurons).and_then(|n| n.checked_add(rows.checked_mul(3)?));
    let bytes = words.and_then(|n| n.checked_mul(4)?.checked_add(start));
    if bytes != Some(size) || rows == 0 || neurons == 0 || *header != tensors(rows, neurons) {
        return Err("truncated, or not a file of captured activations");
    }
    Ok(Layout { start, rows, neurons })
}
