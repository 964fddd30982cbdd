//! Reports as tables that a person can read.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use ndarray::Array1;

use super::report::{FaithfulnessReport, Judged};
use crate::Scalar;
use crate::attribution::Evaluations;
use crate::math::curves::mean;

/// A metric in words: its name, whether smaller or larger is better, and its value for each row.
pub(super) type Metric = (&'static str, &'static str, Vec<Option<f64>>);

impl<T: Scalar> FaithfulnessReport<T> {
    /// All metrics, in the order of the table.
    pub(super) fn metrics(&self) -> Vec<Metric> {
        let all = |values: &Array1<f64>| values.iter().copied().map(Some).collect::<Vec<_>>();
        let flag =
            |flags: &[Option<bool>]| flags.iter().map(|flag| flag.map(|flag| f64::from(u8::from(flag)))).collect();
        let erasure = &self.erasure;
        let mut metrics: Vec<Metric> = vec![
            ("comprehensiveness", "higher", all(&erasure.comprehensiveness)),
            ("sufficiency", "lower", all(&erasure.sufficiency)),
            ("AOPC comprehensiveness", "higher", all(&erasure.aopc_comprehensiveness)),
            ("AOPC sufficiency", "lower", all(&erasure.aopc_sufficiency)),
            ("deletion AUC", "lower", all(&erasure.deletion_auc)),
            ("insertion AUC", "higher", all(&erasure.insertion_auc)),
            ("decision flip, first alone", "higher", flag(&erasure.decision_flip_single)),
            ("decision flip, share", "lower", erasure.decision_flip_fraction.clone()),
            ("rank deletion", "higher", erasure.rank_deletion.clone()),
            ("Gini index", "", self.sparseness.clone()),
            ("entropy, nats", "", self.complexity.clone()),
            ("features above threshold", "", self.effective_complexity.iter().map(|&n| Some(n as f64)).collect()),
        ];
        if let Some(found) = &self.normalised_aopc {
            metrics.push(("normalised AOPC", "higher", found.normalised.clone()));
        }
        let gaps = |gap: &Array1<T>| gap.iter().map(|gap| Some(gap.as_f64())).collect();
        // without contributions too, so that tables of methods side by side have the same lines
        let gaps = self.completeness_gap.as_ref().map_or_else(|| vec![None; self.sparseness.len()], gaps);
        metrics.push(("completeness gap", "0", gaps));
        if let Some(found) = &self.infidelity {
            metrics.push(("infidelity", "lower", all(&found.infidelity)));
        }
        if let Some(found) = &self.sensitivity {
            metrics.push(("max-sensitivity", "lower", all(&found.maximum)));
        }
        metrics
    }

    /// What the comprehensiveness of reference orders is.
    pub(super) fn reference_metrics(&self) -> Vec<Metric> {
        let all = |values: &Array1<f64>| values.iter().copied().map(Some).collect::<Vec<_>>();
        self.reference.as_ref().map_or_else(Vec::new, |found| {
            vec![
                ("comprehensiveness, random order", "", all(&found.random_comprehensiveness)),
                ("comprehensiveness, leave one out", "", all(&found.leave_one_out_comprehensiveness)),
            ]
        })
    }
}

/// Rows of `x` that get a column of their own in a table.
const COLUMNS: usize = 4;

impl<T: Scalar> fmt::Display for Judged<T> {
    /// Mean over the rows where a metric is defined, then the first rows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.attribution.values.nrows();
        let shown = if rows > 1 { rows.min(COLUMNS) } else { 0 };
        let mut header = vec!["metric".to_string(), "better".to_string(), "mean".to_string()];
        header.extend((0..shown).map(|row| alloc::format!("row {row}")));
        let mut lines = vec![header];
        for (name, better, values) in self.report.metrics().into_iter().chain(self.report.reference_metrics()) {
            let mut line = vec![name.to_string(), better.to_string(), number(mean(values.iter().copied().flatten()))];
            line.extend(values.iter().take(shown).map(|value| number(*value)));
            lines.push(line);
        }
        let Evaluations { forward, gradient } = self.evaluations();
        writeln!(f, "{}, {rows} rows", self.attribution.method)?;
        write_table(f, &lines)?;
        write!(f, "model rows: {forward} forward, {gradient} with gradient")
    }
}

/// A number in few characters; `-` where there is none.
pub(super) fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_string(),
        Some(0.0) => "0".to_string(),
        Some(x) if (1e-3..1e6).contains(&x.abs()) => alloc::format!("{x:.4}"),
        Some(x) => alloc::format!("{x:.2e}"),
    }
}

/// Lines of equal length with columns of equal width: words to the left, numbers to the right.
pub(super) fn write_table(f: &mut fmt::Formatter<'_>, lines: &[Vec<String>]) -> fmt::Result {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for line in lines {
        for (column, (cell, &width)) in line.iter().zip(&widths).enumerate() {
            match column {
                0 => write!(f, "{cell:<width$}")?,
                1 => write!(f, "  {cell:<width$}")?,
                _ => write!(f, "  {cell:>width$}")?,
            }
        }
        writeln!(f)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let words = [None, Some(0.0), Some(1e-9), Some(-12.5)].map(number);
        assert_eq!(words, ["-", "0", "1.00e-9", "-12.5000"]);
    }
}
