//! Golden cases of the superposition area: geometry, theory, attacks and matching.

use limpid::Scalar;
use limpid::superposition::adversarial::{Attack, AttackScope, attack, vulnerability};
use limpid::superposition::geometry::{self, Polysemanticity};
use limpid::superposition::importance::{density_grid, geometric, log_spaced};
use limpid::superposition::initialisation::xavier_scale;
use limpid::superposition::memorisation::memorise;
use limpid::superposition::phase::{self, Phase};
use limpid::superposition::recovery::match_dictionaries;
use limpid::superposition::{Architecture, Reduction, ToyModel};
use ndarray::{Array1, Array2, ArrayD, Axis};

use super::Answer;
use super::case::{Given, Outcome};
use super::superposition_training as training;

pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Answer {
    match name {
        "loss_and_gradient" => training::loss_and_gradient::<T>(given),
        "adamw_trajectory" => training::adamw_trajectory::<T>(given),
        "expected_loss" => training::expected::<T>(given),
        "optimal_configurations" => training::optimal_configurations(given),
        "correlated_features" => training::correlated_features::<T>(given),
        "sampler_statistics" => training::sampler_statistics::<T>(given),
        "dictionary_recovery" => training::dictionary_recovery(given),
        "feature_norms" => feature_norms::<T>(given),
        "feature_dimensionality" => feature_dimensionality::<T>(given),
        "features_per_dimension" => features_per_dimension::<T>(given),
        "superposition_per_feature" => superposition_per_feature::<T>(given),
        "capacity" => capacity::<T>(given),
        "interference" => interference::<T>(given),
        "polysemanticity" => polysemanticity::<T>(given),
        "phase_theory" => phase_theory::<T>(given),
        "adversarial_attack" => adversarial_attack::<T>(given),
        "importance_curve" => importance_curve::<T>(given),
        "density_grid" => grid::<T>(given),
        "initialisation_scale" => initialisation_scale(given),
        "memorisation_geometry" => memorisation_geometry::<T>(given),
        "dictionary_match" => dictionary_match::<T>(given),
        _ => Err(format!("unknown primitive superposition/{name}")),
    }
}

/// Turns an error of the crate into a failure of the case.
pub fn ok<V>(result: limpid::Result<V>) -> Result<V, String> {
    result.map_err(|error| error.to_string())
}

pub fn architecture(given: &Given<'_>) -> Result<Architecture, String> {
    match given.text("architecture")? {
        "linear" => Ok(Architecture::Linear),
        "relu_output" => Ok(Architecture::ReluOutput),
        "relu_hidden" => Ok(Architecture::ReluHidden),
        "absolute_value" => Ok(Architecture::AbsoluteValue),
        other => Err(format!("unknown architecture {other}")),
    }
}

pub fn reduction(given: &Given<'_>) -> Result<Reduction, String> {
    match given.text("reduction")? {
        "mean" => Ok(Reduction::Mean),
        "feature_sum" => Ok(Reduction::FeatureSum),
        "sum" => Ok(Reduction::Sum),
        other => Err(format!("unknown reduction {other}")),
    }
}

fn feature_norms<T: Scalar>(given: &Given<'_>) -> Answer {
    let w: Array2<T> = given.array("weight")?;
    Ok(vec![
        ("norms", Outcome::tensor(&ok(geometry::feature_norms(&w))?)),
        ("represented", Outcome::count(ok(geometry::represented_features(&w, given.scalar("threshold")?))?)),
        ("frobenius_squared", Outcome::number(ok(geometry::frobenius_squared(&w))?)),
    ])
}

fn feature_dimensionality<T: Scalar>(given: &Given<'_>) -> Answer {
    let shares = ok(geometry::feature_dimensionality(&given.array::<T, _>("weight")?))?;
    Ok(vec![("total", Outcome::number(shares.sum())), ("dimensionality", Outcome::tensor(&shares))])
}

fn features_per_dimension<T: Scalar>(given: &Given<'_>) -> Answer {
    let w: Array2<T> = given.array("weight")?;
    Ok(vec![
        ("features_per_dimension", Outcome::number(ok(geometry::features_per_dimension(&w))?)),
        ("dimensions_per_feature", Outcome::optional(ok(geometry::dimensions_per_feature(&w))?)),
    ])
}

