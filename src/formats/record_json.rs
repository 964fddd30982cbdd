//! Parts of JSON that records of neurons share: what is absent or null is none.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use ndarray::Array1;

use super::fail;
use super::json::{Json, Object, write_list, write_number, write_string};
use crate::explanation::{ActivationRecord, NeuronId};
use crate::{FormatKind, Result, Scalar};

/// What stands at `key`; null is the same as absent.
pub(super) fn get<'a>(object: &'a Object<'a>, key: &str) -> Option<&'a Json<'a>> {
    object.get(key).filter(|value| !value.is_null())
}

/// What must stand at `key`.
pub(super) fn required<'a>(object: &'a Object<'a>, key: &'static str) -> Result<&'a Json<'a>> {
    get(object, key).ok_or(fail(FormatKind::Missing, key, 0))
}

/// The object that must stand in the place named `what`.
pub(super) fn object<'a>(json: &'a Json<'a>, what: &'static str) -> Result<&'a Object<'a>> {
    json.object().ok_or(fail(FormatKind::Config, what, 0))
}

/// What `read` makes of the items of the list at `key`; none where there is no list.
pub(super) fn list<'a, V>(
    object: &'a Object<'a>,
    key: &'static str,
    read: impl Fn(&'a Json<'a>) -> Result<V>,
) -> Result<Option<Vec<V>>> {
    let Some(json) = get(object, key) else { return Ok(None) };
    let items = json.list().ok_or(fail(FormatKind::Config, key, 0))?;
    items.iter().map(read).collect::<Result<_>>().map(Some)
}

/// A list of numbers; NaN and infinities, as Python writes them, are kept.
pub(super) fn numbers<T: Scalar>(object: &Object<'_>, key: &'static str) -> Result<Option<Vec<T>>> {
    list(object, key, |json| number(json, key))
}

pub(super) fn number<T: Scalar>(json: &Json<'_>, what: &'static str) -> Result<T> {
    json.number().map(T::of).ok_or(fail(FormatKind::Config, what, 0))
}

/// A number that is finite; anything that is not is the same as absent.
pub(super) fn finite(object: &Object<'_>, key: &'static str) -> Result<Option<f64>> {
    let value = get(object, key).map(|json| number::<f64>(json, key)).transpose()?;
    Ok(value.filter(|value| value.is_finite()))
}

pub(super) fn texts(object: &Object<'_>, key: &'static str) -> Result<Vec<String>> {
    let text = |json: &Json<'_>| json.text().map(ToOwned::to_owned).ok_or(fail(FormatKind::Config, key, 0));
    Ok(list(object, key, text)?.unwrap_or_default())
}

pub(super) fn neuron_id(root: &Object<'_>) -> Result<NeuronId> {
    let id = object(required(root, "neuron_id")?, "neuron_id")?;
    let count = |key| {
        let count = required(id, key)?.count().and_then(|count| u32::try_from(count).ok());
        count.ok_or(fail(FormatKind::Config, key, 0))
    };
    Ok(NeuronId { layer: count("layer_index")?, index: count("neuron_index")? })
}

pub(super) fn record<T: Scalar>(json: &Json<'_>) -> Result<ActivationRecord<T>> {
    let found = object(json, "activation record")?;
    let activations = numbers(found, "activations")?.unwrap_or_default();
    ActivationRecord::new(texts(found, "tokens")?, Array1::from(activations))
}

pub(super) fn write_neuron_id(id: NeuronId, out: &mut String) {
    out.push_str("\"neuron_id\":{\"dataclass_name\":\"NeuronId\",\"layer_index\":");
    write_count(id.layer, out);
    out.push_str(",\"neuron_index\":");
    write_count(id.index, out);
    out.push('}');
}

pub(super) fn write_record<T: Scalar>(record: &ActivationRecord<T>, out: &mut String) {
    out.push_str("{\"dataclass_name\":\"ActivationRecord\",\"tokens\":");
    write_list(&record.tokens, out, |token, out| write_string(token, out));
    out.push_str(",\"activations\":");
    write_list(record.activations.iter().copied(), out, write_number);
    out.push('}');
}

/// Appends `,"key":` and a number, or null.
pub(super) fn write_optional(key: &str, value: Option<f64>, out: &mut String) {
    write_key(key, out);
    match value {
        Some(value) => write_number(value, out),
        None => out.push_str("null"),
    }
}

/// Appends `,"key":`.
pub(super) fn write_key(key: &str, out: &mut String) {
    out.push(',');
    write_string(key, out);
    out.push(':');
}

/// Appends a whole number, never in powers of ten.
pub(super) fn write_count(count: impl Into<u64>, out: &mut String) {
    // writing into a string does not fail
    let _ = write!(out, "{}", count.into());
}
