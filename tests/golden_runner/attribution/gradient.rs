//! Golden cases of gradient methods.

use limpid::Scalar;
use limpid::attribution::gradient::{
    GradientShap, GradientShapDraws, InputXGradient, IntegratedGradients, NoiseKind, Saliency, SmoothGrad,
};
use limpid::attribution::{Attribution, Explained, Explainer, Network, Target};
use limpid::math::quadrature::Rule;
use ndarray::{Array2, Array3, ArrayRef2};

use super::network::{baseline, failed, model, target};
use crate::golden_runner::Answer;
use crate::golden_runner::case::{Given, Outcome};

/// Runs one primitive of the family; `None` where it is not of this family.
pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Option<Answer> {
    Some(match name {
        "gradient_shap" => gradient_shap::<T>(given),
        "noise_tunnel" => noise_tunnel::<T>(given),
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

/// Integrated gradients with the settings of a case.
pub fn integral<T: Scalar>(given: &Given<'_>) -> Result<IntegratedGradients<T>, String> {
    Ok(IntegratedGradients {
        baseline: baseline::<T>(given)?,
        rule: rule(given)?,
        steps: given.count("steps")?,
        multiply_by_inputs: !given.has("multiply_by_inputs") || given.flag("multiply_by_inputs")?,
        ..IntegratedGradients::default()
    })
}

fn integrated_gradients<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut model, input) = model::<T>(given)?;
    let found = integral::<T>(given)?.attribute(&mut model, &input, &target(given)?).map_err(failed)?;
    let mut produced = vec![("attribution", Outcome::tensor(&found.values))];
    produced.extend(found.delta.map(|delta| ("delta", Outcome::tensor(&delta))));
    Ok(produced)
}

/// A method named in a case, with its settings, to be run on any rows.
pub struct Method<T>(Box<dyn Explainer<T, Network<T>>>);

/// The method at `method`.
pub fn method<T: Scalar>(given: &Given<'_>) -> Result<Method<T>, String> {
    let settings = given.nested("method")?;
    let method = match settings.text("name")? {
        "saliency" => Method(Box::new(Saliency { absolute: settings.flag("absolute")? })),
        "input_x_gradient" => Method(Box::new(InputXGradient)),
        "integrated_gradients" => {
            Method(Box::new(IntegratedGradients { baseline: baseline::<T>(given)?, ..integral::<T>(&settings)? }))
        }
        name => return Err(format!("unknown method {name}")),
    };
    settings.done()?;
    Ok(method)
}

impl<T> std::fmt::Debug for Method<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Method")
    }
}

impl<T: Scalar> Explainer<T, Network<T>> for Method<T> {
    fn attribute(
        &self,
        model: &mut Network<T>,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, limpid::Error> {
        self.0.attribute(model, x, target)
    }

    fn is_per_row(&self) -> bool {
        self.0.is_per_row()
    }
}

fn noise_tunnel<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut model, input) = model::<T>(given)?;
    let kind = match given.text("kind")? {
        "smoothgrad" => NoiseKind::SmoothGrad,
        "smoothgrad_sq" => NoiseKind::SmoothGradSquared,
        "vargrad" => NoiseKind::VarGradPopulation,
        name => return Err(format!("unknown kind {name}")),
    };
    let noise: Array3<T> = given.array("noise")?;
    let tunnel = SmoothGrad { kind, ..SmoothGrad::of(method::<T>(given)?) };
    let found = tunnel.attribute_with(&mut model, &input, &target(given)?, &noise).map_err(failed)?;
    Ok(vec![("attribution", Outcome::tensor(&found.values))])
}

fn gradient_shap<T: Scalar>(given: &Given<'_>) -> Answer {
    let (mut model, input) = model::<T>(given)?;
    let index: Array2<f64> = given.array("baseline_index")?;
    let draws = GradientShapDraws {
        baseline_index: index.mapv(|index| num_traits::ToPrimitive::to_usize(&index).unwrap_or(usize::MAX)),
        alpha: given.array("alpha")?,
        noise: if given.has("noise") { Some(given.array("noise")?) } else { None },
    };
    let method = GradientShap::<T>::new(given.array("baselines")?);
    let found = method.attribute_with(&mut model, &input, &target(given)?, &draws).map_err(failed)?;
    Ok(vec![("attribution", Outcome::tensor(&found.attribution.values)), ("delta", Outcome::tensor(&found.deltas))])
}