fn superposition_per_feature<T: Scalar>(given: &Given<'_>) -> Answer {
    let w: Array2<T> = given.array("weight")?;
    let score = ok(geometry::superposition_per_feature(&w, given.scalar("epsilon")?))?;
    Ok(vec![("root", Outcome::tensor(&score.mapv(T::sqrt))), ("superposition", Outcome::tensor(&score))])
}

fn capacity<T: Scalar>(given: &Given<'_>) -> Answer {
    let w: ArrayD<T> = given.tensor("weight")?;
    if w.ndim() == 2 {
        let capacity = ok(geometry::capacity(&given.array::<T, _>("weight")?))?;
        return Ok(vec![("total", Outcome::number(capacity.sum())), ("capacity", Outcome::tensor(&capacity))]);
    }
    let w = given.array::<T, ndarray::Ix3>("weight")?;
    let mut all = Array2::zeros((w.shape()[0], w.shape()[2]));
    for (instance, mut row) in w.outer_iter().zip(all.rows_mut()) {
        row.assign(&ok(geometry::capacity(&instance))?);
    }
    Ok(vec![("total", Outcome::tensor(&all.sum_axis(Axis(1)))), ("capacity", Outcome::tensor(&all))])
}

fn interference<T: Scalar>(given: &Given<'_>) -> Answer {
    let overlaps = ok(geometry::interference(&given.array::<T, _>("weight")?))?;
    Ok(vec![
        ("gram", Outcome::tensor(&overlaps.gram)),
        ("interference", Outcome::tensor(&overlaps.interference)),
        ("normalized", Outcome::tensor(&overlaps.normalized)),
        ("coherence", Outcome::number(overlaps.coherence)),
    ])
}

fn polysemanticity<T: Scalar>(given: &Given<'_>) -> Answer {
    let w: Array2<T> = given.array("weight")?;
    let Polysemanticity { features_per_neuron, participation, monosemantic } =
        ok(geometry::polysemanticity(&w, given.scalar("threshold")?))?;
    let mut answer = vec![
        ("features_per_neuron", Outcome::counts(&features_per_neuron)),
        ("participation", Outcome::tensor(&participation)),
        ("monosemantic", Outcome::count(monosemantic)),
    ];
    if given.has("decoder") {
        let (weight, decoder) = ok(geometry::rescale_neurons(&w, &given.array::<T, _>("decoder")?))?;
        answer.push(("rescaled_weight", Outcome::tensor(&weight)));
        answer.push(("rescaled_decoder", Outcome::tensor(&decoder)));
    }
    Ok(answer)
}

fn phase_theory<T: Scalar>(given: &Given<'_>) -> Answer {
    let p: Array1<T> = given.array("probability")?;
    let setting = given.text("setting")?;
    if setting == "boundaries" {
        let (ignored, dedicated) = ok(phase::boundaries(&p))?;
        return Ok(vec![
            ("ignored_until", Outcome::tensor(&ignored)),
            ("dedicated_from", Outcome::tensor(&dedicated)),
            ("triple_point_probability", Outcome::Number(phase::TRIPLE_POINT_PROBABILITY)),
            ("triple_point_importance", Outcome::Number(phase::TRIPLE_POINT_IMPORTANCE)),
        ]);
    }
    let r: Array1<T> = given.array("relative_importance")?;
    match setting {
        "two_in_one" => {
            let losses = ok(phase::two_in_one(&p, &r))?;
            let index = |phase: &Phase| match phase {
                Phase::Ignored => 0,
                Phase::Antipodal => 1,
                Phase::Dedicated => 2,
            };
            Ok(vec![
                ("winner", Outcome::counts(&losses.winner().iter().map(index).collect::<Vec<_>>())),
                ("ignored", Outcome::tensor(&losses.ignored)),
                ("antipodal", Outcome::tensor(&losses.antipodal)),
                ("dedicated", Outcome::tensor(&losses.dedicated)),
            ])
        }
        "three_in_two" => {
            let losses = ok(phase::three_in_two(&p, &r))?;
            Ok(vec![
                ("ignored", Outcome::tensor(&losses.ignored)),
                ("other_ignored", Outcome::tensor(&losses.other_ignored)),
                ("antipodal", Outcome::tensor(&losses.antipodal)),
                ("others_antipodal", Outcome::tensor(&losses.others_antipodal)),
            ])
        }
        "confused" => Ok(vec![("confused", Outcome::tensor(&ok(phase::confused(&p, &r))?))]),
        other => Err(format!("unknown setting {other}")),
    }
}

