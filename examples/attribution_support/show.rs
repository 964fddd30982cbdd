//! Methods side by side: a row of heat maps for each question, and a table.

use limpid::attribution::faithfulness::{By, Comparison, Judged, mask_auc, pointing_game, relevance_mass_accuracy};
use limpid::{Result, Seed};
use ndarray::{Array2, ArrayView1};

use super::digits::{Digits, PAIRS, PIXELS, SIDE, difference};
use crate::support::figure::{HeatMap, heat_maps};
use crate::support::report::number;

/// Images of the first digits of [`PAIRS`] in turn, and the question: why this and not the second?
pub struct Questions {
    pub images: Digits,
    pub asked: Vec<usize>,
    pub other: Vec<usize>,
    /// The pixels that make the difference, `(b, 144)`.
    pub answer: Array2<bool>,
}

impl Questions {
    /// `count` of them, from the streams `first..` of `seed`.
    pub fn draw(count: usize, seed: Seed, first: u64) -> Self {
        let pairs = || PAIRS.iter().cycle().take(count);
        let (asked, other): (Vec<usize>, Vec<usize>) = pairs().copied().unzip();
        let images = Digits::draw(&asked, seed, first);
        let mut answer = Array2::from_elem((count, PIXELS), false);
        for ((mut row, &(a, b)), &corner) in answer.rows_mut().into_iter().zip(pairs()).zip(&images.corners) {
            row.assign(&difference(a, b, corner));
        }
        Self { images, asked, other, answer }
    }

    /// The image, and what each method says of it, for the first `count` questions.
    pub fn figure(&self, found: &Comparison<f32>, count: usize) -> String {
        let mut panels = Vec::new();
        for row in 0..count.min(self.asked.len()) {
            let signs = self.answer.row(row).mapv(|different| if different { -1.0 } else { 1.0 });
            let image = &self.images.pixels.row(row) * &signs;
            panels.push(panel(&format!("{}, not {}", self.asked[row], self.other[row]), image.view()));
            let maps = found.names.iter().zip(&found.judged);
            panels.extend(maps.map(|(name, judged)| panel(name, judged.attribution.values.row(row))));
        }
        heat_maps(&panels, found.names.len() + 1)
    }

    /// Share of the relevance, and of strongest pixels, on the segment that makes the difference, and its area under the ROC.
    pub fn localisation(&self, judged: &Judged<f32>) -> Result<[f64; 3]> {
        let values = &judged.attribution.values;
        let pointed = pointing_game(values, &self.answer, By::Value)?;
        Ok([
            mean(relevance_mass_accuracy(values, &self.answer, By::Value)?),
            mean(pointed.into_iter().map(|hit| hit.map(|hit| f64::from(u8::from(hit))))),
            mean(mask_auc(values, &self.answer, By::Value)?),
        ])
    }

    /// One row per number, one column per method.
    pub fn table(&self, found: &Comparison<f32>) -> Result<Vec<Vec<String>>> {
        let columns = found.judged.iter().map(|judged| self.column(judged)).collect::<Result<Vec<_>>>()?;
        let line = |at: usize| {
            let cells =
                columns.iter().map(|column| if column[at].is_nan() { "-".to_owned() } else { number(column[at]) });
            [LINES[at].to_owned()].into_iter().chain(cells).collect()
        };
        Ok((0..LINES.len()).map(line).collect())
    }

    fn column(&self, judged: &Judged<f32>) -> Result<[f64; 11]> {
        let (report, rows) = (&judged.report, self.asked.len() as f64);
        let [mass, pointing, auc] = self.localisation(judged)?;
        let gap = report.completeness_gap.as_ref().map(|gap| gap.iter().map(|gap| f64::from(gap.abs())));
        Ok([
            mass,
            pointing,
            auc,
            mean(report.erasure.comprehensiveness.iter().copied().map(Some)),
            mean(report.erasure.sufficiency.iter().copied().map(Some)),
            mean(report.erasure.decision_flip_fraction.iter().copied()),
            mean(report.erasure.rank_deletion.iter().copied()),
            report.infidelity.as_ref().map_or(f64::NAN, |found| mean(found.infidelity.iter().copied().map(Some))),
            report.sensitivity.as_ref().map_or(f64::NAN, |found| mean(found.maximum.iter().copied().map(Some))),
            gap.map_or(f64::NAN, |gap| gap.fold(0.0, f64::max)),
            judged.attribution.evaluations.total() as f64 / rows,
        ])
    }
}

/// What the lines of the table are.
const LINES: [&str; 11] = [
    "relevance on the segment that differs (higher)",
    "strongest pixel on it (higher)",
    "AUC as its detector (higher)",
    "comprehensiveness (higher)",
    "sufficiency (lower)",
    "share of pixels that flip the decision (lower)",
    "rank correlation with single deletions (higher)",
    "infidelity (lower)",
    "max-sensitivity (lower)",
    "largest completeness gap (0)",
    "evaluations per image",
];

/// An image with its largest magnitude at full colour.
fn panel(title: &str, pixels: ArrayView1<'_, f32>) -> HeatMap {
    let most = pixels.iter().fold(f64::MIN_POSITIVE, |most, &value| most.max(f64::from(value.abs())));
    let image = Array2::from_shape_fn((SIDE, SIDE), |(y, x)| f64::from(pixels[y * SIDE + x]) / most);
    (title.to_owned(), image, None)
}

/// Mean of what is defined, NaN of nothing.
fn mean(values: impl IntoIterator<Item = Option<f64>>) -> f64 {
    let (sum, count) = values.into_iter().flatten().fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}
