//! The page: everything that the browser shows, in one file that asks the network for nothing.

use limpid::math::directions::Neighbour;
use serde_json::json;

use super::columns::Columns;
use super::scan::Scanned;
use super::text::Text;
use super::vocabulary::Vocabulary;
use super::{Result, pack};

const SKELETON: &str = include_str!("page/skeleton.html");
const STYLE: &str = include_str!("page/style.css");
/// One script in the end: the order is that of the page.
const SCRIPT: [&str; 6] = [
    include_str!("page/columns.js"),
    include_str!("page/helpers.js"),
    include_str!("page/list.js"),
    include_str!("page/feature.js"),
    include_str!("page/charts.js"),
    include_str!("page/actions.js"),
];

/// What is written.
pub struct Page<'a> {
    pub title: &'a str,
    pub vocabulary: &'a Vocabulary,
    pub scanned: &'a Scanned,
    pub neighbours: &'a [Vec<Neighbour<f32>>],
}

/// The page as text.
pub fn html(page: &Page<'_>) -> Result<String> {
    let skeleton = SKELETON.replace("/*style*/", STYLE).replace("/*script*/", &SCRIPT.join("\n"));
    // last, so that nothing in the data is taken for a place to fill
    Ok(skeleton.replace("<!--data-->", &data(page)?))
}

fn data(page: &Page<'_>) -> Result<String> {
    let (profiles, corpus) = (&page.scanned.profiles, &page.scanned.corpus);
    let text = Text::new(page.scanned);
    let about = json!({
        "title": page.title,
        "features": profiles.len(),
        "tokens": corpus.tokens.len(),
        "documents": corpus.documents.chunk_by(|a, b| a == b).count(),
        "edges": profiles.first().map_or(&[][..], |profile| profile.histogram.edges()),
    });
    let words: Vec<String> = text.words().map(|token| page.vocabulary.text(token)).collect();
    let mut columns = Columns::default();
    pack::numbers(&mut columns, profiles)?;
    pack::labels(&mut columns, page.scanned, &text)?;
    pack::contexts(&mut columns, page.scanned, &text)?;
    pack::neighbours(&mut columns, page.neighbours)?;
    text.add(&mut columns, corpus);
    let object = |id: &str, json: String| {
        // inside of a script element only this character could end it
        format!("<script type=\"application/json\" id=\"{id}\">{}</script>\n", json.replace('<', "\\u003c"))
    };
    Ok(object("about", about.to_string()) + &object("words", serde_json::to_string(&words)?) + &columns.html())
}
