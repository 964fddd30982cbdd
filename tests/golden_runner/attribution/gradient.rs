//! Golden cases of gradient methods.

use limpid::Scalar;
use limpid::attribution::Explainer;
use limpid::attribution::gradient::{InputXGradient, IntegratedGradients, Saliency};
use limpid::math::quadrature::Rule;

use super::network::{baseline, failed, model, target};
use crate::golden_runner::Answer;
use crate::golden_runner::case::{Given, Outcome};

/// Runs one primitive of the family; `None` where it is not of this family.
pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Option<Answer> {
    Some(match name {
        "input_x_gradient" => input_x_gradient::<T>(given),
        "integrated_gradients" => integrated_gradients::<T>(given),
        "saliency" => saliency::<T>(given),
        _ => return None,
    })
}

fn saliency<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut model, input) = model::<T>(given)?;
    let method = Saliency { absolute: given.flag("absolute")? };
    let found = method.attribute(&mut model, &input, &target(given)?).map_err(failed)?;
    Ok(vec![("attribution", Outcome::tensor(&found.values))])
}

fn input_x_gradient<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut model, input) = model::<T>(given)?;
    let found = InputXGradient.attribute(&mut model, &input, &target(given)?).map_err(failed)?;
    Ok(vec![("attribution", Outcome::tensor(&found.values))])
}

/// The quadrature rule at `rule`.
pub fn rule(given: &Given<'_>) -> Result<Rule, String> {
    Ok(match given.text("rule")? {
        "gauss_legendre" => Rule::GaussLegendre,
        "riemann_left" => Rule::Left,
        "riemann_right" => Rule::Right,
        "riemann_middle" => Rule::Middle,
        "riemann_trapezoid" => Rule::Trapezoid,
        "captum_trapezoid" => Rule::CaptumTrapezoid,
        name => return Err(format!("unknown rule {name}")),
    })
}

fn integrated_gradients<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut model, input) = model::<T>(given)?;
    let method = IntegratedGradients {
        baseline: baseline::<T>(given)?,
        rule: rule(given)?,
        steps: given.count("steps")?,
        multiply_by_inputs: !given.has("multiply_by_inputs") || given.flag("multiply_by_inputs")?,
        ..IntegratedGradients::default()
    };
    let found = method.attribute(&mut model, &input, &target(given)?).map_err(failed)?;
    let mut produced = vec![("attribution", Outcome::tensor(&found.values))];
    produced.extend(found.delta.map(|delta| ("delta", Outcome::tensor(&delta))));
    Ok(produced)
}
