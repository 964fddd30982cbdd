//! Neurons that follow a rule, with noise, and what could be said of each: the truth, and three things that are not true.

use limpid::Seed;
use limpid::math::random::fill_normal;
use ndarray::Array3;

use super::corpus::{COLOURS, DAYS, DENIALS, LENGTH, NOUNS, QUALITIES};

/// What a neuron looks at.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// The token alone, so that a table of tokens knows all.
    Token,
    /// Two tokens, and it responds to both.
    Phrase,
    /// Two tokens, and it responds to the second.
    Successor,
}

/// A planted neuron.
pub struct Neuron {
    pub name: &'static str,
    pub kind: Kind,
    pub truth: &'static str,
    /// Strength from 0 to 1 at a token of a text.
    rule: fn(&[String], usize) -> f64,
}

/// Explanations of no neuron here.
pub const UNTRUE: [&str; 3] = [
    "animals, such as \"cat\" and \"horse\"",
    "punctuation: \".\" and \",\"",
    "words of motion, \"went\", \"came\" and \"to\"",
];

pub const NEURONS: [Neuron; 6] = [
    Neuron {
        name: "colours",
        kind: Kind::Token,
        truth: "colours, such as \"red\", \"blue\", \"green\", \"yellow\" or \"purple\"",
        rule: |text, at| one_of(&COLOURS, &text[at]),
    },
    Neuron {
        name: "weekdays",
        kind: Kind::Token,
        truth: "days of the week: \"Monday\", \"Tuesday\", \"Thursday\", \"Friday\", \"Sunday\"",
        rule: |text, at| one_of(&DAYS, &text[at]),
    },
    Neuron {
        name: "denials",
        kind: Kind::Token,
        truth: "denials: \"not\", \"never\" and \"nobody\"",
        rule: |text, at| one_of(&DENIALS, &text[at]),
    },
    Neuron {
        name: "prices",
        kind: Kind::Phrase,
        truth: "prices, such as \"$1\", \"$2\", \"$3\", \"$4\", \"$5\", \"$6\", \"$7\", \"$8\" and \"$9\"",
        rule: |text, at| if text[at] == " $" || after(" $", text, at) { 1.0 } else { 0.0 },
    },
    Neuron {
        name: "very",
        kind: Kind::Phrase,
        truth: "a quality that is large: \"very old\", \"very cold\", \"very quiet\", \"very strange\", \"very large\"",
        rule: |text, at| {
            let first = text[at] == " very" && text.get(at + 1).is_some_and(|next| QUALITIES.contains(&next.as_str()));
            if first || after(" very", text, at) { 1.0 } else { 0.0 }
        },
    },
    Neuron {
        name: "after of",
        kind: Kind::Successor,
        truth: "what comes after \"of\": \"of water\", \"of people\", \"of time\", \"of houses\", \"of music\", \"of bread\"",
        rule: |text, at| if after(" of", text, at) { one_of(&NOUNS, &text[at]) } else { 0.0 },
    },
];

/// A strength of its own for each word of a list, 0 for other words.
fn one_of(words: &[&str], token: &str) -> f64 {
    let place = words.iter().position(|word| *word == token);
    place.map_or(0.0, |place| 1.0 - 0.5 * place as f64 / words.len() as f64)
}

fn after(word: &str, text: &[String], at: usize) -> bool {
    at > 0 && text[at - 1] == word
}

/// Activations `(texts, tokens, neurons)`: eight times the strength, with noise, and nothing below zero.
pub fn activations(texts: &[Vec<String>], seed: Seed) -> Array3<f64> {
    let mut noise = vec![0.0; texts.len() * LENGTH * NEURONS.len()];
    fill_normal(&mut seed.stream(0x6e6f_6973, 0), 0.6, &mut noise);
    let value = |(text, at, neuron): (usize, usize, usize)| {
        let noise = noise[(text * LENGTH + at) * NEURONS.len() + neuron];
        (8.0 * (NEURONS[neuron].rule)(&texts[text], at) + noise - 0.6).max(0.0)
    };
    Array3::from_shape_fn((texts.len(), LENGTH, NEURONS.len()), value)
}
