//! The page: everything that the browser shows, in one file that asks the network for nothing.

use limpid::math::directions::Neighbour;
use ndarray::Array2;
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

/// Tokens that are looked at to see whether they are single characters.
const MOST_LETTERS: usize = 4096;

/// What is written.
pub struct Page<'a> {
    pub title: &'a str,
    pub vocabulary: &'a Vocabulary,
    pub scanned: &'a Scanned,
    pub neighbours: &'a [Vec<Neighbour<f32>>],
    /// What a unit of each feature adds to the logits, `(features, vocabulary)`, where that is known.
    pub effects: Option<&'a Array2<f32>>,
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
    // of a vocabulary of characters, no token continues a word
    let letters = (0..)
        .take(MOST_LETTERS)
        .zip(corpus.tokens.iter())
        .all(|(_, &token)| page.vocabulary.text(token).chars().count() == 1);
    let outputs = page.effects.map_or(0, Array2::ncols);
    let about = json!({
        "title": page.title,
        "features": profiles.len(),
        "tokens": corpus.tokens.len(),
        "documents": corpus.documents.chunk_by(|a, b| a == b).count(),
        "letters": letters,
        "effects": outputs.min(pack::EFFECTS),
        "outputs": (0..).take(outputs).map(|token| page.vocabulary.text(token)).collect::<Vec<String>>(),
        "edges": profiles.first().map_or(&[][..], |profile| profile.histogram.edges()),
    });
    let words: Vec<String> = text.words().map(|token| page.vocabulary.text(token)).collect();
    let mut columns = Columns::default();
    pack::numbers(&mut columns, profiles)?;
    pack::labels(&mut columns, page.scanned, &text)?;
    pack::contexts(&mut columns, page.scanned, &text)?;
    pack::neighbours(&mut columns, page.neighbours)?;
    page.effects.map_or(Ok(()), |effects| pack::effects(&mut columns, effects))?;
    text.add(&mut columns, corpus);
    let object = |id: &str, json: String| {
        // inside of a script element only this character could end it
        format!("<script type=\"application/json\" id=\"{id}\">{}</script>\n", json.replace('<', "\\u003c"))
    };
    Ok(object("about", about.to_string()) + &object("words", serde_json::to_string(&words)?) + &columns.html())
}
