//! Sentences with a known verdict: clauses of praise or blame, some of them negated.

use limpid::math::random::{Stream, below};

const NOUNS: [&str; 16] = [
    "film", "plot", "acting", "music", "ending", "food", "service", "room", "staff", "story", "book", "soup", "view",
    "waiter", "coffee", "chapter",
];
const GOOD: [&str; 16] = [
    "good",
    "great",
    "lovely",
    "excellent",
    "wonderful",
    "charming",
    "fresh",
    "friendly",
    "brilliant",
    "delightful",
    "warm",
    "funny",
    "clever",
    "bright",
    "tasty",
    "perfect",
];
const BAD: [&str; 16] = [
    "bad",
    "terrible",
    "awful",
    "boring",
    "bland",
    "rude",
    "dirty",
    "dull",
    "disappointing",
    "weak",
    "cold",
    "slow",
    "clumsy",
    "noisy",
    "stale",
    "horrible",
];
const STRESSED: [&str; 6] = ["very", "really", "quite", "so", "rather", "truly"];
const NEGATED: [&str; 4] = ["not", "never", "hardly", "isn't"];
const OTHERS: [&str; 18] = [
    "the", "a", "was", "were", "is", "and", "but", "i", "we", "thought", "that", "it", "here", "today", "this", "our",
    "my", "found",
];
const STARTS: [&[&str]; 5] = [&["the"], &["our"], &["this"], &["i", "thought", "the"], &["we", "found", "that", "the"]];
/// Most clauses of a sentence.
const CLAUSES: usize = 3;

/// All words, each with a number.
#[derive(Debug)]
pub(super) struct Grammar(Vec<&'static str>);

/// Numbers of words, and whether they praise.
pub(super) struct Sentence {
    pub(super) words: Vec<usize>,
    pub(super) praise: bool,
}

impl Default for Grammar {
    fn default() -> Self {
        Self([&OTHERS[..], &NOUNS, &GOOD, &BAD, &STRESSED, &NEGATED].concat())
    }
}

impl Grammar {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Number of a word, in any case.
    pub(super) fn number(&self, word: &str) -> Option<usize> {
        let word = word.to_lowercase();
        self.0.iter().position(|&known| known == word)
    }

    /// One sentence; its clauses are never even between praise and blame.
    pub(super) fn sentence(&self, stream: &mut Stream) -> Sentence {
        loop {
            let (mut words, mut balance) = (Vec::new(), 0);
            let clauses = 1 + below(stream, CLAUSES);
            for clause in 0..clauses {
                if clause > 0 {
                    words.push(if below(stream, 2) == 0 { "and" } else { "but" });
                }
                balance += clause_of(stream, &mut words);
            }
            if balance != 0 {
                let words = words.iter().filter_map(|word| self.number(word)).collect();
                return Sentence { words, praise: balance > 0 };
            }
        }
    }
}

/// Adds a clause and says whether it praises (1) or blames (-1).
fn clause_of(stream: &mut Stream, words: &mut Vec<&'static str>) -> i32 {
    let mut one = |of: &[&'static str]| of[below(stream, of.len())];
    let (noun, verb) = (one(&NOUNS), one(&["was", "is", "were"]));
    let (good, bad, stress, negation) = (one(&GOOD), one(&BAD), one(&STRESSED), one(&NEGATED));
    words.extend(STARTS[below(stream, STARTS.len())]);
    words.extend([noun, verb]);
    let (praises, negates, stresses) = (below(stream, 2) == 0, below(stream, 3) == 0, below(stream, 3) == 0);
    words.extend(negates.then_some(negation));
    words.extend(stresses.then_some(stress));
    words.push(if praises { good } else { bad });
    if praises == negates { -1 } else { 1 }
}

/// Words of a text, without what stands between them.
pub(super) fn split(text: &str) -> Vec<&str> {
    let between = |c: char| !(c.is_alphanumeric() || c == '\'' || c == '’');
    text.split(between).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use limpid::Seed;

    #[test]
    fn every_word_has_one_number() {
        let grammar = Grammar::default();
        assert!((0..grammar.len()).all(|number| grammar.number(grammar.0[number]) == Some(number)));
        assert_eq!(split("It isn't  good, is it?"), ["It", "isn't", "good", "is", "it"]);
    }

    #[test]
    fn both_verdicts_occur_and_sentences_are_short_enough() {
        let (grammar, mut stream) = (Grammar::default(), Seed(0).stream(0, 0));
        let sentences: Vec<Sentence> = (0..1000).map(|_| grammar.sentence(&mut stream)).collect();
        let praise = sentences.iter().filter(|sentence| sentence.praise).count();
        assert!((300..700).contains(&praise));
        assert!(sentences.iter().all(|sentence| sentence.words.len() <= super::super::model::TOKENS));
    }
}
