//! A tolerant reading of a self-report: words with their importance, and a prediction with its confidence.
//!
//! ```text
//! list   [ (word, value) [word, value] .. ]   or   { word: value, .. }      in [-1, 1]
//! pair   (class or label, confidence)         before or after the list      in [0, 1], or with %
//! ```
//!
//! Prose, labels and code fences around them are passed over. The list starts at the first `[` before a bracket, or the first
//! `{` before a quote or `}`; the pair is the first `(a, b)` outside of it whose `b` is a number. A word stands in quotes of
//! any kind and ends at the first closing one with a comma (in `{}` a colon) behind it, so that `'it's'` is read as it was
//! meant. What cannot be read is flagged and kept, never replaced by 0. One pass, no recursion, memory of the size of the text.
//!
//! Source: Huang et al., "Can Large Language Models Explain Themselves? A Study of LLM-Generated Self-Explanations" (arXiv
//! 2310.11207), for what models are asked to write.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::explanation::text::{Cursor, integer, is_quote, number, without_quotes};

/// A word and what a model says it is worth.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Item {
    /// The word, as the model wrote it.
    pub word: String,
    /// Its importance; `None` where what stands there is not a number.
    pub value: Option<f64>,
    /// What is wrong with the value.
    pub flag: Option<Flag>,
}

/// What is wrong with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Flag {
    /// It is not a number.
    Invalid,
    /// It lies outside `[-1, 1]`; it is kept as it is.
    OutOfRange,
}

/// What a model predicts.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Prediction {
    /// The class: a number that stood there, or that of the label.
    pub class: Option<i64>,
    /// The label, where no number stood there.
    pub label: Option<String>,
    /// The confidence; a per cent is divided by 100, and what lies outside `[0, 1]` is kept.
    pub confidence: f64,
}

/// What is odd about a self-report, in alphabetical order of the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Warning {
    /// A value is not a number.
    InvalidValue,
    /// There is no list.
    MissingItems,
    /// There is no pair.
    MissingPrediction,
    /// A value or the confidence lies outside its range.
    OutOfRange,
    /// The text ends inside the list.
    Truncated,
    /// A word holds a quote that could have ended it and was not escaped.
    UnescapedQuote,
    /// Something that is no item stands in the list.
    UnexpectedText,
    /// A word stands without quotes.
    UnquotedWord,
}

impl Warning {
    /// Its name, in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidValue => "invalid_value",
            Self::MissingItems => "missing_items",
            Self::MissingPrediction => "missing_prediction",
            Self::OutOfRange => "out_of_range",
            Self::Truncated => "truncated",
            Self::UnescapedQuote => "unescaped_quote",
            Self::UnexpectedText => "unexpected_text",
            Self::UnquotedWord => "unquoted_word",
        }
    }
}

/// What a model said of its own tokens.
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SelfReport {
    /// Words in the order that they came.
    pub items: Vec<Item>,
    /// The prediction, where there is one.
    pub prediction: Option<Prediction>,
    /// What is odd, each once, in alphabetical order.
    pub warnings: Vec<Warning>,
}

/// Reads a self-report; `labels` give the classes of labels, which are compared in lower case.
///
/// Any text gives a report: without a list it has no items and says so.
///
/// # Example
/// ```
/// use limpid::explanation::self_report::{Warning, parse};
///
/// let report = parse("Sure! [('it's', 0.1), (“good”, .8), ('so', 'high')]\n(Positive, 85%)", &[("positive", 1)]);
/// let values: Vec<_> = report.items.iter().map(|item| (item.word.as_str(), item.value)).collect();
/// assert_eq!(values, [("it's", Some(0.1)), ("good", Some(0.8)), ("so", None)]);
/// let prediction = report.prediction.unwrap();
/// assert_eq!((prediction.class, prediction.confidence), (Some(1), 0.85));
/// assert_eq!(report.warnings, [Warning::InvalidValue, Warning::UnescapedQuote]);
/// ```
#[must_use]
pub fn parse(text: &str, labels: &[(&str, i64)]) -> SelfReport {
    let mut report = SelfReport::default();
    let (mut before, mut after) = (text, "");
    match find_list(text) {
        None => report.warnings.push(Warning::MissingItems),
        Some((start, kind, mut cursor)) => {
            report.read_list(kind, &mut cursor);
            (before, after) = (&text[..start], &text[cursor.at()..]);
        }
    }
    report.prediction = [before, after].into_iter().find_map(find_pair).map(|pair| pair.prediction(labels));
    match &report.prediction {
        None => report.warnings.push(Warning::MissingPrediction),
        Some(found) if !(0.0..=1.0).contains(&found.confidence) => report.warnings.push(Warning::OutOfRange),
        Some(_) => {}
    }
    report.warnings.sort_unstable();
    report.warnings.dedup();
    report
}

