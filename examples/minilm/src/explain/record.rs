//! Units that are shown, as records for other programs: `OpenAI`'s neuron records and Neuronpedia's JSON.

use std::fs;

use limpid::explanation::collect::Hit;
use limpid::explanation::{ActivationRecord, NeuronId};
use limpid::formats::neuron_record::{NeuronRecord, write_neuron_record};
use limpid::formats::neuronpedia::{Bars, NeuronpediaActivation, NeuronpediaFeature, write_neuronpedia};
use ndarray::Array1;

use super::excerpt::{Shown, random_places};
use super::word::Words;
use super::{Found, Settings};
use crate::bert::Bert;
use crate::{Error, Result};

/// Writes `records/KIND/LAYER/NUMBER.json` and `neuronpedia/KIND/LAYER/NUMBER.json` of every unit that is shown.
pub(crate) fn write(
    found: &Found<'_>,
    shown: &[Shown],
    words: &Words<'_>,
    model: &Bert,
    settings: &Settings,
) -> Result<()> {
    for shown in shown {
        let (layer, index) = found.source.place(shown.unit, model.config.neurons);
        let record = record(found, shown, words, (layer, index))?;
        let name = settings.model.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let feature = neuronpedia(found, shown.unit, &record, &name);
        let texts = [("records", write_neuron_record(&record)?), ("neuronpedia", write_neuronpedia(&feature)?)];
        for (kind, text) in texts {
            let folder = settings.out.join(kind).join(found.name).join(layer.to_string());
            fs::create_dir_all(&folder).map_err(|e| Error::at(&folder, e))?;
            let file = folder.join(format!("{index}.json"));
            fs::write(&file, text).map_err(|e| Error::at(&file, e))?;
        }
    }
    Ok(())
}

fn record(
    found: &Found<'_>,
    shown: &Shown,
    words: &Words<'_>,
    (layer, index): (usize, usize),
) -> Result<NeuronRecord<f32>> {
    let small = |x: usize| u32::try_from(x).map_err(|e| Error(e.to_string()));
    let id = NeuronId { layer: small(layer)?, index: small(index)? };
    let text = |hit: Hit| {
        let excerpt = u32::try_from(hit.document).ok().and_then(|line| shown.texts.get(&line));
        let excerpt = excerpt.ok_or_else(|| Error("the text changed while it was read".to_owned()))?;
        let tokens = excerpt.tokens.iter().map(|&token| words.text(token));
        Ok::<_, Error>(ActivationRecord::new(tokens, Array1::from(excerpt.real.clone()))?)
    };
    let stats = &found.study.collector.neurons()[shown.unit];
    NeuronRecord::collected(id, stats, random_places(found), text)
}

fn neuronpedia(found: &Found<'_>, unit: usize, record: &NeuronRecord<f32>, model: &str) -> NeuronpediaFeature<f32> {
    let stats = &found.study.collector.neurons()[unit];
    let histogram = stats.histogram();
    // a bar for each power of two
    let bars =
        (histogram.lowest()..).zip(histogram.positive()).map(|(at, &height)| (height, 1.5 * f64::from(at).exp2()));
    let (heights, values) = bars.unzip();
    let activation =
        |record: &ActivationRecord<f32>| NeuronpediaActivation { record: record.clone(), data_index: None, bin: None };
    NeuronpediaFeature {
        model: model.to_owned(),
        layer: format!("{}-mlp-{}", record.id.layer, found.name),
        index: record.id.index.into(),
        max_activation: stats.moments().largest(),
        density: stats.density(),
        frequencies: Bars { heights, values },
        positive_logits: Vec::new(),
        negative_logits: Vec::new(),
        activations: record.top.iter().chain(&record.random).map(activation).collect(),
    }
}
