//! How far the methods agree.

use limpid::math::agreement::{By, agreement};
use limpid::math::rank::spearman;
use ndarray::Array1;

use super::methods::Found;
use super::table::{Table, cell};
use crate::Result;

/// Words of the lists that are compared.
const TOP: usize = 5;

/// Tables of every two methods.
pub(crate) fn agreements(found: &[Found]) -> Result<Vec<Table>> {
    let all: Vec<&Found> = found.iter().collect();
    let signed: Vec<&Found> = found.iter().filter(|found| found.signed).collect();
    let k = TOP.min(found.first().map_or(0, |first| first.words.len()));
    let magnitudes = |a: &Array1<f64>, b: &Array1<f64>| spearman(&By::Magnitude.keys(a), &By::Magnitude.keys(b));
    let common = |a: &Array1<f64>, b: &Array1<f64>| Ok(agreement(a, b, k, By::Magnitude)?.feature);
    Ok(vec![
        matrix("Agreement: which words matter", "Spearman's correlation of magnitudes.", &all, magnitudes)?,
        matrix(
            "Agreement: which words matter, and which way",
            "Spearman's correlation with signs.",
            &signed,
            |a, b| spearman(a, b),
        )?,
        matrix(
            &format!("Agreement: the {k} words that matter most"),
            "Share that two methods have in common.",
            &all,
            common,
        )?,
    ])
}

fn matrix(
    title: &str,
    note: &str,
    found: &[&Found],
    of: impl Fn(&Array1<f64>, &Array1<f64>) -> limpid::Result<Option<f64>>,
) -> Result<Table> {
    let names = found.iter().map(|found| found.short.to_owned());
    let head = std::iter::once(String::new()).chain(names).collect();
    let mut rows = Vec::new();
    for a in found {
        let mut row = vec![a.name.to_owned()];
        for b in found {
            row.push(cell(of(&a.words, &b.words)?));
        }
        rows.push(row);
    }
    Ok(Table { title: title.to_owned(), note: note.to_owned(), head, rows })
}

/// All numbers, a word a line.
pub(crate) fn numbers(words: &[String], found: &[Found]) -> Table {
    let head = std::iter::once("word".to_owned()).chain(found.iter().map(|found| found.short.to_owned())).collect();
    let number = |found: &Found, word: usize| {
        let error = found.error.as_ref().map(|error| format!(" ± {:.3}", error[word]));
        format!("{}{}", cell(Some(found.words[word])), error.unwrap_or_default())
    };
    let line = |(i, word): (usize, &String)| {
        std::iter::once(word.clone()).chain(found.iter().map(|found| number(found, i))).collect()
    };
    let rows = words.iter().enumerate().map(line).collect();
    let note = "Saliency has a scale of its own and no sign; all others have the unit of the number that is explained. After ± \
                stands a standard error.";
    Table { title: "All numbers".to_owned(), note: note.to_owned(), head, rows }
}

/// What each method cost.
pub(crate) fn costs(found: &[Found]) -> Table {
    let head = ["method", "sum", "off by", "sentences read", "seconds"].map(str::to_owned).to_vec();
    let row = |found: &Found| {
        let sum = found.signed.then(|| found.words.sum());
        let name = if found.name.starts_with(found.short) { String::new() } else { format!(", {}", found.short) };
        vec![
            format!("{}{name}", found.name),
            cell(sum),
            found.delta.map_or_else(
                || "-".to_owned(),
                |delta| if delta == 0.0 { "0".to_owned() } else { format!("{:.0e}", delta.abs()) },
            ),
            found.runs.to_string(),
            format!("{:.1}", found.seconds),
        ]
    };
    let note = "The sum of the numbers, and by how much it is off the difference between the sentence and none of its \
                words, of methods that promise to add up to it.";
    let rows = found.iter().map(row).collect();
    Table { title: "Cost and completeness".to_owned(), note: note.to_owned(), head, rows }
}
