//! Sub-words merged to words, by the conventions of the tokenisers.
//!
//! ```text
//! SentencePiece    "▁Hel" "lo" "▁you"      a word starts with ▁
//! byte-level       "Hel" "lo" "Ġyou"       a word starts with Ġ, a blank; bytes are written as letters
//! WordPiece        "Hel" "##lo" "you"      ## continues the word
//! end of word      "Hel" "lo</w>" "you</w>"
//! joiner           "Hel@@" "lo" "you"      @@ is continued
//! ```
//!
//! Tokens that are not text, such as `</s>`, and line breaks stay alone: they neither continue a word nor are continued.
//!
//! Source: the conventions of the published tokenisers. The letters for bytes are those of GPT-2: printable Latin-1 characters
//! stand for themselves, the other 68 bytes, ascending, for U+0100 onwards.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

use ndarray::{Array2, ArrayRef2};

use super::aggregation::{Aggregation, over_groups};
use super::spans::span_groups;
use crate::error::check_shape;
use crate::{Result, Scalar};

/// How a tokeniser marks where words begin or go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Marker {
    /// `▁` (U+2581) starts a word: Llama, T5, Mistral, Gemma, XLM-R.
    #[default]
    SentencePiece,
    /// `Ġ` starts a word, and letters stand for bytes: GPT-2, RoBERTa, Llama 3, Qwen.
    ByteLevel,
    /// `##` continues a word: BERT.
    WordPiece,
    /// `</w>` ends a word: GPT-1, CLIP.
    EndOfWord,
    /// `@@` at the end is continued: subword-nmt, fairseq.
    Joiner,
}

impl Marker {
    /// Whether a word starts at `token`, which follows `before`.
    fn starts(self, before: &str, token: &str) -> bool {
        match self {
            Self::SentencePiece => token.starts_with('▁'),
            Self::ByteLevel => token.starts_with('Ġ'),
            Self::WordPiece => !token.starts_with("##"),
            Self::EndOfWord => before.ends_with("</w>"),
            Self::Joiner => !before.ends_with("@@"),
        }
    }

    /// The token without its mark. Further marks inside of SentencePiece tokens are blanks.
    fn bare(self, token: &str) -> String {
        let bare = match self {
            Self::SentencePiece => token.strip_prefix('▁'),
            Self::ByteLevel => token.strip_prefix('Ġ'),
            Self::WordPiece => token.strip_prefix("##"),
            Self::EndOfWord => token.strip_suffix("</w>"),
            Self::Joiner => token.strip_suffix("@@"),
        };
        let bare = bare.unwrap_or(token);
        if self == Self::SentencePiece { bare.replace('▁', " ") } else { bare.to_string() }
    }
}

/// Merging of sub-words. The default is that of SentencePiece, with [`Aggregation::AbsMax`].
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Subwords {
    /// Convention of the tokeniser.
    pub marker: Marker,
    /// How scores of the parts of a word become one.
    pub aggregation: Aggregation,
    /// Tokens that always stay alone.
    pub alone: Vec<String>,
}

impl Default for Subwords {
    fn default() -> Self {
        const ALONE: [&str; 20] = [
            "<s>",
            "</s>",
            "<unk>",
            "<pad>",
            "<mask>",
            "<bos>",
            "<eos>",
            "[CLS]",
            "[SEP]",
            "[PAD]",
            "[UNK]",
            "[MASK]",
            "<|endoftext|>",
            "<|begin_of_text|>",
            "<|im_start|>",
            "<|im_end|>",
            "<0x0A>",
            "\n",
            "Ċ",
            "ĊĊ",
        ];
        let alone = ALONE.iter().map(ToString::to_string).collect();
        Self { marker: Marker::default(), aggregation: Aggregation::default(), alone }
    }
}

/// Words, and the scores of each.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Words<T> {
    /// The words, without marks.
    pub words: Vec<String>,
    /// `(b, words)`.
    pub scores: Array2<T>,
    /// Tokens of each word.
    pub spans: Vec<Range<usize>>,
}

impl Subwords {
    /// The default for a tokeniser's convention.
    #[must_use]
    pub fn of(marker: Marker) -> Self {
        Self { marker, ..Self::default() }
    }

    /// Tokens of each word; together they are all tokens.
    #[must_use]
    pub fn spans<S: AsRef<str>>(&self, tokens: &[S]) -> Vec<Range<usize>> {
        let alone = |token: &str| self.alone.iter().any(|other| other == token);
        let mut spans: Vec<Range<usize>> = Vec::new();
        let mut before: Option<&str> = None;
        for (at, token) in tokens.iter().map(AsRef::as_ref).enumerate() {
            let continues =
                before.is_some_and(|before| !alone(before) && !alone(token) && !self.marker.starts(before, token));
            match spans.last_mut().filter(|_| continues) {
                Some(word) => word.end = at + 1,
                None => spans.push(at..at + 1),
            }
            before = Some(token);
        }
        spans
    }

    /// The words of `tokens`, without marks; byte-level ones as text, where their bytes are text.
    #[must_use]
    pub fn words<S: AsRef<str>>(&self, tokens: &[S]) -> Vec<String> {
        let word = |span: Range<usize>| match &tokens[span] {
            [token] if self.alone.iter().any(|alone| alone == token.as_ref()) => token.as_ref().to_string(),
            parts => self.word(parts),
        };
        self.spans(tokens).into_iter().map(word).collect()
    }

