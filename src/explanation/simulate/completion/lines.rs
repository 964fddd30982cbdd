//! Lines of a token, a tab and a value.

use alloc::vec::Vec;

use super::{Entry, Value};

/// What the lines say; a line without a value says nothing.
pub(super) fn entries(text: &str) -> Vec<Entry> {
    text.split(['\n', '\r']).filter_map(entry).collect()
}

fn entry(line: &str) -> Option<Entry> {
    if let Some((token, value)) = line.rsplit_once('\t') {
        return Some(Entry::of_token(token, Value::read(value)));
    }
    // models turn tabs into blanks
    let (token, value) = line.trim_end().rsplit_once(char::is_whitespace)?;
    let value = Value::read(value);
    (matches!(value, Value::Number(_)) && !token.trim().is_empty()).then(|| Entry::of_token(token, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_with_its_value() {
        let found = entries("So:\nA\t4\u{F17}\r\n\tB\t 10 \u{F17}\n\\n\t7\n\t3\nC 2\nD\t\nE\thigh\n\n5\n");
        let expected = [
            ("A", Value::Number(4.0)),
            ("B", Value::Number(10.0)),
            ("\\n", Value::Number(7.0)),
            ("", Value::Number(3.0)),
            ("C", Value::Number(2.0)),
            ("D", Value::Absent),
            ("E", Value::Other),
        ];
        let expected: Vec<Entry> = expected.iter().map(|&(token, value)| Entry::of_token(token, value)).collect();
        assert_eq!(found, expected);
    }
}
