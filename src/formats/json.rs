//! JSON, as settings and headers of weight files hold it.
//!
//! A reader of its own for three reasons: Python writes `NaN` and `Infinity`, which JSON does not have; a key that comes
//! twice is an error here, not a choice; and an error says at which byte.
//!
//! Source: RFC 8259.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use super::fail;
use crate::{Error, FormatKind, Result, Scalar};

/// Objects and lists inside each other that are followed.
const MAX_DEPTH: usize = 64;

/// A value; numbers stay text, so that none loses digits.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<Self>),
    Object(Object<'a>),
}

/// Entries in the order of their keys.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Object<'a> {
    pub(super) fn get(&self, key: &str) -> Option<&Json<'a>> {
        let at = self.0.binary_search_by(|(k, _)| k.as_ref().cmp(key)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Json<'a>)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value))
    }
}

impl<'a> Json<'a> {
    /// The value that `bytes` hold and nothing else; errors are of this kind.
    pub(super) fn parse(bytes: &'a [u8], kind: FormatKind) -> Result<Self> {
        let text = core::str::from_utf8(bytes).map_err(|e| fail(kind, "UTF-8 text", e.valid_up_to()))?;
        let mut parser = Parser { text, at: 0, kind };
        let value = parser.value(0)?;
        parser.skip_space();
        if parser.at == text.len() { Ok(value) } else { Err(parser.error("the end of the JSON text")) }
    }

    pub(super) fn object(&self) -> Option<&Object<'a>> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    pub(super) fn list(&self) -> Option<&[Self]> {
        if let Self::List(list) = self { Some(list) } else { None }
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn flag(&self) -> Option<bool> {
        if let Self::Bool(flag) = self { Some(*flag) } else { None }
    }

    pub(super) fn number(&self) -> Option<f64> {
        if let Self::Number(digits) = self { digits.parse().ok() } else { None }
    }

    /// A whole number from 0; `3.0` is one.
    pub(super) fn count(&self) -> Option<usize> {
        let Self::Number(digits) = self else { return None };
        digits.parse().ok().or_else(|| whole(digits.parse().ok()?))
    }

