//! JSON, whole or cut off, with prose around it.
//!
//! A walk over its parts without a tree: whatever the nesting, a `token` and the `activation` after it are an entry, and so are a
//! text and a number side by side in a list. Numbers alone count where there is nothing else.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Entry, Value};
use crate::explanation::text::Cursor;

/// What the JSON says, and whether it ends inside.
pub(super) fn entries(text: &str) -> (Vec<Entry>, bool) {
    let mut walk =
        Walk { cursor: Cursor::new(text), depth: 0, key: Key::None, token: None, found: Vec::new(), bare: Vec::new() };
    let whole = walk.run().is_some();
    let found = if walk.found.is_empty() { walk.bare } else { walk.found };
    (found, !whole)
}

/// What the next value belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    /// No key: the value stands in a list.
    None,
    Token,
    Value,
    Other,
}

struct Walk<'a> {
    cursor: Cursor<'a>,
    depth: usize,
    key: Key,
    token: Option<String>,
    found: Vec<Entry>,
    bare: Vec<Entry>,
}

impl Walk<'_> {
    /// `None` where the text ends inside.
    fn run(&mut self) -> Option<()> {
        while let Some(c) = self.cursor.peek() {
            match c {
                '[' | '{' => {
                    self.depth += 1;
                    self.key = Key::None;
                    self.cursor.next();
                }
                ']' | '}' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.key = Key::None;
                    self.flush(Value::Absent);
                    self.cursor.next();
                }
                '"' | '\'' if self.depth > 0 => self.text(c)?,
                c if c.is_alphanumeric() || matches!(c, '-' | '+' | '.' | '\u{2212}') => self.word(),
                _ => {
                    self.cursor.next();
                }
            }
        }
        (self.depth == 0).then_some(())
    }

    fn text(&mut self, quote: char) -> Option<()> {
        let text =
            if quote == '"' { string(&mut self.cursor)? } else { self.cursor.quoted(&[':', ',', '}', ']'])?.word };
        if self.cursor.peek_after_space() == Some(':') {
            self.key = match text.to_lowercase().as_str() {
                "token" | "word" | "text" => Key::Token,
                "activation" | "value" | "digit" | "score" => Key::Value,
                _ => Key::Other,
            };
            return Some(());
        }
        match self.key {
            Key::Token | Key::None if self.token.is_none() || self.key == Key::Token => {
                self.flush(Value::Absent);
                self.token = Some(text);
            }
            Key::Value | Key::None => self.flush(Value::read(&text)),
            _ => {}
        }
        self.key = Key::None;
        Some(())
    }

    fn word(&mut self) {
        let ends = |c: char| !(c.is_alphanumeric() || matches!(c, '-' | '+' | '.' | '\u{2212}' | '_'));
        let start = self.cursor;
        let word = self.cursor.until(ends).unwrap_or_else(|| start.rest());
        let value = Value::read(word);
        match self.key {
            Key::Value | Key::None if self.token.is_some() => self.flush(value),
            Key::None if self.depth > 0 && matches!(value, Value::Number(_)) => {
                self.bare.push(Entry { token: None, index: None, value });
            }
            _ => {}
        }
        self.key = Key::None;
    }

    /// Ends the entry of the token that was read, if there is one.
    fn flush(&mut self, value: Value) {
        if let Some(token) = self.token.take() {
            self.found.push(Entry::of_token(&token, value));
        }
    }
}

/// The JSON string whose opening quote is next; `None` where it does not end.
fn string(cursor: &mut Cursor<'_>) -> Option<String> {
    let mut text = String::new();
    cursor.next();
    loop {
        match cursor.next()? {
            '"' => return Some(text),
            '\\' => match cursor.next()? {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                'b' => text.push('\u{8}'),
                'f' => text.push('\u{c}'),
                'u' => text.push(unicode(cursor)),
                c => text.push(c),
            },
            c => text.push(c),
        }
    }
}

/// The character of the hexadecimal digits after `\u`, or of two such that make one; U+FFFD where they make none.
fn unicode(cursor: &mut Cursor<'_>) -> char {
    let Some(first) = hex(cursor) else { return char::REPLACEMENT_CHARACTER };
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    let mut ahead = *cursor;
    let marked = ahead.next() == Some('\\') && ahead.next() == Some('u');
    let Some(second) = hex(&mut ahead).filter(|second| marked && (0xdc00..0xe000).contains(second)) else {
        return char::REPLACEMENT_CHARACTER;
    };
    *cursor = ahead;
    char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn hex(cursor: &mut Cursor<'_>) -> Option<u32> {
    let mut value = 0;
    for _ in 0..4 {
        value = value * 16 + cursor.peek()?.to_digit(16)?;
        cursor.next();
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> (Vec<(Option<String>, Value)>, bool) {
        let (found, truncated) = entries(text);
        (found.into_iter().map(|entry| (entry.token.map(|[token, _]| token), entry.value)).collect(), truncated)
    }

    fn token(token: &str, value: f64) -> (Option<String>, Value) {
        (Some(token.into()), Value::Number(value))
    }

    #[test]
    fn every_shape_says_the_same() {
        let expected = alloc::vec![token("a", 3.0), token("b", 0.0)];
        for text in [
            r#"{"to_find": "x", "n": 7, "activations": [{"token": "a", "activation": 3}, {"token": "b", "activation": 0}]}"#,
            r#"It's: [["a", 3], ["b", "0"]] (done)"#,
            "{'activations': [{'token': 'a', 'activation': 3}, {'token': 'b', 'activation': 0.0}]}",
            "```json\n[{\"Token\":\"a\",\n\"Activation\":3},{\"Token\":\"b\",\"Activation\":0}]\n```",
        ] {
            assert_eq!(said(text), (expected.clone(), false), "{text}");
        }
        let numbers = said("{\"activations\": [3, 0]}");
        assert_eq!(numbers, (alloc::vec![(None, Value::Number(3.0)), (None, Value::Number(0.0))], false));
    }

    #[test]
    fn what_was_cut_off_keeps_its_beginning() {
        let (found, truncated) = said(r#"[{"token": "a", "activation": 3}, {"token": "b", "activ"#);
        assert_eq!((found, truncated), (alloc::vec![token("a", 3.0)], true));
        let (found, truncated) = said(r#"[{"token": "a"}, {"token": "b", "activation": null}]"#);
        let none = |name: &str| (Some(String::from(name)), Value::Absent);
        assert_eq!((found, truncated), (alloc::vec![none("a"), none("b")], false));
    }

    #[test]
    fn escapes_are_what_they_stand_for() {
        let text = |json: &str| string(&mut Cursor::new(json));
        assert_eq!(text(r#""\u00e9\ud83d\ude00\n\"\\""#), Some("é😀\n\"\\".into()));
        assert_eq!(text(r#""\ud83dx\u12"#), None);
        assert_eq!(text(r#""\ud83dx\uzz""#), Some("\u{fffd}x\u{fffd}zz".into()));
    }
}
