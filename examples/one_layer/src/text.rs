//! A text as character tokens: its vocabulary, what is trained on, and what is held out.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use limpid::Seed;
use limpid::math::random::below;

use crate::{Error, Result};

/// Stands for characters that are too rare to have a token.
pub const UNKNOWN: char = '\u{fffd}';
/// Largest vocabulary, with the unknown character.
pub const LARGEST: usize = 256;
/// Largest file that is read.
const MOST_BYTES: u64 = 1 << 30;
/// One of so many characters is held out, at the end.
const HELD_OUT: usize = 10;
/// Windows that a part needs at least.
const WINDOWS: usize = 8;

/// Characters with tokens, the last one [`UNKNOWN`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    characters: Vec<char>,
    numbers: BTreeMap<char, u32>,
}

impl Vocabulary {
    /// The most frequent characters of a text.
    pub fn of(text: &str) -> Self {
        let mut counts = BTreeMap::<char, u64>::new();
        text.chars().filter(|&c| c != UNKNOWN).for_each(|c| *counts.entry(c).or_default() += 1);
        let mut by_count: Vec<(char, u64)> = counts.into_iter().collect();
        by_count.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut characters: Vec<char> = by_count.into_iter().take(LARGEST - 1).map(|(c, _)| c).collect();
        characters.sort_unstable();
        characters.push(UNKNOWN);
        Self::listed(&characters.iter().collect::<String>())
            .unwrap_or_else(|| Self { characters, numbers: BTreeMap::new() })
    }

    /// The vocabulary with these characters in their order; `None` unless each comes once and the unknown one last.
    pub fn listed(characters: &str) -> Option<Self> {
        let characters: Vec<char> = characters.chars().collect();
        let numbers: BTreeMap<char, u32> = characters.iter().copied().zip(0..).collect();
        let whole = numbers.len() == characters.len() && characters.last() == Some(&UNKNOWN);
        (whole && (2..=LARGEST).contains(&characters.len())).then_some(Self { characters, numbers })
    }

    /// Number of tokens.
    pub fn size(&self) -> usize {
        self.characters.len()
    }

    /// All characters in order.
    pub fn characters(&self) -> &[char] {
        &self.characters
    }

    /// Tokens of a text.
    pub fn tokens(&self, text: &str) -> Vec<u32> {
        let unknown = self.numbers.get(&UNKNOWN).copied().unwrap_or(0);
        text.chars().map(|c| self.numbers.get(&c).copied().unwrap_or(unknown)).collect()
    }

    /// The character of a token.
    pub fn character(&self, token: u32) -> char {
        self.characters.get(token as usize).copied().unwrap_or(UNKNOWN)
    }
}

/// A text of which a part is held out.
#[derive(Debug, Clone)]
pub struct Text {
    /// All characters.
    pub characters: Vec<char>,
    /// A token for each.
    pub tokens: Vec<u32>,
    /// The first of those that are held out.
    pub held_out: usize,
}

/// Reads a text file.
///
/// # Errors
/// A file that is missing, too large, not UTF-8 or empty.
pub fn read(path: &Path) -> Result<String> {
    let size = fs::metadata(path).map_err(|e| Error::at(path, e))?.len();
    if size > MOST_BYTES {
        return Err(Error::at(path, format!("{size} bytes, more than {MOST_BYTES}")));
    }
    let bytes = fs::read(path).map_err(|e| Error::at(path, e))?;
    let text = String::from_utf8(bytes).map_err(|e| Error::at(path, format!("not UTF-8: {}", e.utf8_error())))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n");
    if text.trim().is_empty() {
        return Err(Error::at(path, "no text"));
    }
    Ok(text)
}

/// The part of a text that a vocabulary comes from and a model is trained on.
pub fn training_part(text: &str) -> &str {
    let characters = text.chars().count();
    let end = text.char_indices().nth(characters - characters / HELD_OUT).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

impl Text {
    /// Splits a text for windows of `context` tokens.
    ///
    /// # Errors
    /// A text too short for it.
    pub fn new(text: &str, vocabulary: &Vocabulary, context: usize) -> Result<Self> {
        let (characters, tokens) = (text.chars().collect::<Vec<char>>(), vocabulary.tokens(text));
        let needed = HELD_OUT * (WINDOWS * context + 1);
        if characters.len() < needed {
            let says = format!("a text of {} characters is too short: {needed} are needed", characters.len());
            return Err(Error(says));
        }
        let held_out = characters.len() - characters.len() / HELD_OUT;
        Ok(Self { characters, tokens, held_out })
    }

    /// Windows of `context` tokens, one after the other, of the training part or the held-out one.
    ///
    /// Each has a next token for all of its tokens.
    pub fn windows(&self, held_out: bool, context: usize) -> Vec<usize> {
        let part = if held_out { self.held_out..self.tokens.len() } else { 0..self.held_out };
        part.clone().step_by(context).filter(|start| start + context < part.end).collect()
    }

    /// At most `most` of the windows, spread evenly over the part.
    pub fn some_windows(&self, held_out: bool, context: usize, most: usize) -> Vec<usize> {
        let all = self.windows(held_out, context);
        let few = most.min(all.len());
        (0..few).map(|i| all[i * all.len() / few]).collect()
    }

    /// Starts of `count` windows of the training part, drawn with replacement.
    pub fn draw(&self, stream: &mut limpid::math::random::Stream, count: usize, context: usize) -> Vec<usize> {
        (0..count).map(|_| below(stream, self.held_out - context)).collect()
    }

    /// Tokens of a window.
    pub fn window(&self, start: usize, context: usize) -> &[u32] {
        &self.tokens[start..start + context]
    }
}

/// A stream of random numbers for one purpose.
pub fn stream(seed: u64, purpose: u64) -> limpid::math::random::Stream {
    Seed(seed).stream(purpose, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vocabulary_has_what_the_text_has() {
        let vocabulary = Vocabulary::of("abca\n");
        assert_eq!(vocabulary.characters(), ['\n', 'a', 'b', 'c', UNKNOWN]);
        assert_eq!(vocabulary.tokens("cz"), [3, 4]);
        assert_eq!(Vocabulary::listed("\nabc\u{fffd}"), Some(vocabulary));
        assert!(Vocabulary::listed("aa\u{fffd}").is_none() && Vocabulary::listed("ab").is_none());
        let many: String = (0..400).filter_map(|i| char::from_u32(0x4e00 + i)).collect();
        assert_eq!(Vocabulary::of(&many).size(), LARGEST);
    }

    #[test]
    fn windows_stay_in_their_part() {
        let string = "abcd".repeat(300);
        let text = Text::new(&string, &Vocabulary::of(&string), 8).unwrap();
        assert_eq!((text.held_out, training_part(&string).len()), (1080, 1080));
        assert!(text.windows(false, 8).iter().all(|start| start + 8 < 1080));
        let held = text.windows(true, 8);
        assert!(held.len() == 14 && held.iter().all(|&start| start >= 1080 && start + 8 < 1200));
        assert!(text.draw(&mut stream(0, 1), 100, 8).iter().all(|start| start + 8 < 1080));
        assert!(Text::new("abc", &Vocabulary::of("abc"), 8).is_err());
    }
}
