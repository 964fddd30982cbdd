//! A neuron or latent as Neuronpedia shows it: JSON, out.
//!
//! ```text
//! {"modelId":"..","layer":"..","index":"..","maxActApprox":x,"frac_nonzero":x,"freq_hist_data_bar_heights":[..],
//!  "freq_hist_data_bar_values":[..],"pos_str":[..],"pos_values":[..],"neg_str":[..],"neg_values":[..],
//!  "activations":[{"tokens":[..],"values":[..],"maxValue":x,"maxValueTokenIndex":i,"minValue":x,"dataIndex":"..",
//!    "modelId":"..","layer":"..","index":"..","binMin":x,"binMax":x,"binContains":x}..]}
//! ```
//!
//! JSON has no NaN: what is not known is null, and activations must be finite.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use ndarray::ArrayRef1;

use super::json::{write_list, write_number, write_string};
use super::record_json::{write_key, write_optional};
use crate::error::{check_finite, check_limit};
use crate::explanation::ActivationRecord;
use crate::math::histogram::Histogram;
use crate::math::rank::largest_first;
use crate::{Error, Result, Scalar};

/// Most bars.
const MAX_BARS: usize = 1 << 16;

/// Heights of a histogram with the middle of each bar.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bars {
    /// Values in each bar.
    pub heights: Vec<u64>,
    /// Middle of each bar, to 5 decimals.
    pub values: Vec<f64>,
}

impl Bars {
    /// `count` bars of equal width from the smallest to the largest of the `values` that are not 0; no bars where all are.
    ///
    /// # Errors
    /// [`Error::NotFinite`], [`Error::Empty`] for no bar, [`Error::TooLarge`] for more than 65,536.
    ///
    /// # Example
    /// ```
    /// use limpid::formats::neuronpedia::Bars;
    /// use ndarray::array;
    ///
    /// let bars = Bars::of(&array![0.0, 0.5, 1.0, 1.5, 2.0, 4.0], 5)?;
    /// assert_eq!((bars.heights, bars.values), (vec![2, 1, 1, 0, 1], vec![0.85, 1.55, 2.25, 2.95, 3.65]));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn of<T: Scalar>(values: &ArrayRef1<T>, count: usize) -> Result<Self> {
        check_finite("values", values)?;
        check_limit("bars", count, MAX_BARS)?;
        let active = values.iter().copied().filter(|x| *x != T::zero());
        let range = active
            .clone()
            .fold(None, |range: Option<(T, T)>, x| Some(range.map_or((x, x), |(low, high)| (low.min(x), high.max(x)))));
        let Some((low, high)) = range else {
            return if count == 0 { Err(Error::Empty { what: "bins" }) } else { Ok(Self::default()) };
        };
        let mut histogram = Histogram::equal(low.as_f64(), high.as_f64(), count)?;
        histogram.update(active)?;
        let middle = |edges: &[f64]| {
            let middle = edges[0] + (edges[1] - edges[0]) / 2.0;
            let rounded = libm::rint(middle * 1e5) / 1e5;
            if rounded.is_finite() { rounded } else { middle }
        };
        let values = histogram.edges().windows(2).map(middle).collect();
        Ok(Self { heights: histogram.counts().to_vec(), values })
    }
}

/// One text in which the neuron was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct NeuronpediaActivation<T> {
    /// Tokens and activations.
    pub record: ActivationRecord<T>,
    /// Name of the text in its data set.
    pub data_index: Option<String>,
    /// Lower edge, upper edge and share of the values of the interval that it was sampled from; `None` for a top one.
    pub bin: Option<[f64; 3]>,
}

/// A neuron or latent with what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct NeuronpediaFeature<T> {
    /// The model.
    pub model: String,
    /// The layer or dictionary within the model, such as `6-res-jb`.
    pub layer: String,
    /// Number within that.
    pub index: u64,
    /// Largest activation seen.
    pub max_activation: Option<f64>,
    /// Share of tokens with an activation that is not 0.
    pub density: Option<f64>,
    /// Histogram of the activations that are not 0.
    pub frequencies: Bars,
    /// Tokens whose logits it raises most, with by how much.
    pub positive_logits: Vec<(String, f64)>,
    /// Tokens whose logits it lowers most, with by how much.
    pub negative_logits: Vec<(String, f64)>,
    /// Texts.
    pub activations: Vec<NeuronpediaActivation<T>>,
}

