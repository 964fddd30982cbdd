//! Tokens on backgrounds that say their scores.

use alloc::format;
use alloc::string::String;

use ndarray::ArrayRef1;

use super::Html;
use crate::attribution::render::characters::shown;
use crate::attribution::render::scale::{Scale, check_count};
use crate::attribution::render::style::Used;
use crate::{Result, Scalar};

const STYLE: &str = ".limpid-tokens{line-height:1.9;margin:0}.limpid-tokens span{border-radius:.25rem;\
    display:inline-block;line-height:1.4;margin:0 .0625rem;max-width:100%;overflow-wrap:anywhere;padding:.0625rem .1875rem;\
    white-space:pre-wrap}.limpid-tokens small{display:block;font-size:.6875rem;font-variant-numeric:tabular-nums;\
    line-height:1.1}.limpid-numbers span{text-align:center}";

impl Html {
    /// `tokens` on backgrounds that say their scores, `scores: (t)`; pointing at one shows its index and number. A token that
    /// ends with a line break ends the line.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) unless there is a score for every token, [`Error::Empty`](crate::Error::Empty),
    /// [`Error::NotFinite`](crate::Error::NotFinite), [`Error::OutOfRange`](crate::Error::OutOfRange) and
    /// [`Error::TooLarge`](crate::Error::TooLarge) for the settings.
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::render::html::Html;
    /// use ndarray::array;
    ///
    /// let html = Html { numbers: true, decimals: 1, ..Html::default() };
    /// assert!(html.tokens(&["good"], &array![0.5])?.contains(">good<small>0.5</small></span>"));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn tokens<T: Scalar, S: AsRef<str>>(&self, tokens: &[S], scores: &ArrayRef1<T>) -> Result<String> {
        check_count("scores", scores.len(), tokens.len())?;
        let scale = Scale::new("scores", scores.iter().copied(), self.limit, self.decimals)?;
        let mut used = Used::none();
        let numbers = if self.numbers { " limpid-numbers" } else { "" };
        let mut content = format!("<p class=\"limpid-tokens{numbers}\" dir=\"auto\">");
        for (index, (token, score)) in tokens.iter().zip(scores).enumerate() {
            let (token, score) = (token.as_ref(), score.as_f64());
            let class = match scale.level(score) {
                0 => String::new(),
                level => format!(" class=\"{}\"", used.class(level)),
            };
            let number = scale.number(score);
            let below = if self.numbers { format!("<small>{number}</small>") } else { String::new() };
            let end = if token.ends_with('\n') { "<br>\n" } else { "" };
            content.push_str(&format!("<span{class} title=\"{index}: {number}\">{}{below}</span>{end}", shown(token)));
        }
        content.push_str("</p>\n");
        let (legend_style, legend) = self.legend(scale);
        Ok(self.figure(&format!("{STYLE}{legend_style}{}", self.steps(&used)), &content, &legend))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::attribution::render::Theme;
    use ndarray::array;

    #[test]
    fn colours_follow_the_scores() {
        let fragment = Html::default().tokens(&["a", "b", "c\n"], &array![1.0_f32, 0.0, -0.5]).unwrap();
        assert!(fragment.contains("<span class=\"p24\" title=\"0: 1.000\">a</span><span title=\"1: 0.000\">b</span>"));
        assert!(fragment.contains("<span class=\"n12\" title=\"2: -0.500\">c↵</span><br>"));
        assert!(fragment.contains(".limpid-auto .n12{background:#") && !fragment.contains(".n13{"));
    }

    #[test]
    fn strings_of_the_caller_stay_text() {
        let html = Html { caption: String::from("<i>"), theme: Theme::Dark, legend: false, ..Html::default() };
        let fragment = html.tokens(&["</span><script>alert('x')</script>", "\"&\0"], &array![1.0, 2.0]).unwrap();
        assert!(fragment.contains("&lt;script&gt;") && !fragment.contains("<script") && !fragment.contains("<i>"));
        assert!(fragment.contains("&quot;&amp;␀") && !fragment.contains("limpid-legend"));
    }

    #[test]
    fn bad_input_is_named() {
        let html = Html::default();
        assert!(matches!(html.tokens(&["a"], &array![1.0, 2.0]), Err(Error::Shape { what: "scores", .. })));
        assert!(matches!(html.tokens(&["a", "b"], &array![1.0, f64::NAN]), Err(Error::NotFinite { index: 1, .. })));
        assert!(matches!(html.tokens::<f64, &str>(&[], &array![]), Err(Error::Empty { .. })));
    }
}
