//! Predictions that a model has written down, for models whose log-probabilities cannot be had.
//!
//! | form | example |
//! |---|---|
//! | [`Form::Lines`] | `token<TAB>value`, one a line; the sentinel U+0F17 may close a value |
//! | [`Form::Json`] | `{"activations": [{"token": "a", "activation": 3}, ..]}`, pairs `["a", 3]`, or numbers alone |
//! | [`Form::Tuples`] | `[(0, 'a', 3), ..]` or `[('a', 3), ..]` |
//!
//! What stands around them is passed over. Entries are matched with the tokens in order; where one is left out, added or changed,
//! the next entries tell which, so that one slip costs one token. A token without a value has none, with the reason; a well-known
//! reader makes a whole sequence 0 for one slip, and always the last token. One pass and a look at a fixed number of tokens ahead:
//! linear time and memory.
//!
//! Source: the forms are those of the public simulators that followed Bills et al., "Language models can explain neurons in
//! language models" (2023).

mod json;
mod lines;
mod tuples;

use alloc::string::String;
use alloc::vec::Vec;

use super::simulation::{Scale, Simulation, TokenStatus};
use crate::error::check_each;
use crate::explanation::text::{number, unescape};
use crate::{Result, Scalar};

/// Tokens ahead among which an entry is looked for.
const WINDOW: usize = 16;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Form {
    /// A line for each token: the token, a tab, the value.
    #[default]
    Lines,
    /// JSON with a token and an activation for each token.
    Json,
    /// A list of tuples, with or without the index of the token.
    Tuples,
}

/// Reading of answers.
///
/// # Example
/// ```
/// use limpid::explanation::simulate::{Completion, Form, TokenStatus};
///
/// let tokens = ["A", "B", "C"].map(String::from);
/// let read = |text| Completion::default().read::<f64>(Form::Lines, text, &tokens).unwrap().simulation;
/// assert_eq!(read("Of course:\nA\t4\nB\t10\nC\t7").expected, [Some(4.0), Some(10.0), Some(7.0)]);
/// let found = read("A\t4\nX\t10\nC\t11");
/// assert_eq!(found.expected, [Some(4.0), None, None]);
/// assert_eq!(found.status, [TokenStatus::Ok, TokenStatus::TokenMismatch, TokenStatus::OutOfRange]);
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Completion {
    /// Largest value of the scale, which begins at 0.
    pub top: f64,
    /// Whether values beyond the ends of the scale are taken for the ends.
    pub clamp: bool,
}

impl Default for Completion {
    fn default() -> Self {
        Self { top: 10.0, clamp: false }
    }
}

/// What an answer holds.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound(deserialize = "T: serde::Deserialize<'de>")))]
pub struct Completed<T> {
    /// The predictions.
    pub simulation: Simulation<T>,
    /// Entries that belong to no token.
    pub extra: usize,
    /// Whether the answer ends inside a list.
    pub truncated: bool,
}

impl Completion {
    /// Reads the predictions for `tokens` out of `text`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a scale that does not end above 0. No text is an error.
    pub fn read<T: Scalar>(&self, form: Form, text: &str, tokens: &[String]) -> Result<Completed<T>> {
        check_each("top", &[self.top], "0 < top < inf", |top: f64| top > 0.0 && top.is_finite())?;
        let (entries, truncated) = match form {
            Form::Lines => (lines::entries(text), false),
            Form::Json => json::entries(text),
            Form::Tuples => tuples::entries(text),
        };
        let mut placing = Placing {
            settings: self,
            tokens: tokens.iter().map(|token| token.trim()).collect(),
            simulation: Simulation::missing(tokens.len(), Scale::Digits),
            next: 0,
            extra: 0,
        };
        (0..entries.len()).for_each(|at| placing.place(&entries[at], entries.get(at + 1)));
        Ok(Completed { simulation: placing.simulation, extra: placing.extra, truncated })
    }
}

/// What was said of one token.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    /// The token, as it was written and as escapes would have it.
    token: Option<[String; 2]>,
    /// Its number.
    index: Option<usize>,
    value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Value {
    Number(f64),
    /// Nothing, `null`, or the word for what is not known.
    Absent,
    /// Something that is no number.
    Other,
}

impl Value {
    fn read(text: &str) -> Self {
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == SENTINEL);
        match number(text) {
            Some(value) => Self::Number(value),
            None if ["", "null", "None", "unknown"].contains(&text) => Self::Absent,
            None => Self::Other,
        }
    }
}

/// Mark that closes a value in one of the known forms.
const SENTINEL: char = '\u{F17}';

impl Entry {
    fn of_token(token: &str, value: Value) -> Self {
        let written = token.trim();
        Self { token: Some([String::from(written), String::from(unescape(written).trim())]), index: None, value }
    }

    /// Whether it speaks of this token; an entry without a token speaks of any.
    fn fits(&self, token: Option<&&str>) -> bool {
        let Some(&token) = token else { return false };
        self.token.as_ref().is_none_or(|said| said.iter().any(|said| said == token))
    }
}

/// Tokens that are being matched with entries.
struct Placing<'a, T> {
    settings: &'a Completion,
    tokens: Vec<&'a str>,
    simulation: Simulation<T>,
    next: usize,
    extra: usize,
}

