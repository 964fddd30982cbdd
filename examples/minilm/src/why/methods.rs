//! The methods, with one meaning of "absent": the word embedding of a baseline token.

use std::time::Instant;

use limpid::Seed;
use limpid::attribution::aggregate::Aggregation;
use limpid::attribution::gradient::{InputXGradient, IntegratedGradients, Saliency};
use limpid::attribution::perturbation::{FeatureAblation, Groups, Lime, Removal, Sampling, Shapley, Summary};
use limpid::attribution::target::Logit;
use limpid::attribution::{Baseline, Explainer};
use ndarray::Array1;

use super::case::Case;
use super::model::Explained;
use crate::Result;
use crate::support::progress::Bar;

/// Points on the way from the baseline.
pub(crate) const STEPS: usize = 50;

/// What one method says of a sentence.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) name: &'static str,
    /// The same where there is little room.
    pub(crate) short: &'static str,
    /// One number for each word.
    pub(crate) words: Array1<f64>,
    /// One number for each token, special ones included, of methods that look at tokens.
    pub(crate) tokens: Option<Array1<f64>>,
    /// Standard errors, a word each.
    pub(crate) error: Option<Array1<f64>>,
    /// What the numbers miss of the difference from the baseline, of methods that promise it.
    pub(crate) delta: Option<f64>,
    /// Sentences that the model read.
    pub(crate) runs: u64,
    pub(crate) seconds: f64,
    /// Whether there are negative numbers by nature.
    pub(crate) signed: bool,
}

/// How numbers become one: over the width of a token's embedding, and over the tokens of a word.
type Merge = (Aggregation, Aggregation);

const LENGTH: Merge = (Aggregation::Norm, Aggregation::Norm);
const SUM: Merge = (Aggregation::Sum, Aggregation::Sum);
// all features of a token or word carry its number
const OF_TOKEN: Merge = (Aggregation::AbsMax, Aggregation::Sum);
const OF_WORD: Merge = (Aggregation::AbsMax, Aggregation::AbsMax);

/// All methods, one after the other.
pub(crate) fn all(case: &Case<'_>, budget: u64) -> Result<Vec<Found>> {
    let (baseline, batch) = (Baseline::Rows(case.baseline.clone()), case.batch());
    let integrated = IntegratedGradients { baseline: baseline.clone(), steps: STEPS, batch, ..Default::default() };
    let occlusion = FeatureAblation { baseline: baseline.clone(), groups: Groups::All(case.groups(false)), batch };
    let removal = Removal { absent: baseline.into(), groups: Some(case.groups(true)), batch, ..Removal::default() };
    let samples = usize::try_from(budget).unwrap_or(usize::MAX);
    let lime = Lime { removal: removal.clone(), samples, ..Lime::default() };
    let sampling = Sampling { budget, seed: Seed(0), ..Sampling::default() };
    let shapley = Shapley { sampling, ..Shapley::default() }.by_removal(removal);
    let mut bar = Bar::new("explain");
    let methods: [(_, &dyn Explainer<f32, Explained<'_>>, _); 6] = [
        (["saliency", "saliency"], &Saliency::default(), LENGTH),
        (["gradient x input", "GxI"], &InputXGradient, SUM),
        (["integrated gradients", "IG"], &integrated, SUM),
        (["occlusion", "occlusion"], &occlusion, OF_TOKEN),
        (["Shapley values", "Shapley"], &shapley, OF_WORD),
        (["LIME", "LIME"], &lime, OF_WORD),
    ];
    let count = methods.len();
    let one = |(i, (names, method, merge))| {
        bar.show(i, count);
        run(case, names, method, merge)
    };
    methods.into_iter().enumerate().map(one).collect()
}

fn run<'a>(
    case: &Case<'a>,
    [name, short]: [&'static str; 2],
    method: &dyn Explainer<f32, Explained<'a>>,
    merge: Merge,
) -> Result<Found> {
    let start = Instant::now();
    let found = method.attribute(&mut case.model()?, &case.x, &Logit::of(0))?;
    let seconds = start.elapsed().as_secs_f64();
    let tokens = case.of_tokens(&found.values, merge.0)?;
    let error = found.standard_error.map(|error| case.of_words(&case.of_tokens(&error, merge.0)?, merge.1));
    Ok(Found {
        name,
        short,
        words: case.of_words(&tokens, merge.1)?,
        tokens: (merge != OF_WORD).then_some(tokens),
        error: error.transpose()?,
        delta: found.delta.map(|delta| f64::from(delta[0])),
        runs: found.evaluations.total(),
        seconds,
        signed: merge != LENGTH,
    })
}
