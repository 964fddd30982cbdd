//! Lines with a label in front.

use std::fs;
use std::path::Path;

use limpid::Seed;
use limpid::math::random::shuffle;

use crate::{Error, Result};

/// A labelled text.
pub(crate) struct Line {
    pub(crate) is_positive: bool,
    pub(crate) text: String,
}

/// Reads lines such as `1 a fine film`, in an order of their own: files are often sorted by label.
pub(crate) fn read(path: &Path) -> Result<Vec<Line>> {
    let text = fs::read_to_string(path).map_err(|e| Error::at(path, e))?;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let is_positive = match line.trim_start().split_once(char::is_whitespace) {
            Some(("1", _)) => true,
            Some(("0", _)) => false,
            _ => return Err(Error(format!("{}, line {}: no 0 or 1 at its start", path.display(), number + 1))),
        };
        let text = line.trim_start()[1..].trim().to_owned();
        lines.push(Line { is_positive, text });
    }
    shuffle(&mut Seed(0).stream(0, 0), &mut lines);
    Ok(lines)
}
