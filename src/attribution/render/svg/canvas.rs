//! A picture in progress: shapes and texts with classes of the theme.

use alloc::format;
use alloc::string::String;

use super::Svg;
use crate::attribution::render::characters::{escape, shown, width};
use crate::attribution::render::scale::{LEVELS, Scale};
use crate::attribution::render::style::{Paint, Used, colour, is_dark, root, surface, themed};

/// Width of a character in a proportional font, as a share of its size; wide enough for most texts.
const PROPORTIONAL: f64 = 0.56;

/// Where a text is anchored, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Colour of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// Of the theme.
    Text,
    /// Secondary.
    Muted,
    /// On a colour of the scale.
    OnColour,
}

/// A picture in progress; coordinates in pixels from the top left.
#[derive(Debug)]
pub(super) struct Canvas<'a> {
    settings: &'a Svg,
    body: String,
    used: Used,
    top: f64,
}

/// Pixels that a text of the given size takes.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    width(text) as f64 * size * PROPORTIONAL
}

impl<'a> Canvas<'a> {
    /// An empty picture with its heading.
    pub(super) fn new(settings: &'a Svg) -> Self {
        let mut canvas = Self { settings, body: String::new(), used: Used::none(), top: 12.0 };
        if !settings.title.is_empty() {
            canvas.text((14.0, 27.0), 15.0, Anchor::Start, Ink::Text, " font-weight=\"600\"", &settings.title);
            canvas.top = 42.0;
        }
        canvas
    }

    /// First free pixel below the heading.
    pub(super) fn top(&self) -> f64 {
        self.top
    }

    fn dark(&self) -> bool {
        is_dark(self.settings.theme)
    }

    /// A rectangle in a step of the scale; `inside` holds its tooltip, if any.
    pub(super) fn cell(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), level: i8, rounded: f64, tip: &str) {
        let (class, fill) = (self.used.class(level), colour(level, self.dark()).hex());
        let corner = if rounded > 0.0 { format!(" rx=\"{rounded}\"") } else { String::new() };
        let end = if tip.is_empty() { String::from("/>") } else { format!("><title>{}</title></rect>", escape(tip)) };
        self.body.push_str(&format!(
            "<rect class=\"{class}\" x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\"{corner} \
             fill=\"{fill}\"{end}\n"
        ));
    }

    /// A line in the colour of lines.
    pub(super) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        let stroke = surface(self.dark())[3];
        self.body.push_str(&format!(
            "<line class=\"l\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{stroke}\"/>\n"
        ));
    }

    /// A text of the caller, with its baseline at `y`; `more` are further attributes, never of the caller.
    pub(super) fn text(&mut self, (x, y): (f64, f64), size: f64, anchor: Anchor, ink: Ink, more: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let [_, plain, muted, _] = surface(self.dark());
        let (class, fill) = match ink {
            Ink::Text => ("t", plain),
            Ink::Muted => ("m", muted),
            Ink::OnColour => ("c", if self.dark() { "#ffffff" } else { "#000000" }),
        };
        self.body.push_str(&format!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{fill}\"{anchor}{more}>{}</text>\n",
            shown(text)
        ));
    }

    /// What `draw` adds gets edges on whole pixels, so that neighbours leave no seams.
    pub(super) fn crisp(&mut self, draw: impl FnOnce(&mut Self)) {
        self.body.push_str("<g shape-rendering=\"crispEdges\">\n");
        draw(self);
        self.body.push_str("</g>\n");
    }

    /// The scale of colours from bottom to top, with its numbers; nothing where all scores are 0.
    pub(super) fn upright_legend(&mut self, (x, y): (f64, f64), height: f64, scale: Scale) {
        let steps = f64::from(2 * LEVELS + 1);
        let step = height / steps;
        self.crisp(|canvas| {
            for (place, level) in (-LEVELS..=LEVELS).rev().enumerate() {
                canvas.cell((x, y + place as f64 * step), (12.0, step + 0.05), level, 0.0, "");
            }
        });
        for (place, value) in [(0.0, scale.limit()), (0.5, 0.0), (1.0, -scale.limit())] {
            let baseline = y + 4.0 + place * height;
            self.text((x + 18.0, baseline), 11.0, Anchor::Start, Ink::Muted, "", &scale.number(value));
        }
    }

    /// The scale of colours from left to right, with its numbers at both ends.
    pub(super) fn flat_legend(&mut self, (x, y): (f64, f64), scale: Scale) {
        let left = scale.number(-scale.limit());
        let start = x + text_width(&left, 11.0) + 8.0;
        self.text((x, y + 10.0), 11.0, Anchor::Start, Ink::Muted, "", &left);
        self.crisp(|canvas| {
            for (place, level) in (-LEVELS..=LEVELS).enumerate() {
                canvas.cell((start + place as f64 * 3.0, y), (3.0, 12.0), level, 0.0, "");
            }
        });
        let end = start + f64::from(2 * LEVELS + 1) * 3.0 + 8.0;
        self.text((end, y + 10.0), 11.0, Anchor::Start, Ink::Muted, "", &scale.number(scale.limit()));
    }

    /// The picture, in its final size; `what` describes it where there is no heading.
    pub(super) fn finish(self, width: f64, height: f64, what: &str) -> String {
        let (theme, title) = (self.settings.theme, &self.settings.title);
        let label = if title.is_empty() { escape(what) } else { shown(title) };
        let root = root(theme);
        let style = themed(theme, |dark| {
            let [surface, text, muted, line] = surface(dark);
            let on_colour = if dark { "#ffffff" } else { "#000000" };
            format!(
                "{root} .s{{fill:{surface}}}{root} .t{{fill:{text}}}{root} .m{{fill:{muted}}}{root} .l{{stroke:{line}}}\
                 {root} .c{{fill:{on_colour}}}"
            )
        });
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"{}\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{label}\" \
             font-family=\"system-ui,-apple-system,Segoe UI,Roboto,sans-serif\">\n<title>{label}</title>\n\
             <style>{style}{}</style>\n\
             <rect class=\"s\" width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{}\"/>\n{}</svg>\n",
            root.trim_start_matches('.'),
            self.used.rules(theme, Paint::Fill),
            surface(is_dark(theme))[0],
            self.body,
        )
    }
}
