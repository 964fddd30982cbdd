//! Attributions as compact JSON, in and out.
//!
//! ```text
//! {"format":"limpid-attribution","version":1,"method":"saliency","options":"..","seed":null,"status":"exact",
//!  "exact_gradients":true,"evaluations":[0,2],"shape":[2,3],"values":[..],"standard_error":null,
//!  "output_value":[..],"base_value":null,"delta":null,"error":null}
//! ```
//!
//! Numbers are the shortest that read back to the same float. For large attributions `values` and `standard_error` can be
//! packed: `{"f16":"base64"}`, or `{"i8":"base64","scale":s}` with steps of `s`, the largest magnitude over 127.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

use ndarray::{Array1, Array2};

use super::json::{Json, Object, write_list, write_number, write_string};
use super::{base64, fail};
use crate::attribution::{Attribution, Evaluations, Status};
use crate::error::check_finite;
use crate::math::half::{f16_from_f32, f16_to_f32};
use crate::{FormatKind, Result, Scalar, Seed};

/// How the values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Packing {
    /// As numbers that read back to the same float.
    #[default]
    Exact,
    /// As half-precision floats: 2 bytes, 3 digits, magnitudes up to 65,504.
    Half,
    /// As whole steps of the largest magnitude over 127: 1 byte.
    Byte,
}

const FORMAT: &str = "limpid-attribution";

/// Largest number that half precision holds.
const HALF_MAX: f64 = 65504.0;

/// The attribution as JSON.
///
/// # Errors
/// [`Error::NotFinite`](crate::Error::NotFinite), and [`Error::OutOfRange`](crate::Error::OutOfRange) for a value that is
/// too large for [`Packing::Half`].
///
/// # Example
/// ```
/// use limpid::attribution::gradient::Saliency;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use limpid::formats::attribution::{Packing, read_attribution, write_attribution};
/// use ndarray::array;
///
/// let mut model = Network::new(2).linear(array![[3.0, -4.0]], None)?;
/// let found = Saliency::default().attribute(&mut model, &array![[1.0, 1.0]], &Logit::of(0)).map_err(|e| e.to_string())?;
/// let text = write_attribution(&found, Packing::Exact).map_err(|e| e.to_string())?;
/// assert_eq!(read_attribution(text.as_bytes()), Ok(found));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_attribution<T: Scalar>(attribution: &Attribution<T>, packing: Packing) -> Result<String> {
    let mut out = format!("{{\"format\":\"{FORMAT}\",\"version\":1,\"method\":");
    write_string(&attribution.method, &mut out);
    out.push_str(",\"options\":");
    write_string(&attribution.options, &mut out);
    let seed = attribution.seed.map_or_else(|| "null".to_string(), |seed| seed.0.to_string());
    let (b, n) = attribution.values.dim();
    let Evaluations { forward, gradient } = attribution.evaluations;
    // writing into a string does not fail
    let _ = write!(
        out,
        ",\"seed\":{seed},\"status\":\"{}\",\"exact_gradients\":{},\"evaluations\":[{forward},{gradient}],\"shape\":[{b},{n}]",
        status_name(attribution.status),
        attribution.exact_gradients,
    );
    write_matrix("values", Some(&attribution.values), packing, &mut out)?;
    write_matrix("standard_error", attribution.standard_error.as_ref(), packing, &mut out)?;
    write_row("output_value", Some(&attribution.output_value), &mut out)?;
    write_row("base_value", attribution.base_value.as_ref(), &mut out)?;
    write_row("delta", attribution.delta.as_ref(), &mut out)?;
    write_row("error", attribution.error.as_ref(), &mut out)?;
    out.push('}');
    Ok(out)
}

fn status_name(status: Status) -> &'static str {
    match status {
        Status::Exact => "exact",
        Status::Converged => "converged",
        Status::Finished => "finished",
        Status::Partial => "partial",
    }
}

fn write_row<T: Scalar>(key: &'static str, row: Option<&Array1<T>>, out: &mut String) -> Result<()> {
    let _ = write!(out, ",\"{key}\":");
    match row {
        None => out.push_str("null"),
        Some(row) => {
            check_finite(key, row)?;
            write_list(row.iter().copied(), out, write_number);
        }
    }
    Ok(())
}

