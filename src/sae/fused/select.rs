//! Which latents are active in which samples, without storing pre-activations.

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, Axis};

use super::candidates::{Candidates, Entry, Scoring, keep_best};
use super::{Context, Workspace};
use crate::Scalar;
use crate::math::FOR_MUCH_DATA;
use crate::math::gemm::streamed::{TILE_ROWS, Tile, for_each_tile, for_each_tile_of, row_blocks};
use crate::math::par;
use crate::sae::activation::{Activation, budget, rectify};
use crate::sae::loss::AuxK;
use crate::sae::model::Sae;

/// Active latents of a sample, or some that pass a gradient.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Row<T> {
    pub(super) latents: Vec<u32>,
    /// Pre-activations.
    pub(super) z: Vec<T>,
    /// Features; 0 for a latent that is just below its threshold.
    pub(super) features: Vec<T>,
    /// Gradients by pre-activations, filled in by decoding.
    pub(super) by_z: Vec<T>,
    /// Gradients by thresholds, filled in by decoding for JumpReLU.
    pub(super) by_threshold: Vec<T>,
}

/// The choice of a whole batch.
#[derive(Debug)]
pub(super) struct Selection<T> {
    pub(super) rows: Vec<Row<T>>,
    /// Dead latents for the auxiliary loss; empty without one.
    pub(super) aux: Vec<Row<T>>,
}

impl<T: Scalar> Selection<T> {
    pub(super) fn has_aux(&self) -> bool {
        !self.aux.is_empty()
    }

    /// Number of features that are not 0.
    pub(super) fn active(&self) -> usize {
        self.rows.iter().map(|row| row.features.iter().filter(|f| **f != T::zero()).count()).sum()
    }

    pub(super) fn fired(&self, latents: usize) -> Vec<bool> {
        let mut fired = vec![false; latents];
        for row in &self.rows {
            for (&latent, _) in row.latents.iter().zip(&row.features).filter(|(_, f)| **f != T::zero()) {
                fired[latent as usize] = true;
            }
        }
        fired
    }

    pub(super) fn min_positive(&self) -> Option<f64> {
        let positive = self.rows.iter().flat_map(|row| &row.features).filter(|f| **f > T::zero());
        positive.map(|f| f.as_f64()).reduce(f64::min)
    }
}

/// What the rows of one tile look for.
struct Block<T> {
    rows: Vec<Candidates<T>>,
    aux: Vec<Candidates<T>>,
}

impl<T: Scalar> Block<T> {
    /// Leaves the chosen of each row.
    fn cut(&mut self) {
        for row in &mut self.rows {
            row.finish();
        }
    }
}

/// Dead latents that an auxiliary loss looks for in the same pass.
#[derive(Clone, Copy, Default)]
struct Extra<'a> {
    aux: Option<AuxK>,
    dead: Option<&'a [bool]>,
}

/// What every block needs to look through its tiles.
struct Search<T> {
    k: usize,
    aux_k: usize,
    floor: T,
    aux_floor: T,
    bias: Vec<T>,
    norms: Option<Vec<T>>,
    bars: Option<Vec<T>>,
    /// 1 for dead latents.
    dead: Option<Vec<T>>,
}

pub(super) fn select<T: Scalar>(
    sae: &Sae<T>,
    context: &Context<'_, T>,
    centred: &Array2<T>,
    workspace: &mut Workspace<T>,
) -> Selection<T> {
    let extra = Extra { aux: context.loss.aux, dead: context.dead };
    match &sae.activation {
        Activation::TopK { k, .. } => finish(top_k(sae, extra, *k, centred, workspace), |entry| rectify(entry.z)),
        Activation::BatchTopK { k, .. } => batch_top_k(sae, extra, *k, centred, workspace),
        Activation::JumpRelu { threshold } => jump_relu(sae, context, threshold, centred, workspace),
        _ => {
            let blocks = search(sae, &Search::new(sae, extra, usize::MAX, T::zero()), centred, workspace);
            finish(blocks, |entry| entry.z)
        }
    }
}

