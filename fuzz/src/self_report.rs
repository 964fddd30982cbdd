//! Any text as a self-report: it is read, and aligned with words that are pieces of it.

use limpid::explanation::self_report::{Flag, Phrases, align, parse};

/// Does what these bytes say.
pub fn fuzz(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let report = parse(&text, &[("positive", 1), ("negative", 0)]);
    assert!(report.warnings.windows(2).all(|two| two[0].name() < two[1].name()));
    for item in &report.items {
        let expected = match item.value {
            None => Some(Flag::Invalid),
            Some(value) if value.abs() > 1.0 => Some(Flag::OutOfRange),
            Some(_) => None,
        };
        assert_eq!(item.flag, expected);
    }
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).take(64).collect();
    for phrases in [Phrases::Whole, Phrases::Split, Phrases::Copy] {
        if let Ok(aligned) = align(&report.items, &words, phrases) {
            assert_eq!(aligned.values.len(), words.len());
            assert!(aligned.coverage().is_none_or(|coverage| (0.0..=1.0).contains(&coverage)));
            assert!(aligned.items.iter().flatten().is_sorted());
        }
    }
}
