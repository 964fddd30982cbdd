//! The top examples of a stream of training rows, without scoring those that cannot enter.
//!
//! ```text
//! |s(q, i)| <= Σ_layers ‖V_q‖_2 Σ_t ‖ã_t‖ ‖g_t‖
//! ```
//!
//! An example whose bound stays below the threshold of every query is skipped. The result is that of scoring all, in
//! whatever order they come; only the work depends on the order.

use alloc::vec::Vec;

use ndarray::{Array1, Array2};

use super::pairwise::Queries;
use super::top_k::TopK;
use crate::error::check_length;
use crate::influence::LayerRows;
use crate::{Error, Result, Scalar};

/// Examples whose bounds are compared with the same thresholds.
const BATCH: usize = 256;

/// What a scan did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ScanReport {
    /// Examples whose scores were computed.
    pub scored: u64,
    /// Examples that could not enter.
    pub skipped: u64,
}

impl<T: Scalar> Queries<T> {
    /// Takes up the examples of `train` in `top`; example `e` has the number `first + e`.
    ///
    /// # Errors
    /// Those of [`Self::scores`], [`Error::Shape`] where `top` has other queries, [`Error::NotFinite`] for a score beyond
    /// the precision of `T`, [`Error::TooLarge`] for numbers beyond 2⁶⁴.
    ///
    /// # Example
    /// ```
    /// use limpid::influence::{Curvature, End, Examples, LayerRows, QuerySettings, Spectral, Strategy, TopK};
    /// use ndarray::array;
    ///
    /// let (a, g) = (array![[1.0], [2.0], [3.0]], array![[1.0], [-1.0], [1.0]]);
    /// let train = [LayerRows::new(&a, &g, Examples::EachRow)?];
    /// let curvature = Curvature::fit(Strategy::Identity, &train)?;
    /// let queries = curvature.queries(&Spectral::default(), &train, &QuerySettings::default())?;
    /// let mut top = TopK::new(3, 1, End::Largest)?;
    /// queries.scan(&train, 100, &mut top)?;
    /// assert_eq!((top.of(0)[0].id, top.of(0)[0].score), (102, 3.0));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn scan(&self, train: &[LayerRows<'_, T>], first: u64, top: &mut TopK) -> Result<ScanReport> {
        let n = self.check(train)?;
        check_length("queries of the top examples", top.queries(), self.len())?;
        if first.checked_add(n as u64).is_none() {
            return Err(Error::TooLarge { what: "number of an example", got: n, limit: 0 });
        }
        let sizes = train.iter().map(LayerRows::row_products).collect::<Vec<_>>();
        let mut report = ScanReport::default();
        for start in (0..n).step_by(BATCH) {
            let batch = start..n.min(start + BATCH);
            let open: Vec<usize> = batch.clone().filter(|&example| self.may_enter(example, &sizes, top)).collect();
            report.scored += open.len() as u64;
            report.skipped += (batch.len() - open.len()) as u64;
            let scores = self.scores_of(train, &open)?;
            for (query, scores) in scores.rows().into_iter().enumerate() {
                for (&example, score) in open.iter().zip(scores) {
                    top.push(query, first + example as u64, score.as_f64())?;
                }
            }
        }
        Ok(report)
    }

    /// Whether the score of some query could be among its best.
    fn may_enter(&self, example: usize, sizes: &[Array1<f64>], top: &TopK) -> bool {
        // scores are rounded, their bounds must lie above that
        let rounding = 1.0 + 1024.0 * T::epsilon().as_f64();
        (0..self.len()).any(|query| {
            let Some(threshold) = top.threshold(query) else { return true };
            let bound: f64 =
                self.layers().iter().zip(sizes).map(|(layer, sizes)| layer.bound()[query] * sizes[example]).sum();
            bound * rounding >= threshold || bound.is_nan()
        })
    }

    /// Scores of some examples.
    fn scores_of(&self, train: &[LayerRows<'_, T>], examples: &[usize]) -> Result<Array2<T>> {
        let mut out = Array2::zeros((self.len(), examples.len()));
        if !examples.is_empty() {
            for (layer, rows) in self.layers().iter().zip(train) {
                out += &layer.example_scores(&rows.gather(examples))?;
            }
        }
        Ok(out)
    }
}