    /// One word; what is nothing but a mark stays as it is, so that no word is empty that was not.
    fn word<S: AsRef<str>>(&self, parts: &[S]) -> String {
        let joined: String = parts.iter().map(|part| self.marker.bare(part.as_ref())).collect();
        match self.marker {
            _ if joined.is_empty() => parts.iter().map(AsRef::as_ref).collect(),
            Marker::ByteLevel => bytes_to_text(&joined).unwrap_or(joined),
            _ => joined,
        }
    }

    /// Merges the columns of `x: (b, t)` that are parts of one word.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) unless there is a column for every token, and as
    /// [`over_groups`](super::over_groups).
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::aggregate::{Marker, Subwords};
    /// use ndarray::array;
    ///
    /// let tokens = ["[CLS]", "un", "##believ", "##able", "!"];
    /// let x = array![[0.0, 0.1, -0.6, 0.2, 0.3]];
    /// let merged = Subwords::of(Marker::WordPiece).merge(&tokens, &x)?;
    /// assert_eq!(merged.words, ["[CLS]", "unbelievable", "!"]);
    /// assert_eq!(merged.scores, array![[0.0, -0.6, 0.3]]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn merge<T: Scalar, S: AsRef<str>>(&self, tokens: &[S], x: &ArrayRef2<T>) -> Result<Words<T>> {
        check_shape("x", x, &[x.nrows(), tokens.len()])?;
        let spans = self.spans(tokens);
        let scores = over_groups(x, &span_groups(tokens.len(), &spans)?, self.aggregation)?;
        Ok(Words { words: self.words(tokens), scores, spans })
    }
}

/// Text of letters that stand for bytes; `None` where a letter stands for none, or the bytes are not UTF-8.
fn bytes_to_text(letters: &str) -> Option<String> {
    let stands_for_itself = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let byte = |letter: char| {
        let code = u32::from(letter);
        match u8::try_from(code) {
            Ok(byte) => stands_for_itself(byte).then_some(byte),
            Err(_) => (0..=u8::MAX).filter(|&byte| !stands_for_itself(byte)).nth(usize::try_from(code - 0x100).ok()?),
        }
    };
    String::from_utf8(letters.chars().map(byte).collect::<Option<_>>()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::array;

    #[test]
    fn every_convention_gives_the_same_words() {
        let cases: [(Marker, &[&str]); 5] = [
            (Marker::SentencePiece, &["▁Hel", "lo", "▁you", "</s>"]),
            (Marker::ByteLevel, &["Hel", "lo", "Ġyou", "</s>"]),
            (Marker::WordPiece, &["Hel", "##lo", "you", "</s>"]),
            (Marker::EndOfWord, &["Hel", "lo</w>", "you</w>", "</s>"]),
            (Marker::Joiner, &["Hel@@", "lo", "you", "</s>"]),
        ];
        for (marker, tokens) in cases {
            let subwords = Subwords::of(marker);
            assert_eq!(subwords.words(tokens), ["Hello", "you", "</s>"], "{marker:?}");
            assert_eq!(subwords.spans(tokens), [0..2, 2..3, 3..4]);
        }
    }

    #[test]
    fn what_is_not_text_stays_alone() {
        let subwords = Subwords::of(Marker::ByteLevel);
        let tokens = ["<|endoftext|>", "Hi", "Ċ", "Ġ", "Ġyou"];
        assert_eq!(subwords.words(&tokens), ["<|endoftext|>", "Hi", "Ċ", "Ġ", "you"]);
        assert_eq!(Subwords::default().spans(&["<s>", "x", "y", "</s>", "z"]), [0..1, 1..3, 3..4, 4..5]);
        assert!(subwords.spans::<&str>(&[]).is_empty());
    }

    #[test]
    fn bytes_become_text_again() {
        let subwords = Subwords::of(Marker::ByteLevel);
        // é is C3 A9, and the arrow E2 86 92
        assert_eq!(subwords.words(&["Ġcaf", "Ã©", "ĠâĨĴ"]), ["café", "→"]);
        // half of a character stays as it is
        assert_eq!(subwords.words(&["ĠÃ"]), ["Ã"]);
        // C3 A0 and C2 AD: the last two letters of the table
        assert_eq!(bytes_to_text("ÃłÂŃ"), Some("à\u{AD}".to_string()));
        assert_eq!(bytes_to_text("Ġ!"), Some(" !".to_string()));
    }

    #[test]
    fn scores_follow_the_words() {
        let x = array![[0.1_f32, -0.4, 0.4], [1.0, 2.0, 3.0]];
        let tokens = ["▁a", "b", "▁c"];
        let merged = Subwords::default().merge(&tokens, &x).unwrap();
        assert_eq!((merged.scores, merged.spans), (array![[-0.4, 0.4], [2.0, 3.0]], alloc::vec![0..2, 2..3]));
        assert!(matches!(Subwords::default().merge(&tokens[..2], &x), Err(Error::Shape { what: "x", .. })));
    }
}
