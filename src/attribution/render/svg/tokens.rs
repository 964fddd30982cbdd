//! A strip of tokens, wrapped to the width of the picture.

use alloc::format;
use alloc::string::String;

use ndarray::ArrayRef1;

use super::Svg;
use super::canvas::{Anchor, Canvas, Ink};
use crate::attribution::render::characters::{cut, visible, width};
use crate::attribution::render::scale::{Scale, check_count};
use crate::{Result, Scalar};

const SIZE: f64 = 14.0;
/// Width of a character: that of the monospaced fonts in use, give or take a hundredth.
const ADVANCE: f64 = 0.6 * SIZE;
const LINE: f64 = 28.0;
const PADDING: f64 = 4.0;
const GAP: f64 = 2.0;

impl Svg {
    /// `tokens` on backgrounds that say their scores, `scores: (t)`; pointing at one shows its index and number. A token that
    /// ends with a line break ends the line, and one wider than the picture is cut.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) unless there is a score for every token, [`Error::Empty`](crate::Error::Empty),
    /// [`Error::NotFinite`](crate::Error::NotFinite), [`Error::OutOfRange`](crate::Error::OutOfRange) and
    /// [`Error::TooLarge`](crate::Error::TooLarge) for the settings.
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::render::svg;
    /// use ndarray::array;
    ///
    /// let strip = svg::tokens(&["not", "bad"], &array![-0.5, 1.0])?;
    /// assert!(strip.contains("<title>1: 1.000</title>"));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn tokens<T: Scalar, S: AsRef<str>>(&self, tokens: &[S], scores: &ArrayRef1<T>) -> Result<String> {
        self.check()?;
        check_count("scores", scores.len(), tokens.len())?;
        let scale = Scale::new("scores", scores.iter().copied(), self.limit, self.decimals)?;
        let mut canvas = Canvas::new(self);
        let (left, right) = (14.0, self.width - 14.0);
        let (mut x, mut y) = (left, canvas.top());
        for (index, (token, score)) in tokens.iter().zip(scores).enumerate() {
            let (token, score) = (token.as_ref(), score.as_f64());
            let text = cut(&visible(token), columns(right - left));
            let wide = width(&text) as f64 * ADVANCE + 2.0 * PADDING;
            if x > left && x + wide > right {
                (x, y) = (left, y + LINE);
            }
            let tip = format!("{index}: {}", scale.number(score));
            canvas.cell((x, y + 2.0), (wide, LINE - 4.0), scale.level(score), 4.0, &tip);
            // the length makes any font fit; what points at the text points at what lies behind it
            let font = format!(
                " font-family=\"ui-monospace,Menlo,Consolas,DejaVu Sans Mono,monospace\" textLength=\"{:.1}\" \
                 lengthAdjust=\"spacingAndGlyphs\" pointer-events=\"none\" xml:space=\"preserve\"",
                wide - 2.0 * PADDING
            );
            canvas.text((x + PADDING, y + 19.0), SIZE, Anchor::Start, Ink::OnColour, &font, &text);
            x += wide + GAP;
            if token.ends_with('\n') {
                (x, y) = (left, y + LINE);
            }
        }
        let mut bottom = if x > left { y + LINE } else { y };
        if self.legend && scale.limit() > 0.0 {
            canvas.flat_legend((left, bottom + 8.0), scale);
            bottom += 22.0;
        }
        Ok(canvas.finish(self.width, bottom + 12.0, "tokens with their attributions"))
    }
}

/// Columns of text that fit.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 10,000 pixels")]
fn columns(pixels: f64) -> usize {
    ((pixels - 2.0 * PADDING) / ADVANCE) as usize
}

#[cfg(test)]
mod tests {
    use super::super::tokens;
    use super::*;
    use alloc::vec::Vec;
    use ndarray::{Array1, array};

    #[test]
    fn tokens_stay_inside_of_the_picture() {
        let words: Vec<String> = (0..40).map(|i| "x".repeat(1 + i * i % 90)).collect();
        let strip = tokens(&words, &Array1::from_iter((0..40).map(|i| f64::from(i) / 19.5 - 1.0))).unwrap();
        for cell in strip.split("<rect class=\"").skip(2).filter(|cell| cell.contains("<title>")) {
            let number = |key: &str| -> f64 {
                cell.split(&format!(" {key}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
            };
            assert!(number("x") + number("width") <= 546.01, "{cell}");
        }
    }

    #[test]
    fn a_line_break_ends_the_line() {
        let height = |words: [&str; 2]| -> f64 {
            let strip = tokens(&words, &array![1.0, 0.5]).unwrap();
            strip.split("height=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
        };
        assert_eq!(height(["a\n", "b"]) - height(["a", "b"]), LINE);
        assert_eq!(height(["a", "b\n"]), height(["a", "b"]));
    }
}
