//! Asking a model to predict activations from an explanation.
//!
//! | way | calls | needs |
//! |---|---|---|
//! | [`Asking::all_at_once`] | 1 for a text | log-probabilities of the prompt itself: every value is hidden, so no token sees another's prediction |
//! | [`Asking::one_at_a_time`] | 1 for a token | log-probabilities of one new token |
//! | [`Asking::written`] | 1 for a text | nothing; the answer is read by [`Completion`](super::Completion) |
//!
//! Tokens are written with `\n`, `\t`, `\r` and `\\` for what these name, so that each stays on its line.
//!
//! Source: Bills et al., "Language models can explain neurons in language models" (2023), section on simulation, for the first
//! two ways; the wording is ours.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::completion::Form;
use crate::explanation::Prompt;
use crate::explanation::text::escape;
use crate::{Dims, Error, Result};

/// A solved example for the model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Example {
    /// What the neuron responds to.
    pub explanation: String,
    /// The tokens of a text, `(t)`.
    pub tokens: Vec<String>,
    /// Their digits, `(t)`, each in `0..=10`.
    pub digits: Vec<u8>,
    /// The first token whose digit is shown by [`Asking::all_at_once`]; those before it are hidden as in the question.
    pub shown_from: usize,
}

/// How a model is asked.
///
/// # Example
/// ```
/// use limpid::explanation::simulate::Asking;
///
/// let tokens = ["a", " red", "\n"].map(String::from);
/// let asked = Asking::default().all_at_once("names of colours", &tokens)?;
/// let user = &asked.prompt.user;
/// assert_eq!(asked.slots.len(), 3);
/// assert!(asked.slots.iter().all(|&slot| user[slot..].starts_with("unknown\n")));
/// assert!(user.contains("\n red\tunknown\n\\n\tunknown\n"));
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Asking {
    /// Solved examples that are shown first.
    pub examples: Vec<Example>,
    /// What stands for a value that is hidden, one token of the model as a rule.
    pub hidden: String,
}

impl Default for Asking {
    fn default() -> Self {
        Self { examples: Vec::new(), hidden: "unknown".to_string() }
    }
}

/// A prompt with the places of its hidden values.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Echo {
    /// The prompt, whose own log-probabilities are asked for.
    pub prompt: Prompt,
    /// Byte in `prompt.user` at which the hidden value of each token of the question begins, `(t)`, ascending.
    pub slots: Vec<usize>,
}

const TASK: &str = "A neuron in a language model reads a text token by token and responds to some tokens more than to others. You are \
    told what it responds to, and predict how strongly it responds to each token: a whole number from 0 (not at all) to 10 (as \
    strongly as it ever does). Most tokens get 0. A token may be part of a word.";

impl Asking {
    /// One prompt for all tokens: the model's probabilities of digits where `unknown` stands are its predictions.
    ///
    /// # Errors
    /// [`Error::Shape`] for an example without a digit for each token, [`Error::OutOfRange`] for a digit above 10.
    pub fn all_at_once(&self, explanation: &str, tokens: &[String]) -> Result<Echo> {
        self.check()?;
        let mut user = String::new();
        for example in &self.examples {
            heading(&example.explanation, &mut user);
            for (at, (token, digit)) in example.tokens.iter().zip(&example.digits).enumerate() {
                let digit = if at < example.shown_from { self.hidden.clone() } else { digit.to_string() };
                line(token, &digit, &mut user);
            }
            user.push('\n');
        }
        heading(explanation, &mut user);
        let mut slots = Vec::with_capacity(tokens.len());
        for token in tokens {
            line(token, &self.hidden, &mut user);
            slots.push(user.len() - self.hidden.len() - 1);
        }
        let system =
            format!("{TASK}\n\nAfter each token stand a tab and its number. \"{}\" hides a number.", self.hidden);
        Ok(Echo { prompt: Prompt { system, user }, slots })
    }

    /// The prompt for the token at place `at`, which the model answers with one number. It sees the text up to that token.
    ///
    /// # Errors
    /// As [`Asking::all_at_once`], and [`Error::OutOfRange`] for a place without a token.
    pub fn one_at_a_time(&self, explanation: &str, tokens: &[String], at: usize) -> Result<Prompt> {
        self.check()?;
        if at >= tokens.len() {
            return Err(Error::OutOfRange {
                what: "at",
                index: 0,
                value: at as f64,
                expected: "below the number of tokens",
            });
        }
        let mut user = String::new();
        for Example { explanation, tokens, digits, .. } in &self.examples {
            if let Some((last, digit)) = tokens.len().checked_sub(1).zip(digits.last()) {
                question(explanation, tokens, last, &mut user);
                user.push_str(&format!(" {digit}\n\n"));
            }
        }
        question(explanation, tokens, at, &mut user);
        Ok(Prompt { system: format!("{TASK}\n\nGive the number of the last token, and nothing else."), user })
    }

