//! Golden cases of Shapley values and of KernelSHAP.

use limpid::Scalar;
use limpid::attribution::Explainer;
use limpid::attribution::perturbation::{Absent, ExactShapley, KernelShap, Link, Removal, Summary, Table};

use super::network::{baseline, failed, model, target, text};
use crate::golden_runner::Answer;
use crate::golden_runner::case::{Given, Outcome};

/// Runs one primitive of the family; `None` where it is not of this family.
pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Option<Answer> {
    Some(match name {
        "shapley_values" => summary::<T, _>(given, ExactShapley::default()),
        "kernel_shap" => summary::<T, _>(given, KernelShap::default()),
        _ => return None,
    })
}

fn summary<T: Scalar, S: Summary<T> + core::fmt::Debug>(given: &Given<'_>, method: S) -> Answer {
    if given.has("game") {
        let mut game = Table::<T>::single(given.array("game")?).map_err(text)?;
        let found = method.of(&mut game).map_err(|failure| format!("{failure:?}"))?;
        let values = found.values.column(0).to_owned();
        return Ok(vec![("attribution", Outcome::tensor(&values)), ("base_value", Outcome::number(found.base[0]))]);
    }
    let (mut model, input) = model::<T>(given)?;
    let explainer = method.by_removal(removal(given)?);
    let found = explainer.attribute(&mut model, &input, &target(given)?).map_err(failed)?;
    let base = found.base_value.ok_or("no base value")?;
    Ok(vec![("attribution", Outcome::tensor(&found.values)), ("base_value", Outcome::tensor(&base))])
}

/// `baseline` or `background`, `groups` and `link`.
pub fn removal<T: Scalar>(given: &Given<'_>) -> Result<Removal<T>, String> {
    let absent = if given.has("background") {
        Absent::Background(given.array("background")?)
    } else {
        Absent::Baseline(baseline(given)?)
    };
    let groups = if given.has("groups") { Some(given.counts("groups")?) } else { None };
    let link = match given.has("link").then(|| given.text("link")).transpose()? {
        None => Link::Identity,
        Some("logit") => Link::Logit,
        Some(name) => return Err(format!("unknown link {name}")),
    };
    Ok(Removal { absent, groups, link, ..Removal::default() })
}
