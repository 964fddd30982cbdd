//! Texts of the units that are shown, with what they really do and what explanations say that they do. Only places were kept
//! of them, so that the model reads these documents once more.

use std::collections::{BTreeMap, BTreeSet};

use limpid::explanation::Side;
use limpid::explanation::collect::Hit;
use ndarray::{Array2, Axis};

use super::agreement::Document;
use super::choice::{chosen, share};
use super::means::KINDS;
use super::sweep::Subject;
use super::{Found, Settings};
use crate::Result;

/// Scored documents that are shown of a unit.
const TOP: usize = 6;
const RANDOM: usize = 3;
/// Random places that the record of a unit has.
const RECORDED: usize = 5;

/// What one unit does in one document.
pub(crate) struct Excerpt {
    pub(crate) tokens: Vec<u32>,
    pub(crate) real: Vec<f32>,
    /// Of each explanation.
    pub(crate) simulated: [Vec<f32>; KINDS],
}

/// A unit that is shown.
pub(crate) struct Shown {
    pub(crate) unit: usize,
    /// Lines of scored documents, the strongest first.
    pub(crate) top: Vec<u32>,
    /// Lines of random scored documents.
    pub(crate) random: Vec<u32>,
    /// Texts by line, with those of the strongest and of random places in the whole text.
    pub(crate) texts: BTreeMap<u32, Excerpt>,
}

/// Units that are shown, and their texts.
pub(crate) fn excerpts(subject: &Subject<'_>, found: &Found<'_>, settings: &Settings) -> Result<Vec<Shown>> {
    let units = chosen(found, share(found, settings.full));
    let mut all: Vec<(Shown, BTreeSet<u32>)> = units.into_iter().map(|unit| of(found, unit)).collect();
    let wanted: BTreeSet<u32> = all.iter().flat_map(|(_, lines)| lines).copied().collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let study = &found.study;
    found.source.sweep(
        subject,
        "excerpts",
        |line| wanted.contains(&line),
        |reading, _| {
            let predicted = study.means.predict(study.stretches, &reading.tokens);
            for (shown, lines) in &mut all {
                if lines.contains(&reading.line) {
                    let column = |x: &Array2<f32>| x.index_axis(Axis(1), shown.unit).to_vec();
                    let (tokens, simulated) = (reading.tokens.clone(), predicted.each_ref().map(column));
                    let excerpt = Excerpt { tokens, real: column(&reading.activations), simulated };
                    shown.texts.insert(reading.line, excerpt);
                }
            }
            Ok(())
        },
    )?;
    Ok(all.into_iter().map(|(shown, _)| shown).collect())
}

/// A unit with the lines that are wanted of it.
fn of(found: &Found<'_>, unit: usize) -> (Shown, BTreeSet<u32>) {
    let agreement = &found.study.agreement;
    let line = |document: &Document| document.line;
    let top: Vec<u32> = agreement.top(unit).iter().take(TOP).map(line).collect();
    let random: Vec<u32> = agreement.random(unit).take(RANDOM).map(|document| document.line).collect();
    let mut lines: BTreeSet<u32> = top.iter().chain(&random).copied().collect();
    let strongest = found.study.collector.neurons()[unit].top(Side::Positive).iter().copied();
    lines.extend(strongest.chain(random_places(found)).filter_map(|hit| u32::try_from(hit.document).ok()));
    (Shown { unit, top, random, texts: BTreeMap::new() }, lines)
}

/// Random places of the whole text.
pub(crate) fn random_places(found: &Found<'_>) -> impl Iterator<Item = Hit> {
    found.study.collector.random().hits().take(RECORDED)
}
