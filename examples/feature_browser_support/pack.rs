//! What was found, as columns of the page.

use std::collections::BTreeMap;

use limpid::Scalar;
use limpid::math::directions::Neighbour;
use ndarray::Array2;

use super::Result;
use super::columns::Columns;
use super::context::Context;
use super::profile::Profile;
use super::scan::Scanned;
use super::text::Text;

/// Tokens that stand for a feature in the list.
const LABELS: usize = 5;

pub fn numbers(columns: &mut Columns, profiles: &[Profile]) -> Result<()> {
    columns.add("fired", narrow::<u32, _>(profiles.iter().map(|profile| profile.fired))?);
    columns.add("max", profiles.iter().map(Profile::max));
    columns.add("mean", profiles.iter().map(|profile| f32::of(profile.mean())));
    for (name, q) in [("median", 0.5), ("q90", 0.9), ("q99", 0.99)] {
        columns.add(name, profiles.iter().map(|profile| f32::of(profile.quantile(q))));
    }
    // empty bins at either end are left out
    let (mut first, mut bins, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    for all in profiles.iter().map(Profile::counts) {
        let start = all.iter().position(|&count| count > 0).unwrap_or(0);
        let end = all.iter().rposition(|&count| count > 0).map_or(start, |last| last + 1);
        first.push(start);
        bins.push(end - start);
        counts.extend(&all[start..end]);
    }
    columns.add("bins_first", narrow::<u8, _>(first)?);
    columns.add("bins", narrow::<u8, _>(bins)?);
    columns.add("bin_counts", narrow::<u32, u64>(counts)?);
    Ok(())
}

/// The tokens at the peaks of the top contexts, by the sum of their activations.
pub fn labels(columns: &mut Columns, scanned: &Scanned, text: &Text) -> Result<()> {
    let (mut counts, mut all) = (Vec::new(), Vec::new());
    for profile in &scanned.profiles {
        let mut sums = BTreeMap::<u32, f32>::new();
        for context in profile.top.contexts() {
            *sums.entry(scanned.corpus.tokens[context.peak]).or_default() += context.value;
        }
        let mut labels: Vec<(u32, f32)> = sums.into_iter().collect();
        labels.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        labels.truncate(LABELS);
        counts.push(labels.len());
        all.extend(labels.into_iter().map(|(token, _)| text.number(token)));
    }
    columns.add("label_counts", narrow::<u8, _>(counts)?);
    columns.add("labels", all);
    Ok(())
}

/// The top contexts of each feature, and then its samples by descending activation.
pub fn contexts(columns: &mut Columns, scanned: &Scanned, text: &Text) -> Result<()> {
    let (mut tops, mut samples, mut all) = (Vec::new(), Vec::new(), Vec::<&Context>::new());
    let (mut at, mut levels) = (Vec::new(), Vec::new());
    for profile in &scanned.profiles {
        let mut sampled: Vec<&Context> = profile.samples.contexts().collect();
        sampled.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.peak.cmp(&b.peak)));
        samples.push(sampled.len());
        tops.push(profile.top.contexts().count());
        for context in profile.top.contexts().chain(sampled) {
            at.extend(context.marks.iter().map(|&(at, _)| at));
            levels.extend(context.marks.iter().map(|&(_, value)| level(value, profile.max())));
            all.push(context);
        }
    }
    columns.add("tops", narrow::<u8, _>(tops)?);
    columns.add("samples", narrow::<u8, _>(samples)?);
    columns.add("first", all.iter().map(|context| text.place(context.first)));
    columns.add("length", narrow::<u8, _>(all.iter().map(|context| context.length))?);
    columns.add("peak", narrow::<u8, _>(all.iter().map(|context| context.peak - context.first))?);
    columns.add("value", all.iter().map(|context| context.value));
    columns.add("document", all.iter().map(|context| scanned.corpus.documents[context.peak]));
    columns.add("marks", narrow::<u8, _>(all.iter().map(|context| context.marks.len()))?);
    columns.add("mark_at", at);
    columns.add("mark_level", levels);
    Ok(())
}

/// Tokens whose logits a feature raises most, and as many that it lowers most.
pub const EFFECTS: usize = 8;

/// The largest and the smallest of each row of `effects: (m, v)`.
pub fn effects(columns: &mut Columns, effects: &Array2<f32>) -> Result<()> {
    let count = effects.ncols().min(EFFECTS);
    let (mut tokens, mut values) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for row in effects.rows() {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
        let ends = [order[..count].to_vec(), order.iter().rev().take(count).copied().collect()];
        for (end, order) in ends.into_iter().enumerate() {
            values[end].extend(order.iter().map(|&token| row[token]));
            tokens[end].extend(order);
        }
    }
    for (name, (tokens, values)) in ["raised", "lowered"].into_iter().zip(tokens.into_iter().zip(values)) {
        columns.add(name, narrow::<u32, _>(tokens)?);
        columns.add(&format!("{name}_by"), values);
    }
    Ok(())
}

pub fn neighbours(columns: &mut Columns, neighbours: &[Vec<Neighbour<f32>>]) -> Result<()> {
    columns.add("near_counts", narrow::<u8, _>(neighbours.iter().map(Vec::len))?);
    columns.add("near", narrow::<u32, _>(neighbours.iter().flatten().map(|near| near.index))?);
    columns.add("near_cosine", neighbours.iter().flatten().map(|near| near.cosine));
    Ok(())
}

/// Share of the largest activation in steps of 1/255; what is active at all is at least 1.
#[expect(clippy::cast_possible_truncation, reason = "clamped to a byte")]
fn level(value: f32, max: f32) -> u8 {
    (value / max * 255.0).round().clamp(1.0, 255.0) as u8
}

/// Numbers in a smaller type; one that does not fit is an error.
fn narrow<N: TryFrom<I, Error = core::num::TryFromIntError>, I>(
    numbers: impl IntoIterator<Item = I>,
) -> Result<Vec<N>> {
    numbers.into_iter().map(|number| Ok(N::try_from(number)?)).collect()
}
