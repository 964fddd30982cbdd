//! Golden cases of scores.

use limpid::Scalar;
use limpid::influence::{Queries, QuerySettings};

use super::layer::{curvature, layers, rows};
use crate::golden_runner::Answer;
use crate::golden_runner::case::{Given, Outcome};

pub fn run<T: Scalar>(name: &str, given: &Given<'_>) -> Option<Answer> {
    Some(match name {
        "pairwise_scores" | "per_layer_scores" | "per_token_scores" => scores::<T>(name, given),
        "low_rank_query_scores" => low_rank::<T>(given),
        "self_scores" => self_scores::<T>(given),
        _ => return None,
    })
}

fn queries<T: Scalar>(given: &Given<'_>, settings: &QuerySettings) -> Result<Queries<T>, String> {
    let (curvature, function) = curvature::<T>(given)?;
    let query = layers::<T>(given, "query")?;
    curvature.queries(&function, &rows(&query)?, settings).map_err(|error| error.to_string())
}

fn scores<T: Scalar>(name: &str, given: &Given<'_>) -> Answer {
    let train = layers::<T>(given, "train")?;
    let train = rows(&train)?;
    let queries = queries(given, &QuerySettings::default())?;
    let mut answer = vec![("scores", Outcome::tensor(&queries.scores(&train).map_err(|e| e.to_string())?))];
    if name == "per_layer_scores" {
        answer.push(("layer_scores", Outcome::tensor(&queries.layer_scores(&train).map_err(|e| e.to_string())?)));
    }
    if name == "per_token_scores" {
        answer.push(("token_scores", Outcome::tensor(&queries.token_scores(&train).map_err(|e| e.to_string())?)));
    }
    Ok(answer)
}

fn low_rank<T: Scalar>(given: &Given<'_>) -> Answer {
    let train = layers::<T>(given, "train")?;
    let train = rows(&train)?;
    let cut = QuerySettings { rank: Some(given.count("rank")?), ..QuerySettings::default() };
    let scores = queries(given, &cut)?.scores(&train).map_err(|e| e.to_string())?;
    let full = queries(given, &QuerySettings::default())?.scores(&train).map_err(|e| e.to_string())?;
    Ok(vec![("scores", Outcome::tensor(&scores)), ("full_scores", Outcome::tensor(&full))])
}

fn self_scores<T: Scalar>(given: &Given<'_>) -> Answer {
    let (curvature, function) = curvature::<T>(given)?;
    let train = layers::<T>(given, "train")?;
    let train = rows(&train)?;
    let scores = if given.has("measurement") {
        let measurement = layers::<T>(given, "measurement")?;
        curvature.measurement_self_scores(&function, &rows(&measurement)?, &train)
    } else {
        curvature.self_scores(&function, &train)
    };
    Ok(vec![("self_scores", Outcome::tensor(&scores.map_err(|error| error.to_string())?))])
}