/// The feature as JSON.
///
/// # Errors
/// [`Error::NotFinite`] for activations and logits, [`Error::Shape`] for a text without one activation per token.
///
/// # Example
/// ```
/// use limpid::explanation::ActivationRecord;
/// use limpid::formats::neuronpedia::{Bars, NeuronpediaActivation, NeuronpediaFeature, write_neuronpedia};
/// use ndarray::array;
///
/// let record = ActivationRecord::new([" the", " cat"], array![0.0, 2.5])?;
/// let text = write_neuronpedia(&NeuronpediaFeature {
///     model: "gpt2-small".into(),
///     layer: "6-res-jb".into(),
///     index: 7,
///     max_activation: Some(2.5),
///     density: Some(0.5),
///     frequencies: Bars::of(&record.activations, 1)?,
///     positive_logits: vec![(" cat".into(), 1.25)],
///     negative_logits: vec![],
///     activations: vec![NeuronpediaActivation { record, data_index: None, bin: None }],
/// })?;
/// assert!(text.contains(r#""maxValue":2.5,"maxValueTokenIndex":1,"minValue":0"#));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn write_neuronpedia<T: Scalar>(feature: &NeuronpediaFeature<T>) -> Result<String> {
    for activation in &feature.activations {
        activation.record.check()?;
        check_finite("activations", &activation.record.activations)?;
    }
    check_numbers("positive_logits", feature.positive_logits.iter().map(|(_, logit)| *logit))?;
    check_numbers("negative_logits", feature.negative_logits.iter().map(|(_, logit)| *logit))?;
    check_numbers("frequencies", feature.frequencies.values.iter().copied())?;
    let mut out = String::from("{");
    write_place(feature, &mut out);
    let known = |x: Option<f64>| x.filter(|x| x.is_finite());
    write_optional("maxActApprox", known(feature.max_activation), &mut out);
    write_optional("frac_nonzero", known(feature.density), &mut out);
    write_key("freq_hist_data_bar_heights", &mut out);
    write_list(&feature.frequencies.heights, &mut out, |height, out| out.push_str(&format!("{height}")));
    write_key("freq_hist_data_bar_values", &mut out);
    write_list(feature.frequencies.values.iter().copied(), &mut out, write_number);
    write_logits(["pos_str", "pos_values"], &feature.positive_logits, &mut out);
    write_logits(["neg_str", "neg_values"], &feature.negative_logits, &mut out);
    write_key("activations", &mut out);
    write_list(&feature.activations, &mut out, |activation, out| write_activation(feature, activation, out));
    out.push('}');
    Ok(out)
}

fn check_numbers(what: &'static str, mut values: impl Iterator<Item = f64>) -> Result<()> {
    values.position(|x| !x.is_finite()).map_or(Ok(()), |index| Err(Error::NotFinite { what, index }))
}

/// Appends where the neuron is.
fn write_place<T>(feature: &NeuronpediaFeature<T>, out: &mut String) {
    out.push_str("\"modelId\":");
    write_string(&feature.model, out);
    write_key("layer", out);
    write_string(&feature.layer, out);
    write_key("index", out);
    write_string(&format!("{}", feature.index), out);
}

fn write_logits([names, values]: [&str; 2], logits: &[(String, f64)], out: &mut String) {
    write_key(names, out);
    write_list(logits, out, |(token, _), out| write_string(token, out));
    write_key(values, out);
    write_list(logits, out, |(_, logit), out| write_number(*logit, out));
}

