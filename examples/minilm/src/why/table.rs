//! A small table, for a terminal and for a page.

use std::fmt::Write;

use crate::support::svg::escape;

/// Title, head and rows; the first column names the rows.
pub(crate) struct Table {
    pub(crate) title: String,
    /// What the numbers are.
    pub(crate) note: String,
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// Looks of [`Table::html`].
pub(crate) const STYLE: &str = "<style>.why{overflow-x:auto}.why table{border-collapse:collapse;font-size:.875rem;\
    font-variant-numeric:tabular-nums}.why th,.why td{padding:.2rem .6rem;border-bottom:1px solid #8886;text-align:right;\
    white-space:nowrap}.why tr:first-child th{white-space:normal}.why \
    th:first-child{text-align:left}.why th{font-weight:600}.note{opacity:.75;max-width:48rem}\
    h2{font-size:1.2rem;margin:2rem 0 .5rem}h3{font-size:1rem;margin:1.5rem 0 .25rem}</style>";

impl Table {
    /// The table without columns that hold nothing.
    pub(crate) fn filled(mut self) -> Self {
        for column in (1..self.head.len()).rev() {
            if self.rows.iter().all(|row| row[column] == NOTHING) {
                self.head.remove(column);
                self.rows.iter_mut().for_each(|row| drop(row.remove(column)));
            }
        }
        self
    }

    /// Columns of equal width, numbers to the right.
    pub(crate) fn text(&self) -> String {
        let all = || std::iter::once(&self.head).chain(&self.rows);
        let width = |column: usize| all().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let mut out = format!("{}\n{}", self.title, wrapped(&self.note));
        for row in all() {
            let mut line = format!("  {:<1$}", row[0], widths[0]);
            for (cell, &width) in row.iter().zip(&widths).skip(1) {
                let _ = write!(line, "  {cell:>width$}");
            }
            let _ = writeln!(out, "{}", line.trim_end());
        }
        out
    }

    /// A fragment of a page.
    pub(crate) fn html(&self) -> String {
        let line = |row: &[String], tag: &str| -> String {
            let cells = row.iter().enumerate().map(|(column, cell)| {
                let tag = if column == 0 { "th" } else { tag };
                format!("<{tag}>{}</{tag}>", escape(cell))
            });
            format!("<tr>{}</tr>\n", cells.collect::<String>())
        };
        let body: String = self.rows.iter().map(|row| line(row, "td")).collect();
        let (title, note, head) = (escape(&self.title), escape(&self.note), line(&self.head, "th"));
        format!("<h3>{title}</h3><p class=\"note\">{note}</p><div class=\"why\"><table>{head}{body}</table></div>\n")
    }
}

/// Lines of moderate width.
fn wrapped(text: &str) -> String {
    let (mut out, mut used) = (String::new(), WIDTH);
    for word in text.split_whitespace() {
        if used + word.len() >= WIDTH {
            out += if out.is_empty() { "  " } else { "\n  " };
            used = 1;
        } else {
            out += " ";
        }
        out += word;
        used += word.len() + 1;
    }
    if out.is_empty() { out } else { out + "\n" }
}

/// Columns of notes.
const WIDTH: usize = 96;
const NOTHING: &str = "-";

/// A number of three decimals; a dash where there is none.
pub(crate) fn cell(x: Option<f64>) -> String {
    let rounded = |x: f64| (x * 1e3).round() / 1e3 + 0.0;
    x.map_or_else(|| NOTHING.to_owned(), |x| format!("{:.3}", rounded(x)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let line = |name: &str, x: f64| vec![name.to_owned(), cell(None), cell(Some(x))];
        let rows = vec![line("a", -1.5), line("long", -0.0001)];
        let head = ["", "none", "x<y"].map(str::to_owned).to_vec();
        let table = Table { title: "t".to_owned(), note: "n".repeat(60) + " " + &"m".repeat(60), head, rows }.filled();
        let (n, m) = ("n".repeat(60), "m".repeat(60));
        assert_eq!(table.text(), format!("t\n  {n}\n  {m}\n           x<y\n  a     -1.500\n  long   0.000\n"));
        assert!(table.html().contains("<th>x&lt;y</th></tr>\n<tr><th>a</th><td>-1.500</td></tr>"));
    }
}