fn write_matrix<T: Scalar>(key: &'static str, x: Option<&Array2<T>>, packing: Packing, out: &mut String) -> Result<()> {
    let _ = write!(out, ",\"{key}\":");
    let Some(x) = x else {
        out.push_str("null");
        return Ok(());
    };
    check_finite(key, x)?;
    match packing {
        Packing::Exact => write_list(x.iter().copied(), out, write_number),
        Packing::Half => {
            crate::error::check_each(key, x, "at most 65504 in half precision", |x| x.as_f64().abs() <= HALF_MAX)?;
            let bytes: Vec<u8> = x.iter().flat_map(|&x| f16_from_f32(f32::of(x.as_f64())).to_le_bytes()).collect();
            let _ = write!(out, "{{\"f16\":\"{}\"}}", base64::encode(&bytes));
        }
        Packing::Byte => {
            let scale = x.iter().fold(0.0, |largest: f64, x| largest.max(x.as_f64().abs())) / 127.0;
            let steps = |x: T| if scale == 0.0 { 0.0 } else { libm::round(x.as_f64() / scale) };
            let bytes: Vec<u8> = x.iter().map(|&x| step_byte(steps(x))).collect();
            let _ = write!(out, "{{\"i8\":\"{}\",\"scale\":{scale:e}}}", base64::encode(&bytes));
        }
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "steps lie in -127..=127")]
fn step_byte(step: f64) -> u8 {
    (step as i8).cast_unsigned()
}

/// The attribution that `bytes` hold.
///
/// # Errors
/// [`Error::Format`](crate::Error::Format) for text that is not such JSON, with its place, and for lengths that contradict
/// the shape.
pub fn read_attribution<T: Scalar>(bytes: &[u8]) -> Result<Attribution<T>> {
    let json = Json::parse(bytes, FormatKind::Header)?;
    let object = json.object().ok_or(fail(FormatKind::Header, "an object", 0))?;
    if text(object, "format")? != FORMAT || number(object, "version")? != 1.0 {
        return Err(fail(FormatKind::Header, "format limpid-attribution, version 1", 0));
    }
    let [b, n] = counts(object, "shape")?;
    let [forward, gradient] = counts(object, "evaluations")?;
    let size = b.checked_mul(n).ok_or(fail(FormatKind::Bounds, "shape", 0))?;
    let matrix = |key: &'static str| -> Result<Option<Array2<T>>> {
        let Some(values) = read_values(object, key, size)? else { return Ok(None) };
        Array2::from_shape_vec((b, n), values).map(Some).map_err(|_| fail(FormatKind::Shape, key, 0))
    };
    let row = |key: &'static str| read_numbers(object, key, b).map(|row| row.map(Array1::from));
    Ok(Attribution {
        values: matrix("values")?.ok_or(fail(FormatKind::Missing, "values", 0))?,
        standard_error: matrix("standard_error")?,
        output_value: row("output_value")?.ok_or(fail(FormatKind::Missing, "output_value", 0))?,
        base_value: row("base_value")?,
        delta: row("delta")?,
        error: row("error")?,
        evaluations: Evaluations { forward: forward as u64, gradient: gradient as u64 },
        status: status(text(object, "status")?)?,
        exact_gradients: field(object, "exact_gradients")?.flag().ok_or(fail(
            FormatKind::Config,
            "exact_gradients",
            0,
        ))?,
        method: Cow::Owned(text(object, "method")?.to_string()),
        options: text(object, "options")?.to_string(),
        seed: seed(field(object, "seed")?)?,
    })
}

fn status(name: &str) -> Result<Status> {
    let all = [Status::Exact, Status::Converged, Status::Finished, Status::Partial];
    all.into_iter().find(|&status| status_name(status) == name).ok_or(fail(FormatKind::Config, "status", 0))
}

fn seed(json: &Json<'_>) -> Result<Option<Seed>> {
    match json {
        Json::Null => Ok(None),
        // a float would lose digits of a large seed
        Json::Number(digits) => {
            digits.parse().map(|seed| Some(Seed(seed))).map_err(|_| fail(FormatKind::Config, "seed", 0))
        }
        _ => Err(fail(FormatKind::Config, "seed", 0)),
    }
}

fn field<'a>(object: &'a Object<'a>, key: &'static str) -> Result<&'a Json<'a>> {
    object.get(key).ok_or(fail(FormatKind::Missing, key, 0))
}

fn text<'a>(object: &'a Object<'a>, key: &'static str) -> Result<&'a str> {
    field(object, key)?.text().ok_or(fail(FormatKind::Config, key, 0))
}

fn number(object: &Object<'_>, key: &'static str) -> Result<f64> {
    field(object, key)?.number().ok_or(fail(FormatKind::Config, key, 0))
}

fn counts<const N: usize>(object: &Object<'_>, key: &'static str) -> Result<[usize; N]> {
    let list = field(object, key)?.list().ok_or(fail(FormatKind::Config, key, 0))?;
    let counts: Option<Vec<usize>> = list.iter().map(Json::count).collect();
    counts.and_then(|counts| counts.try_into().ok()).ok_or(fail(FormatKind::Config, key, 0))
}

