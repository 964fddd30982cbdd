//! Tables of tokens by tokens.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use ndarray::{Array2, ArrayRef2};

use super::Html;
use crate::attribution::render::characters::{escape, shown};
use crate::attribution::render::scale::{Scale, check_count};
use crate::attribution::render::style::Used;
use crate::error::check_shape;
use crate::{Result, Scalar};

/// What a table can have besides its values.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Extras {
    /// What the rows are.
    pub rows: String,
    /// What the columns are.
    pub columns: String,
    /// Cells that hold nothing, `(rows, columns)`, such as tokens that were not yet generated. Their values are not looked at.
    pub absent: Option<Array2<bool>>,
    /// Rows below the table, with their names: scores of the steps, such as probabilities. Not coloured.
    pub footer: Vec<(String, Vec<f64>)>,
}

impl Default for Extras {
    fn default() -> Self {
        Self { rows: String::from("input"), columns: String::from("output"), absent: None, footer: Vec::new() }
    }
}

const STYLE: &str = ".limpid-scroll{max-height:80vh;overflow:auto}.limpid-scroll table{border-collapse:separate;\
    border-spacing:2px;font-size:.875rem;font-variant-numeric:tabular-nums}.limpid-scroll th{background:\
    var(--limpid-surface);font-weight:600;padding:.25rem .5rem;position:sticky;white-space:pre}.limpid-scroll thead th{\
    top:0;z-index:1}.limpid-scroll tbody th,.limpid-scroll tfoot th{left:0;text-align:right}.limpid-scroll td{border-radius:\
    .2rem;padding:.25rem .5rem;text-align:right}.limpid-scroll thead td{background:var(--limpid-surface);color:\
    var(--limpid-muted);font-size:.75rem;left:0;position:sticky;top:0;white-space:nowrap;z-index:2}.limpid-scroll tfoot td{\
    color:var(--limpid-muted)}.limpid-scroll tfoot th{color:var(--limpid-muted);font-weight:400}\
    .limpid-scroll tfoot tr:first-child>*{border-top:1px solid var(--limpid-line)}";

impl Html {
    /// A table of `values: (rows, columns)` with names; names stay in sight while scrolling.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) unless there is a name for every row and column, and for extras of another shape;
    /// [`Error::Empty`](crate::Error::Empty), [`Error::NotFinite`](crate::Error::NotFinite);
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) and [`Error::TooLarge`](crate::Error::TooLarge) for the settings.
    ///
    /// # Example
    /// ```
    /// use limpid::attribution::render::html::{Extras, Html};
    /// use ndarray::array;
    ///
    /// // the second generated token sees the first, the first does not see itself
    /// let extras = Extras {
    ///     absent: Some(array![[false, false], [true, false]]),
    ///     footer: vec![("probability".into(), vec![0.9, 0.5])],
    ///     ..Extras::default()
    /// };
    /// let values = array![[0.7, 0.1], [f64::NAN, -0.4]];
    /// let fragment = Html::default().table(&["hello", "le"], &["le", "monde"], &values, &extras)?;
    /// assert!(fragment.contains("<th scope=\"row\">probability</th><td>0.900</td>"));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn table<T: Scalar, R: AsRef<str>, C: AsRef<str>>(
        &self,
        rows: &[R],
        columns: &[C],
        values: &ArrayRef2<T>,
        extras: &Extras,
    ) -> Result<String> {
        check_count("row names", rows.len(), values.nrows())?;
        check_count("column names", columns.len(), values.ncols())?;
        let absent = extras.absent.as_ref();
        absent.map_or(Ok(()), |absent| check_shape("absent", absent, values.shape()))?;
        let is_absent = |at: (usize, usize)| absent.is_some_and(|absent| absent[at]);
        let scale = self.table_scale(values, is_absent)?;
        let mut used = Used::none();
        let mut body = String::new();
        for (i, (name, row)) in rows.iter().zip(values.rows()).enumerate() {
            body.push_str(&format!("<tr><th scope=\"row\">{}</th>", shown(name.as_ref())));
            for (j, value) in row.iter().enumerate() {
                body.push_str(&if is_absent((i, j)) {
                    String::from("<td></td>")
                } else {
                    cell(scale, value.as_f64(), &mut used)
                });
            }
            body.push_str("</tr>\n");
        }
        let content = format!(
            "<div class=\"limpid-scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\"><table>\n<thead><tr><td>{}</td>{}\
             </tr></thead>\n<tbody>\n{body}</tbody>\n{}</table></div>\n",
            escape(if self.caption.is_empty() { "attribution" } else { &self.caption }),
            escape(&format!("{} ↓ {} →", extras.rows, extras.columns)),
            columns.iter().map(|name| format!("<th scope=\"col\">{}</th>", shown(name.as_ref()))).collect::<String>(),
            self.footer(&extras.footer, columns.len())?,
        );
        let (legend_style, legend) = self.legend(scale);
        Ok(self.figure(&format!("{STYLE}{legend_style}{}", self.steps(&used)), &content, &legend))
    }

    /// The scale of all cells that hold something.
    fn table_scale<T: Scalar>(
        &self,
        values: &ArrayRef2<T>,
        is_absent: impl Fn((usize, usize)) -> bool,
    ) -> Result<Scale> {
        let present = |(at, &value): ((usize, usize), &T)| if is_absent(at) { T::zero() } else { value };
        Scale::new("values", values.indexed_iter().map(present), self.limit, self.decimals)
    }

    fn footer(&self, footer: &[(String, Vec<f64>)], columns: usize) -> Result<String> {
        let mut out = String::new();
        for (name, values) in footer {
            check_count("footer", values.len(), columns)?;
            let scale = Scale::new("footer", values.iter().copied(), None, self.decimals)?;
            let cells: String = values.iter().map(|&value| format!("<td>{}</td>", scale.number(value))).collect();
            out.push_str(&format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", shown(name)));
        }
        Ok(if out.is_empty() { out } else { format!("<tfoot>\n{out}</tfoot>\n") })
    }
}

