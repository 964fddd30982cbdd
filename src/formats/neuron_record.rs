//! Records of one neuron as OpenAI's `automated-interpretability` publishes them: JSON, in and out.
//!
//! ```text
//! {"dataclass_name":"NeuronRecord","neuron_id":{"layer_index":l,"neuron_index":i},"random_sample":[record..],
//!  "random_sample_by_quantile":[[record..]..]|null,"quantile_boundaries":[x..]|null,"mean":x,"variance":x,"skewness":x,
//!  "kurtosis":x,"most_positive_activation_records":[record..]}       record = {"tokens":[..],"activations":[..]}
//! ```
//!
//! `dataclass_name` may be missing anywhere, `NaN` and `Infinity` may stand bare, as Python writes them, and fields that are
//! not listed here are passed over. A statistic that is missing, null or not finite is `None`.

use alloc::string::String;
use alloc::vec::Vec;

use super::fail;
use super::json::{Json, write_list, write_number};
use super::record_json::{finite, list, neuron_id, numbers, object, record, write_key, write_neuron_id, write_record};
use crate::explanation::collect::{Hit, NeuronStats};
use crate::explanation::{ActivationRecord, NeuronId, Side};
use crate::{FormatKind, Result, Scalar};

/// What was collected of one neuron.
#[derive(Debug, Clone, PartialEq)]
pub struct NeuronRecord<T> {
    /// Which neuron.
    pub id: NeuronId,
    /// Texts where it is strongest, best first.
    pub top: Vec<ActivationRecord<T>>,
    /// Random texts.
    pub random: Vec<ActivationRecord<T>>,
    /// Random texts by quantile of the activation.
    pub random_by_quantile: Option<Vec<Vec<ActivationRecord<T>>>>,
    /// Where these quantiles end.
    pub quantile_boundaries: Option<Vec<T>>,
    /// Mean over the corpus.
    pub mean: Option<f64>,
    /// Variance over the corpus.
    pub variance: Option<f64>,
    /// Skewness over the corpus.
    pub skewness: Option<f64>,
    /// Kurtosis over the corpus, as stored.
    pub kurtosis: Option<f64>,
}

impl<T: Scalar> NeuronRecord<T> {
    /// Nothing known of this neuron yet.
    #[must_use]
    pub fn new(id: NeuronId) -> Self {
        Self {
            id,
            top: Vec::new(),
            random: Vec::new(),
            random_by_quantile: None,
            quantile_boundaries: None,
            mean: None,
            variance: None,
            skewness: None,
            kurtosis: None,
        }
    }

    /// What was collected of a neuron: its statistics, with the excess kurtosis, and the records that `text` gives for the places
    /// of its largest values, best first, and for the `random` places.
    ///
    /// # Errors
    /// Those of `text`.
    ///
    /// # Example
    /// ```
    /// use limpid::explanation::collect::{Batch, CollectSettings, Collector};
    /// use limpid::explanation::{ActivationRecord, NeuronId};
    /// use limpid::formats::neuron_record::NeuronRecord;
    /// use ndarray::{Axis, array};
    ///
    /// let activations = array![[[0.0], [2.5]], [[0.0], [0.5]]];
    /// let mut collector = Collector::new(1, CollectSettings::default(), 0)?;
    /// collector.update(&activations, &Batch { documents: &[0, 1], ..Batch::default() })?;
    /// let record = NeuronRecord::collected(
    ///     NeuronId { layer: 0, index: 0 },
    ///     &collector.neurons()[0],
    ///     collector.random().hits(),
    ///     |hit| {
    ///         let document = activations.index_axis(Axis(0), hit.document as usize);
    ///         ActivationRecord::new([" a", " b"], document.index_axis(Axis(1), 0).to_owned())
    ///     },
    /// )?;
    /// assert_eq!((record.max_activation(), record.mean, record.random.len()), (Some(2.5), Some(0.75), 2));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn collected<E>(
        id: NeuronId,
        stats: &NeuronStats,
        random: impl IntoIterator<Item = Hit>,
        mut text: impl FnMut(Hit) -> Result<ActivationRecord<T>, E>,
    ) -> Result<Self, E> {
        let moments = stats.moments();
        Ok(Self {
            top: stats.top(Side::Positive).iter().copied().map(&mut text).collect::<Result<_, E>>()?,
            random: random.into_iter().map(text).collect::<Result<_, E>>()?,
            mean: moments.mean(),
            variance: moments.variance(),
            skewness: moments.skewness(),
            kurtosis: moments.excess_kurtosis(),
            ..Self::new(id)
        })
    }

    /// Largest activation of the top records, which may be negative; `None` without one that is a number.
    #[must_use]
    pub fn max_activation(&self) -> Option<T> {
        let all = self.top.iter().flat_map(|record| record.activations.iter().copied()).filter(|x| !x.is_nan());
        all.reduce(T::max)
    }

    /// Largest activation of the top records, or 0 where that is negative.
    #[must_use]
    pub fn relu_max(&self) -> Option<T> {
        self.max_activation().map(|x| x.max(T::zero()))
    }
}