    pub(super) fn is_null(&self) -> bool {
        *self == Self::Null
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and in range")]
fn whole(x: f64) -> Option<usize> {
    let fits = (0.0..9e15).contains(&x) && x <= usize::MAX as f64 && x == libm::floor(x);
    fits.then_some(x as usize)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    kind: FormatKind,
}

impl<'a> Parser<'a> {
    fn error(&self, what: &'static str) -> Error {
        fail(self.kind, what, self.at)
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn value(&mut self, depth: usize) -> Result<Json<'a>> {
        if depth > MAX_DEPTH {
            return Err(fail(FormatKind::Limit, "JSON values inside each other", self.at));
        }
        self.skip_space();
        match self.rest().bytes().next() {
            Some(b'{') => self.object(depth).map(Json::Object),
            Some(b'[') => self.list(depth).map(Json::List),
            Some(b'"') => self.string().map(Json::Text),
            _ if self.take("null") => Ok(Json::Null),
            _ if self.take("true") => Ok(Json::Bool(true)),
            _ if self.take("false") => Ok(Json::Bool(false)),
            _ => self.number().map(Json::Number),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Json<'a>>> {
        let mut list = Vec::new();
        self.at += 1;
        self.skip_space();
        if self.take("]") {
            return Ok(list);
        }
        loop {
            list.push(self.value(depth + 1)?);
            self.skip_space();
            if self.take("]") {
                return Ok(list);
            }
            if !self.take(",") {
                return Err(self.error("a comma or the end of a JSON list"));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Object<'a>> {
        let (mut entries, start) = (Vec::new(), self.at);
        self.at += 1;
        self.skip_space();
        if self.take("}") {
            return Ok(Object(entries));
        }
        loop {
            self.skip_space();
            if !self.rest().starts_with('"') {
                return Err(self.error("a key of a JSON object"));
            }
            let key = self.string()?;
            self.skip_space();
            if !self.take(":") {
                return Err(self.error("a colon in a JSON object"));
            }
            entries.push((key, self.value(depth + 1)?));
            self.skip_space();
            if self.take("}") {
                break;
            }
            if !self.take(",") {
                return Err(self.error("a comma or the end of a JSON object"));
            }
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        let twice = entries.windows(2).any(|pair| pair[0].0 == pair[1].0);
        if twice { Err(fail(self.kind, "a JSON object without equal keys", start)) } else { Ok(Object(entries)) }
    }

    fn number(&mut self) -> Result<&'a str> {
        let rest = self.rest();
        for name in ["NaN", "Infinity", "-Infinity"] {
            if self.take(name) {
                return Ok(&rest[..name.len()]);
            }
        }
        let length = number_length(rest.as_bytes()).ok_or_else(|| self.error("a JSON value"))?;
        self.at += length;
        Ok(&rest[..length])
    }

    fn string(&mut self) -> Result<Cow<'a, str>> {
        self.at += 1;
        let rest = self.rest();
        let plain = rest.find(['"', '\\']).ok_or_else(|| self.error("the end of a JSON string"))?;
        if rest[..plain].bytes().any(|b| b < 0x20) {
            return Err(self.error("a JSON string without control characters"));
        }
        self.at += plain;
        if self.take("\"") {
            return Ok(Cow::Borrowed(&rest[..plain]));
        }
        let mut text = String::from(&rest[..plain]);
        loop {
            let c = self.rest().chars().next().ok_or_else(|| self.error("the end of a JSON string"))?;
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(Cow::Owned(text)),
                '\\' => text.push(self.escape()?),
                '\0'..' ' => return Err(self.error("a JSON string without control characters")),
                _ => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char> {
        let c = self.rest().chars().next().ok_or_else(|| self.error("a JSON escape"))?;
        self.at += c.len_utf8();
        Ok(match c {
            '"' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => return self.unicode(),
            _ => return Err(self.error("a JSON escape")),
        })
    }

    /// The character of `\uhhhh`, or of two of them that make one; a half that stands alone becomes U+FFFD.
    fn unicode(&mut self) -> Result<char> {
        let first = self.hex()?;
        if !(0xd800..0xdc00).contains(&first) || !self.rest().starts_with("\\u") {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let after = self.at;
        self.at += 2;
        let second = self.hex()?;
        if !(0xdc00..0xe000).contains(&second) {
            // a character of its own
            self.at = after;
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        let joined = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        Ok(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Result<u32> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let value = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let value = value.ok_or_else(|| self.error("four hexadecimal digits"))?;
        self.at += 4;
        Ok(value)
    }
}

/// Bytes of the JSON number at the front of `text`.
fn number_length(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| text.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
    let sign = usize::from(text.first() == Some(&b'-'));
    let whole = digits(sign);
    if whole == 0 || (whole > 1 && text.get(sign) == Some(&b'0')) {
        return None;
    }
    let mut length = sign + whole;
    if text.get(length) == Some(&b'.') {
        let fraction = digits(length + 1);
        length += 1 + (fraction > 0).then_some(fraction)?;
    }
    if matches!(text.get(length), Some(b'e' | b'E')) {
        let signed = usize::from(matches!(text.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits(length + 1 + signed);
        length += 1 + signed + (exponent > 0).then_some(exponent)?;
    }
    Some(length)
}

/// Appends the shortest number that reads back to the same float; `NaN` and `Infinity` as Python writes them.
pub(super) fn write_number<T: Scalar>(x: T, out: &mut String) {
    let size = x.as_f64().abs();
    // writing into a string does not fail
    let _ = if size == 0.0 || (1e-4..1e7).contains(&size) {
        write!(out, "{x}")
    } else if size.is_finite() {
        write!(out, "{x:e}")
    } else {
        out.push_str(if x.is_nan() {
            "NaN"
        } else if x > T::zero() {
            "Infinity"
        } else {
            "-Infinity"
        });
        Ok(())
    };
}

/// Appends a list of what `write` appends for each item.
pub(super) fn write_list<V>(items: impl IntoIterator<Item = V>, out: &mut String, write: impl Fn(V, &mut String)) {
    out.push('[');
    for (index, item) in items.into_iter().enumerate() {
        out.push_str(if index == 0 { "" } else { "," });
        write(item, out);
    }
    out.push(']');
}

/// Appends `text` as a JSON string.
pub(super) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\0'..' ' => {
                // writing into a string does not fail
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn parse(text: &str) -> Result<Json<'_>> {
        Json::parse(text.as_bytes(), FormatKind::Config)
    }

    #[test]
    fn values_come_out() {
        let text = r#" {"a": [1, -2.5e+3, null, true], "b\n": {"c": "\u00e9\ud83d\ude00\ud800/\ud800\u0041"}, "n": NaN, "i": -Infinity} "#;
        let json = parse(text).unwrap();
        let object = json.object().unwrap();
        let list = object.get("a").and_then(Json::list).unwrap();
        assert_eq!((list[0].count(), list[1].number(), list[3].flag()), (Some(1), Some(-2500.0), Some(true)));
        assert!(list[2].is_null());
        let inner = object.get("b\n").and_then(Json::object).and_then(|o| o.get("c")).and_then(Json::text);
        assert_eq!(inner, Some("é😀\u{fffd}/\u{fffd}A"));
        assert!(object.get("n").and_then(Json::number).unwrap().is_nan());
        assert_eq!(object.get("i").and_then(Json::number), Some(f64::NEG_INFINITY));
        assert_eq!(object.get("missing"), None);
        assert_eq!(object.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["a", "b\n", "i", "n"]);
    }

    #[test]
    fn whole_numbers_keep_all_digits() {
        assert_eq!(parse("9007199254740993").unwrap().count(), Some(9_007_199_254_740_993));
        assert_eq!(parse("3.0").unwrap().count(), Some(3));
        for other in ["-1", "0.5", "1e300", "NaN", "\"3\""] {
            assert_eq!(parse(other).unwrap().count(), None, "{other}");
        }
    }

    #[test]
    fn what_is_not_json_says_where() {
        for (text, offset) in [
            ("", 0),
            ("{\"a\" 1}", 5),
            ("{\"a\": 1,}", 8),
            ("[1 2]", 3),
            ("[1,]", 3),
            ("01", 0),
            ("1.", 0),
            ("1e", 0),
            ("-", 0),
            ("nul", 0),
            ("\"abc", 1),
            ("\"\\x\"", 3),
            ("\"\\u12\"", 3),
            ("{} x", 3),
            ("{\"a\": 1, \"a\": 2}", 0),
        ] {
            let error = parse(text).unwrap_err();
            assert!(matches!(error, Error::Format { offset: at, .. } if at == offset), "{text}: {error:?}");
        }
        let not_utf8 = Json::parse(&[b'"', 0xff, b'"'], FormatKind::Header).unwrap_err();
        assert_eq!(not_utf8, fail(FormatKind::Header, "UTF-8 text", 1));
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = "[".repeat(100_000);
        assert_eq!(parse(&deep).unwrap_err().format_kind(), Some(FormatKind::Limit));
    }

    #[test]
    fn numbers_come_back() {
        for x in [0.0, -0.5, 1e-300, 123_456_789.0, f64::MAX, f64::INFINITY, f64::NEG_INFINITY] {
            let mut written = String::new();
            write_number(x, &mut written);
            assert_eq!(parse(&written).unwrap().number(), Some(x));
        }
        let mut written = String::new();
        write_list([f32::NAN, 0.1], &mut written, write_number);
        assert_eq!(written, "[NaN,0.1]");
    }

    #[test]
    fn strings_come_back() {
        for text in ["", "plain", "quote \" and \\", "line\nbreak \u{1} é😀"] {
            let mut written = String::new();
            write_string(text, &mut written);
            assert_eq!(parse(&written).unwrap(), Json::Text(text.into()));
        }
        assert_eq!(parse("[]").unwrap().list(), Some(&vec![][..]));
    }
}
