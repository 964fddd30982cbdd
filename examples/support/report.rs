//! What an example leaves behind: figures, CSV, one page, a table on the terminal, and its verdict.

use std::fmt::Write;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use super::svg::escape;

/// Collects what an example has to show.
pub struct Report {
    title: String,
    out: PathBuf,
    figures: Vec<(String, String)>,
    tables: Vec<Table>,
    checks: Vec<Check>,
}

/// Name, head and rows.
type Table = (String, Vec<String>, Vec<Vec<String>>);

struct Check {
    what: String,
    got: String,
    bar: String,
    holds: bool,
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

    /// Prints something at once; it is not on the page.
    pub fn say(&self, what: &impl std::fmt::Display) {
        println!("\n{what}");
    }

    /// Adds a check that a number is at most `bar`; NaN misses it.
    pub fn at_most(&mut self, what: &str, got: f64, bar: f64) {
        self.check(what, number(got), format!("at most {bar}"), got <= bar);
    }

    /// Adds a check that a number is at least `bar`; NaN misses it.
    pub fn at_least(&mut self, what: &str, got: f64, bar: f64) {
        self.check(what, number(got), format!("at least {bar}"), got >= bar);
    }

    /// Adds a check that a number lies in `bar`; NaN misses it.
    pub fn within(&mut self, what: &str, got: f64, bar: &RangeInclusive<f64>) {
        let words = format!("{} to {}", bar.start(), bar.end());
        self.check(what, number(got), words, bar.contains(&got));
    }

    /// Adds a check that a count is exactly `bar`.
    pub fn exactly(&mut self, what: &str, got: usize, bar: usize) {
        self.check(what, got.to_string(), bar.to_string(), got == bar);
    }

    /// Adds a check that a statement is true.
    pub fn claim(&mut self, what: &str, holds: bool) {
        self.check(what, if holds { "yes" } else { "no" }.to_owned(), "yes".to_owned(), holds);
    }

    fn check(&mut self, what: &str, got: String, bar: String, holds: bool) {
        self.checks.push(Check { what: what.to_owned(), got, bar, holds });
    }

    /// Writes everything, prints tables and verdict; the exit code says whether all checks hold.
    pub fn finish(mut self) -> ExitCode {
        let cells = |check: &Check| {
            let verdict = if check.holds { "holds" } else { "MISSED" };
            vec![check.what.clone(), check.got.clone(), check.bar.clone(), verdict.to_owned()]
        };
        let rows: Vec<_> = self.checks.iter().map(cells).collect();
        let missed = self.checks.iter().filter(|check| !check.holds).count();
        if !rows.is_empty() {
            self.table("checks", &["check", "got", "bar", "verdict"], rows);
        }
        for (name, head, rows) in &self.tables {
            print!("\n{name}\n{}", aligned(head, rows));
        }
        if let Err(error) = self.write() {
            eprintln!("{}: {error}", self.out.display());
            return ExitCode::from(2);
        }
        println!("\nfigures: {}", self.out.join("index.html").display());
        let all = self.checks.len();
        if missed > 0 {
            eprintln!("{missed} of {all} checks missed");
            return ExitCode::FAILURE;
        }
        if all > 0 {
            println!("all {all} checks hold");
        }
        ExitCode::SUCCESS
    }

    fn write(&self) -> io::Result<()> {
        fs::create_dir_all(&self.out)?;
        let mut page = format!("{HEAD}<title>{0}</title></head><body><h1>{0}</h1>\n", escape(&self.title));
        for (index, (svg, caption)) in self.figures.iter().enumerate() {
            fs::write(self.out.join(format!("figure-{}.svg", index + 1)), svg)?;
            let _ = writeln!(page, "<figure>{svg}<figcaption>{}</figcaption></figure>", escape(caption));
        }
        for table @ (name, head, rows) in &self.tables {
            page += &html(table);
            let lines = std::iter::once(head).chain(rows).map(|row| row.iter().map(|cell| quoted(cell)).collect());
            let csv: Vec<String> = lines.map(|cells: Vec<String>| cells.join(",")).collect();
            fs::write(self.out.join(format!("{}.csv", name.replace(' ', "-"))), csv.join("\n") + "\n")?;
        }
        fs::write(self.out.join("index.html"), page + "</body></html>\n")
    }
}

fn html((name, head, rows): &Table) -> String {
    let line = |cells: &[String], tag: &str| -> String {
        cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect()
    };
    let body: String = rows.iter().map(|row| format!("<tr>{}</tr>\n", line(row, "td"))).collect();
    let (name, head) = (escape(name), line(head, "th"));
    format!("<h2>{name}</h2><div><table class=\"{name}\"><tr>{head}</tr>\n{body}</table></div>\n")
}

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>\
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:1.5rem auto;padding:0 1rem}\
figure{margin:1.5rem 0;overflow-x:auto}svg{max-width:100%;height:auto;border-radius:6px}figcaption{opacity:.8}\
div{overflow-x:auto}table{border-collapse:collapse}th,td{padding:.2rem .7rem;border-bottom:1px solid #8886;text-align:left}\
.checks td+td{white-space:nowrap}\
h1{font-size:1.4rem}h2{font-size:1.1rem}</style>";

/// Whole numbers as such, others with four significant digits.
pub fn number(x: f64) -> String {
    let size = x.abs();
    if size < 1e9 && x.fract() == 0.0 {
        return format!("{:.0}", x + 0.0);
    }
    if !(1e-3..1e5).contains(&size) {
        return format!("{x:.3e}");
    }
    let decimals = (3.0 - size.log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{x:.decimals$}")
}

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