/// The features of normalised and centred inputs, latents ascending in each row; `None` for an activation whose latents
/// are not found by their scores alone.
pub(super) fn features<T: Scalar>(
    sae: &Sae<T>,
    centred: &Array2<T>,
    workspace: &mut Workspace<T>,
) -> Option<Vec<Row<T>>> {
    // a latent whose score is 0 for want of length can still have a feature
    if sae.activation.needs_norms() && sae.decoder_norms().iter().any(|&norm| norm == T::zero()) {
        return None;
    }
    let extra = Extra::default();
    let mut find = |k, floor: T, bars: Option<Vec<T>>| {
        let wanted = Search { bars, ..Search::new(sae, extra, k, floor) };
        finish(search(sae, &wanted, centred, workspace), |entry| entry.z).rows
    };
    // a feature of 0 is none: nothing at or below 0 is looked for where features are rectified
    Some(match &sae.activation {
        Activation::Relu => find(usize::MAX, T::zero(), None),
        Activation::TopK { k, .. } => finish(top_k(sae, extra, *k, centred, workspace), |entry| entry.z).rows,
        Activation::BatchTopK { threshold: Some(bar), .. } => find(usize::MAX, bar.max(T::zero()), None),
        Activation::BatchTopK { k, .. } => batch_top_k(sae, extra, *k, centred, workspace).rows,
        Activation::JumpRelu { threshold } => find(usize::MAX, T::zero(), Some(threshold.to_vec())),
        _ => return None,
    })
}

impl<T: Scalar> Search<T> {
    fn new(sae: &Sae<T>, Extra { aux, dead }: Extra<'_>, k: usize, floor: T) -> Self {
        let dead = dead.filter(|dead| aux.is_some() && dead.contains(&true));
        let alive_and_dead = |dead: &[bool]| dead.iter().map(|&dead| if dead { T::one() } else { T::zero() }).collect();
        Self {
            k,
            aux_k: aux.map_or(0, |aux| aux.k),
            floor,
            // rectified dead latents below 0 add nothing
            aux_floor: if aux.is_some_and(|aux| aux.rectify) { T::zero() } else { T::neg_infinity() },
            bias: sae.b_enc.to_vec(),
            norms: sae.activation.needs_norms().then(|| sae.decoder_norms().to_vec()),
            bars: None,
            dead: dead.map(alive_and_dead),
        }
    }

    fn block(&self) -> Block<T> {
        let aux = if self.dead.is_some() { TILE_ROWS } else { 0 };
        Block {
            rows: vec![Candidates::new(self.k, self.floor); TILE_ROWS],
            aux: vec![Candidates::new(self.aux_k, self.aux_floor); aux],
        }
    }

    fn consume(&self, block: &mut Block<T>, tile: &Tile<'_, T>) {
        let columns = tile.columns.clone();
        let some = |x: &'_ Option<Vec<T>>| x.as_ref().map(|x| x[columns.clone()].to_vec());
        let (norms, bars, dead) = (some(&self.norms), some(&self.bars), some(&self.dead));
        let scoring = Scoring { bias: &self.bias[columns.clone()], norms: norms.as_deref(), bars: bars.as_deref() };
        for (row, values) in tile.values.chunks_exact(columns.len()).enumerate() {
            block.rows[row].scan(values, columns.start, scoring, None);
            if let Some(aux) = block.aux.get_mut(row) {
                aux.scan(values, columns.start, scoring, dead.as_deref());
            }
        }
    }
}

#[inline(never)]
fn search<T: Scalar>(
    sae: &Sae<T>,
    search: &Search<T>,
    centred: &Array2<T>,
    workspace: &mut Workspace<T>,
) -> (Vec<Block<T>>, usize) {
    let rows = centred.nrows();
    let mut blocks: Vec<Block<T>> = (0..row_blocks(rows)).map(|_| search.block()).collect();
    let consume = |block: &mut Block<T>, tile: Tile<'_, T>| search.consume(block, &tile);
    match &workspace.encoder {
        Some(encoder) => for_each_tile_of(centred.view(), encoder, &mut blocks, consume),
        None => for_each_tile(centred.view(), sae.w_enc.view(), &mut workspace.packed, &mut blocks, consume),
    }
    (blocks, rows)
}

