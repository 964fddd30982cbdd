//! Plain text: tables whose columns line up by the width that characters have in a terminal.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use ndarray::{ArrayRef1, ArrayRef2};

use super::characters::{cut, visible, width};
use super::scale::{Scale, check_count};
use crate::{Result, Scalar};

/// Settings of plain text.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Text {
    /// Decimals of the numbers, at most 17.
    pub decimals: usize,
    /// Magnitude at which bars are full; the largest one where there is none.
    pub limit: Option<f64>,
    /// Columns of the bars, 0 for none.
    pub bar: usize,
    /// Columns that names may take before they are cut.
    pub name: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self { decimals: 3, limit: None, bar: 24, name: 32 }
    }
}

/// A line for each of `tokens` with its score of `scores: (t)` and a bar, with default settings.
///
/// # Errors
/// As [`Text::tokens`].
///
/// # Example
/// ```
/// use limpid::attribution::render::text;
/// use ndarray::array;
///
/// let lines = text::tokens(&["not", "bad"], &array![-0.5, 1.0])?;
/// assert_eq!(lines, "\
/// 0  not  -0.500        ██████│
/// 1  bad   1.000              │████████████
/// ");
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn tokens<T: Scalar, S: AsRef<str>>(tokens: &[S], scores: &ArrayRef1<T>) -> Result<String> {
    Text::default().tokens(tokens, scores)
}

/// A table of `values: (rows, columns)` with names, with default settings.
///
/// # Errors
/// As [`Text::table`].
///
/// # Example
/// ```
/// use limpid::attribution::render::text;
/// use ndarray::array;
///
/// let table = text::table(&["the", "cat"], &["le", "chat"], &array![[0.9, 0.1], [0.0, -0.5]])?;
/// assert_eq!(table, "\
///         le    chat
/// the  0.900   0.100
/// cat  0.000  -0.500
/// ");
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn table<T: Scalar, R: AsRef<str>, C: AsRef<str>>(
    rows: &[R],
    columns: &[C],
    values: &ArrayRef2<T>,
) -> Result<String> {
    Text::default().table(rows, columns, values)
}

impl Text {
    /// A line for each of `tokens` with its score of `scores: (t)` and a bar; negative bars go to the left.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) unless there is a score for every token, [`Error::Empty`](crate::Error::Empty),
    /// [`Error::NotFinite`](crate::Error::NotFinite), [`Error::OutOfRange`](crate::Error::OutOfRange) and
    /// [`Error::TooLarge`](crate::Error::TooLarge) for the settings.
    pub fn tokens<T: Scalar, S: AsRef<str>>(&self, tokens: &[S], scores: &ArrayRef1<T>) -> Result<String> {
        check_count("scores", scores.len(), tokens.len())?;
        let scale = self.scale(scores.iter().copied())?;
        let names: Vec<String> = tokens.iter().map(|token| self.name(token.as_ref())).collect();
        let numbers: Vec<String> = scores.iter().map(|score| scale.number(score.as_f64())).collect();
        let name_width = widest(&names);
        let number_width = widest(&numbers);
        let index_width = widest(&[format!("{}", tokens.len() - 1)]);
        let bars = Bars::of(self.bar, scores.iter().map(|score| score.as_f64()));
        let mut out = String::new();
        for (index, (name, number)) in names.iter().zip(&numbers).enumerate() {
            let pad = blanks(name_width - width(name));
            let line = format!("{index:index_width$}  {name}{pad}  {number:>number_width$}");
            let bar = bars.bar(scale.share(scores[index].as_f64()));
            out.push_str(format!("{line}  {bar}").trim_end());
            out.push('\n');
        }
        Ok(out)
    }

    /// A table of `values: (rows, columns)` with names.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) unless there is a name for every row and column, and as [`Self::tokens`].
    pub fn table<T: Scalar, R: AsRef<str>, C: AsRef<str>>(
        &self,
        rows: &[R],
        columns: &[C],
        values: &ArrayRef2<T>,
    ) -> Result<String> {
        check_count("row names", rows.len(), values.nrows())?;
        check_count("column names", columns.len(), values.ncols())?;
        let scale = self.scale(values.iter().copied())?;
        let names: Vec<String> = rows.iter().map(|name| self.name(name.as_ref())).collect();
        let name_width = widest(&names);
        let cells: Vec<(usize, Vec<String>)> = columns
            .iter()
            .zip(values.columns())
            .map(|(name, column)| {
                let numbers = column.iter().map(|value| scale.number(value.as_f64()));
                let cells: Vec<String> = core::iter::once(self.name(name.as_ref())).chain(numbers).collect();
                (widest(&cells), cells)
            })
            .collect();
        let mut out = String::new();
        for (line, name) in core::iter::once("").chain(names.iter().map(String::as_str)).enumerate() {
            out.push_str(name);
            out.push_str(&blanks(name_width - width(name)));
            for (column_width, column) in &cells {
                out.push_str(&blanks(2 + column_width - width(&column[line])));
                out.push_str(&column[line]);
            }
            out.push('\n');
        }
        Ok(out)
    }

