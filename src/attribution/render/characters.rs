//! Strings of the caller made safe to show, and their width in a terminal.
//!
//! Control characters, which could move a cursor or start an escape sequence, become visible pictures of themselves. So do
//! line breaks, tabs, tokens of nothing but blanks, and empty tokens. Characters that reverse the direction of what follows
//! become U+FFFD.
//!
//! Source: Unicode Standard Annex 11 for the widths, in the terms of its version 14: wide and full-width characters have two
//! columns, combining ones none.

use alloc::string::String;

/// Where characters of two columns begin and, one after the other, end.
const WIDE: [u32; 162] = [
    0x1100, 0x1160, 0x231A, 0x231C, 0x2329, 0x232B, 0x23E9, 0x23ED, 0x23F0, 0x23F1, 0x23F3, 0x23F4, 0x25FD, 0x25FF,
    0x2614, 0x2616, 0x2648, 0x2654, 0x267F, 0x2680, 0x2693, 0x2694, 0x26A1, 0x26A2, 0x26AA, 0x26AC, 0x26BD, 0x26BF,
    0x26C4, 0x26C6, 0x26CE, 0x26CF, 0x26D4, 0x26D5, 0x26EA, 0x26EB, 0x26F2, 0x26F4, 0x26F5, 0x26F6, 0x26FA, 0x26FB,
    0x26FD, 0x26FE, 0x2705, 0x2706, 0x270A, 0x270C, 0x2728, 0x2729, 0x274C, 0x274D, 0x274E, 0x274F, 0x2753, 0x2756,
    0x2757, 0x2758, 0x2795, 0x2798, 0x27B0, 0x27B1, 0x27BF, 0x27C0, 0x2B1B, 0x2B1D, 0x2B50, 0x2B51, 0x2B55, 0x2B56,
    0x2E80, 0x303F, 0x3041, 0x3248, 0x3250, 0x4DC0, 0x4E00, 0xA4C7, 0xA960, 0xA97D, 0xAC00, 0xD7A4, 0xF900, 0xFADA,
    0xFE10, 0xFE1A, 0xFE30, 0xFE6C, 0xFF01, 0xFF61, 0xFFE0, 0xFFE7, 0x1_6FE0, 0x1_B2FC, 0x1_F004, 0x1_F005, 0x1_F0CF,
    0x1_F0D0, 0x1_F18E, 0x1_F18F, 0x1_F191, 0x1_F19B, 0x1_F200, 0x1_F321, 0x1_F32D, 0x1_F336, 0x1_F337, 0x1_F37D,
    0x1_F37E, 0x1_F394, 0x1_F3A0, 0x1_F3CB, 0x1_F3CF, 0x1_F3D4, 0x1_F3E0, 0x1_F3F1, 0x1_F3F4, 0x1_F3F5, 0x1_F3F8,
    0x1_F43F, 0x1_F440, 0x1_F441, 0x1_F442, 0x1_F4FD, 0x1_F4FF, 0x1_F53E, 0x1_F54B, 0x1_F54F, 0x1_F550, 0x1_F568,
    0x1_F57A, 0x1_F57B, 0x1_F595, 0x1_F597, 0x1_F5A4, 0x1_F5A5, 0x1_F5FB, 0x1_F650, 0x1_F680, 0x1_F6C6, 0x1_F6CC,
    0x1_F6CD, 0x1_F6D0, 0x1_F6D3, 0x1_F6D5, 0x1_F6E0, 0x1_F6EB, 0x1_F6ED, 0x1_F6F4, 0x1_F6FD, 0x1_F7E0, 0x1_F7F1,
    0x1_F90C, 0x1_F93B, 0x1_F93C, 0x1_F946, 0x1_F947, 0x1_FA00, 0x1_FA70, 0x1_FAF7, 0x2_0000, 0x3_FFFE,
];

/// A token as it is shown: nothing in it acts on what shows it.
pub(crate) fn visible(token: &str) -> String {
    if token.is_empty() {
        return String::from("∅");
    }
    let blank = token.chars().all(|c| c == ' ');
    token.chars().map(|c| if blank { '␣' } else { visible_character(c) }).collect()
}

fn visible_character(c: char) -> char {
    match c {
        '\n' => '↵',
        '\t' => '⇥',
        // the pictures of control characters follow each other as the characters do
        '\0'..='\x1F' => char::from_u32(0x2400 + u32::from(c)).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\x7F' => '␡',
        '\u{80}'..='\u{9F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FFFE}' | '\u{FFFF}' => {
            char::REPLACEMENT_CHARACTER
        }
        _ => c,
    }
}

/// Text for HTML and XML, between tags and inside of quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// [`visible`], then [`escape`].
pub(crate) fn shown(token: &str) -> String {
    escape(&visible(token))
}

/// Columns of a character in a terminal.
pub(crate) fn character_width(c: char) -> usize {
    let code = u32::from(c);
    if code < 0x300 {
        return 1;
    }
    if WIDE.partition_point(|&edge| edge <= code) % 2 == 1 {
        return 2;
    }
    let is_private = matches!(code, 0xE000..=0xF8FF | 0xF_0000..);
    let is_medial = matches!(code, 0x1160..=0x11FF);
    // the debug form writes combining and invisible characters as escapes, which spares a second table
    let is_invisible = !c.is_whitespace() && c.escape_debug().nth(2).is_some();
    usize::from(!is_medial && (is_private || !is_invisible))
}

/// Columns of a text in a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(character_width).sum()
}

/// The text, cut with a mark where it has more than `columns`.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return String::from(text);
    }
    let mut used = 1;
    let kept = text.chars().take_while(|&c| {
        used += character_width(c);
        used <= columns
    });
    kept.chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_acts_on_what_shows_it() {
        assert_eq!(visible("\x1b[31mred\u{9b}0m\u{202e}"), "␛[31mred\u{FFFD}0m\u{FFFD}");
        assert_eq!(visible(" a\n\t\r\0\x7f"), " a↵⇥␍␀␡");
        assert_eq!((visible("  "), visible("")), (String::from("␣␣"), String::from("∅")));
        for c in (0..0xA0).filter_map(char::from_u32) {
            assert!(!visible_character(c).is_control());
        }
    }

    #[test]
    fn markup_becomes_text() {
        assert_eq!(escape(r#"<a b='c'>&"d"</a>"#), "&lt;a b=&#39;c&#39;&gt;&amp;&quot;d&quot;&lt;/a&gt;");
        assert_eq!(shown("<\0>"), "&lt;␀&gt;");
    }

    #[test]
    fn widths_are_those_of_a_terminal() {
        for (text, expected) in [
            ("plain \\ 'quoted' \"twice\"", 24),
            ("日本語", 6),
            ("한국어", 6),
            ("ｆｕｌｌ", 8),
            ("e\u{301}", 1),
            ("ก็", 1),
            ("🙂", 2),
            ("↵∅␣…▁Ġ", 6),
            ("\u{200B}\u{FE0F}", 0),
            ("\u{E0A0}", 1),
            ("ä", 1),
            ("", 0),
        ] {
            assert_eq!(width(text), expected, "{text}");
        }
        assert!(WIDE.is_sorted());
    }

    #[test]
    fn a_long_text_is_cut_to_its_width() {
        assert_eq!((cut("abc", 3), cut("abcd", 3)), (String::from("abc"), String::from("ab…")));
        assert_eq!((cut("日本", 3), cut("日本", 0)), (String::from("日…"), String::from("…")));
    }
}