    /// One prompt for all tokens, whose answer is written in a form that [`Completion`](super::Completion) reads.
    ///
    /// # Errors
    /// As [`Asking::all_at_once`].
    pub fn written(&self, explanation: &str, tokens: &[String], form: Form) -> Result<Prompt> {
        self.check()?;
        let mut user = String::new();
        for example in &self.examples {
            listing(&example.explanation, &example.tokens, form, &mut user);
            let digits: Vec<String> = example.digits.iter().map(ToString::to_string).collect();
            user.push_str(&format!("Answer:\n{}\n\n", answer(&example.tokens, &digits, form)));
        }
        listing(explanation, tokens, form, &mut user);
        user.push_str("Answer:\n");
        let shown = match form {
            Form::Lines => "one line for each token: the token, a tab, its number",
            Form::Json => "JSON: {\"activations\": [{\"token\": the token, \"activation\": its number}, ...]}",
            Form::Tuples => "a list: [(index of the token, 'the token', its number), ...]",
        };
        let system = format!(
            "{TASK}\n\nAnswer with {shown}. Keep all tokens, their order and their spelling, and write nothing else."
        );
        Ok(Prompt { system, user })
    }

    fn check(&self) -> Result<()> {
        self.examples.iter().try_for_each(|example| check_digits(&example.tokens, &example.digits))
    }
}

/// Checks that there is a digit in `0..=10` for each token.
pub(super) fn check_digits(tokens: &[String], digits: &[u8]) -> Result<()> {
    if tokens.len() != digits.len() {
        let (expected, got) = (Dims::new(&[tokens.len()]), Dims::new(&[digits.len()]));
        return Err(Error::Shape { what: "digits", expected, got });
    }
    match digits.iter().position(|&digit| digit > 10) {
        Some(index) => {
            let value = f64::from(digits[index]);
            Err(Error::OutOfRange { what: "digits", index, value, expected: "0..=10" })
        }
        None => Ok(()),
    }
}

/// The places in an echoed prompt, given as its tokens from the beginning of the text that the `slots` count in, at which the
/// hidden values begin; `None` where no token begins there, as where a model's tokens reach over a tab.
///
/// # Example
/// ```
/// use limpid::explanation::simulate::echoed;
///
/// assert_eq!(echoed(&["a", "\t", "unk", "nown", "\n", "b", "\tunknown"], &[2, 12]), [Some(2), None]);
/// ```
#[must_use]
pub fn echoed<S: AsRef<str>>(tokens: &[S], slots: &[usize]) -> Vec<Option<usize>> {
    let mut found = vec![None; slots.len()];
    let (mut start, mut slot) = (0, 0);
    for (place, token) in tokens.iter().enumerate() {
        while slots.get(slot).is_some_and(|&at| at < start) {
            slot += 1;
        }
        let length = token.as_ref().len();
        // a token without letters begins where the next one does
        if length > 0 && slots.get(slot) == Some(&start) {
            found[slot] = Some(place);
            slot += 1;
        }
        start += length;
    }
    found
}

fn heading(explanation: &str, out: &mut String) {
    out.push_str("The neuron responds to: ");
    escape(explanation.trim(), out);
    out.push('\n');
}

pub(super) fn line(token: &str, value: &str, out: &mut String) {
    escape(token, out);
    out.push('\t');
    out.push_str(value);
    out.push('\n');
}

/// The text up to and with the token at `last`, and the question for its number.
fn question(explanation: &str, tokens: &[String], last: usize, out: &mut String) {
    heading(explanation, out);
    out.push_str("Text: ");
    tokens[..=last].iter().for_each(|token| escape(token, out));
    out.push_str("\nLast token: ");
    escape(&tokens[last], out);
    out.push_str("\nNumber:");
}

fn listing(explanation: &str, tokens: &[String], form: Form, out: &mut String) {
    heading(explanation, out);
    out.push_str("Tokens:\n");
    let hidden = vec!["null".to_string(); tokens.len()];
    match form {
        Form::Lines => tokens.iter().for_each(|token| {
            escape(token, out);
            out.push('\n');
        }),
        Form::Json | Form::Tuples => {
            out.push_str(&answer(tokens, &hidden, form));
            out.push('\n');
        }
    }
}

