//! Keyword simulator: the words of the explanation, looked for in the text.
//!
//! ```text
//! prediction(token) = on where an occurrence of a keyword reaches into the token, else 0
//! ```
//!
//! Keywords are the words of the explanation in lower case without those that say nothing, and whatever stands in quotes as it
//! is, without white space at its ends. The text is the tokens put together, so that a word which was cut into
//! pieces is found. An explanation that names what it means is so scored without any language model, and one that does not,
//! is not: this is a floor for simulators that understand, not a judgement of the explanation.
//!
//! Source: ours; a baseline that any simulator with understanding must pass.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::simulation::{Scale, Simulation};
use super::simulator::Simulator;
use crate::error::{check_each, check_limit};
use crate::explanation::text::{closes, is_quote};
use crate::{Error, Result, Scalar};

/// Most keywords of an explanation.
const MAX_KEYWORDS: usize = 256;

/// Words that occur in explanations and say nothing of the text.
const SILENT: [&str; 66] = [
    "a",
    "about",
    "activates",
    "after",
    "all",
    "also",
    "an",
    "and",
    "any",
    "are",
    "as",
    "at",
    "be",
    "before",
    "being",
    "by",
    "especially",
    "find",
    "finds",
    "fires",
    "followed",
    "for",
    "from",
    "in",
    "indicating",
    "into",
    "is",
    "it",
    "its",
    "like",
    "mentions",
    "neuron",
    "of",
    "on",
    "or",
    "other",
    "particularly",
    "phrase",
    "phrases",
    "preceded",
    "references",
    "related",
    "responds",
    "sequence",
    "sequences",
    "specifically",
    "such",
    "text",
    "that",
    "the",
    "their",
    "them",
    "these",
    "thing",
    "this",
    "those",
    "to",
    "token",
    "tokens",
    "used",
    "when",
    "where",
    "which",
    "with",
    "word",
    "words",
];

/// Settings of a keyword simulator.
///
/// # Example
/// ```
/// use limpid::explanation::simulate::{Keyword, Simulator};
///
/// let tokens = ["A", " red", " umb", "rella", " of", " cour", "se"].map(String::from);
/// let found = Keyword::default().simulate("umbrellas, and the word \"of\"; umbrella", &tokens)?;
/// assert_eq!(found.expected, [0.0, 0.0, 10.0, 10.0, 10.0, 0.0, 0.0].map(Some));
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Keyword {
    /// Prediction where a keyword occurs, in digits.
    pub on: f64,
    /// Letters from which on a keyword may be a part of a word; shorter ones must be whole words.
    pub part_from: usize,
}

impl Default for Keyword {
    fn default() -> Self {
        Self { on: 10.0, part_from: 4 }
    }
}

impl Keyword {
    /// The keywords of an explanation, each once, in order of the alphabet.
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::simulate::Keyword;
    ///
    /// assert_eq!(Keyword::keywords("the names of Colours, and “of”"), ["colours", "names", "of"]);
    /// ```
    #[must_use]
    pub fn keywords(explanation: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let mut plain = String::new();
        let mut left = explanation;
        // apostrophes are not quotes here
        while let Some((at, open)) = left.char_indices().find(|&(_, c)| is_quote(c) && !matches!(c, '\'' | '’')) {
            let inside = &left[at + open.len_utf8()..];
            plain.push_str(&left[..at]);
            plain.push(' ');
            left = inside;
            if let Some((end, close)) = inside.char_indices().find(|&(_, c)| closes(open, c)) {
                found.push(inside[..end].trim().to_lowercase());
                left = &inside[end + close.len_utf8()..];
            }
        }
        plain.push_str(left);
        let words = plain.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
        // what a single letter stands for is not known
        let speaks =
            |word: &str| !SILENT.contains(&word) && (word.len() > 1 || word.bytes().all(|b| b.is_ascii_digit()));
        found.extend(words.filter(|word| speaks(word)));
        found.retain(|word| !word.is_empty());
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Marks the tokens that occurrences of `keyword` reach into.
    fn mark(&self, keyword: &str, text: &Text, marked: &mut [bool]) {
        let whole = keyword.chars().count() < self.part_from;
        for (start, found) in text.letters.match_indices(keyword) {
            let end = start + found.len();
            let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            let inside =
                letter(text.letters[..start].chars().next_back()) || letter(text.letters[end..].chars().next());
            if !(whole && inside) {
                text.token_of[start..end].iter().for_each(|&token| marked[token] = true);
            }
        }
    }
}

/// Tokens put together, in lower case.
struct Text {
    letters: String,
    /// The token that each byte comes from.
    token_of: Vec<usize>,
}

impl Text {
    fn new(tokens: &[String]) -> Self {
        let mut text = Self { letters: String::new(), token_of: Vec::new() };
        for (number, token) in tokens.iter().enumerate() {
            text.letters.extend(token.chars().flat_map(char::to_lowercase));
            text.token_of.resize(text.letters.len(), number);
        }
        text
    }
}

impl<T: Scalar> Simulator<T> for Keyword {
    type Error = Error;

    fn simulate(&mut self, explanation: &str, tokens: &[String]) -> Result<Simulation<T>> {
        check_each("on", &[self.on], "a finite number", f64::is_finite)?;
        let keywords = Self::keywords(explanation);
        check_limit("keywords", keywords.len(), MAX_KEYWORDS)?;
        let (text, mut marked) = (Text::new(tokens), vec![false; tokens.len()]);
        keywords.iter().for_each(|keyword| self.mark(keyword, &text, &mut marked));
        let value = |on| if on { T::of(self.on) } else { T::zero() };
        Ok(Simulation::of(marked.into_iter().map(value).collect(), Scale::Digits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn on(explanation: &str, tokens: &[&str]) -> Vec<usize> {
        let tokens: Vec<String> = tokens.iter().map(ToString::to_string).collect();
        let found: Simulation<f64> = Keyword::default().simulate(explanation, &tokens).unwrap();
        found.filled(0.0).iter().enumerate().filter(|(_, value)| **value > 0.0).map(|(token, _)| token).collect()
    }

    #[test]
    fn short_words_must_be_whole() {
        assert_eq!(on("red", &["red", " Red", "uced", " bored", "."]), [0]);
        assert_eq!(on("colour", &["Dis", "colour", "ed", "."]), [1]);
        assert_eq!(on("“of”", &["of", " of", "f", " of."]), [0, 3]);
        assert_eq!(on("", &["a"]), [0_usize; 0]);
        assert_eq!(on("the words that are related to", &["the", " words"]), [0_usize; 0]);
    }

    #[test]
    fn keywords_are_what_the_explanation_names() {
        assert_eq!(Keyword::keywords("years, e.g. \"in 1999\" or `20`"), ["20", "in 1999", "years"]);
        assert_eq!(Keyword::keywords("it’s \"open, 7"), ["7", "open"]);
        assert!(Keyword::keywords("\"\" ''").is_empty());
        let mut sorted = SILENT;
        sorted.sort_unstable();
        assert_eq!(sorted, SILENT);
    }

    #[test]
    fn letters_that_grow_in_lower_case_are_found() {
        // İ becomes two letters
        assert_eq!(on("istanbul", &["x", " İ", "stanbul"]), [0_usize; 0]);
        assert_eq!(on("\"i̇stanbul\"", &["x", " İ", "stanbul"]), [1, 2]);
    }
}
