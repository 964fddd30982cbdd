//! A made-up text in which contexts are planted, for a run that must find them.

use limpid::math::random::{Stream, below};

use crate::text::stream;

const PURPOSE: u64 = 0x706c_616e;
const NAMES: [&str; 6] = ["ANNA", "OTTO VAN", "MARIA", "LORD ELM", "BORIS", "QUEEN IDA"];
const WORDS: [&str; 32] = [
    "the", "queen", "and", "quick", "river", "stone", "quiet", "over", "under", "garden", "letter", "never", "winter",
    "silver", "the", "and", "you", "morning", "quarrel", "window", "bread", "candle", "the", "you", "and", "forest",
    "answer", "summer", "little", "harbour", "the", "orchard",
];
const PLACES: [&str; 5] = ["London", "Verona", "Padua", "Bergen", "Quebec"];

/// A play of about `length` characters: names in capitals, verse, numbers, quotations.
pub(crate) fn play(length: usize, seed: u64) -> String {
    let (mut random, mut text) = (stream(seed, PURPOSE), String::new());
    while text.len() < length {
        text += NAMES[below(&mut random, NAMES.len())];
        text += ":\n";
        for _ in 0..=below(&mut random, 3) {
            sentence(&mut text, &mut random);
        }
        text.push('\n');
    }
    text
}

fn sentence(text: &mut String, random: &mut Stream) {
    let words = 5 + below(random, 9);
    let quoted = below(random, 6) == 0;
    for at in 0..words {
        let word = match below(random, 16) {
            0 => (1500 + below(random, 400)).to_string(),
            1 => PLACES[below(random, PLACES.len())].to_owned(),
            _ => WORDS[below(random, WORDS.len())].to_owned(),
        };
        if at == 0 {
            text.extend(word.chars().take(1).flat_map(char::to_uppercase));
            text.push_str(&word[1..]);
        } else {
            text.push_str(&word);
        }
        if at + 1 == words {
            break;
        }
        match below(random, 12) {
            0 => text.push_str(", "),
            1 => text.push_str(",\n"),
            2 if quoted => text.push_str(" \"no\" "),
            _ => text.push(' '),
        }
    }
    text.push_str([".\n", "!\n", "?\n"][below(random, 3)]);
}