/// Sorts what the blocks found into rows; `feature` turns an entry into the value of its feature.
fn finish<T: Scalar>(
    (blocks, rows): (Vec<Block<T>>, usize),
    feature: impl Fn(&Entry<T>) -> T + Sync + Send,
) -> Selection<T> {
    let mut found: Vec<(Candidates<T>, Row<T>)> = Vec::with_capacity(rows);
    let mut aux: Vec<(Candidates<T>, Row<T>)> = Vec::new();
    for block in blocks {
        let left = rows - found.len();
        aux.extend(block.aux.into_iter().take(left).map(|candidates| (candidates, Row::default())));
        found.extend(block.rows.into_iter().take(left).map(|candidates| (candidates, Row::default())));
    }
    for set in [&mut found, &mut aux] {
        par::for_each_chunk_mut(set, TILE_ROWS, |_, part| {
            part.iter_mut().for_each(|(candidates, row)| *row = row_of(candidates.finish(), &feature));
        });
    }
    let rows_of = |set: Vec<(Candidates<T>, Row<T>)>| set.into_iter().map(|(_, row)| row).collect();
    Selection { rows: rows_of(found), aux: rows_of(aux) }
}

fn row_of<T: Scalar>(entries: &[Entry<T>], feature: &impl Fn(&Entry<T>) -> T) -> Row<T> {
    Row {
        latents: entries.iter().map(|entry| entry.latent).collect(),
        z: entries.iter().map(|entry| entry.z).collect(),
        features: entries.iter().map(feature).collect(),
        by_z: vec![T::zero(); entries.len()],
        by_threshold: Vec::new(),
    }
}

/// Rows of which one is asked how far down its choice went.
const ASKED: usize = 16;

/// The `k` best of each row, among all entries above a bar that the last batch suggests; rows that have fewer there look again.
fn top_k<T: Scalar>(
    sae: &Sae<T>,
    extra: Extra<'_>,
    k: usize,
    centred: &Array2<T>,
    workspace: &mut Workspace<T>,
) -> (Vec<Block<T>>, usize) {
    if !FOR_MUCH_DATA {
        return search(sae, &Search::new(sae, extra, k, T::zero()), centred, workspace);
    }
    let floor = workspace.lowest.map_or_else(T::zero, |low| low.max(T::zero()) * T::of(0.9));
    let (mut blocks, rows) = search(sae, &Search::new(sae, extra, k, floor), centred, workspace);
    par::for_each_mut(&mut blocks, |_, block| block.cut());
    let mut found: Vec<&mut Candidates<T>> = blocks.iter_mut().flat_map(|block| &mut block.rows).take(rows).collect();
    let short: Vec<usize> = (0..rows).filter(|&row| floor > T::zero() && found[row].entries.len() < k).collect();
    if !short.is_empty() {
        let again = Search::new(sae, Extra::default(), k, T::zero());
        let (mut others, _) = search(sae, &again, &centred.select(Axis(0), &short), workspace);
        others.iter_mut().for_each(Block::cut);
        for (row, other) in short.into_iter().zip(others.into_iter().flat_map(|block| block.rows)) {
            *found[row] = other;
        }
    }
    // where rows have fewer than `k` latents above 0, no bar is low enough
    let asked = || found.iter().step_by(ASKED);
    let lowest = asked().flat_map(|row| &row.entries).map(|entry| entry.score).reduce(T::min);
    workspace.lowest = lowest.filter(|_| asked().all(|row| row.entries.len() == k));
    (blocks, rows)
}

/// Bars that batch top-k tries before it looks at everything above 0.
const GUESSES: usize = 3;