fn write_activation<T: Scalar>(
    feature: &NeuronpediaFeature<T>,
    activation: &NeuronpediaActivation<T>,
    out: &mut String,
) {
    let values = &activation.record.activations;
    out.push_str("{\"tokens\":");
    write_list(&activation.record.tokens, out, |token, out| write_string(token, out));
    write_key("values", out);
    write_list(values.iter().copied(), out, write_number);
    let best = largest_first(values, 1).first().copied();
    write_optional("maxValue", best.map(|best| values[best].as_f64()), out);
    write_optional("maxValueTokenIndex", best.map(|best| best as f64), out);
    write_optional("minValue", values.iter().map(|x| x.as_f64()).reduce(f64::min), out);
    write_key("dataIndex", out);
    match &activation.data_index {
        Some(name) => write_string(name, out),
        None => out.push_str("null"),
    }
    out.push(',');
    write_place(feature, out);
    let bin = |at: usize| activation.bin.map(|bin| bin[at]).filter(|x| x.is_finite());
    write_optional("binMin", bin(0), out);
    write_optional("binMax", bin(1), out);
    write_optional("binContains", bin(2), out);
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FormatKind;
    use crate::formats::json::Json;
    use alloc::string::ToString;
    use alloc::vec;
    use ndarray::{Array1, array};

    fn example() -> NeuronpediaFeature<f32> {
        let record = ActivationRecord::new([" \"a", " b", " c"], array![0.1, -1.0, 0.1]).unwrap();
        let empty = ActivationRecord::new(Vec::<String>::new(), Array1::zeros(0)).unwrap();
        let activation = |record, bin| NeuronpediaActivation { record, data_index: Some("5".to_string()), bin };
        NeuronpediaFeature {
            model: "m".to_string(),
            layer: "0".to_string(),
            index: 3,
            max_activation: Some(f64::NAN),
            density: None,
            frequencies: Bars { heights: vec![3], values: vec![0.5] },
            positive_logits: vec![("x".to_string(), 1.5)],
            negative_logits: vec![("y".to_string(), -1.5)],
            activations: vec![activation(record, Some([0.0, 0.5, 0.25])), activation(empty, None)],
        }
    }

    #[test]
    fn all_is_plain_json() {
        let text = write_neuronpedia(&example()).unwrap();
        let json = Json::parse(text.as_bytes(), FormatKind::Config).unwrap();
        let root = json.object().unwrap();
        assert!(root.get("maxActApprox").unwrap().is_null() && !text.contains("NaN"));
        assert_eq!(root.get("index").and_then(Json::text), Some("3"));
        let activations = root.get("activations").and_then(Json::list).unwrap();
        let first = activations[0].object().unwrap();
        assert_eq!(first.get("maxValueTokenIndex").and_then(Json::count), Some(0));
        assert_eq!(first.get("minValue").and_then(Json::number), Some(-1.0));
        assert_eq!(first.get("binContains").and_then(Json::number), Some(0.25));
        assert!(activations[1].object().unwrap().get("maxValue").unwrap().is_null());
    }

    #[test]
    fn what_json_cannot_hold_is_refused() {
        let mut feature = example();
        feature.positive_logits[0].1 = f64::INFINITY;
        assert!(matches!(write_neuronpedia(&feature), Err(Error::NotFinite { what: "positive_logits", index: 0 })));
        let mut feature = example();
        feature.activations[0].record.activations[1] = f32::NAN;
        assert!(matches!(write_neuronpedia(&feature), Err(Error::NotFinite { what: "activations", index: 1 })));
        let mut feature = example();
        feature.activations[0].record.tokens.pop();
        assert!(matches!(write_neuronpedia(&feature), Err(Error::Shape { .. })));
    }

    #[test]
    fn bars_of_nothing_are_none() {
        assert_eq!(Bars::of(&array![0.0, 0.0], 50), Ok(Bars::default()));
        assert_eq!(Bars::of(&array![2.0], 2), Ok(Bars { heights: vec![0, 1], values: vec![2.0, 2.0] }));
        assert!(Bars::of(&array![0.0], 0).is_err() && Bars::of(&array![1.0], 0).is_err());
        assert!(Bars::of(&array![1.0], usize::MAX).is_err() && Bars::of(&array![f64::NAN], 1).is_err());
    }
}