fn answer(tokens: &[String], values: &[String], form: Form) -> String {
    let pairs = tokens.iter().zip(values);
    let list = |each: Vec<String>| each.join(", ");
    match form {
        Form::Lines => {
            let mut out = String::new();
            pairs.for_each(|(token, value)| line(token, value, &mut out));
            out
        }
        Form::Json => {
            let entry = |(token, value): (&String, &String)| {
                format!("{{\"token\": {}, \"activation\": {value}}}", quoted(token, '"'))
            };
            format!("{{\"activations\": [{}]}}", list(pairs.map(entry).collect()))
        }
        Form::Tuples => {
            let entry = |(index, (token, value)): (usize, (&String, &String))| {
                format!("({index}, {}, {value})", quoted(token, '\''))
            };
            format!("[{}]", list(pairs.enumerate().map(entry).collect()))
        }
    }
}

fn quoted(token: &str, quote: char) -> String {
    let mut out = String::from(quote);
    let mut escaped = String::new();
    escape(token, &mut escaped);
    for c in escaped.chars() {
        if c == quote {
            out.push('\\');
        }
        out.push(c);
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explanation::simulate::Completion;

    fn strings(tokens: &[&str]) -> Vec<String> {
        tokens.iter().map(ToString::to_string).collect()
    }

    fn asking(digits: Vec<u8>) -> Asking {
        let tokens = strings(&["1", ".", "5"]);
        let example = Example { explanation: "digits\nafter a point".to_string(), tokens, digits, shown_from: 1 };
        Asking { examples: vec![example], ..Asking::default() }
    }

    #[test]
    fn what_is_hidden_is_hidden() {
        let asked = asking(vec![0, 0, 9]).all_at_once("commas", &strings(&["a", ","])).unwrap();
        let expected = "The neuron responds to: digits\\nafter a point\n1\tunknown\n.\t0\n5\t9\n\n\
                        The neuron responds to: commas\na\tunknown\n,\tunknown\n";
        assert_eq!(asked.prompt.user, expected);
        let single = asking(vec![0, 0, 9]).one_at_a_time("commas", &strings(&["a", ",", "b"]), 1).unwrap();
        assert!(single.user.ends_with("Text: a,\nLast token: ,\nNumber:"));
        assert!(single.user.contains("Text: 1.5\nLast token: 5\nNumber: 9\n\n"));
    }

    #[test]
    fn an_answer_in_the_asked_form_is_read() {
        let tokens = strings(&["it's", " \"so\"", "\n", "\t", "\\", ",", "", " a)", "[b"]);
        let digits: Vec<String> = (0..tokens.len()).map(|digit| digit.to_string()).collect();
        for form in [Form::Lines, Form::Json, Form::Tuples] {
            let found = Completion::default().read::<f64>(form, &answer(&tokens, &digits, form), &tokens).unwrap();
            let expected: Vec<Option<f64>> = (0_u8..9).map(|digit| Some(f64::from(digit))).collect();
            assert_eq!((found.simulation.expected, found.extra), (expected, 0), "{form:?}");
            let asked = asking(vec![0, 0, 9]).written("commas", &tokens, form).unwrap();
            assert!(asked.user.ends_with("Answer:\n") && asked.user.matches("Answer:").count() == 2);
        }
    }

    #[test]
    fn examples_are_checked() {
        let tokens = strings(&["a"]);
        let short = asking(vec![0]).all_at_once("x", &tokens).unwrap_err();
        assert!(matches!(short, Error::Shape { what: "digits", .. }));
        let large = asking(vec![0, 11, 0]).written("x", &tokens, Form::Json).unwrap_err();
        assert!(matches!(large, Error::OutOfRange { what: "digits", index: 1, .. }));
        assert!(Asking::default().one_at_a_time("x", &tokens, 1).is_err());
    }

    #[test]
    fn slots_are_found_among_tokens_of_any_kind() {
        let asked = Asking::default().all_at_once("x", &strings(&["a", "b"])).unwrap();
        let user = &asked.prompt.user;
        let letters: Vec<String> = user.chars().map(String::from).collect();
        let found = echoed(&letters, &asked.slots);
        assert!(found.iter().zip(&asked.slots).all(|(found, slot)| *found == Some(*slot)));
        assert_eq!(echoed(&[user.as_str()], &asked.slots), [None, None]);
        assert_eq!(echoed::<&str>(&[], &[0]), [None]);
        assert_eq!(echoed(&["", "a"], &[0]), [Some(1)]);
    }
}
