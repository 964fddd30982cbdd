//! Golden cases of targets.

use limpid::Scalar;
use limpid::attribution::Target;
use limpid::attribution::target::{
    ContrastLogitDifference, ContrastProbabilityDifference, CrossEntropy, Entropy, KlDivergence, LogProbability, Logit,
    Probability,
};
use ndarray::{Array1, Array2};

use super::network::{class, text};
use crate::golden_runner::Answer;
use crate::golden_runner::case::{Given, Outcome};

/// Runs one primitive of the family; `None` where it is not of this family.
pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Option<Answer> {
    (name == "targets").then(|| targets::<T>(given))
}

fn targets<T: Scalar>(given: &Given<'_>) -> Answer {
    let logits: Array2<T> = given.array("logits")?;
    let target = functional::<T>(given)?;
    target.check(logits.nrows(), logits.ncols()).map_err(text)?;
    let (mut value, mut gradient) = (Array1::zeros(logits.nrows()), Array2::zeros(logits.raw_dim()));
    for (row, z) in logits.rows().into_iter().enumerate() {
        let z = z.to_vec();
        value[row] = target.value(row, &z);
        let mut out = gradient.row_mut(row);
        target.cotangent(row, &z, out.as_slice_mut().ok_or("a row that is not contiguous")?);
    }
    Ok(vec![("value", Outcome::tensor(&value)), ("gradient", Outcome::tensor(&gradient))])
}

fn functional<T: Scalar>(given: &Given<'_>) -> Result<Box<dyn Target<T>>, String> {
    let target = || class(given, "target");
    let contrast = || class(given, "contrast");
    Ok(match given.text("functional")? {
        "logit" => Box::new(Logit(target()?)),
        "probability" => Box::new(Probability(target()?)),
        "log_probability" => Box::new(LogProbability(target()?)),
        "cross_entropy" => Box::new(CrossEntropy(target()?)),
        "entropy" => Box::new(Entropy),
        "contrast_logit_difference" => Box::new(ContrastLogitDifference::of(target()?, contrast()?)),
        "contrast_probability_difference" => Box::new(ContrastProbabilityDifference::of(target()?, contrast()?)),
        "kl_divergence" => Box::new(KlDivergence::from(given.array("reference_logits")?)),
        name => return Err(format!("unknown functional {name}")),
    })
}
