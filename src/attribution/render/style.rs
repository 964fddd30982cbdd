//! Style rules that HTML and SVG share: a class for each step of colour, for a light and for a dark surface.
//!
//! Rules start with the class of the theme, so that pictures with different themes can stand on one page, and nothing else of
//! that page is touched.

use alloc::format;
use alloc::string::String;

use super::colour::{Rgb, Theme, diverging};
use super::scale::LEVELS;

/// Colours of a surface: behind everything, of text, of secondary text, of lines.
const LIGHT: [&str; 4] = ["#ffffff", "#1b1f24", "#57606a", "#d0d7de"];
const DARK: [&str; 4] = ["#14171c", "#e6e8eb", "#9aa4b0", "#3a424d"];

/// What a colour of the scale paints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// The background of an HTML element, with the colour of its text.
    Background,
    /// The inside of an SVG shape.
    Fill,
}

/// Steps of colour that a picture uses.
#[derive(Debug, Clone)]
pub(crate) struct Used([bool; 2 * LEVELS as usize + 1]);

impl Used {
    pub(crate) fn none() -> Self {
        Self([false; 2 * LEVELS as usize + 1])
    }

    /// Notes that the step is used, and says its class.
    pub(crate) fn class(&mut self, level: i8) -> String {
        if let Some(used) = usize::try_from(level + LEVELS).ok().and_then(|at| self.0.get_mut(at)) {
            *used = true;
        }
        class(level)
    }

    /// The rules of all steps in use, for all surfaces of the theme.
    pub(crate) fn rules(&self, theme: Theme, paint: Paint) -> String {
        themed(theme, |dark| {
            self.0
                .iter()
                .zip(-LEVELS..)
                .filter(|(used, _)| **used)
                .map(|(_, level)| {
                    let colour = colour(level, dark);
                    let paint = match paint {
                        Paint::Background => format!("background:{};color:{}", colour.hex(), colour.text().hex()),
                        Paint::Fill => format!("fill:{}", colour.hex()),
                    };
                    format!("{} .{}{{{paint}}}", root(theme), class(level))
                })
                .collect()
        })
    }
}

fn class(level: i8) -> String {
    match level {
        0 => String::from("z"),
        1.. => format!("p{level}"),
        _ => format!("n{}", level.unsigned_abs()),
    }
}

/// The colour of a step.
pub(crate) fn colour(level: i8, dark: bool) -> Rgb {
    diverging(f64::from(level) / f64::from(LEVELS), dark)
}

/// The selector of the theme.
pub(crate) fn root(theme: Theme) -> &'static str {
    match theme {
        Theme::Auto => ".limpid-auto",
        Theme::Light => ".limpid-light",
        Theme::Dark => ".limpid-dark",
    }
}

/// Whether the theme is dark where the reader has said nothing.
pub(crate) fn is_dark(theme: Theme) -> bool {
    theme == Theme::Dark
}

/// Colours of the surface.
pub(crate) fn surface(dark: bool) -> [&'static str; 4] {
    if dark { DARK } else { LIGHT }
}

/// Rules for every surface of the theme: those of a dark one behind the reader's wish where the theme leaves it open.
pub(crate) fn themed(theme: Theme, rules: impl Fn(bool) -> String) -> String {
    match theme {
        Theme::Light => rules(false),
        Theme::Dark => rules(true),
        Theme::Auto => format!("{}@media(prefers-color-scheme:dark){{{}}}", rules(false), rules(true)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Used = Used([true; 2 * LEVELS as usize + 1]);

    #[test]
    fn only_steps_in_use_have_rules() {
        let mut used = Used::none();
        assert_eq!([3, 0, -24].map(|level| used.class(level)), ["p3", "z", "n24"]);
        let rules = used.rules(Theme::Light, Paint::Fill);
        assert_eq!(rules.matches('{').count(), 3);
        assert!(rules.contains(".limpid-light .n24{fill:#"));
        assert_eq!(ALL.rules(Theme::Dark, Paint::Background).matches("color:#ffffff").count(), 49);
    }

    #[test]
    fn an_open_theme_has_both() {
        let rules = ALL.rules(Theme::Auto, Paint::Background);
        let (light, dark) = rules.split_once("@media(prefers-color-scheme:dark)").unwrap();
        assert_eq!(light.matches(".limpid-auto").count(), dark.matches(".limpid-auto").count());
        assert_eq!(light.matches("color:#000000").count(), 49);
    }
}
