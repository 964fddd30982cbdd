//! Golden cases of what autoencoders are judged by: metrics over a corpus, dictionaries, benchmarks.

use limpid::Scalar;
use limpid::math::merge::{Bytes, Merge, Shards};
use limpid::math::stats::Moments;
use limpid::sae::Codes;
use limpid::sae::bench::absorption::{AbsorptionLimits, absorption};
use limpid::sae::bench::effects::{self, Effect, effects};
use limpid::sae::bench::mdl::{description_length, quantise};
use limpid::sae::bench::scr::ScrAccuracy;
use limpid::sae::bench::sparse_probing::{mean_difference, pool, ranking, select};
use limpid::sae::bench::tpp::tpp;
use limpid::sae::metrics::dictionary::match_dictionary;
use limpid::sae::metrics::recovered::{Losses, kl_recovered};
use limpid::sae::metrics::{Defined, Evaluation, Metrics};
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, Slice};

use super::Answer;
use super::case::{Given, Outcome, Produced, number};
use super::superposition::ok;

pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Answer {
    match name {
        "metrics" => metrics::<T>(given),
        "dictionary_match" => dictionary::<T>(given),
        "absorption" => absorbed::<T>(given),
        "scr" | "tpp" => perturbation::<T>(name, given),
        "sparse_probing" => probing::<T>(given),
        "mdl" => mdl::<T>(given),
        _ => Err(format!("unknown primitive sae/{name}")),
    }
}

/// Counts as a plain list.
fn list(counts: impl IntoIterator<Item = usize>) -> Outcome {
    Outcome::list(counts, Outcome::count)
}

fn defined(x: Defined) -> Outcome {
    Outcome::optional(x.ok())
}

fn count(x: u64) -> Result<usize, String> {
    usize::try_from(x).map_err(|error| error.to_string())
}

fn metrics<T: Scalar>(given: &Given<'_>) -> Answer {
    let x: Array2<T> = given.array("x")?;
    let edges = given.numbers("histogram_edges")?.into_iter().map(|edge| edge.ok_or("an edge that is null".to_owned()));
    let edges = edges.collect::<Result<Vec<f64>, _>>()?;
    let splits = if given.has("splits") { given.counts("splits")? } else { vec![x.nrows()] };
    let metrics = evaluate(&x, &given.array("reconstruction")?, &given.array("features")?, &splits)?;
    let histogram = ok(metrics.density_histogram(edges))?;
    let explained = metrics.explained_variance;
    let mut answer = vec![
        ("l0", Outcome::number(metrics.l0)),
        ("l1", Outcome::number(metrics.l1)),
        ("mse_sum", Outcome::number(metrics.mse_sum)),
        ("mse_mean", Outcome::number(metrics.mse_mean)),
        ("explained_variance_ratio_of_means", defined(explained.ratio_of_means)),
        ("explained_variance_mean_of_ratios", defined(explained.mean_of_ratios)),
        ("explained_variance_of_residual", defined(explained.of_residual)),
        ("fraction_of_variance_unexplained", defined(metrics.fraction_of_variance_unexplained)),
        ("normalised_mse_uncentred", defined(metrics.normalised_mse_uncentred)),
        ("cosine", defined(metrics.cosine)),
        ("l2_ratio", defined(metrics.l2_ratio)),
        ("relative_reconstruction_bias", defined(metrics.relative_reconstruction_bias)),
        ("dead_fraction", Outcome::number(metrics.dead_fraction)),
        ("firing_count", list(metrics.firing_count.iter().map(|&n| count(n)).collect::<Result<Vec<_>, _>>()?)),
        ("density", Outcome::tensor(&metrics.density)),
        ("log10_density", Outcome::tensor(&metrics.log10_density)),
        ("histogram", list(histogram.counts().iter().map(|&n| count(n)).collect::<Result<Vec<_>, _>>()?)),
    ];
    answer.extend(recovered(given)?);
    Ok(answer)
}

/// Feeds the splits to accumulators of their own, alternately dense and sparse, and merges these backwards and through
/// bytes.
fn evaluate<T: Scalar>(x: &Array2<T>, y: &Array2<T>, f: &Array2<T>, splits: &[usize]) -> Result<Metrics, String> {
    let mut first = 0;
    let mut ranges = Vec::new();
    for &rows in splits {
        ranges.push(Slice::from(first..first + rows));
        first += rows;
    }
    if first != x.nrows() {
        return Err("splits that are not all samples".to_owned());
    }
    let mut data = ok(Moments::new(x.ncols()))?;
    for &range in &ranges {
        let mut part = ok(Moments::new(x.ncols()))?;
        ok(part.update(&x.slice_axis(Axis(0), range)))?;
        ok(data.merge(&part))?;
    }
    let mean = data.mean().ok_or("no samples")?;
    let mut shards = Shards::default();
    for (number, &range) in ranges.iter().enumerate().rev() {
        let mut part = ok(Evaluation::around(&mean, f.ncols()))?;
        let cut = |x: &Array2<T>| x.slice_axis(Axis(0), range).to_owned();
        if number % 2 == 0 {
            ok(part.update(&cut(x), &cut(y), &cut(f)))?;
        } else {
            ok(part.update_codes(&cut(x), &cut(y), &ok(Codes::from_dense(&cut(f)))?))?;
        }
        ok(shards.insert(number as u64, ok(Evaluation::from_bytes(&part.to_bytes()))?))?;
    }
    ok(ok(shards.total())?.ok_or("no samples")?.finish())
}

