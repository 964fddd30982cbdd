//! Reading of what models write: words in any quotes, numbers in any spelling, in one pass and without recursion.

use alloc::string::String;

/// Whether `c` opens a word.
pub(super) fn is_quote(c: char) -> bool {
    matches!(c, '\'' | '"' | '`' | '‘' | '’' | '“' | '”')
}

/// Whether `c` closes a word that `open` opened: models mix up the two curly quotes of a kind.
pub(super) fn closes(open: char, c: char) -> bool {
    match open {
        '‘' | '’' => matches!(c, '‘' | '’'),
        '“' | '”' => matches!(c, '“' | '”'),
        _ => c == open,
    }
}

/// A place in a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

/// A word that stood in quotes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Quoted {
    pub(super) word: String,
    /// Whether it holds a quote that could have ended it and was not escaped.
    pub(super) unescaped: bool,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Everything from here.
    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    pub(super) fn skip(&mut self, what: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches(what).len();
    }

    pub(super) fn skip_space(&mut self) {
        self.skip(char::is_whitespace);
    }

    /// The first character that is not white space, from here.
    pub(super) fn peek_after_space(mut self) -> Option<char> {
        self.skip_space();
        self.peek()
    }

    /// The text up to the first character that ends it, on which the cursor stops; `None`, and the end, where none does.
    pub(super) fn until(&mut self, ends: impl Fn(char) -> bool) -> Option<&'a str> {
        let rest = self.rest();
        let length = rest.find(ends);
        self.at += length.unwrap_or(rest.len());
        length.map(|length| &rest[..length])
    }

    /// The word whose opening quote is next: it ends at the first closing quote that is not escaped and has one of `then`
    /// behind it and optional white space, on which the cursor stops. `None`, and the end, where nothing ends it.
    pub(super) fn quoted(&mut self, then: &[char]) -> Option<Quoted> {
        let open = self.next()?;
        let (mut word, mut unescaped) = (String::new(), false);
        while let Some(c) = self.next() {
            if c == '\\' {
                match self.peek().filter(|&next| is_quote(next) || next == '\\') {
                    Some(next) => {
                        self.at += next.len_utf8();
                        word.push(next);
                    }
                    None => word.push(c),
                }
                continue;
            }
            if closes(open, c) {
                let mut ahead = *self;
                ahead.skip_space();
                if ahead.peek().is_some_and(|next| then.contains(&next)) {
                    *self = ahead;
                    return Some(Quoted { word, unescaped });
                }
                unescaped = true;
            }
            word.push(c);
        }
        None
    }
}

/// A number: optional sign (also U+2212), digits with an optional point, optional exponent. Nothing else is one, neither `nan`
/// nor `1_0`.
pub(super) fn number(text: &str) -> Option<f64> {
    let (sign, digits) = match text.chars().next()? {
        c @ ('-' | '\u{2212}') => (-1.0, &text[c.len_utf8()..]),
        '+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    is_unsigned_number(digits.as_bytes()).then(|| digits.parse().ok()).flatten().map(|x: f64| sign * x)
}

fn is_unsigned_number(text: &[u8]) -> bool {
    let digits = |from: usize| text.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
    let whole = digits(0);
    let mut length = whole;
    let mut count = whole;
    if text.get(length) == Some(&b'.') {
        let fraction = digits(length + 1);
        length += 1 + fraction;
        count += fraction;
    }
    if matches!(text.get(length), Some(b'e' | b'E')) {
        let signed = usize::from(matches!(text.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits(length + 1 + signed);
        if exponent == 0 {
            return false;
        }
        length += 1 + signed + exponent;
    }
    count > 0 && length == text.len()
}

/// A whole number with an optional sign.
pub(super) fn integer(text: &str) -> Option<i64> {
    let minus = text.strip_prefix('\u{2212}');
    let unsigned = minus.unwrap_or_else(|| text.strip_prefix(['+', '-']).unwrap_or(text));
    if unsigned.is_empty() || !unsigned.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match minus {
        Some(digits) => digits.parse().ok().and_then(i64::checked_neg),
        None => text.parse().ok(),
    }
}

/// `text` without one pair of quotes around it.
pub(super) fn without_quotes(text: &str) -> &str {
    let mut inner = text.chars();
    match (inner.next(), inner.next_back()) {
        (Some(open), Some(close)) if is_quote(open) && closes(open, close) => inner.as_str(),
        _ => text,
    }
}

/// Appends a token in a form that keeps it on one line and free of tabs: `\n`, `\t`, `\r` and `\\` for what they name.
pub(super) fn escape(token: &str, out: &mut String) {
    for c in token.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\\' => out.push_str("\\\\"),
            _ => out.push(c),
        }
    }
}

/// What [`escape`] was given.
pub(super) fn unescape(token: &str) -> String {
    let (mut out, mut left) = (String::with_capacity(token.len()), token.chars());
    while let Some(c) = left.next() {
        let mut ahead = left.clone();
        let named = match (c, ahead.next()) {
            ('\\', Some('n')) => '\n',
            ('\\', Some('t')) => '\t',
            ('\\', Some('r')) => '\r',
            ('\\', Some('\\')) => '\\',
            _ => {
                out.push(c);
                continue;
            }
        };
        out.push(named);
        left = ahead;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_every_spelling() {
        for (text, value) in
            [(".5", 0.5), ("1.", 1.0), ("+2", 2.0), ("-.25", -0.25), ("\u{2212}3e-1", -0.3), ("1E2", 100.0)]
        {
            assert_eq!(number(text), Some(value), "{text}");
        }
        for text in ["", ".", "-", "e5", "1e", "1e+", "nan", "inf", "1_0", "0x1", "1 ", "--1", "1.2.3", "٣"] {
            assert_eq!(number(text), None, "{text}");
        }
        assert_eq!((integer("-12"), integer("\u{2212}3"), integer("+4")), (Some(-12), Some(-3), Some(4)));
        for text in ["", "-", "1.0", "--1", "\u{2212}-1", "99999999999999999999"] {
            assert_eq!(integer(text), None, "{text}");
        }
    }

    #[test]
    fn a_word_ends_before_what_must_follow() {
        let word = |text: &str| {
            let mut cursor = Cursor::new(text);
            cursor.quoted(&[',']).map(|found| (found.word, found.unescaped, cursor.at()))
        };
        assert_eq!(word("'it's' , 1"), Some(("it's".into(), true, 7)));
        assert_eq!(word(r"'it\'s', 1"), Some(("it's".into(), false, 7)));
        assert_eq!(word("“a‘b“, 1"), Some(("a‘b".into(), false, 11)));
        assert_eq!(word(r#""\n\\", 1"#), Some((r"\n\".into(), false, 6)));
        assert_eq!(word("',', 1"), Some((",".into(), false, 3)));
        assert_eq!((word("'a"), word("'a' b"), word("")), (None, None, None));
        assert_eq!((without_quotes("'a'"), without_quotes("'a"), without_quotes("'")), ("a", "'a", "'"));
    }

    #[test]
    fn a_token_stays_on_its_line() {
        for token in ["", "\n", " a\tb\r\\n", "\\", "\\\\t", "é“"] {
            let mut escaped = String::new();
            escape(token, &mut escaped);
            assert!(!escaped.contains(['\n', '\t', '\r']));
            assert_eq!(unescape(&escaped), token);
        }
        assert_eq!(unescape("\\x\\"), "\\x\\");
    }
}
