//! HTML: tokens on coloured backgrounds, tables of tokens by tokens, images, and pages of them.
//!
//! Fragments carry their own styles, need no script and load nothing. They follow the reader's choice of a light or a dark
//! surface, unless [`Html::theme`] decides. Every string of the caller is escaped.

mod table;
mod tokens;

use alloc::format;
use alloc::string::String;

use ndarray::{ArrayRef1, ArrayRef2};

pub use table::Extras;

use super::characters::{escape, shown};
use super::colour::Theme;
use super::scale::{LEVELS, Scale};
use super::style::{Paint, Used, colour, root, surface, themed};
use super::svg::Svg;
use crate::{Result, Scalar};

/// Settings of HTML.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Html {
    /// Surface.
    pub theme: Theme,
    /// Heading of the fragment; none where it is empty.
    pub caption: String,
    /// Magnitude at which colours are strongest; the largest one where there is none.
    pub limit: Option<f64>,
    /// Decimals of the numbers, at most 17.
    pub decimals: usize,
    /// Whether each token shows its number below it, and not only when pointed at. Tables always show numbers.
    pub numbers: bool,
    /// Whether a line below says what the colours mean.
    pub legend: bool,
}

impl Default for Html {
    fn default() -> Self {
        Self { theme: Theme::Auto, caption: String::new(), limit: None, decimals: 3, numbers: false, legend: true }
    }
}

/// `tokens` on backgrounds that say their scores, `scores: (t)`, with default settings.
///
/// # Errors
/// As [`Html::tokens`].
///
/// # Example
/// ```
/// use limpid::attribution::render::html;
/// use ndarray::array;
///
/// let fragment = html::tokens(&["not", "<bad>"], &array![-0.5, 1.0])?;
/// assert!(fragment.contains("title=\"1: 1.000\">&lt;bad&gt;</span>"));
/// std::fs::write("tokens.html", html::page("A review", &[fragment])).ok();
/// # std::fs::remove_file("tokens.html").ok();
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn tokens<T: Scalar, S: AsRef<str>>(tokens: &[S], scores: &ArrayRef1<T>) -> Result<String> {
    Html::default().tokens(tokens, scores)
}

/// A table of `values: (rows, columns)` with names, rows for input and columns for generated tokens, with default settings.
///
/// # Errors
/// As [`Html::table`].
///
/// # Example
/// ```
/// use limpid::attribution::render::html;
/// use ndarray::array;
///
/// // attributions have a row for each generated token: the table wants them transposed
/// let attribution = array![[0.9, 0.1], [0.2, 0.8]];
/// let fragment = html::table(&["the", "cat"], &["le", "chat"], &attribution.t())?;
/// assert!(fragment.contains("<th scope=\"col\">chat</th>"));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn table<T: Scalar, R: AsRef<str>, C: AsRef<str>>(
    rows: &[R],
    columns: &[C],
    values: &ArrayRef2<T>,
) -> Result<String> {
    Html::default().table(rows, columns, values, &Extras::default())
}

/// An image of `values: (height, width)`, with default settings.
///
/// # Errors
/// As [`Html::image`].
pub fn image<T: Scalar>(values: &ArrayRef2<T>) -> Result<String> {
    Html::default().image(values)
}

/// A whole page of fragments, which follows the reader's choice of a light or a dark surface.
///
/// # Example
/// ```
/// use limpid::attribution::render::html::page;
///
/// let page = page("1 < 2", &["<p>fragment</p>"]);
/// assert!(page.starts_with("<!doctype html>") && page.contains("<title>1 &lt; 2</title>"));
/// ```
#[must_use]
pub fn page<S: AsRef<str>>(title: &str, fragments: &[S]) -> String {
    let title = escape(title);
    let style = themed(Theme::Auto, |dark| {
        let [background, text, _, _] = surface(dark);
        format!("body{{background:{background};color:{text}}}")
    });
    let fragments: String = fragments.iter().map(AsRef::as_ref).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>{title}</title>\n\
         <style>:root{{color-scheme:light dark}}body{{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:72rem;\
         padding:1.5rem}}h1{{font-size:1.5rem;margin:0 0 1rem}}{style}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n{fragments}</main>\n</body>\n</html>\n"
    )
}

impl Html {
    /// An image of `values: (height, width)`: one square for each value, row 0 at the top.
    ///
    /// # Errors
    /// [`Error::Empty`](crate::Error::Empty), [`Error::NotFinite`](crate::Error::NotFinite),
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) and [`Error::TooLarge`](crate::Error::TooLarge) for the settings.
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::render::html;
    /// use ndarray::array;
    ///
    /// assert!(html::image(&array![[0.0, 1.0], [-1.0, 0.5]])?.contains("<svg"));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn image<T: Scalar>(&self, values: &ArrayRef2<T>) -> Result<String> {
        let (theme, limit, decimals, legend) = (self.theme, self.limit, self.decimals, self.legend);
        let svg = Svg { theme, limit, decimals, legend, ..Svg::default() }.heat_map(values)?;
        Ok(self.figure("", &svg, ""))
    }

    /// A fragment: styles, caption, content and what stands below.
    fn figure(&self, style: &str, content: &str, below: &str) -> String {
        let class = root(self.theme).trim_start_matches('.');
        let root = root(self.theme);
        let colours = themed(self.theme, |dark| {
            let [surface, text, muted, line] = surface(dark);
            format!(
                "{root}{{--limpid-surface:{surface};--limpid-text:{text};--limpid-muted:{muted};--limpid-line:{line}}}"
            )
        });
        let caption = if self.caption.is_empty() {
            String::new()
        } else {
            format!("<figcaption class=\"limpid-caption\">{}</figcaption>\n", shown(&self.caption))
        };
        format!(
            "<figure class=\"limpid {class}\">\n<style>{colours}.limpid{{background:var(--limpid-surface);\
             color:var(--limpid-text);margin:0 0 1.5rem;padding:.875rem;border-radius:.5rem}}.limpid-caption{{\
             font-weight:600;margin:0 0 .5rem}}.limpid svg{{display:block;height:auto;margin:-.5rem 0 0 -.875rem;max-width:100%}}{style}</style>\n\
             {caption}{content}{below}</figure>\n"
        )
    }

    /// The line that says what the colours mean, and its styles.
    fn legend(&self, scale: Scale) -> (String, String) {
        if !self.legend {
            return (String::new(), String::new());
        }
        let style = themed(self.theme, |dark| {
            let stops = (-LEVELS..=LEVELS).step_by(4).map(|level| format!(",{}", colour(level, dark).hex()));
            format!(
                "{} .limpid-scale{{background:linear-gradient(90deg{})}}",
                root(self.theme),
                stops.collect::<String>()
            )
        });
        let style = format!(
            "{style}.limpid-legend{{align-items:center;color:var(--limpid-muted);display:flex;font-size:.8125rem;\
             font-variant-numeric:tabular-nums;gap:.5rem;margin:.75rem 0 0}}.limpid-scale{{border-radius:.2rem;\
             display:inline-block;height:.75rem;width:10rem}}"
        );
        let end = scale.number(scale.limit());
        let content = if scale.limit() > 0.0 {
            format!("<span>-{end}</span><span class=\"limpid-scale\"></span><span>{end}</span>")
        } else {
            String::from("all scores are 0")
        };
        (style, format!("<p class=\"limpid-legend\">{content}</p>\n"))
    }

    /// Styles of the steps in use; a score of nothing keeps the surface.
    fn steps(&self, used: &Used) -> String {
        used.rules(self.theme, Paint::Background)
    }
}
