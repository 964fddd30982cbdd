//! A text file, line by line, as token ids: each line is a document.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use tokenizers::{Tokenizer, TruncationParams};

use crate::{Error, Result};

/// Longest line that is read.
const MAX_LINE: u64 = 1 << 20;

/// Reads `tokenizer.json`; padding is off, and lines are truncated to `longest` tokens, special ones included.
///
/// # Errors
/// A missing or damaged file.
pub fn tokenizer(folder: &Path, longest: usize) -> Result<Tokenizer> {
    let path = folder.join("tokenizer.json");
    std::fs::metadata(&path).map_err(|e| Error::at(&path, e))?;
    let mut tokenizer =
        Tokenizer::from_file(&path).map_err(|e| Error::at(&path, format!("truncated or damaged: {e}")))?;
    let truncation = TruncationParams { max_length: longest, ..Default::default() };
    tokenizer.with_padding(None).with_truncation(Some(truncation)).map_err(|e| Error::at(&path, e))?;
    Ok(tokenizer)
}

/// One line of the text.
#[derive(Debug, Clone)]
pub struct Document {
    /// Line number in the file, from 0.
    pub line: u32,
    pub tokens: Vec<u32>,
    /// Whether tokens beyond the model's maximum were dropped.
    pub truncated: bool,
}

/// The documents of a file, one after the other; blank lines are left out.
pub struct Documents<'a> {
    reader: BufReader<File>,
    tokenizer: &'a Tokenizer,
    path: PathBuf,
    size: u64,
    seen: u64,
    line: u32,
    max_lines: u32,
    labelled: bool,
}

impl<'a> Documents<'a> {
    /// Opens a text file; at most `max_lines` lines of it are read.
    ///
    /// # Errors
    /// A file that cannot be opened, or that cannot be read twice, such as a pipe.
    pub fn open(path: &Path, tokenizer: &'a Tokenizer, max_lines: Option<u32>) -> Result<Self> {
        // asked before it is opened: to open a pipe would wait for a writer
        let about = std::fs::metadata(path).map_err(|e| Error::at(path, e))?;
        if !about.is_file() {
            return Err(Error::at(path, "not a regular file; the text is read twice"));
        }
        let reader = BufReader::new(File::open(path).map_err(|e| Error::at(path, e))?);
        let max_lines = max_lines.unwrap_or(u32::MAX);
        let (path, size) = (path.to_owned(), about.len());
        Ok(Self { reader, tokenizer, path, size, seen: 0, line: 0, max_lines, labelled: false })
    }

    /// Leaves out a 0 or 1 in front of a line, which is its label.
    #[must_use]
    pub fn without_labels(self) -> Self {
        Self { labelled: true, ..self }
    }

    /// Thousandths of the text, or of the lines asked for, that have been read.
    #[must_use]
    pub fn read_so_far(&self) -> u64 {
        let bytes = self.seen.min(self.size) * 1000 / self.size.max(1);
        bytes.max(u64::from(self.line) * 1000 / u64::from(self.max_lines.max(1)))
    }

    fn wrong(&self, line: u32, says: &dyn Display) -> Error {
        Error(format!("{}, line {}: {says}", self.path.display(), u64::from(line) + 1))
    }

    /// The next line without its end; `None` after the last.
    fn line(&mut self) -> Result<Option<(u32, String)>> {
        let (line, mut bytes) = (self.line, Vec::new());
        if line == self.max_lines {
            return Ok(None);
        }
        let read = self.reader.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut bytes);
        self.seen += read.map_err(|e| self.wrong(line, &e))? as u64;
        if bytes.is_empty() {
            return Ok(None);
        }
        if bytes.len() as u64 > MAX_LINE {
            return Err(self.wrong(line, &"longer than 1 MiB"));
        }
        self.line += 1;
        Ok(Some((line, String::from_utf8(bytes).map_err(|_| self.wrong(line, &"not UTF-8"))?)))
    }

    fn document(&mut self) -> Result<Option<Document>> {
        while let Some((line, text)) = self.line()? {
            let mut text = text.trim();
            if let Some(("0" | "1", rest)) = text.split_once(char::is_whitespace).filter(|_| self.labelled) {
                text = rest.trim_start();
            }
            if text.is_empty() {
                continue;
            }
            let encoding = self.tokenizer.encode(text, true).map_err(|e| self.wrong(line, &e))?;
            let truncated = !encoding.get_overflowing().is_empty();
            let tokens = encoding.get_ids().to_vec();
            if !tokens.is_empty() {
                return Ok(Some(Document { line, tokens, truncated }));
            }
        }
        Ok(None)
    }
}

impl Iterator for Documents<'_> {
    type Item = Result<Document>;

    fn next(&mut self) -> Option<Self::Item> {
        self.document().transpose()
    }
}
