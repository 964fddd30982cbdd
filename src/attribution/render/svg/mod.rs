//! SVG: bar charts of the strongest features, heat maps of images and matrices, strips of tokens.
//!
//! Pictures stand alone: no script, no font, nothing loaded. They follow the reader's choice of a light or a dark surface
//! where the viewer knows one, unless [`Svg::theme`] decides; others see the light one. Every string of the caller is escaped.

mod bars;
mod canvas;
mod heat_map;
mod tokens;

use alloc::string::String;

use ndarray::{ArrayRef1, ArrayRef2};

use super::colour::Theme;
use crate::error::check_each;
use crate::{Result, Scalar};

/// Settings of SVG.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Svg {
    /// Surface.
    pub theme: Theme,
    /// Heading; none where it is empty.
    pub title: String,
    /// Width in pixels, from 100 to 10,000; matrices with many columns are wider.
    pub width: f64,
    /// Magnitude at which colours are strongest and bars end; the largest one where there is none.
    pub limit: Option<f64>,
    /// Decimals of the numbers, at most 17.
    pub decimals: usize,
    /// Bars of a chart: the strongest features, and one for the sum of all others.
    pub top: usize,
    /// Whether a bar beside or below says what the colours mean.
    pub legend: bool,
}

impl Default for Svg {
    fn default() -> Self {
        let (title, limit) = (String::new(), None);
        Self { theme: Theme::Auto, title, width: 560.0, limit, decimals: 3, top: 10, legend: true }
    }
}

/// A bar chart of the strongest of `values: (n)`, with default settings.
///
/// # Errors
/// As [`Svg::bars`].
///
/// # Example
/// ```
/// use limpid::attribution::render::svg;
/// use ndarray::array;
///
/// let chart = svg::bars(&["age", "income"], &array![0.25, -1.5])?;
/// assert!(chart.starts_with("<svg") && chart.contains(">income</text>"));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn bars<T: Scalar, S: AsRef<str>>(names: &[S], values: &ArrayRef1<T>) -> Result<String> {
    Svg::default().bars(names, values)
}

/// A heat map of `values: (height, width)`, row 0 at the top, with default settings.
///
/// # Errors
/// As [`Svg::heat_map`].
///
/// # Example
/// ```
/// use limpid::attribution::render::svg;
/// use ndarray::array;
///
/// assert!(svg::heat_map(&array![[0.0, 1.0], [-1.0, 0.5]])?.ends_with("</svg>\n"));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn heat_map<T: Scalar>(values: &ArrayRef2<T>) -> Result<String> {
    Svg::default().heat_map(values)
}

/// A heat map of `values: (rows, columns)` with names, with default settings.
///
/// # Errors
/// As [`Svg::matrix`].
pub fn matrix<T: Scalar, R: AsRef<str>, C: AsRef<str>>(
    rows: &[R],
    columns: &[C],
    values: &ArrayRef2<T>,
) -> Result<String> {
    Svg::default().matrix(rows, columns, values)
}

/// `tokens` on backgrounds that say their scores, `scores: (t)`, with default settings.
///
/// # Errors
/// As [`Svg::tokens`].
pub fn tokens<T: Scalar, S: AsRef<str>>(tokens: &[S], scores: &ArrayRef1<T>) -> Result<String> {
    Svg::default().tokens(tokens, scores)
}

impl Svg {
    fn check(&self) -> Result<()> {
        check_each("width", &[self.width], "100 <= width <= 10000", |width: f64| (100.0..=10_000.0).contains(&width))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::array;

    #[test]
    fn pictures_are_well_formed_whatever_the_strings() {
        let evil = ["</text><script>", "\"'&\0\u{FFFF}", "", "]]>"];
        let svg = Svg { title: String::from("<a & 'b'>"), ..Svg::default() };
        let values = array![[0.5, -1.0, 0.0, 1.0], [0.1, 0.2, 0.3, 0.4]];
        for picture in [
            svg.bars(&evil, &values.row(0)).unwrap(),
            svg.tokens(&evil, &values.row(0)).unwrap(),
            svg.matrix(&evil[..2], &evil, &values).unwrap(),
            svg.heat_map(&values).unwrap(),
        ] {
            assert!(!picture.contains("<script") && !picture.contains(['\0', '\u{FFFF}']));
            assert!(picture.contains("&lt;a &amp; &#39;b&#39;&gt;"));
            for tag in ["svg", "text", "title", "g", "style"] {
                let opened = picture.matches(&alloc::format!("<{tag}>")).count();
                let with_attributes = picture.matches(&alloc::format!("<{tag} ")).count();
                assert_eq!(opened + with_attributes, picture.matches(&alloc::format!("</{tag}>")).count(), "{tag}");
            }
        }
    }

    #[test]
    fn bad_input_is_named() {
        let values = array![[1.0, f64::NAN]];
        assert!(matches!(heat_map(&values), Err(Error::NotFinite { index: 1, .. })));
        assert!(matches!(matrix(&["a"], &["b"], &values), Err(Error::Shape { what: "column names", .. })));
        assert!(matches!(bars(&["a"], &values.row(0)), Err(Error::Shape { .. })));
        assert!(matches!(tokens(&["a"], &values.row(0)), Err(Error::Shape { .. })));
        for width in [f64::NAN, 0.0, f64::INFINITY] {
            let svg = Svg { width, ..Svg::default() };
            assert!(matches!(svg.heat_map(&array![[1.0]]), Err(Error::OutOfRange { what: "width", .. })));
        }
    }
}