fn recovered(given: &Given<'_>) -> Result<Produced, String> {
    let mut answer = Produced::new();
    if given.has("ce_sae") {
        let (clean, sae) = (given.number("ce_clean")?, given.number("ce_sae")?);
        if given.has("ce_zero") {
            let losses = Losses { clean, sae, zero: given.number("ce_zero")? };
            answer.push(("loss_recovered", Outcome::optional(ok(losses.recovered())?)));
        }
    }
    if given.has("kl_sae") {
        let sae = given.number("kl_sae")?;
        if given.has("kl_zero") {
            answer.push(("kl_recovered", Outcome::optional(ok(kl_recovered(sae, given.number("kl_zero")?))?)));
        }
    }
    Ok(answer)
}

fn dictionary<T: Scalar>(given: &Given<'_>) -> Answer {
    let found = ok(match_dictionary::<T>(&given.array::<T, _>("truth")?, &given.array::<T, _>("learned")?))?;
    let pair = |pair: Option<usize>| pair.map_or(Outcome::Undefined, Outcome::count);
    Ok(vec![
        ("mmcs", Outcome::number(found.mmcs)),
        ("mmcs_absolute", Outcome::number(found.mmcs_absolute)),
        ("mcc", Outcome::number(found.mcc)),
        ("assignment", Outcome::list(found.assignment, pair)),
        ("uniqueness", Outcome::number(found.uniqueness)),
        ("cosines", Outcome::tensor(&found.cosines)),
    ])
}

fn absorbed<T: Scalar>(given: &Given<'_>) -> Answer {
    let limits = given.nested("limits")?;
    let settings = AbsorptionLimits {
        absorber_cosine: limits.number("absorber_cosine")?,
        proportion: limits.number("proportion")?,
        max_absorbers: limits.count("max_absorbers")?,
        full_cosine: limits.number("full_cosine")?,
        fired: limits.number("fired")?,
    };
    limits.done()?;
    let (x, f): (Array2<T>, Array2<T>) = (given.array("activations")?, given.array("features")?);
    let (w_dec, probe): (Array2<T>, Array1<T>) = (given.array("w_dec")?, given.array("probe")?);
    let found = ok(absorption(&x, &f, &w_dec, &probe, &given.counts("main")?, &settings))?;
    Ok(vec![
        ("absorption_fraction", Outcome::tensor(&found.fraction)),
        ("full_absorption", Outcome::list(found.full, Outcome::Flag)),
        ("mean_fraction", Outcome::number(found.mean_fraction)),
        ("full_rate", Outcome::number(found.full_rate)),
    ])
}

fn perturbation<T: Scalar>(name: &str, given: &Given<'_>) -> Answer {
    let (positive, negative): (Array2<T>, Array2<T>) =
        (given.array("features_positive")?, given.array("features_negative")?);
    let (probe, w_dec): (Array1<T>, Array2<T>) = (given.array("probe")?, given.array("w_dec")?);
    let kind = if name == "scr" { Effect::EitherWay } else { Effect::Positive };
    let found = ok(effects(&positive, &negative, &probe, &w_dec, kind))?;
    let mut answer =
        vec![("effects", Outcome::tensor(&found)), ("selected", list(effects::select(&found, given.count("top")?)))];
    if name == "scr" {
        let accuracy = given.nested("accuracy")?;
        let (original, clean) = (accuracy.number("original")?, accuracy.number("clean")?);
        let score = ScrAccuracy { original, clean, changed: accuracy.number("changed")? }.score();
        accuracy.done()?;
        answer.push(("score", Outcome::number(ok(score)?)));
        return Ok(answer);
    }
    let clean: Array1<f64> = given.list("clean")?.iter().map(number).collect::<Result<_, _>>()?;
    let mut ablated = Vec::new();
    for row in given.list("ablated")? {
        let row = row.as_array().ok_or("ablated is not a list of lists")?;
        ablated.extend(row.iter().map(number).collect::<Result<Vec<f64>, _>>()?);
    }
    let ablated = ArrayView2::from_shape((clean.len(), clean.len()), &ablated).map_err(|error| error.to_string())?;
    let found = ok(tpp(&clean, &ablated))?;
    answer.extend([("per_class", Outcome::tensor(&found.per_class)), ("score", Outcome::number(found.score))]);
    Ok(answer)
}

fn probing<T: Scalar>(given: &Given<'_>) -> Answer {
    let features: Array3<T> = given.array("features")?;
    let (b, t, _) = features.dim();
    let mut mask = Vec::new();
    for row in given.list("mask")? {
        let row = row.as_array().ok_or("mask is not a list of lists")?;
        mask.extend(row.iter().map(|flag| flag.as_bool().ok_or("mask holds something that is not a truth value")));
    }
    let mask = mask.into_iter().collect::<Result<Vec<bool>, _>>()?;
    let mask = Array2::from_shape_vec((b, t), mask).map_err(|error| error.to_string())?;
    let labels: Vec<bool> = given.counts("labels")?.into_iter().map(|label| label == 1).collect();
    let pooled = ok(pool(&features, &mask))?;
    let difference = ok(mean_difference(&pooled, &labels))?;
    Ok(vec![
        ("pooled", Outcome::tensor(&pooled)),
        ("ranking", list(ranking(&difference))),
        ("selected", list(select(&difference, given.count("top")?))),
        ("difference", Outcome::tensor(&difference)),
    ])
}

fn mdl<T: Scalar>(given: &Given<'_>) -> Answer {
    let (features, maximum): (Array2<T>, Array1<T>) = (given.array("features")?, given.array("maximum")?);
    let bins = given.count("bins")?;
    let found = ok(description_length(&features, &maximum, bins))?;
    Ok(vec![
        ("description_length", Outcome::number(found.bits)),
        ("per_latent", Outcome::tensor(&found.per_latent)),
        ("quantised", Outcome::tensor(&ok(quantise(&features, &maximum, bins))?)),
    ])
}
