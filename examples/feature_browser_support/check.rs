//! Reads a page back and compares it with what was planted.

use serde_json::Value;

use super::Result;
use super::columns::column;
use super::synthetic::{Known, TWIN};

/// What the page of `known` lacks.
pub fn missed(page: &str, known: &Known) -> Result<Vec<String>> {
    let (about, words) = (json(page, "about")?, json(page, "words")?);
    let numbers = |name: &str| column(page, name).ok_or_else(|| format!("no column {name}"));
    let (fired, counts, labels) = (numbers("fired")?, numbers("label_counts")?, numbers("labels")?);
    let (tops, samples, firsts) = (numbers("tops")?, numbers("samples")?, numbers("first")?);
    let (near_counts, near) = (numbers("near_counts")?, numbers("near")?);
    let (bins, bin_counts) = (numbers("bins")?, numbers("bin_counts")?);
    let mut missed = Vec::new();
    let mut claim = |what: String, holds: bool| missed.extend((!holds).then_some(what));

    claim("number of features".to_owned(), about["features"] == known.features && fired.len() == known.features);
    let mut label = 0;
    for (feature, (word, count)) in known.planted.iter().enumerate() {
        let shown = labels.get(label).and_then(|&word| words[word as usize].as_str()).unwrap_or("");
        claim(
            format!("feature {feature}: top token {word}, not {shown}"),
            shown.trim() == word.trim_start_matches("##"),
        );
        claim(format!("feature {feature}: {count} firings, not {}", fired[feature]), fired[feature] == *count);
        claim(format!("feature {feature}: one token alone"), counts[feature] == 1);
        label += counts[feature] as usize;
    }
    claim("features that never fire".to_owned(), fired[TWIN + 1..].iter().all(|&fired| fired == 0));
    claim("the twin as nearest of feature 0".to_owned(), near_counts[0] > 0 && near[0] as usize == TWIN);
    claim("a bin for each firing".to_owned(), bin_counts.iter().sum::<u32>() == fired.iter().sum::<u32>());
    claim("bins of each feature".to_owned(), bins.iter().sum::<u32>() as usize == bin_counts.len());
    claim("all contexts".to_owned(), tops.iter().chain(&samples).sum::<u32>() as usize == firsts.len());
    let lower = page.to_lowercase();
    claim("text that stays text".to_owned(), !lower.contains("<script>alert") && !lower.contains("<h1>"));
    let outside = ["src=", "href=\"http", "@import", "url(", "fetch("];
    claim("a page without a network".to_owned(), outside.iter().all(|word| !lower.contains(word)));
    Ok(missed)
}

/// The object `id` of a page.
fn json(page: &str, id: &str) -> Result<Value> {
    let inside = page.split_once(&format!(" id=\"{id}\">")).and_then(|(_, rest)| rest.split_once("</script>"));
    Ok(serde_json::from_str(inside.ok_or_else(|| format!("no object {id}"))?.0)?)
}