/// A list of exactly `size` finite numbers, `None` for null.
fn read_numbers<T: Scalar>(object: &Object<'_>, key: &'static str, size: usize) -> Result<Option<Vec<T>>> {
    let json = field(object, key)?;
    if json.is_null() {
        return Ok(None);
    }
    let list = json.list().ok_or(fail(FormatKind::Config, key, 0))?;
    if list.len() != size {
        return Err(fail(FormatKind::Shape, key, 0));
    }
    let finite = |json: &Json<'_>| json.number().map(T::of).filter(|x| x.is_finite());
    list.iter().map(finite).collect::<Option<Vec<T>>>().map(Some).ok_or(fail(FormatKind::NotFinite, key, 0))
}

fn read_values<T: Scalar>(object: &Object<'_>, key: &'static str, size: usize) -> Result<Option<Vec<T>>> {
    let Some(packed) = field(object, key)?.object() else { return read_numbers(object, key, size) };
    let bytes = |name| match packed.get(name).and_then(Json::text) {
        Some(text) => base64::decode(text).map(Some).ok_or(fail(FormatKind::Config, key, 0)),
        None => Ok(None),
    };
    let values: Vec<T> = if let Some(bytes) = bytes("f16")? {
        let half = |pair: &[u8]| f16_to_f32(u16::from_le_bytes([pair[0], pair[1]]));
        bytes.chunks_exact(2).map(|pair| T::of(half(pair).into())).collect()
    } else if let Some(bytes) = bytes("i8")? {
        let scale = number(packed, "scale")?;
        bytes.iter().map(|byte| T::of(scale * f64::from(byte.cast_signed()))).collect()
    } else {
        return Err(fail(FormatKind::Config, key, 0));
    };
    if values.len() != size {
        return Err(fail(FormatKind::Shape, key, 0));
    }
    if values.iter().any(|value| !value.is_finite()) {
        return Err(fail(FormatKind::NotFinite, key, 0));
    }
    Ok(Some(values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use ndarray::array;

    fn example<T: Scalar>() -> Attribution<T> {
        let of = |x: f64| T::of(x);
        let mut found = Attribution::new(
            "a \"method\"",
            "Options { x: 1 }".to_string(),
            array![[of(0.1), of(-3e-30)], [of(0.0), of(123_456_789.0)]],
            array![of(1.5), of(-2.0)],
        );
        found.standard_error = Some(array![[of(0.25), of(0.5)], [of(1.0 / 3.0), of(0.0)]]);
        found.delta = Some(array![of(1e-17), of(0.0)]);
        found.seed = Some(Seed(u64::MAX));
        found.status = Status::Partial;
        found.evaluations = Evaluations { forward: 3, gradient: 4 };
        found
    }

    #[test]
    fn every_float_comes_back() {
        let double = write_attribution(&example::<f64>(), Packing::Exact).unwrap();
        assert_eq!(read_attribution(double.as_bytes()).unwrap(), example::<f64>());
        let single = write_attribution(&example::<f32>(), Packing::Exact).unwrap();
        assert_eq!(read_attribution(single.as_bytes()).unwrap(), example::<f32>());
    }

    #[test]
    fn packed_values_are_near() {
        let mut found = example::<f64>();
        found.values[[1, 1]] = 2.0;
        for (packing, step) in [(Packing::Half, 1e-3), (Packing::Byte, 1.0 / 127.0)] {
            let text = write_attribution(&found, packing).unwrap();
            let back: Attribution<f64> = read_attribution(text.as_bytes()).unwrap();
            assert!(back.values.iter().zip(&found.values).all(|(a, b)| (a - b).abs() <= step));
            assert_eq!(back.output_value, found.output_value);
        }
        let large = write_attribution(&example::<f64>(), Packing::Half);
        assert!(matches!(large, Err(Error::OutOfRange { what: "values", index: 3, .. })));
        found.values.fill(0.0);
        let zeros = write_attribution(&found, Packing::Byte).unwrap();
        assert_eq!(read_attribution::<f64>(zeros.as_bytes()).unwrap().values, found.values);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let text = write_attribution(&example::<f64>(), Packing::Exact).unwrap();
        let kind = |text: &str| read_attribution::<f64>(text.as_bytes()).unwrap_err().format_kind();
        assert_eq!(kind(&text.replace("[2,2]", "[2,3]")), Some(FormatKind::Shape));
        assert_eq!(kind(&text.replace("\"version\":1", "\"version\":2")), Some(FormatKind::Header));
        assert_eq!(kind(&text.replace("\"delta\"", "\"dalta\"")), Some(FormatKind::Missing));
        assert_eq!(kind(&text.replace("partial", "perfect")), Some(FormatKind::Config));
        for end in 0..text.len() {
            assert!(read_attribution::<f64>(&text.as_bytes()[..end]).is_err());
        }
    }
}
