//! Golden cases of rule methods.

use limpid::Scalar;
use limpid::attribution::Explainer;
use limpid::attribution::rules::{DeepLift, DeepLiftShap, Lrp, LrpRule};
use serde_json::Value;

use super::network::{baseline, failed, model, target};
use crate::golden_runner::Answer;
use crate::golden_runner::case::{Given, Outcome};

/// Runs one primitive of the family; `None` where it is not of this family.
pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Option<Answer> {
    Some(match name {
        "deep_lift" => deep_lift::<T>(given),
        "deep_lift_shap" => deep_lift_shap::<T>(given),
        "lrp" => lrp::<T>(given),
        _ => return None,
    })
}

fn deep_lift<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut model, input) = model::<T>(given)?;
    if given.text("rule")? != "rescale" {
        return Err("unknown rule".to_owned());
    }
    let method = DeepLift { baseline: baseline(given)?, ..DeepLift::default() };
    let found = method.attribute(&mut model, &input, &target(given)?).map_err(failed)?;
    let delta = found.delta.ok_or("no delta")?;
    Ok(vec![("attribution", Outcome::tensor(&found.values)), ("delta", Outcome::tensor(&delta))])
}

fn deep_lift_shap<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut model, input) = model::<T>(given)?;
    let method = DeepLiftShap::new(given.array("baselines")?);
    let found = method.attribute_with_deltas(&mut model, &input, &target(given)?).map_err(failed)?;
    Ok(vec![("attribution", Outcome::tensor(&found.0.values)), ("delta", Outcome::tensor(&found.1))])
}

fn lrp<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut model, input) = model::<T>(given)?;
    let rules = given.list("rules")?.iter().map(rule).collect::<Result<_, _>>()?;
    let found = Lrp { rules, ..Lrp::default() }.attribute(&mut model, &input, &target(given)?).map_err(failed)?;
    let delta = found.delta.ok_or("no delta")?.mapv(|delta| -delta);
    Ok(vec![("attribution", Outcome::tensor(&found.values)), ("delta", Outcome::tensor(&delta))])
}

fn rule(value: &Value) -> Result<Option<LrpRule>, String> {
    if value.is_null() {
        return Ok(None);
    }
    let given = Given::new(value.as_object().ok_or("a rule that is not an object")?);
    let epsilon = given.number("epsilon")?;
    let rule = match given.text("rule")? {
        "epsilon" => LrpRule::Epsilon { epsilon },
        "gamma" => {
            LrpRule::Gamma { gamma: given.number("gamma")?, epsilon, zero_bias: given.flag_or_false("zero_bias")? }
        }
        "alpha1_beta0" => LrpRule::Alpha1Beta0 { epsilon, zero_bias: given.flag_or_false("zero_bias")? },
        name => return Err(format!("unknown rule {name}")),
    };
    given.done()?;
    Ok(Some(rule))
}
