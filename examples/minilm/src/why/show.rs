//! What is shown: coloured words on a terminal, tables, and a page.

use std::fmt::Write;
use std::io::IsTerminal;
use std::path::Path;

use limpid::attribution::render::ansi::Ansi;
use limpid::attribution::render::html::{Html, page};

use super::case::Case;
use super::faith::faithfulness;
use super::judge::{agreements, costs, numbers};
use super::methods::{Found, all};
use super::table::{STYLE, Table};
use crate::support::svg::escape;
use crate::{Error, Result};

const LEGEND: &str =
    "Red words raise the number, blue ones lower it; each method has a scale of its own, and saliency no sign.";

/// Everything about one sentence.
pub(crate) struct Shown<'a> {
    /// What its number is.
    pub(crate) title: String,
    pub(crate) case: Case<'a>,
    pub(crate) found: Vec<Found>,
    tables: Vec<Table>,
}

impl<'a> Shown<'a> {
    /// Runs all methods and judges them.
    pub(crate) fn new(title: String, case: Case<'a>, budget: u64) -> Result<Self> {
        let found = all(&case, budget)?;
        let mut tables = vec![numbers(&case.sentence.words, &found), costs(&found)];
        tables.extend(agreements(&found)?);
        tables.push(faithfulness(&case, &found)?);
        Ok(Self { title, case, found, tables })
    }

    /// What is explained, in numbers.
    fn number(&self, absent: &str) -> String {
        let Case { value, base, .. } = self.case;
        let cut = if self.case.sentence.truncated { "; the sentence was truncated" } else { "" };
        format!("{value:.3}, and {base:.3} with every word replaced by {absent}{cut}")
    }

    /// Coloured where `colours`, and tables.
    fn text(&self, absent: &str, colours: bool) -> Result<String> {
        let mut out = format!("\n{}: {}\n\n", self.title, self.number(absent));
        if colours {
            let _ = writeln!(out, "{LEGEND}\n");
        }
        let last = self.found.len().saturating_sub(1);
        for (i, found) in self.found.iter().enumerate().filter(|_| colours) {
            let ansi = Ansi { columns: Some(76), legend: false, ..Ansi::default() };
            let lines = ansi.tokens(&self.case.sentence.words, &found.words)?;
            let _ = writeln!(out, "{}\n{}{}", found.name, indented(&lines), if i < last { "" } else { "\n" });
        }
        for table in &self.tables {
            out += &format!("{}\n", table.text());
        }
        Ok(out)
    }

    fn html(&self, absent: &str) -> Result<String> {
        let (title, number) = (escape(&self.title), escape(&self.number(absent)));
        let mut out = format!("<h2>{title}</h2><p class=\"note\">{number}. {LEGEND}</p>\n");
        for found in &self.found {
            let html = Html { caption: found.name.to_owned(), numbers: true, legend: false, ..Html::default() };
            out += &html.tokens(&self.case.sentence.words, &found.words)?;
        }
        out.extend(self.tables.iter().map(Table::html));
        Ok(out)
    }
}

fn indented(lines: &str) -> String {
    lines.lines().map(|line| format!("  {line}\n")).collect()
}

/// Whether the terminal takes colours, as far as the environment says.
fn colours() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    !is_set("NO_COLOR") && (is_set("CLICOLOR_FORCE") || std::io::stdout().is_terminal())
}

/// What is printed about all sentences.
pub(crate) fn text(lead: &str, shown: &[Shown<'_>], absent: &str) -> Result<String> {
    let parts: Result<String> = shown.iter().map(|shown| shown.text(absent, colours())).collect();
    Ok(format!("{lead}\n{}", parts?))
}

/// Writes the page.
pub(crate) fn write(out: &Path, title: &str, lead: &str, shown: &[Shown<'_>], absent: &str) -> Result<()> {
    let mut fragments = vec![format!("{STYLE}<p>{}</p>\n", escape(lead).replace('\n', "<br>"))];
    for shown in shown {
        fragments.push(shown.html(absent)?);
    }
    std::fs::create_dir_all(out).map_err(|e| Error::at(out, e))?;
    let file = out.join("index.html");
    std::fs::write(&file, page(title, &fragments)).map_err(|e| Error::at(&file, e))
}
