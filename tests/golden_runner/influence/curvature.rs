//! Golden cases of covariances, eigenvalues and what is made of them.

use limpid::Scalar;
use limpid::influence::{
    CovarianceAccumulator, EigenBasis, EigenvalueAccumulator, LayerCurvature, LayerRows, LayerSpec, Strategy,
    TrueFisherRows, Unit, fit_layer,
};
use limpid::math::merge::{Bytes, Merge};
use ndarray::{Array1, Array2, Array3, Axis};

use super::layer::{Layer, curvature, layers, rows};
use crate::golden_runner::Answer;
use crate::golden_runner::case::{Given, Outcome};

pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Option<Answer> {
    Some(match name {
        "kfac_factors" => kfac_factors::<T>(given),
        "factor_merge" => factor_merge::<T>(given),
        "ekfac_eigenvalues" => ekfac_eigenvalues::<T>(given),
        "preconditioned_gradient" => preconditioned_gradient::<T>(given),
        "true_fisher_row_weights" => true_fisher_row_weights::<T>(given),
        _ => return None,
    })
}

fn text<V>(result: limpid::Result<V>) -> Result<V, String> {
    result.map_err(|error| error.to_string())
}

/// The sums of all parts, merged through their bytes.
fn covariance<T: Scalar>(parts: &[LayerRows<'_, T>]) -> Result<CovarianceAccumulator, String> {
    let first = parts.first().ok_or("no rows")?;
    let empty = text(CovarianceAccumulator::new(LayerSpec::of(0, first)))?;
    let mut total = empty.clone();
    for rows in parts {
        let mut part = empty.clone();
        text(part.update(rows))?;
        text(total.merge(&text(CovarianceAccumulator::from_bytes(&part.to_bytes()))?))?;
    }
    Ok(total)
}

fn squares<T: Scalar>(basis: &EigenBasis, parts: &[LayerRows<'_, T>]) -> Result<EigenvalueAccumulator, String> {
    let mut total = EigenvalueAccumulator::new(basis);
    for rows in parts {
        let mut part = EigenvalueAccumulator::new(basis);
        text(part.update(basis, rows))?;
        text(total.merge(&text(EigenvalueAccumulator::from_bytes(&part.to_bytes()))?))?;
    }
    Ok(total)
}

fn kfac_factors<T: Scalar>(given: &Given<'_>) -> Answer {
    let layer = Layer::<T>::read(&given.nested("layer")?)?;
    let covariance = covariance(&[layer.rows()?])?;
    Ok(vec![
        ("activation_covariance", Outcome::tensor(&text(covariance.activation())?)),
        ("gradient_covariance", Outcome::tensor(&text(covariance.gradient())?)),
        ("count", Outcome::Number(covariance.weight())),
    ])
}

fn factor_merge<T: Scalar>(given: &Given<'_>) -> Answer {
    let shards = layers::<T>(given, "shards")?;
    let parts = rows(&shards)?;
    let covariance = covariance(&parts)?;
    let basis = text(EigenBasis::new(&covariance))?;
    let lambda = squares(&basis, &parts)?;
    let diagonal = squares(&EigenBasis::identity(*covariance.spec()), &parts)?;
    Ok(vec![
        ("activation_covariance", Outcome::tensor(&text(covariance.activation())?)),
        ("gradient_covariance", Outcome::tensor(&text(covariance.gradient())?)),
        ("count", Outcome::Number(covariance.weight())),
        ("examples", Outcome::Number(covariance.examples() as f64)),
        ("lambda", Outcome::tensor(&text(lambda.eigenvalues())?)),
        ("diagonal", Outcome::tensor(&text(diagonal.eigenvalues())?)),
    ])
}

fn ekfac_eigenvalues<T: Scalar>(given: &Given<'_>) -> Answer {
    let layer = Layer::<T>::read(&given.nested("layer")?)?;
    let rows = layer.rows()?;
    let ekfac = text(fit_layer(LayerSpec::of(0, &rows), Strategy::Ekfac, &rows))?;
    let kfac = text(LayerCurvature::kfac(ekfac.basis().clone(), Unit::PerToken))?;
    Ok(vec![
        ("activation_eigenvalues", Outcome::tensor(ekfac.basis().activation().values())),
        ("gradient_eigenvalues", Outcome::tensor(ekfac.basis().gradient().values())),
        ("lambda", Outcome::tensor(ekfac.eigenvalues())),
        ("lambda_sum", Outcome::Number(ekfac.eigenvalues().sum())),
        ("kfac_curvature", Outcome::tensor(&text(kfac.dense())?)),
        ("ekfac_curvature", Outcome::tensor(&text(ekfac.dense())?)),
    ])
}

fn preconditioned_gradient<T: Scalar>(given: &Given<'_>) -> Answer {
    let (curvature, function) = curvature::<T>(given)?;
    let query = layers::<T>(given, "query")?;
    let query = query.first().ok_or("no query")?.rows()?;
    let inverse = text(curvature.layers()[0].preconditioner(&function))?;
    let mut out = Array3::zeros((query.n_examples(), query.d_out(), query.d_in()));
    for (example, mut to) in out.axis_iter_mut(Axis(0)).enumerate() {
        to.assign(&text(query.gradient(example).and_then(|g| inverse.apply(&g)))?);
    }
    let damping = Outcome::optional(inverse.damping());
    Ok(vec![("preconditioned_gradient", Outcome::tensor(&out)), ("damping", damping)])
}

fn true_fisher_row_weights<T: Scalar>(given: &Given<'_>) -> Answer {
    let (a, logits): (Array2<T>, Array2<T>) = (given.array("a")?, given.array("logits")?);
    let fisher = text(TrueFisherRows::new(&a, &logits))?;
    let bias = if given.flag("bias")? { limpid::influence::Bias::Homogeneous } else { limpid::influence::Bias::None };
    let rows = text(fisher.rows())?.with_bias(bias);
    let parts = std::slice::from_ref(&rows);
    let covariance = covariance(parts)?;
    let basis = text(EigenBasis::new(&covariance))?;
    let lambda = squares(&basis, parts)?;
    let parameters = rows.d_out() * rows.d_in();
    let mut whole = Array2::<f64>::zeros((parameters, parameters));
    for (example, weight) in fisher.weight.iter().enumerate() {
        let v: Array1<f64> = text(rows.gradient(example))?.into_iter().collect();
        let v = v.insert_axis(Axis(1));
        whole += &(v.dot(&v.t()) * weight.as_f64());
    }
    whole /= fisher.weight.iter().map(|w| w.as_f64()).sum::<f64>();
    Ok(vec![
        ("row_weight", Outcome::tensor(&Array1::from(fisher.weight.clone()))),
        ("row_gradient", Outcome::tensor(&fisher.g)),
        ("activation_covariance", Outcome::tensor(&text(covariance.activation())?)),
        ("gradient_covariance", Outcome::tensor(&text(covariance.gradient())?)),
        ("lambda", Outcome::tensor(&text(lambda.eigenvalues())?)),
        ("fisher", Outcome::tensor(&whole)),
    ])
}
