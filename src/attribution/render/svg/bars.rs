//! Bar chart of the strongest features, strongest first, and of the sum of all others.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use ndarray::ArrayRef1;

use super::Svg;
use super::canvas::{Anchor, Canvas, Ink, text_width};
use crate::attribution::aggregate::top_features;
use crate::attribution::render::characters::{cut, visible};
use crate::attribution::render::scale::Scale;
use crate::error::check_limit;
use crate::math::agreement::By;
use crate::{Result, Scalar};

const ROW: f64 = 24.0;
const SIZE: f64 = 13.0;

/// Step of colour of all bars.
const STRONG: i8 = 20;

/// Most bars.
const MAX_BARS: usize = 10_000;

/// One bar: its name and its value.
type Bar = (String, f64);

impl Svg {
    /// A bar chart of the [`Svg::top`] values of `values: (n)` with the largest magnitude, and of the sum of all others.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) unless there is a name for every value, [`Error::Empty`](crate::Error::Empty),
    /// [`Error::NotFinite`](crate::Error::NotFinite), [`Error::OutOfRange`](crate::Error::OutOfRange) and
    /// [`Error::TooLarge`](crate::Error::TooLarge) for the settings.
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::render::svg::Svg;
    /// use ndarray::array;
    ///
    /// let chart = Svg { top: 1, ..Svg::default() }.bars(&["a", "b", "c"], &array![0.5, -2.0, 0.25])?;
    /// assert!(chart.contains(">-2.000</text>") && chart.contains(">2 others</text>"));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn bars<T: Scalar, S: AsRef<str>>(&self, names: &[S], values: &ArrayRef1<T>) -> Result<String> {
        self.check()?;
        check_limit("bars", self.top.min(values.len()), MAX_BARS)?;
        let top = top_features(values, names, self.top, By::Magnitude)?;
        let mut bars: Vec<Bar> =
            top.features.iter().map(|feature| (cut(&visible(&feature.name), 28), feature.value.as_f64())).collect();
        if top.others > 0 {
            bars.push((
                format!("{} other{}", top.others, if top.others == 1 { "" } else { "s" }),
                top.others_sum.as_f64(),
            ));
        }
        let scale = Scale::new("values", bars.iter().map(|bar| bar.1), self.limit, self.decimals)?;
        Ok(self.draw(&bars, scale))
    }

    fn draw(&self, bars: &[Bar], scale: Scale) -> String {
        let mut canvas = Canvas::new(self);
        let widest = |texts: &mut dyn Iterator<Item = f64>| texts.fold(0.0_f64, f64::max);
        let name_width = widest(&mut bars.iter().map(|bar| text_width(&bar.0, SIZE))).min(self.width / 2.5);
        let number_width = widest(&mut bars.iter().map(|bar| text_width(&scale.number(bar.1), 12.0))) + 8.0;
        let sides = Sides::of(bars);
        let plot_left = 14.0 + name_width + 8.0 + if sides.negative { number_width } else { 0.0 };
        let plot_right = self.width - 14.0 - if sides.positive { number_width } else { 0.0 };
        let plot = (plot_right - plot_left).max(20.0);
        let axis = plot_left + plot * sides.axis();
        let unit = if sides.negative && sides.positive { plot / 2.0 } else { plot };
        let top = canvas.top();
        let bottom = top + bars.len() as f64 * ROW;
        canvas.line((axis, top), (axis, bottom));
        for (row, (name, value)) in bars.iter().enumerate() {
            let y = top + row as f64 * ROW;
            let length = (scale.share(*value).abs() * unit).max(if *value == 0.0 { 0.0 } else { 1.0 });
            let start = if *value < 0.0 { axis - length } else { axis };
            let number = scale.number(*value);
            canvas.text((14.0 + name_width, y + 16.5), SIZE, Anchor::End, Ink::Text, "", name);
            canvas.cell((start, y + 4.0), (length, ROW - 8.0), level(*value), 2.0, &format!("{name}: {number}"));
            let (x, anchor) =
                if *value < 0.0 { (start - 5.0, Anchor::End) } else { (start + length + 5.0, Anchor::Start) };
            canvas.text((x, y + 16.5), 12.0, anchor, Ink::Muted, "", &number);
        }
        canvas.finish(self.width, bottom + 12.0, "bar chart of attributions")
    }
}

/// One strong colour for each sign: the length says how much.
fn level(value: f64) -> i8 {
    if value < 0.0 { -STRONG } else { STRONG }
}

/// Whether there are bars to each side of the axis.
#[derive(Debug, Clone, Copy)]
struct Sides {
    negative: bool,
    positive: bool,
}

impl Sides {
    fn of(bars: &[Bar]) -> Self {
        let negative = bars.iter().any(|bar| bar.1 < 0.0);
        Self { negative, positive: !negative || bars.iter().any(|bar| bar.1 >= 0.0) }
    }

    /// Place of the axis, as a share of the plot.
    fn axis(self) -> f64 {
        match (self.negative, self.positive) {
            (true, true) => 0.5,
            (true, false) => 1.0,
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn bars_come_strongest_first_and_none_is_lost() {
        let svg = Svg { top: 2, ..Svg::default() };
        let chart = svg.bars(&["a", "b", "c", "d"], &array![0.1, -3.0, 2.0, 0.15]).unwrap();
        let place = |text: &str| chart.find(text).unwrap();
        assert!(place(">b</text>") < place(">c</text>") && place(">c</text>") < place(">2 others</text>"));
        assert!(chart.contains("<title>2 others: 0.250</title>") && !chart.contains(">a</text>"));
    }

    #[test]
    fn one_sign_takes_the_whole_width() {
        let width = |values: &ndarray::Array1<f64>| -> f64 {
            let chart = super::super::bars(&["a", "b"], values).unwrap();
            let bar =
                chart.split("<rect class=\"").find(|part| part.starts_with("p20") || part.starts_with("n20")).unwrap();
            bar.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
        };
        let (one, both) = (width(&array![1.0, 0.5]), width(&array![1.0, -0.5]));
        assert!(one > 1.8 * both && (width(&array![-1.0, -0.5]) - one).abs() < 20.0);
    }
}
