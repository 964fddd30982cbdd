//! Token ids, baseline and attributions for another program, which can so repeat them.

use std::path::Path;

use serde_json::{Value, json};

use super::methods::STEPS;
use super::show::Shown;
use crate::draft::Draft;
use crate::{Error, Result};

/// One sentence.
fn record(Shown { case, found, .. }: &Shown<'_>) -> Value {
    let methods =
        found.iter().filter_map(|found| Some((found.name.to_owned(), json!(found.tokens.as_ref()?.to_vec()))));
    let kept: Vec<bool> = case.sentence.word_of.iter().map(Option::is_none).collect();
    json!({
        "ids": case.sentence.ids,
        "special": kept,
        "baseline": case.absent,
        "steps": STEPS,
        "weights": case.weights.to_vec(),
        "offset": case.offset,
        "value": case.value,
        "base_value": case.base,
        "tokens": methods.collect::<serde_json::Map<_, _>>(),
    })
}

/// Writes all sentences of a run; an older file is replaced.
pub(crate) fn write(path: &Path, shown: &[Shown<'_>]) -> Result<()> {
    let records: Vec<Value> = shown.iter().map(record).collect();
    let bytes = serde_json::to_vec(&records).map_err(|e| Error::at(path, e))?;
    let mut draft = Draft::create(path, true)?;
    draft.put(0, &bytes)?;
    draft.finish()
}
