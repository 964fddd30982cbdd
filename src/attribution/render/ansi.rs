//! Terminals: tokens on coloured backgrounds, wrapped by displayed width, with a legend.

use alloc::format;
use alloc::string::String;

use ndarray::ArrayRef1;

use super::characters::{character_width, visible, width};
use super::colour::{Rgb, Theme};
use super::scale::{LEVELS, Scale, check_count};
use super::style::colour;
use crate::error::check_limit;
use crate::{Error, Result, Scalar};

/// Colours that a terminal knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Depth {
    /// All 16 million.
    #[default]
    True,
    /// The 256 of older terminals.
    Palette,
}

/// Settings of terminal output.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ansi {
    /// Colours of the terminal.
    pub depth: Depth,
    /// Surface of the terminal; [`Theme::Auto`] is dark.
    pub theme: Theme,
    /// Columns of a line; no wrapping where there are none.
    pub columns: Option<usize>,
    /// What stands between tokens; nothing for tokens that hold their blanks themselves.
    pub separator: String,
    /// Magnitude at which colours are strongest; the largest one where there is none.
    pub limit: Option<f64>,
    /// Decimals of the legend, at most 17.
    pub decimals: usize,
    /// Whether a line below says what the colours mean.
    pub legend: bool,
}

impl Default for Ansi {
    fn default() -> Self {
        Self {
            depth: Depth::True,
            theme: Theme::Auto,
            columns: Some(80),
            separator: String::from(" "),
            limit: None,
            decimals: 3,
            legend: true,
        }
    }
}

/// `tokens` on backgrounds that say their scores, `scores: (t)`, with default settings.
///
/// # Errors
/// As [`Ansi::tokens`].
///
/// # Example
/// ```
/// use limpid::attribution::render::ansi;
/// use ndarray::array;
///
/// let line = ansi::tokens(&["not", "bad"], &array![-0.5, 1.0])?;
/// assert!(line.starts_with("\x1b[") && line.contains("bad\x1b[0m"));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn tokens<T: Scalar, S: AsRef<str>>(tokens: &[S], scores: &ArrayRef1<T>) -> Result<String> {
    Ansi::default().tokens(tokens, scores)
}

impl Ansi {
    /// `tokens` on backgrounds that say their scores, `scores: (t)`. A token that ends with a line break ends the line.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is a score for every token, [`Error::Empty`], [`Error::NotFinite`], and
    /// [`Error::OutOfRange`] and [`Error::TooLarge`] for the settings.
    pub fn tokens<T: Scalar, S: AsRef<str>>(&self, tokens: &[S], scores: &ArrayRef1<T>) -> Result<String> {
        check_count("scores", scores.len(), tokens.len())?;
        let scale = Scale::new("scores", scores.iter().copied(), self.limit, self.decimals)?;
        let mut lines = Lines::new(self.limit_of_columns()?);
        let separator = self.separator.chars().filter(|c| !c.is_control()).collect::<String>();
        for (token, score) in tokens.iter().zip(scores) {
            let text = visible(token.as_ref());
            let colours = self.colours(scale.level(score.as_f64()));
            lines.add(&separator, &text, &colours);
            if token.as_ref().ends_with('\n') {
                lines.end();
            }
        }
        lines.end();
        if self.legend {
            lines.out.push_str(&self.legend(scale));
        }
        Ok(lines.out)
    }

    fn limit_of_columns(&self) -> Result<usize> {
        match self.columns {
            None => Ok(usize::MAX),
            Some(0) => Err(Error::OutOfRange { what: "columns", index: 0, value: 0.0, expected: "columns >= 1" }),
            Some(columns) => check_limit("columns", columns, super::MAX_COLUMNS).map(|()| columns),
        }
    }

    /// The escape sequence of a level; none for a score of nothing, which keeps the terminal's own colours.
    fn colours(&self, level: i8) -> String {
        if level == 0 {
            return String::new();
        }
        let dark = self.theme != Theme::Light;
        match self.depth {
            Depth::True => {
                let background = colour(level, dark);
                let code = |layer: u8, c: Rgb| format!("\x1b[{layer};2;{};{};{}m", c.red, c.green, c.blue);
                format!("{}{}", code(48, background), code(38, background.text()))
            }
            Depth::Palette => {
                let (background, text) = palette(level, dark);
                format!("\x1b[48;5;{background}m\x1b[38;5;{text}m")
            }
        }
    }

    fn legend(&self, scale: Scale) -> String {
        if scale.limit() <= 0.0 {
            return String::from("all scores are 0\n");
        }
        let end = scale.number(scale.limit());
        let steps: String = (-LEVELS..=LEVELS)
            .step_by(4)
            .map(|level| match self.colours(level) {
                none if none.is_empty() => String::from("0"),
                colours => format!("{colours} \x1b[0m"),
            })
            .collect();
        format!("\n-{end} {steps} {end}\n")
    }
}

/// The fixed colours for a level's background and text: the nearest ones to those of the scale would lose their hue.
fn palette(level: i8, dark: bool) -> (u8, u8) {
    const BLUE: [[u8; 4]; 2] = [[189, 147, 111, 69], [17, 18, 19, 20]];
    const RED: [[u8; 4]; 2] = [[224, 217, 210, 203], [52, 88, 124, 160]];
    let ramp = if level < 0 { BLUE } else { RED }[usize::from(dark)];
    let strength = usize::from(level.unsigned_abs().saturating_sub(1) / 6).min(3);
    (ramp[strength], if dark { 231 } else { 16 })
}

