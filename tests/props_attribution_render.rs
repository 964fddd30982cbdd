//! Whatever the strings and numbers, pictures of attributions stay well-formed and say nothing but text.

use limpid::attribution::render::html::{Extras, Html};
use limpid::attribution::render::svg::Svg;
use limpid::attribution::render::{Theme, ansi, html, text};
use ndarray::{Array1, Array2};
use proptest::prelude::*;

/// Strings full of what means something to a browser or a terminal.
fn hostile() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        any::<String>(),
        "[<>&\"'=/ ]{0,6}",
        "(\x1b\\[[0-9;]{0,4}[mJKH]|\x1b\\]0;x\x07|\u{9b}2J){0,2}",
        Just(String::from("</style><script>alert(1)</script>")),
        Just(String::from("\u{202e}\0\r\u{2028}")),
    ];
    prop::collection::vec(part, 0..3).prop_map(|parts| parts.concat())
}

fn scored() -> impl Strategy<Value = (Vec<String>, Array1<f64>)> {
    let score = prop_oneof![Just(0.0), -1.0..1.0_f64, -1e300..1e300_f64, -1e-9..1e-9_f64];
    (1..8_usize).prop_flat_map(move |n| {
        (prop::collection::vec(hostile(), n), prop::collection::vec(score.clone(), n).prop_map(Array1::from))
    })
}

/// Characters that build markup.
fn markup(text: &str) -> [usize; 3] {
    ['<', '>', '"'].map(|c| text.chars().filter(|&other| other == c).count())
}

fn forbidden(c: char) -> bool {
    c.is_control() && c != '\n' || matches!(c, '\u{FFFE}' | '\u{FFFF}')
}

fn harmless(strings: &[String]) -> Vec<&'static str> {
    strings.iter().map(|string| if string.ends_with('\n') { "x\n" } else { "x" }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 96 }))]

    #[test]
    fn markup_is_that_of_harmless_strings((tokens, scores) in scored(), caption in hostile(), numbers in any::<bool>()) {
        let plain = harmless(&tokens);
        let caption_or_none = |text: &str| if caption.is_empty() { String::new() } else { text.to_owned() };
        let make = |caption: String| Html { caption, numbers, ..Html::default() };
        let (evil, tame) = (make(caption.clone()), make(caption_or_none("x")));
        prop_assert_eq!(markup(&evil.tokens(&tokens, &scores).unwrap()), markup(&tame.tokens(&plain, &scores).unwrap()));
        let values = Array2::from_shape_fn((tokens.len(), tokens.len()), |(i, j)| scores[i] * f64::from(i != j));
        let extras = |name: &str| Extras {
            rows: name.to_owned(),
            columns: name.to_owned(),
            footer: vec![(name.to_owned(), scores.to_vec())],
            ..Extras::default()
        };
        prop_assert_eq!(
            markup(&evil.table(&tokens, &tokens, &values, &extras(&caption)).unwrap()),
            markup(&tame.table(&plain, &plain, &values, &extras("x")).unwrap())
        );
        let fragment = evil.image(&values).unwrap();
        prop_assert_eq!(markup(&html::page(&caption, &[&fragment])), markup(&html::page("x", &[&fragment])));
    }

    #[test]
    fn pictures_hold_no_character_that_xml_forbids((tokens, scores) in scored(), title in hostile(), theme in 0..3_usize) {
        let theme = [Theme::Auto, Theme::Light, Theme::Dark][theme];
        let plain = harmless(&tokens);
        let make = |title: &str| Svg { theme, title: title.to_owned(), ..Svg::default() };
        let (evil, tame) = (make(&title), make(if title.is_empty() { "" } else { "x" }));
        let values = Array2::from_shape_fn((2, tokens.len()), |(i, j)| scores[j] * (1.0 - i as f64));
        for (evil, tame) in [
            (evil.bars(&tokens, &scores), tame.bars(&plain, &scores)),
            (evil.matrix(&["a", "b"], &tokens, &values), tame.matrix(&["a", "b"], &plain, &values)),
            (evil.heat_map(&values), tame.heat_map(&values)),
            (evil.tokens(&tokens, &scores), tame.tokens(&plain, &scores)),
        ] {
            // a sum of scores may leave the range of floats, for both
            let (Ok(evil), Ok(tame)) = (evil, tame) else { continue };
            prop_assert_eq!(markup(&evil), markup(&tame));
            prop_assert!(!evil.chars().any(forbidden));
            prop_assert!(!evil.contains("NaN") && !evil.contains("inf"));
        }
    }

    #[test]
    fn terminals_get_colours_and_nothing_else((tokens, scores) in scored(), columns in 1..40_usize, fixed in any::<bool>()) {
        let depth = if fixed { ansi::Depth::Palette } else { ansi::Depth::True };
        let settings = ansi::Ansi { depth, columns: Some(columns), ..ansi::Ansi::default() };
        let out = settings.tokens(&tokens, &scores).unwrap();
        for part in out.split("\x1b[").skip(1) {
            let (codes, _) = part.split_once('m').unwrap();
            prop_assert!(codes == "0" || codes.starts_with("48;") || codes.starts_with("38;"));
            prop_assert!(codes.split(';').all(|code| code.parse::<u8>().is_ok()));
        }
        let sequences = out.matches("\x1b[").count();
        prop_assert_eq!(out.chars().filter(|c| c.is_control() && *c != '\n').count(), sequences);
        prop_assert_eq!(out.matches("\x1b[48;").count(), out.matches("\x1b[0m").count());
    }

    #[test]
    fn plain_text_has_a_line_for_every_token((tokens, scores) in scored()) {
        let out = text::tokens(&tokens, &scores).unwrap();
        prop_assert_eq!(out.lines().count(), tokens.len());
        prop_assert!(!out.chars().any(|c| c.is_control() && c != '\n'));
        let values = Array2::from_shape_fn((tokens.len(), 2), |(i, _)| scores[i]);
        let table = text::table(&tokens, &["a", "b"], &values).unwrap();
        prop_assert_eq!(table.lines().count(), tokens.len() + 1);
    }
}