/// The record that `bytes` hold.
///
/// # Errors
/// [`Error::Format`](crate::Error::Format) for text that is not such JSON, [`Error::Shape`](crate::Error::Shape) for a record
/// without one activation per token.
///
/// # Example
/// ```
/// use limpid::formats::neuron_record::read_neuron_record;
///
/// let text = r#"{"neuron_id": {"layer_index": 3, "neuron_index": 7}, "mean": NaN,
///     "most_positive_activation_records": [{"tokens": [" a", " cat"], "activations": [0.0, 2.5]}]}"#;
/// let record = read_neuron_record::<f32>(text.as_bytes())?;
/// assert_eq!((record.id.layer, record.max_activation(), record.mean), (3, Some(2.5), None));
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn read_neuron_record<T: Scalar>(bytes: &[u8]) -> Result<NeuronRecord<T>> {
    let json = Json::parse(bytes, FormatKind::Config)?;
    let root = object(&json, "neuron record")?;
    let records = |key| list(root, key, record);
    let group = |json: &Json<'_>| {
        let items = json.list().ok_or(fail(FormatKind::Config, "random_sample_by_quantile", 0))?;
        items.iter().map(record).collect::<Result<Vec<_>>>()
    };
    Ok(NeuronRecord {
        id: neuron_id(root)?,
        top: records("most_positive_activation_records")?.unwrap_or_default(),
        random: records("random_sample")?.unwrap_or_default(),
        random_by_quantile: list(root, "random_sample_by_quantile", group)?,
        quantile_boundaries: numbers(root, "quantile_boundaries")?,
        mean: finite(root, "mean")?,
        variance: finite(root, "variance")?,
        skewness: finite(root, "skewness")?,
        kurtosis: finite(root, "kurtosis")?,
    })
}

/// The record as JSON; statistics that are `None` become `NaN`, as OpenAI's reader expects.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for a record without one activation per token.
pub fn write_neuron_record<T: Scalar>(neuron: &NeuronRecord<T>) -> Result<String> {
    let grouped = neuron.random_by_quantile.iter().flatten().flatten();
    neuron.top.iter().chain(&neuron.random).chain(grouped).try_for_each(ActivationRecord::check)?;
    let mut out = String::from("{\"dataclass_name\":\"NeuronRecord\",");
    write_neuron_id(neuron.id, &mut out);
    write_key("random_sample", &mut out);
    write_list(&neuron.random, &mut out, write_record);
    write_key("random_sample_by_quantile", &mut out);
    match &neuron.random_by_quantile {
        Some(groups) => write_list(groups, &mut out, |group, out| write_list(group, out, write_record)),
        None => out.push_str("null"),
    }
    write_key("quantile_boundaries", &mut out);
    match &neuron.quantile_boundaries {
        Some(boundaries) => write_list(boundaries.iter().copied(), &mut out, write_number),
        None => out.push_str("null"),
    }
    let statistics = [
        ("mean", neuron.mean),
        ("variance", neuron.variance),
        ("skewness", neuron.skewness),
        ("kurtosis", neuron.kurtosis),
    ];
    for (key, value) in statistics {
        write_key(key, &mut out);
        write_number(value.unwrap_or(f64::NAN), &mut out);
    }
    write_key("most_positive_activation_records", &mut out);
    write_list(&neuron.top, &mut out, write_record);
    out.push('}');
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use ndarray::array;

    fn example() -> NeuronRecord<f64> {
        let record = |x: f64| ActivationRecord::new([" \"a\"\n", " b"], array![x, -1e-9]).unwrap();
        NeuronRecord {
            top: vec![record(0.1), record(f64::INFINITY)],
            random: vec![record(-2.0)],
            random_by_quantile: Some(vec![vec![record(0.0)], vec![]]),
            quantile_boundaries: Some(vec![0.5, 1e9]),
            mean: Some(0.25),
            kurtosis: Some(-1.0),
            ..NeuronRecord::new(NeuronId { layer: 4, index: 12_345_678 })
        }
    }

    #[test]
    fn a_record_comes_back() {
        let text = write_neuron_record(&example()).unwrap();
        assert_eq!(read_neuron_record(text.as_bytes()), Ok(example()));
        assert!(text.contains("\"skewness\":NaN") && text.contains("\"neuron_index\":12345678"));
        let empty = NeuronRecord::<f32>::new(NeuronId { layer: 0, index: 0 });
        let text = write_neuron_record(&empty).unwrap();
        assert_eq!(read_neuron_record(text.as_bytes()), Ok(empty));
        assert_eq!((example().max_activation(), example().relu_max()), (Some(f64::INFINITY), Some(f64::INFINITY)));
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let kind = |text: &str| read_neuron_record::<f64>(text.as_bytes()).unwrap_err().format_kind();
        assert_eq!(kind("[]"), Some(FormatKind::Config));
        assert_eq!(kind("{}"), Some(FormatKind::Missing));
        let text = write_neuron_record(&example()).unwrap();
        assert_eq!(kind(&text.replace("[0.1,-1e-9]", "[0.1]")), Some(FormatKind::Shape));
        assert_eq!(kind(&text.replace("12345678", "-1")), Some(FormatKind::Config));
        assert!((0..text.len()).all(|end| read_neuron_record::<f64>(&text.as_bytes()[..end]).is_err()));
        let mut uneven = example();
        uneven.random[0].tokens.pop();
        assert!(write_neuron_record(&uneven).is_err());
    }
}
