//! How faithful each method is: what happens to the number as the words that a method ranks highest are taken away, or kept
//! alone.

use limpid::Seed;
use limpid::attribution::Baseline;
use limpid::attribution::faithfulness::{Decision, Erasure, ErasureReport, Levels, Masking};
use limpid::attribution::target::Logit;
use limpid::math::random::fill_normal;
use ndarray::{Array1, Array2, Axis};

use super::case::Case;
use super::methods::Found;
use super::table::{Table, cell};
use crate::Result;

/// Random orders, whose mean is the last line.
const RANDOM: usize = 5;
/// Words up to which every number of them is taken away.
const FEW: usize = 32;
/// Numbers of words taken away where there are more.
const LEVELS: usize = 16;

const HEAD: [&str; 9] =
    ["words by", "compr. +", "suff. -", "AOPC c. +", "AOPC s. -", "del. AUC -", "ins. AUC +", "flip at -", "rank +"];
const NOTE: &str = "With ever more of its first words replaced by the baseline (deleted), or all but these (kept): \
    comprehensiveness is the mean drop as words are deleted, sufficiency the mean drop as they are kept; AOPC the same for 1, \
    5, 10, 20 and 50 % of the words; then the areas under both curves, the share of words whose deletion flips the verdict, and \
    the rank correlation with deletions of single words. + is better large, - small. The last line is the mean of five \
    random orders.";

/// A line for each method.
pub(crate) fn faithfulness(case: &Case<'_>, found: &[Found]) -> Result<Table> {
    let words = case.sentence.words.len();
    let mut orders = Array2::zeros((found.len() + RANDOM, words));
    for (i, mut row) in orders.rows_mut().into_iter().enumerate() {
        match found.get(i) {
            Some(found) => row.assign(&found.words.mapv(|x| x as f32)),
            None => fill_normal(
                &mut Seed(1).stream(0, (i - found.len()) as u64),
                1.0,
                row.as_slice_mut().unwrap_or_default(),
            ),
        }
    }
    let x = case.x.broadcast((orders.nrows(), case.x.ncols())).map(|x| x.to_owned()).unwrap_or_default();
    let report = erasure(case, words).judge(&mut case.model()?, &x, &orders, &Logit::of(0))?;
    let mut rows: Vec<_> = found.iter().enumerate().map(|(i, found)| line(found.name, &report, i..i + 1)).collect();
    rows.push(line("random order", &report, found.len()..orders.nrows()));
    let head = HEAD.map(str::to_owned).to_vec();
    Ok(Table { title: "Faithfulness".to_owned(), note: NOTE.to_owned(), head, rows }.filled())
}

fn erasure(case: &Case<'_>, words: usize) -> Erasure<f32> {
    let baseline: Baseline<f32> = Baseline::Row(case.baseline.index_axis(Axis(0), 0).to_owned());
    Erasure {
        masking: Masking { baseline, groups: Some(case.groups(true)), batch: case.batch() },
        levels: if words <= FEW {
            Levels::All
        } else {
            Levels::Counts((0..=LEVELS).map(|level| level * words / LEVELS).collect())
        },
        decision: case.threshold.map_or(Decision::Largest, Decision::Threshold),
        ..Erasure::default()
    }
}

/// Means over rows of the report.
fn line(name: &str, report: &ErasureReport<f32>, rows: std::ops::Range<usize>) -> Vec<String> {
    let mean = |values: Vec<Option<f64>>| {
        let known: Vec<f64> = values.into_iter().flatten().collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    let all = |values: &Array1<f64>| mean(rows.clone().map(|row| Some(values[row])).collect());
    let some = |values: &[Option<f64>]| mean(values[rows.clone()].to_vec());
    let numbers = [
        all(&report.comprehensiveness),
        all(&report.sufficiency),
        all(&report.aopc_comprehensiveness),
        all(&report.aopc_sufficiency),
        all(&report.deletion_auc),
        all(&report.insertion_auc),
        some(&report.decision_flip_fraction),
        some(&report.rank_deletion),
    ];
    std::iter::once(name.to_owned()).chain(numbers.map(cell)).collect()
}
