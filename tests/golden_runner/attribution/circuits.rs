//! Golden cases of circuits and of attention.

use limpid::Scalar;
use limpid::attribution::circuits::{
    Fusion, Mixing, PatchDirection, Readout, ResidualNorm, attention_flow, attention_rollout, attribution_patching,
    direct_logit, logit_lens, normalised_flow,
};
use limpid::attribution::network::NormKind;
use ndarray::{Array1, Array2, Array3, ArrayD, Ix3, Ix4};

use crate::golden_runner::Answer;
use crate::golden_runner::case::{Given, Outcome};
use crate::golden_runner::superposition::ok;

/// Runs one primitive of the family; `None` where it is not of this family.
pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Option<Answer> {
    Some(match name {
        "attention_rollout" => rollout::<T>(given),
        "attention_flow" => flow::<T>(given),
        "direct_logit_attribution" => direct::<T>(given),
        "logit_lens" => lens::<T>(given),
        "attribution_patching" if !given.has("network") => patching::<T>(given),
        _ => return None,
    })
}

/// `attention` with its heads fused, and how it mixes.
fn attention<T: Scalar>(given: &Given<'_>) -> Result<(Array3<T>, Mixing), String> {
    let attention: ArrayD<T> = given.tensor("attention")?;
    let mixing = Mixing { residual: given.flag("residual")?, ..Mixing::default() };
    let fusion = match given.has("head_fusion").then(|| given.text("head_fusion")).transpose()? {
        Some("max") => Fusion::Max,
        Some("mean") | None => Fusion::Mean,
        Some(other) => return Err(format!("unknown head_fusion {other}")),
    };
    let fused = if attention.ndim() == 4 {
        ok(fusion.heads(&attention.into_dimensionality::<Ix4>().map_err(|error| error.to_string())?))?
    } else {
        attention.into_dimensionality::<Ix3>().map_err(|error| error.to_string())?
    };
    Ok((fused, mixing))
}

fn rollout<T: Scalar>(given: &Given<'_>) -> Answer {
    let (attention, mixing) = attention::<T>(given)?;
    Ok(vec![("rollout", Outcome::tensor(&ok(attention_rollout(&attention, mixing))?))])
}

fn flow<T: Scalar>(given: &Given<'_>) -> Answer {
    let (attention, mixing) = attention::<T>(given)?;
    let flow = ok(attention_flow(&attention, mixing))?;
    Ok(vec![("flow_normalized", Outcome::tensor(&ok(normalised_flow(&flow))?)), ("flow", Outcome::tensor(&flow))])
}

fn norm<T: Scalar>(given: &Given<'_>) -> Result<ResidualNorm<T>, String> {
    let given = given.nested("norm")?;
    let kind = match given.text("kind")? {
        "layernorm" => Some(NormKind::Layer),
        "rmsnorm" => Some(NormKind::RootMeanSquare),
        "none" => None,
        other => return Err(format!("unknown norm {other}")),
    };
    let vector = |key: &str| given.has(key).then(|| given.array(key)).transpose();
    let epsilon = if given.has("epsilon") { given.number("epsilon")? } else { 0.0 };
    let norm = ResidualNorm { kind, gamma: vector("gamma")?, beta: vector("beta")?, epsilon };
    given.done()?;
    Ok(norm)
}

/// Calls `work` with what turns the residual stream into logits.
fn with_readout<T: Scalar>(given: &Given<'_>, work: impl FnOnce(&Readout<'_, T>) -> Answer) -> Answer {
    let unembed: Array2<T> = given.array("unembed")?;
    let bias: Option<Array1<T>> = given.has("unembed_bias").then(|| given.array("unembed_bias")).transpose()?;
    work(&Readout { norm: norm(given)?, unembed: unembed.view(), bias: bias.as_ref().map(|bias| bias.view()) })
}

/// One column, or one per position.
fn columns(given: &Given<'_>, key: &str) -> Result<Vec<usize>, String> {
    given.count(key).map(|column| vec![column]).or_else(|_| given.counts(key))
}

fn direct<T: Scalar>(given: &Given<'_>) -> Answer {
    let components: Array3<T> = given.array("components")?;
    let target = columns(given, "target")?;
    let contrast = given.has("contrast").then(|| columns(given, "contrast")).transpose()?;
    with_readout(given, |readout| {
        let split = ok(direct_logit(&components, None, readout, &target, contrast.as_deref()))?;
        Ok(vec![
            ("attribution", Outcome::tensor(&split.attribution)),
            ("bias", Outcome::tensor(&split.bias)),
            ("total", Outcome::tensor(&split.total)),
        ])
    })
}

fn lens<T: Scalar>(given: &Given<'_>) -> Answer {
    let residual: Array3<T> = given.array("residual")?;
    with_readout(given, |readout| {
        let lens = ok(logit_lens(&residual, readout))?;
        Ok(vec![
            ("top", Outcome::tensor(&lens.top.mapv(|top| top as f64))),
            ("logits", Outcome::tensor(&lens.logits)),
            ("probability", Outcome::tensor(&lens.probability)),
        ])
    })
}

/// Which run is patched.
pub fn direction(given: &Given<'_>) -> Result<PatchDirection, String> {
    Ok(match given.text("direction")? {
        "noising" => PatchDirection::Noising,
        "denoising" => PatchDirection::Denoising,
        other => return Err(format!("unknown direction {other}")),
    })
}

fn patching<T: Scalar>(given: &Given<'_>) -> Answer {
    let direction = direction(given)?;
    let (clean, corrupted) = (given.tensor::<T>("clean_activation")?, given.tensor("corrupted_activation")?);
    let scores = ok(attribution_patching(&clean, &corrupted, &given.tensor("gradient")?, direction))?;
    Ok(vec![("score", Outcome::tensor(&scores.score)), ("unit_score", Outcome::tensor(&scores.units()))])
}
