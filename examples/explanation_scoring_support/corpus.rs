//! Texts made up of fillers, and of the words that some neuron looks for.

use limpid::Seed;
use limpid::math::random::below;
use rand::Rng;

/// Tokens of a text.
pub const LENGTH: usize = 32;

pub const COLOURS: [&str; 5] = [" red", " blue", " green", " yellow", " purple"];
pub const DAYS: [&str; 5] = [" Monday", " Tuesday", " Thursday", " Friday", " Sunday"];
pub const DENIALS: [&str; 3] = [" not", " never", " nobody"];
pub const NOUNS: [&str; 6] = [" water", " people", " time", " houses", " music", " bread"];
pub const QUALITIES: [&str; 5] = [" old", " cold", " quiet", " strange", " large"];
const DIGITS: [&str; 9] = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
const FILLERS: [&str; 16] = [
    " the", " a", " and", " we", " saw", " it", " then", " went", " to", " in", " was", " there", " they", " came",
    ",", ".",
];

/// `count` texts of [`LENGTH`] tokens.
pub fn texts(count: usize, seed: Seed) -> Vec<Vec<String>> {
    (0..count as u64).map(|item| text(&mut seed.stream(0x7465_7874, item))).collect()
}

fn text(stream: &mut impl Rng) -> Vec<String> {
    let mut tokens: Vec<&str> = Vec::new();
    while tokens.len() < LENGTH {
        let mut pick = |from: &[&'static str]| from[below(stream, from.len())];
        // every second line of text is filler
        let found: Vec<&str> =
            match pick(&["0", "0", "0", "0", "0", "0", "0", "0", "1", "2", "3", "4", "5", "6", "7", "8"]) {
                "1" => vec![pick(&COLOURS)],
                "2" => vec![pick(&DAYS)],
                "3" => vec![pick(&DENIALS)],
                "4" => vec![" $", pick(&DIGITS)],
                "5" => vec![" room", " ", pick(&DIGITS)],
                "6" => vec![" of", pick(&NOUNS)],
                "7" => vec![pick(&["", " very"]), pick(&QUALITIES)],
                "8" => vec![pick(&NOUNS)],
                _ => vec![pick(&FILLERS)],
            };
        tokens.extend(found.into_iter().filter(|token| !token.is_empty()));
    }
    tokens.truncate(LENGTH);
    tokens.into_iter().map(str::to_owned).collect()
}