/// Lines in the making.
struct Lines {
    out: String,
    columns: usize,
    used: usize,
}

impl Lines {
    fn new(columns: usize) -> Self {
        Self { out: String::new(), columns, used: 0 }
    }

    fn end(&mut self) {
        if self.used > 0 {
            self.out.push('\n');
            self.used = 0;
        }
    }

    /// Adds a token, on the next line where this one has no room; one wider than a line is broken.
    fn add(&mut self, separator: &str, text: &str, colours: &str) {
        let gap = if self.used > 0 { width(separator) } else { 0 };
        if self.used.saturating_add(gap + width(text)) > self.columns {
            self.end();
        } else if gap > 0 {
            self.out.push_str(separator);
            self.used += gap;
        }
        self.out.push_str(colours);
        for c in text.chars() {
            if self.used > 0 && self.used + character_width(c) > self.columns {
                // a background would run on to the end of the line
                self.out.push_str(if colours.is_empty() { "" } else { "\x1b[0m" });
                self.end();
                self.out.push_str(colours);
            }
            self.out.push(c);
            self.used += character_width(c);
        }
        self.out.push_str(if colours.is_empty() { "" } else { "\x1b[0m" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use ndarray::{Array1, array};

    /// The text without colours; fails on any other escape sequence.
    fn plain(text: &str) -> String {
        let mut parts = text.split("\x1b[");
        let mut out = String::from(parts.next().unwrap());
        for part in parts {
            let (codes, rest) = part.split_once('m').unwrap();
            assert!(codes.split(';').all(|code| code.parse::<u8>().is_ok()), "{codes}");
            out.push_str(rest);
        }
        out
    }

    #[test]
    fn lines_are_no_wider_than_asked_for() {
        let tokens = ["The", "日本語", "unbelievably", "long", "", "e\u{301}", "a"];
        let scores = Array1::from_iter((-3..=3).map(|i| f64::from(i) / 3.0));
        for columns in 2..20 {
            let ansi = Ansi { columns: Some(columns), legend: false, ..Ansi::default() };
            let out = plain(&ansi.tokens(&tokens, &scores).unwrap());
            assert!(out.lines().all(|line| width(line) <= columns), "{columns}\n{out}");
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            assert_eq!(letters(&out), "The日本語unbelievablylong∅e\u{301}a");
        }
        let one_line = Ansi { columns: None, legend: false, ..Ansi::default() };
        assert_eq!(plain(&one_line.tokens(&["a\n", "b"], &array![0.0, 1.0]).unwrap()), "a↵\nb\n");
    }

    #[test]
    fn sequences_of_the_caller_do_not_survive() {
        let out = Ansi { separator: String::from("\x1b]0;x\x07"), ..Ansi::default() };
        let out = out.tokens(&["\x1b[2J", "\u{9b}31m", "ok"], &array![1.0, -1.0, 0.0]).unwrap();
        assert!(plain(&out).contains("␛[2J") && !plain(&out).contains(['\u{9b}', '\x07']));
    }

    #[test]
    fn colours_follow_sign_depth_and_surface() {
        let sequences = |ansi: Ansi| -> Vec<String> { [-24, 24].map(|level| ansi.colours(level)).into() };
        let dark = sequences(Ansi::default());
        assert!(dark.iter().all(|text| text.contains("38;2;255;255;255")) && dark[0] != dark[1]);
        let light = sequences(Ansi { theme: Theme::Light, ..Ansi::default() });
        assert!(light.iter().all(|text| text.contains("38;2;0;0;0")));
        let fixed = sequences(Ansi { depth: Depth::Palette, ..Ansi::default() });
        assert!(fixed.iter().all(|text| text.starts_with("\x1b[48;5;")));
        let steps = |dark: bool| -> Vec<(u8, u8)> { [-24, -1, 1, 24].map(|level| palette(level, dark)).into() };
        assert_eq!(steps(true), [(20, 231), (17, 231), (52, 231), (160, 231)]);
        assert_eq!(steps(false), [(69, 16), (189, 16), (224, 16), (203, 16)]);
        assert_eq!(Ansi::default().colours(0), "");
    }

    #[test]
    fn the_legend_names_both_ends() {
        let out = plain(&tokens(&["a"], &array![-0.25_f32]).unwrap());
        assert!(out.contains("-0.250 ") && out.trim_end().ends_with(" 0.250"), "{out}");
        assert!(tokens(&["a"], &array![0.0]).unwrap().contains("all scores are 0"));
    }

    #[test]
    fn bad_input_is_named() {
        let narrow = Ansi { columns: Some(0), ..Ansi::default() };
        assert!(matches!(narrow.tokens(&["a"], &array![1.0]), Err(Error::OutOfRange { what: "columns", .. })));
        assert!(matches!(tokens(&["a"], &array![1.0, 2.0]), Err(Error::Shape { what: "scores", .. })));
        assert!(matches!(tokens(&["a"], &array![f64::INFINITY]), Err(Error::NotFinite { .. })));
    }
}