fn cell(scale: Scale, value: f64, used: &mut Used) -> String {
    match scale.level(value) {
        0 => format!("<td>{}</td>", scale.number(value)),
        level => format!("<td class=\"{}\">{}</td>", used.class(level), scale.number(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::array;

    #[test]
    fn a_table_is_a_table() {
        let html = Html { caption: String::from("a & b"), decimals: 1, ..Html::default() };
        let values = array![[1.0_f32, -1.0], [0.0, 0.5]];
        let fragment = html.table(&["x", "<y>"], &["p", "q"], &values, &Extras::default()).unwrap();
        assert!(
            fragment.contains("<tr><td>input ↓ output →</td><th scope=\"col\">p</th><th scope=\"col\">q</th></tr>")
        );
        assert!(
            fragment.contains("<tr><th scope=\"row\">x</th><td class=\"p24\">1.0</td><td class=\"n24\">-1.0</td></tr>")
        );
        assert!(fragment.contains("<th scope=\"row\">&lt;y&gt;</th><td>0.0</td><td class=\"p12\">0.5</td>"));
        assert!(fragment.contains("aria-label=\"a &amp; b\"") && fragment.contains("position:sticky"));
    }

    #[test]
    fn absent_cells_may_hold_anything_and_others_may_not() {
        let values = array![[f64::NAN, 1.0]];
        let plain = Html::default().table(&["x"], &["p", "q"], &values, &Extras::default());
        assert_eq!(plain, Err(Error::NotFinite { what: "values", index: 0 }));
        let extras = Extras { absent: Some(array![[true, false]]), ..Extras::default() };
        let fragment = Html::default().table(&["x"], &["p", "q"], &values, &extras).unwrap();
        assert!(fragment.contains("<td></td><td class=\"p24\">1.000</td>"));
    }

    #[test]
    fn parts_must_fit() {
        let table = |extras: &Extras| Html::default().table(&["x"], &["p", "q"], &array![[1.0, 2.0]], extras);
        let absent = Extras { absent: Some(array![[true]]), ..Extras::default() };
        assert!(matches!(table(&absent), Err(Error::Shape { what: "absent", .. })));
        let footer = Extras { footer: alloc::vec![(String::from("p"), alloc::vec![1.0])], ..Extras::default() };
        assert!(matches!(table(&footer), Err(Error::Shape { what: "footer", .. })));
        let names = Html::default().table(&["x", "y"], &["p"], &array![[1.0]], &Extras::default());
        assert!(matches!(names, Err(Error::Shape { what: "row names", .. })));
    }
}