/// How the list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `[(word, value), ..]`.
    List,
    /// `{word: value, ..}`.
    Map,
}

impl Kind {
    fn close(self) -> char {
        match self {
            Self::List => ']',
            Self::Map => '}',
        }
    }

    /// Whether an item starts with `c`.
    fn opens(self, c: char) -> bool {
        match self {
            Self::List => matches!(c, '(' | '['),
            Self::Map => is_quote(c),
        }
    }
}

/// Where the list starts, and the cursor behind its bracket.
fn find_list(text: &str) -> Option<(usize, Kind, Cursor<'_>)> {
    let mut cursor = Cursor::new(text);
    loop {
        let start = cursor.at();
        let kind = match cursor.next()? {
            '[' => Kind::List,
            '{' => Kind::Map,
            _ => continue,
        };
        if cursor.peek_after_space().is_some_and(|c| c == kind.close() || kind.opens(c)) {
            return Some((start, kind, cursor));
        }
    }
}

impl SelfReport {
    fn warn(&mut self, warning: Warning) {
        // as a list of one entry for each item would grow with the text
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    fn read_list(&mut self, kind: Kind, cursor: &mut Cursor<'_>) {
        loop {
            cursor.skip(|c| c == ',' || c.is_whitespace());
            match cursor.peek() {
                Some(c) if c == kind.close() => {
                    cursor.next();
                    return;
                }
                Some(c) if kind.opens(c) => {
                    let read = if kind == Kind::Map { self.entry(cursor) } else { self.item(cursor) };
                    if read.is_none() {
                        return self.warn(Warning::Truncated);
                    }
                }
                Some(_) => {
                    self.warn(Warning::UnexpectedText);
                    cursor.next();
                }
                None => return self.warn(Warning::Truncated),
            }
        }
    }

    /// `(word, value)` or `[word, value]`; `None` where the text ends inside.
    fn item(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        let close = if cursor.next()? == '(' { ')' } else { ']' };
        cursor.skip_space();
        let (word, odd) = if cursor.peek().is_some_and(is_quote) {
            word(cursor, ',')?
        } else {
            let word = cursor.until(|c| c == ',' || c == close)?;
            if cursor.peek() == Some(close) {
                cursor.next();
                self.warn(Warning::UnexpectedText);
                return Some(());
            }
            (word.trim_end().to_string(), Some(Warning::UnquotedWord))
        };
        cursor.next();
        let value = cursor.until(|c| c == close)?;
        cursor.next();
        self.push(word, value, odd);
        Some(())
    }

    /// `word: value`; `None` where the text ends inside.
    fn entry(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        let (word, odd) = word(cursor, ':')?;
        cursor.next();
        let value = cursor.until(|c| c == ',' || c == '}')?;
        self.push(word, value, odd);
        Some(())
    }

    /// Takes up an item that is whole, with what is odd about its word.
    fn push(&mut self, word: String, value: &str, odd: Option<Warning>) {
        let value = number(value.trim());
        let flag = match value {
            None => Some((Flag::Invalid, Warning::InvalidValue)),
            Some(value) if !(-1.0..=1.0).contains(&value) => Some((Flag::OutOfRange, Warning::OutOfRange)),
            Some(_) => None,
        };
        odd.into_iter().chain(flag.map(|(_, warning)| warning)).for_each(|warning| self.warn(warning));
        self.items.push(Item { word, value, flag: flag.map(|(flag, _)| flag) });
    }
}

/// A word in quotes, and what is odd about it.
fn word(cursor: &mut Cursor<'_>, then: char) -> Option<(String, Option<Warning>)> {
    let found = cursor.quoted(&[then])?;
    Some((found.word, found.unescaped.then_some(Warning::UnescapedQuote)))
}

/// `(a, b)` with a number `b`.
struct Pair<'a> {
    first: &'a str,
    confidence: f64,
}

/// The first pair of a text, without brackets inside.
fn find_pair(text: &str) -> Option<Pair<'_>> {
    let mut open = None;
    for (at, c) in text.char_indices() {
        match c {
            '(' => open = Some(at + 1),
            ')' => {
                if let Some(pair) = open.take().and_then(|from| Pair::read(&text[from..at])) {
                    return Some(pair);
                }
            }
            _ => {}
        }
    }
    None
}