impl<T: Scalar> Placing<'_, T> {
    fn fits(&self, entry: &Entry, token: usize) -> bool {
        entry.fits(self.tokens.get(token))
    }

    /// Finds the token of an entry, with the entry `after` it as a witness.
    fn place(&mut self, entry: &Entry, after: Option<&Entry>) {
        let next = entry.index.unwrap_or(self.next);
        let witness = |token: usize| after.is_some_and(|after| after.index.is_none() && self.fits(after, token));
        if self.fits(entry, next) {
            self.put(next, entry.value);
        } else if next >= self.tokens.len() {
            self.extra += 1;
        } else if entry.index.is_some() || witness(next + 1) {
            self.mismatch(next);
        } else if witness(next) {
            self.extra += 1;
        } else {
            let mut ahead = next + 1..self.tokens.len().min(next + 1 + WINDOW);
            match ahead.find(|&token| self.fits(entry, token)) {
                Some(token) => self.put(token, entry.value),
                None => self.mismatch(next),
            }
        }
    }

    fn mismatch(&mut self, token: usize) {
        if self.simulation.expected.get(token).is_some_and(Option::is_none) {
            self.simulation.fail(token, TokenStatus::TokenMismatch);
        }
        self.next = token + 1;
    }

    fn put(&mut self, token: usize, value: Value) {
        self.next = token + 1;
        // the first that is said of a token counts
        if self.simulation.status.get(token).is_none_or(|status| *status != TokenStatus::Missing) {
            self.extra += 1;
            return;
        }
        let top = self.settings.top;
        match value {
            Value::Number(value) if (0.0..=top).contains(&value) || self.settings.clamp => {
                self.simulation.set(token, T::of(value.clamp(0.0, top)), TokenStatus::Ok);
            }
            Value::Number(_) => self.simulation.fail(token, TokenStatus::OutOfRange),
            Value::Absent => {}
            Value::Other => self.simulation.fail(token, TokenStatus::NotANumber),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TokenStatus::{Missing, NotANumber, Ok, OutOfRange, TokenMismatch};
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    const FORMS: [Form; 3] = [Form::Lines, Form::Json, Form::Tuples];

    fn read(form: Form, text: &str, tokens: &[&str]) -> Completed<f64> {
        let tokens: Vec<String> = tokens.iter().map(ToString::to_string).collect();
        Completion::default().read(form, text, &tokens).unwrap()
    }

    fn write(form: Form, entries: &[(&str, &str)]) -> String {
        let each: Vec<String> = entries
            .iter()
            .map(|(token, value)| match form {
                Form::Lines => format!("{token}\t{value}\n"),
                Form::Json => format!("{{\"token\": \"{token}\", \"activation\": {value}}}"),
                Form::Tuples => format!("('{token}', {value})"),
            })
            .collect();
        match form {
            Form::Lines => each.concat(),
            Form::Json => format!("{{\"activations\": [{}]}}", each.join(", ")),
            Form::Tuples => format!("[{}]", each.join(", ")),
        }
    }

    #[test]
    fn one_slip_costs_one_token() {
        let tokens = ["the", " cat", " sat", " on"];
        for form in FORMS {
            let said = |entries: &[(&str, &str)]| read(form, &write(form, entries), &tokens);
            let whole = said(&[("the", "0"), (" cat", "5"), (" sat", "1"), (" on", "0")]);
            assert_eq!(whole.simulation.filled(-1.0).to_vec(), [0.0, 5.0, 1.0, 0.0], "{form:?}");
            let left_out = said(&[("the", "0"), ("sat", "1"), ("on", "0")]);
            assert_eq!(left_out.simulation.status, [Ok, Missing, Ok, Ok], "{form:?}");
            let added = said(&[("the", "0"), ("big", "3"), ("cat", "5"), ("sat", "1"), ("on", "0"), ("x", "1")]);
            assert_eq!((added.simulation, added.extra), (whole.simulation.clone(), 2), "{form:?}");
            let changed = said(&[("the", "0"), ("dog", "3"), ("sat", "1"), ("on", "0")]);
            assert_eq!(changed.simulation.status, [Ok, TokenMismatch, Ok, Ok], "{form:?}");
            let odd = said(&[("the", "null"), ("cat", "11"), ("sat", "\"high\""), ("on", "3")]);
            assert_eq!(odd.simulation.status, [Missing, OutOfRange, NotANumber, Ok], "{form:?}");
            assert_eq!(said(&[]).simulation.accounting().missing, 4);
        }
    }

    #[test]
    fn values_beyond_the_scale_are_clamped_on_request() {
        let clamp = Completion { clamp: true, ..Completion::default() };
        let tokens = ["a", "b"].map(String::from);
        let found: Completed<f32> = clamp.read(Form::Lines, "a\t10.14\nb\t-3", &tokens).unwrap();
        assert_eq!(found.simulation.expected, [Some(10.0), Some(0.0)]);
        let nan = Completion { top: f64::NAN, ..clamp };
        assert!(nan.read::<f64>(Form::Lines, "", &tokens).is_err());
    }

    #[test]
    fn nothing_is_read_out_of_prose() {
        for form in FORMS {
            let found = read(form, "I can't answer that (sorry, really), \"it's\" [too] {hard}.", &["a", "b"]);
            assert_eq!(found.simulation.accounting().missing, 2, "{form:?}");
        }
    }

    #[test]
    fn long_and_hostile_texts_take_one_pass() {
        let n = if cfg!(miri) { 30 } else { 10_000 };
        let tokens: Vec<&str> = (0..n).map(|_| "x").collect();
        for form in FORMS {
            for part in
                ["[", "(", "(1,", "['", "{\"", "\\", "y\t1\n", "('y', 1),", "[\"y\",1],", "' ", "{\"token\":", ":"]
            {
                let found = read(form, &part.repeat(n), &tokens);
                assert!(found.simulation.expected.iter().all(Option::is_none), "{form:?} {part}");
            }
        }
    }
}