    fn scale<T: Scalar>(&self, values: impl IntoIterator<Item = T>) -> Result<Scale> {
        crate::error::check_limit("bar", self.bar, super::MAX_COLUMNS)?;
        Scale::new("scores", values, self.limit, self.decimals)
    }

    fn name(&self, name: &str) -> String {
        cut(&visible(name), self.name)
    }
}

fn widest(texts: &[String]) -> usize {
    texts.iter().map(|text| width(text)).max().unwrap_or(0)
}

fn blanks(count: usize) -> String {
    " ".repeat(count)
}

/// Columns to the left and to the right of the axis.
#[derive(Debug, Clone, Copy)]
struct Bars {
    left: usize,
    right: usize,
}

impl Bars {
    /// One side where all scores have one sign, otherwise two equal ones.
    fn of(columns: usize, scores: impl Iterator<Item = f64>) -> Self {
        let (mut negative, mut positive) = (false, false);
        for score in scores {
            negative |= score < 0.0;
            positive |= score > 0.0;
        }
        match (negative, positive) {
            (true, true) => Self { left: columns / 2, right: columns / 2 },
            (true, false) => Self { left: columns, right: 0 },
            _ => Self { left: 0, right: columns },
        }
    }

    fn bar(self, share: f64) -> String {
        if self.left + self.right == 0 {
            return String::new();
        }
        let negative = if share < 0.0 { left_bar(-share, self.left) } else { String::new() };
        let positive = if share > 0.0 { right_bar(share, self.right) } else { String::new() };
        let pad = blanks(self.left - width(&negative));
        format!("{pad}{negative}│{positive}")
    }
}

/// A bar in eighths of a column.
fn right_bar(share: f64, columns: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = whole(share * columns as f64 * 8.0);
    format!("{}{}", "█".repeat(eighths / 8), PARTS[eighths % 8])
}

/// A bar in halves of a column: there are no other characters that are filled from the right.
fn left_bar(share: f64, columns: usize) -> String {
    let halves = whole(share * columns as f64 * 2.0);
    format!("{}{}", if halves % 2 == 1 { "▐" } else { "" }, "█".repeat(halves / 2))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count of parts of columns")]
fn whole(x: f64) -> usize {
    libm::round(x) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::array;

    #[test]
    fn columns_line_up_whatever_the_characters() {
        let lines = tokens(&["日本", "a\n", "", "e\u{301}"], &array![0.25_f32, -1.0, 0.0, 0.5]).unwrap();
        let axis: Vec<usize> = lines.lines().map(|line| width(line.split('│').next().unwrap())).collect();
        assert!(axis.iter().all(|&at| at == axis[0]), "{lines}");
        assert!(lines.contains("a↵") && lines.contains('∅'));
    }

    #[test]
    fn bars_have_one_side_where_one_is_enough() {
        let text = Text { bar: 4, ..Text::default() };
        assert_eq!(text.tokens(&["a", "b"], &array![1.0, 0.28125]).unwrap(), "0  a  1.000  │████\n1  b  0.281  │█▏\n");
        assert_eq!(
            text.tokens(&["a", "b"], &array![-1.0, -0.375]).unwrap(),
            "0  a  -1.000  ████│\n1  b  -0.375    ▐█│\n"
        );
        let bare = Text { bar: 0, ..Text::default() };
        assert_eq!(bare.tokens(&["a"], &array![0.0]).unwrap(), "0  a  0.000\n");
    }

    #[test]
    fn names_are_cut_and_counted() {
        let text = Text { name: 4, bar: 0, decimals: 1, ..Text::default() };
        assert_eq!(text.table(&["abcdef"], &["x"], &array![[1.0]]).unwrap(), "        x\nabc…  1.0\n");
        let error = table(&["a"], &["b", "c"], &array![[1.0]]);
        assert!(matches!(error, Err(Error::Shape { what: "column names", .. })));
        assert!(matches!(tokens(&["a"], &array![f64::NAN]), Err(Error::NotFinite { index: 0, .. })));
        assert!(matches!(tokens::<f64, &str>(&[], &array![]), Err(Error::Empty { .. })));
        let wide = Text { bar: usize::MAX, ..Text::default() };
        assert!(matches!(wide.tokens(&["a"], &array![1.0]), Err(Error::TooLarge { what: "bar", .. })));
    }
}
