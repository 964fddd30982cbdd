//! Reads the source tree, with comments and literals blanked, for tests about the code itself.

use std::fs;
use std::path::Path;

/// One Rust file: its path from the root of the package, and its text.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The text with comments, strings and characters replaced by spaces; every line keeps its number.
    pub(crate) fn code(&self) -> String {
        code_only(&self.text)
    }
}

/// Every Rust file under the given folders of the package; build outputs are left out.
pub(crate) fn rust_files(folders: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    folders.iter().for_each(|folder| collect(root, &root.join(folder), &mut files));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.expect("a readable entry").path()) {
        if path.is_dir() && !path.ends_with("target") {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).expect("a path under the root").to_string_lossy().replace('\\', "/");
            files.push(Source::new(&name, &fs::read_to_string(&path).expect("a readable file")));
        }
    }
}

fn code_only(text: &str) -> String {
    let mut left = text;
    let mut code = String::with_capacity(text.len());
    while let Some(first) = left.chars().next() {
        let skipped = skipped_length(left, code.chars().next_back());
        let (piece, rest) = left.split_at(if skipped == 0 { first.len_utf8() } else { skipped });
        if skipped == 0 {
            code.push(first);
        } else {
            code.extend(piece.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        }
        left = rest;
    }
    code
}

/// Bytes of the comment or literal that `left` starts with; 0 where it starts with code.
fn skipped_length(left: &str, before: Option<char>) -> usize {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let hashes = left.strip_prefix('r').map_or(0, |rest| rest.len() - rest.trim_start_matches('#').len());
    if left.starts_with("//") {
        left.find('\n').unwrap_or(left.len())
    } else if left.starts_with("/*") {
        left.find("*/").map_or(left.len(), |end| end + 2)
    } else if !in_word && left.starts_with('r') && left[1 + hashes..].starts_with('"') {
        let close = format!("\"{}", "#".repeat(hashes));
        left[2 + hashes..].find(&close).map_or(left.len(), |end| 2 + hashes + end + close.len())
    } else if left.starts_with('"') {
        quoted_length(left, '"')
    } else if left.starts_with("'\\") || (left.starts_with('\'') && left.chars().nth(2) == Some('\'')) {
        quoted_length(left, '\'')
    } else {
        0
    }
}

/// Bytes of the literal that starts with `quote` and ends with the next one that is not escaped.
fn quoted_length(left: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in left.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    left.len()
}