impl<'a> Pair<'a> {
    fn read(inner: &'a str) -> Option<Self> {
        let (first, last) = inner.rsplit_once(',')?;
        let (first, last) = (first.trim(), last.trim());
        let confidence = match last.strip_suffix('%') {
            Some(percent) => number(percent.trim_end())? / 100.0,
            None => number(last)?,
        };
        // three things in brackets are not a pair
        let one = !first.contains(',') || without_quotes(first).len() < first.len();
        (one && !first.is_empty()).then_some(Self { first, confidence })
    }

    fn prediction(&self, labels: &[(&str, i64)]) -> Prediction {
        let confidence = self.confidence;
        if let Some(class) = integer(self.first) {
            return Prediction { class: Some(class), label: None, confidence };
        }
        let label = without_quotes(self.first);
        let lower = label.to_lowercase();
        let class = labels.iter().find(|(name, _)| *name == lower).map(|&(_, class)| class);
        Prediction { class, label: Some(label.to_string()), confidence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn words(text: &str) -> (Vec<(String, Option<f64>)>, Vec<&'static str>) {
        let report = parse(text, &[]);
        let items = report.items.into_iter().map(|item| (item.word, item.value)).collect();
        (items, report.warnings.into_iter().map(Warning::name).collect())
    }

    fn item(word: &str, value: f64) -> (String, Option<f64>) {
        (word.to_string(), Some(value))
    }

    #[test]
    fn lists_of_every_kind() {
        let expected = vec![item("a", 0.5), item("b c", -1.0)];
        for text in [
            "(1, .5) [('a', 0.5), ('b c', -1)]",
            "[[\"a\", .5] [`b c`, -1.0], ] (1, .5)",
            "{'a': 0.5, “b c”: −1} (1, .5)",
            "[see below] { no } [ (\"a\" , 5e-1),\n(\"b c\",-1)] (1, .5)",
        ] {
            assert_eq!(words(text), (expected.clone(), vec![]), "{text}");
        }
    }

    #[test]
    fn what_stands_in_the_way_is_passed_over_and_said() {
        let (items, warnings) = words("[('a', 0.5); and ('b'), (c, 1)] (1, .5)");
        assert_eq!(items, [item("a", 0.5)]);
        assert_eq!(warnings, ["missing_prediction", "truncated", "unexpected_text"]);
        let (items, warnings) = words("[(), (a, 0.5) x (\"b\", .5)] (1, .5)");
        assert_eq!(items, [item("a", 0.5), item("b", 0.5)]);
        assert_eq!(warnings, ["unexpected_text", "unquoted_word"]);
    }

    #[test]
    fn a_text_that_ends_early_keeps_what_is_whole() {
        for text in ["[('a', 0.5), ('b', 0.", "[('a', 0.5), ('b", "[('a', 0.5)", "[('a', 0.5), (", "{'a': 0.5, 'b': 1"]
        {
            assert_eq!(words(text), (vec![item("a", 0.5)], vec!["missing_prediction", "truncated"]), "{text}");
        }
        assert_eq!(words("[").1, ["missing_items", "missing_prediction"]);
    }

    #[test]
    fn predictions_in_every_spelling() {
        let read = |text: &str| parse(text, &[("bad", 0)]).prediction.map(|p| (p.class, p.label, p.confidence));
        assert_eq!(read("(see, e.g., this) (maybe (2, 90 %))"), Some((Some(2), None, 0.9)));
        assert_eq!(read("(\"Bad\", 1.)"), Some((Some(0), Some("Bad".into()), 1.0)));
        assert_eq!(read("('so, so', 0)"), Some((None, Some("so, so".into()), 0.0)));
        assert_eq!(read("(so, so, 0)"), None);
        assert_eq!(read("(, 0)"), None);
        assert_eq!(read("(1, 0.5"), None);
        assert_eq!(parse("[] (1, -.1)", &[]).warnings, [Warning::OutOfRange]);
    }

    #[test]
    fn long_and_hostile_texts_take_one_pass() {
        let n = if cfg!(miri) { 50 } else { 20_000 };
        for part in ["[", "(", "['", "{'", "(1,", "[('a' ", "\\'", "[(' ,", "{ ", "' "] {
            let report = parse(&part.repeat(n), &[]);
            assert!(report.prediction.is_none() && report.items.len() <= n);
        }
    }
}
