//! A text file, line by line, as token ids: each line is a document.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use tokenizers::{Tokenizer, TruncationParams};

use crate::Result;

/// Longest line that is read.
const MAX_LINE: u64 = 1 << 20;

/// Reads `tokenizer.json`; padding is off, and lines are truncated to `longest` tokens, special ones included.
///
/// # Errors
/// A missing or damaged file.
pub fn tokenizer(folder: &Path, longest: usize) -> Result<Tokenizer> {
    let path = folder.join("tokenizer.json");
    let named = |e: &dyn std::fmt::Display| crate::bert::one_line(&format!("{}: {e}", path.display()));
    std::fs::metadata(&path).map_err(|e| named(&e))?;
    let mut tokenizer = Tokenizer::from_file(&path).map_err(|e| named(&e))?;
    let truncation = TruncationParams { max_length: longest, ..Default::default() };
    tokenizer.with_padding(None).with_truncation(Some(truncation)).map_err(|e| named(&e))?;
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
    line: u32,
    max_lines: u32,
}

impl<'a> Documents<'a> {
    /// Opens a text file; at most `max_lines` lines of it are read.
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub fn open(path: &Path, tokenizer: &'a Tokenizer, max_lines: Option<u32>) -> Result<Self> {
        let file = File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let max_lines = max_lines.unwrap_or(u32::MAX);
        Ok(Self { reader: BufReader::new(file), tokenizer, path: path.to_owned(), line: 0, max_lines })
    }

    fn read(&mut self) -> Result<Option<Document>> {
        let named = |line: u32, e: &dyn std::fmt::Display| {
            format!("{}, line {}: {e}", self.path.display(), u64::from(line) + 1)
        };
        while self.line < self.max_lines {
            let mut bytes = Vec::new();
            let line = self.line;
            self.reader.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut bytes).map_err(|e| named(line, &e))?;
            if bytes.is_empty() {
                return Ok(None);
            }
            if bytes.len() as u64 > MAX_LINE {
                return Err(named(line, &"longer than 1 MiB").into());
            }
            self.line += 1;
            let text = std::str::from_utf8(&bytes).map_err(|_| named(line, &"not UTF-8"))?.trim();
            if text.is_empty() {
                continue;
            }
            let encoding = self.tokenizer.encode(text, true).map_err(|e| named(line, &e))?;
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
        self.read().transpose()
    }
}