fn adversarial_attack<T: Scalar>(given: &Given<'_>) -> Answer {
    let scope = match given.text("scope")? {
        "shared" => AttackScope::Shared,
        "per_sample" => AttackScope::PerSample,
        other => return Err(format!("unknown scope {other}")),
    };
    let architecture = architecture(given)?;
    let (x, importance): (Array2<T>, Array1<T>) = (given.array("input")?, given.array("importance")?);
    let fraction = given.scalar("fraction")?;
    let run = |weight: &str, bias: &str| -> Result<Attack<T>, String> {
        let model = ok(ToyModel::new(architecture, given.array(weight)?, given.array(bias)?))?;
        ok(attack(&model, &x, &importance, fraction, scope))
    };
    let result = run("weight", "bias")?;
    let mut answer = vec![
        ("epsilon", Outcome::number(result.epsilon)),
        ("clean_loss", Outcome::number(result.clean_loss)),
        ("attacked_loss", Outcome::tensor(&result.attacked_loss)),
        ("worst_loss", Outcome::number(result.worst_loss)),
        ("worst_feature", Outcome::count(result.worst_feature)),
    ];
    if given.has("baseline_weight") {
        let ratio = vulnerability(&result, &run("baseline_weight", "baseline_bias")?);
        answer.push(("vulnerability", Outcome::optional(ratio)));
    }
    Ok(answer)
}

fn importance_curve<T: Scalar>(given: &Given<'_>) -> Answer {
    let count = given.count("count")?;
    let importance: Array1<T> = match given.text("kind")? {
        "geometric" => ok(geometric(count, given.number("ratio")?, given.count("offset")?))?,
        "log_spaced" => ok(log_spaced(count, given.number("last")?))?,
        other => return Err(format!("unknown kind {other}")),
    };
    Ok(vec![("importance", Outcome::tensor(&importance))])
}

fn grid<T: Scalar>(given: &Given<'_>) -> Answer {
    let (base, from, to) = (given.number("base")?, given.number("from")?, given.number("to")?);
    Ok(vec![("density", Outcome::tensor(&ok(density_grid::<T>(base, from, to, given.count("count")?))?))])
}

fn initialisation_scale(given: &Given<'_>) -> Answer {
    let scale = ok(xavier_scale(&given.counts("shape")?))?;
    Ok(vec![
        ("fan_in", Outcome::count(scale.fan_in)),
        ("fan_out", Outcome::count(scale.fan_out)),
        ("normal_std", Outcome::Number(scale.normal_std)),
        ("uniform_bound", Outcome::Number(scale.uniform_bound)),
    ])
}

fn memorisation_geometry<T: Scalar>(given: &Given<'_>) -> Answer {
    let points: Array2<T> = given.array("points")?;
    let stored = ok(memorise(&points))?;
    let reconstruction = ok(stored.model.forward(&points))?.output;
    Ok(vec![
        ("radius", Outcome::number(stored.radius)),
        ("data_dimensionality", Outcome::tensor(&ok(geometry::data_dimensionality(&stored.hidden))?)),
        ("hidden", Outcome::tensor(&stored.hidden)),
        ("weight", Outcome::tensor(&stored.model.weight)),
        ("bias", Outcome::tensor(&stored.model.bias)),
        ("reconstruction", Outcome::tensor(&reconstruction)),
    ])
}

fn dictionary_match<T: Scalar>(given: &Given<'_>) -> Answer {
    let (truth, learned): (Array2<T>, Array2<T>) = (given.array("truth")?, given.array("learned")?);
    let found = ok(match_dictionaries(&truth, &learned, given.scalar("threshold")?))?;
    Ok(vec![
        ("mmcs", Outcome::number(found.mmcs)),
        ("reverse_mmcs", Outcome::number(found.reverse_mmcs)),
        ("fraction_recovered", Outcome::number(found.fraction_recovered)),
        ("matched_cosine", Outcome::number(found.matched_cosine)),
        ("norm_ratio", Outcome::optional(found.norm_ratio)),
    ])
}
