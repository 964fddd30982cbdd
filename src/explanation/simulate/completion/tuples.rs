//! Tuples of an index, a token and a value, as a list in Python is written.

use alloc::vec::Vec;

use super::{Entry, Value};
use crate::explanation::text::{Cursor, integer, is_quote};

/// What the tuples say, and whether the text ends inside one.
pub(super) fn entries(text: &str) -> (Vec<Entry>, bool) {
    let (mut found, mut cursor) = (Vec::new(), Cursor::new(text));
    while cursor.until(|c| matches!(c, '(' | '[')).is_some() {
        let close = if cursor.next() == Some('(') { ')' } else { ']' };
        match tuple(&mut cursor, close) {
            Some(entry) => found.extend(entry),
            None => return (found, true),
        }
    }
    (found, false)
}

/// What stands in the brackets behind the one that was read; `None` where the text ends inside, nothing where it is no tuple.
fn tuple(cursor: &mut Cursor<'_>, close: char) -> Option<Option<Entry>> {
    cursor.skip_space();
    let mut index = None;
    if !cursor.peek().is_some_and(is_quote) {
        let Some(first) = cursor.until(|c| matches!(c, ',' | '(' | '[') || c == close) else { return Some(None) };
        index = integer(first.trim()).and_then(|index| usize::try_from(index).ok());
        if cursor.peek() != Some(',') || index.is_none() {
            return Some(None);
        }
        cursor.next();
        cursor.skip_space();
    }
    let token = match cursor.peek().filter(|&c| is_quote(c)) {
        Some(_) => {
            let word = cursor.quoted(&[','])?.word;
            cursor.next();
            Some(word)
        }
        None => None,
    };
    let value = Value::read(cursor.until(|c| c == close)?);
    let entry = match token {
        Some(token) => Entry { index, ..Entry::of_token(&token, value) },
        None => Entry { token: None, index, value },
    };
    Some(Some(entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn indices_may_be_there() {
        let expected = |index: Option<usize>| {
            let first = Entry { index, ..Entry::of_token("it's", Value::Number(3.0)) };
            vec![first, Entry { index: index.map(|i| i + 1), ..Entry::of_token("b", Value::Absent) }]
        };
        assert_eq!(entries("So (as asked) [('it's', 3), (\"b\", None)]"), (expected(None), false));
        assert_eq!(entries("[(4, 'it\\'s', 3),\n [5, ‘b’, null]]"), (expected(Some(4)), false));
        let numbers = vec![Entry { token: None, index: Some(0), value: Value::Number(7.0) }];
        assert_eq!(entries("[(0, 7)]"), (numbers, false));
        assert_eq!(entries("[(4, 'it's', 3), (5, 'b"), (expected(Some(4))[..1].to_vec(), true));
    }
}