/// The best of the batch, among all entries above a bar that is guessed from the last step and lowered where it was too
/// high.
fn batch_top_k<T: Scalar>(
    sae: &Sae<T>,
    extra: Extra<'_>,
    k: f64,
    centred: &Array2<T>,
    workspace: &mut Workspace<T>,
) -> Selection<T> {
    let budget = budget(k, centred.nrows());
    let mut floor =
        workspace.lowest.map_or_else(|| first_guess(sae, extra, k, centred, workspace), |low| low * T::of(0.7));
    let mut guesses = 0;
    loop {
        let (mut blocks, rows) = search(sae, &Search::new(sae, extra, usize::MAX, floor), centred, workspace);
        let found: usize = blocks.iter().flat_map(|block| &block.rows).map(|row| row.entries.len()).sum();
        if found < budget && floor > T::zero() {
            // a scale that has changed altogether, or is infinite, is not approached in steps
            guesses += 1;
            floor = if guesses < GUESSES { floor * T::of(0.3) } else { T::zero() };
            continue;
        }
        workspace.lowest = cut_batch(&mut blocks, budget);
        return finish((blocks, rows), |entry| rectify(entry.z));
    }
}

/// A bar that the first rows suggest.
fn first_guess<T: Scalar>(
    sae: &Sae<T>,
    extra: Extra<'_>,
    k: f64,
    centred: &Array2<T>,
    workspace: &mut Workspace<T>,
) -> T {
    let rows = centred.nrows().min(TILE_ROWS);
    let some = centred.slice_axis(Axis(0), (0..rows).into()).to_owned();
    let (mut blocks, _) = search(sae, &Search::new(sae, extra, usize::MAX, T::zero()), &some, workspace);
    cut_batch(&mut blocks, budget(k, rows)).map_or_else(T::zero, |low| low * T::of(0.5))
}

/// Keeps the `budget` best of all entries, equal scores by row and then by latent; gives the lowest score that is kept.
fn cut_batch<T: Scalar>(blocks: &mut [Block<T>], budget: usize) -> Option<T> {
    let mut all: Vec<Entry<T>> = Vec::new();
    for (index, row) in blocks.iter().flat_map(|block| &block.rows).enumerate() {
        // the row takes the place of the latent in the order; ties within a row are settled below
        let place = u32::try_from(index).unwrap_or(u32::MAX);
        all.extend(row.entries.iter().map(|entry| Entry { latent: place, ..*entry }));
    }
    keep_best(&mut all, budget);
    let mut kept = vec![0_usize; blocks.iter().map(|block| block.rows.len()).sum()];
    all.iter().for_each(|entry| kept[entry.latent as usize] += 1);
    for (row, &kept) in blocks.iter_mut().flat_map(|block| &mut block.rows).zip(&kept) {
        keep_best(&mut row.entries, kept);
    }
    all.iter().map(|entry| entry.score).reduce(T::min)
}

/// All latents above their thresholds, and those within the window of the estimator.
fn jump_relu<T: Scalar>(
    sae: &Sae<T>,
    context: &Context<'_, T>,
    threshold: &Array1<T>,
    centred: &Array2<T>,
    workspace: &mut Workspace<T>,
) -> Selection<T> {
    let half = T::of(0.5 * context.loss.straight_through.bandwidth);
    let mut wanted = Search::new(sae, Extra::default(), usize::MAX, T::zero());
    // a little below the window: its edge is decided on z itself
    wanted.bars = Some(threshold.iter().map(|&t| t - half * T::of(1.001)).collect());
    let blocks = search(sae, &wanted, centred, workspace);
    let mut selection = finish(blocks, |entry| entry.z);
    for row in &mut selection.rows {
        for (at, &latent) in row.latents.iter().enumerate() {
            let i = latent as usize;
            row.features[at] = if row.z[at] > threshold[i] { row.z[at] } else { T::zero() };
        }
        row.by_threshold = vec![T::zero(); row.latents.len()];
    }
    selection
}
