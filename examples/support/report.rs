//! What an example leaves behind: figures, CSV, one page, a table on the terminal, and its verdict.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use super::svg::escape;

/// Collects what an example has to show.
pub struct Report {
    title: String,
    out: PathBuf,
    figures: Vec<(String, String)>,
    tables: Vec<(String, Vec<String>, Vec<Vec<String>>)>,
    checks: Vec<(String, String, String, bool)>,
}

impl Report {
    pub fn new(title: &str, out: &Path) -> Self {
        let (figures, tables, checks) = (Vec::new(), Vec::new(), Vec::new());
        Self { title: title.to_owned(), out: out.to_owned(), figures, tables, checks }
    }

    /// Adds a figure: the SVG, and a caption that names the figure of the paper.
    pub fn figure(&mut self, svg: String, caption: &str) {
        self.figures.push((svg, caption.to_owned()));
    }

    /// Adds a table, which is printed, shown on the page and written as CSV.
    pub fn table(&mut self, name: &str, head: &[&str], rows: Vec<Vec<String>>) {
        self.tables.push((name.to_owned(), head.iter().map(|&cell| cell.to_owned()).collect(), rows));
    }

    /// Adds a check: what, the number that came, the bar in words, and whether it holds.
    pub fn check(&mut self, what: &str, got: f64, bar: &str, holds: bool) {
        self.checks.push((what.to_owned(), format!("{got:.5}"), bar.to_owned(), holds));
    }

    /// Writes everything, prints tables and verdict; the exit code says whether all checks hold.
    pub fn finish(mut self) -> ExitCode {
        let cells = |check: &(String, String, String, bool)| {
            let verdict = if check.3 { "holds" } else { "MISSED" };
            vec![check.0.clone(), check.1.clone(), check.2.clone(), verdict.to_owned()]
        };
        let rows: Vec<_> = self.checks.iter().map(cells).collect();
        let missed = self.checks.iter().filter(|check| !check.3).count();
        self.table("checks", &["check", "got", "bar", "verdict"], rows);
        for (name, head, rows) in &self.tables {
            print!("\n{name}\n{}", aligned(head, rows));
        }
        if let Err(error) = self.write() {
            eprintln!("{}: {error}", self.out.display());
            return ExitCode::from(2);
        }
        println!("\nfigures: {}", self.out.join("index.html").display());
        if missed == 0 {
            return ExitCode::SUCCESS;
        }
        eprintln!("{missed} of {} checks missed", self.checks.len());
        ExitCode::FAILURE
    }

    fn write(&self) -> io::Result<()> {
        fs::create_dir_all(&self.out)?;
        let mut page = format!("{HEAD}<title>{0}</title></head><body><h1>{0}</h1>\n", escape(&self.title));
        for (index, (svg, caption)) in self.figures.iter().enumerate() {
            fs::write(self.out.join(format!("figure-{}.svg", index + 1)), svg)?;
            let _ = writeln!(page, "<figure>{svg}<figcaption>{}</figcaption></figure>", escape(caption));
        }
        for (name, head, rows) in &self.tables {
            let line = |cells: &[String], tag: &str| -> String {
                cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect()
            };
            let body: String = rows.iter().map(|row| format!("<tr>{}</tr>\n", line(row, "td"))).collect();
            let head_line = line(head, "th");
            let _ = writeln!(page, "<h2>{}</h2><div><table><tr>{head_line}</tr>\n{body}</table></div>", escape(name));
            let csv: Vec<String> = std::iter::once(head)
                .chain(rows)
                .map(|row| row.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(","))
                .collect();
            fs::write(self.out.join(format!("{}.csv", name.replace(' ', "-"))), csv.join("\n") + "\n")?;
        }
        fs::write(self.out.join("index.html"), page + "</body></html>\n")
    }
}

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>\
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:1.5rem auto;padding:0 1rem}\
figure{margin:1.5rem 0;overflow-x:auto}svg{max-width:100%;height:auto;border-radius:6px}figcaption{opacity:.8}\
div{overflow-x:auto}table{border-collapse:collapse}th,td{padding:.2rem .7rem;border-bottom:1px solid #8886;text-align:left}\
h1{font-size:1.4rem}h2{font-size:1.1rem}</style>";

/// A table with columns of equal width.
fn aligned(head: &[String], rows: &[Vec<String>]) -> String {
    let all = || std::iter::once(head).chain(rows.iter().map(Vec::as_slice));
    let width = |column: usize| all().map(|row| row.get(column).map_or(0, |c| c.chars().count())).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |row: &[String]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        format!("  {}\n", cells.join("  ").trim_end())
    };
    all().map(line).collect()
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}
