//! The largest numbers of each row, exactly as [`math::select`](crate::math::select) chooses them.
//!
//! Value descending, equal values by index ascending, -0 equal to 0, NaN after everything else. Values are moved bit by bit,
//! so the result is that of the processor without any rounding.
//!
//! Source: radix select, 8 bits a pass, as in Alabi et al., "Fast K-selection algorithms for graphics processing units", ACM
//! JEA 17, 2012.

use super::array::GpuArray;
use super::context::{GpuContext, Window, grid, pieces, word};
use super::kernels::SELECT;
use crate::Result;
use crate::error::check_limit;

/// Chosen entries of each row, indices ascending.
#[derive(Debug)]
pub struct TopK {
    /// Values `(b, k)`.
    pub values: GpuArray<f32>,
    /// Indices `(b, k)`.
    pub indices: GpuArray<u32>,
}

pub(super) const SCALED: u32 = 1;
pub(super) const RECTIFY: u32 = 2;
pub(super) const MASKED: u32 = 4;

/// How entries of a tile compete.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rules<'a> {
    /// What values are multiplied with before they are compared, `(1, m)` by index.
    pub(super) scale: Option<&'a GpuArray<f32>>,
    /// Who may be chosen before all others, `(1, m)` by index: 1, else 0.
    pub(super) eligible: Option<&'a GpuArray<f32>>,
    /// Whether values below 0, and those of entries that may not be chosen, are written as 0.
    pub(super) rectify: bool,
}

/// The `k` largest of each row of `x: (b, n)`; all where there are no more.
///
/// # Errors
/// [`Error::TooLarge`](crate::Error::TooLarge), [`Error::Gpu`](crate::Error::Gpu).
pub fn top_k(context: &GpuContext, x: &GpuArray<f32>, k: usize) -> Result<TopK> {
    let (rows, columns) = x.dim();
    let k = k.min(columns);
    let found = TopK::uninitialised(context, rows, k)?;
    if found.values.is_empty() {
        return Ok(found);
    }
    let at_once = context.rows_at_once(columns)?.min(context.rows_at_once(k)?);
    for part in pieces(rows, at_once) {
        let (tile, values) = (x.window(context, part.clone())?, found.values.window(context, part.clone())?);
        let sizes = Sizes { rows: part.len(), columns, stride: columns, k, kept: 0, first: 0 };
        let to = [values, found.indices.window(context, part)?];
        sizes.run(context, tile, [context.blank(); 2], to, Rules::default())?;
    }
    Ok(found)
}

impl TopK {
    pub(super) fn uninitialised(context: &GpuContext, rows: usize, k: usize) -> Result<Self> {
        let (values, indices) =
            (GpuArray::uninitialised(context, rows, k)?, GpuArray::uninitialised(context, rows, k)?);
        Ok(Self { values, indices })
    }

    /// Numbers chosen in each row.
    #[must_use]
    pub fn k(&self) -> usize {
        self.values.columns()
    }
}

/// Merges the columns `first..` of a tile into what was kept of the columns before; rows are all in one window.
pub(super) fn merge(
    context: &GpuContext,
    (tile, columns): (&GpuArray<f32>, usize),
    first: usize,
    (kept, to): (Option<&TopK>, &TopK),
    rules: Rules<'_>,
) -> Result<()> {
    let sizes = Sizes {
        rows: to.values.rows(),
        columns,
        stride: tile.columns(),
        k: to.k(),
        kept: kept.map_or(0, |_| first.min(to.k())),
        first,
    };
    let before = match kept {
        Some(kept) => [kept.values.whole(context)?, kept.indices.whole(context)?],
        None => [context.blank(); 2],
    };
    let after = [to.values.whole(context)?, to.indices.whole(context)?];
    sizes.run(context, tile.whole(context)?, before, after, rules)
}

/// Sizes of one call.
struct Sizes {
    rows: usize,
    columns: usize,
    /// Numbers from a row of the tile to the next.
    stride: usize,
    k: usize,
    kept: usize,
    first: usize,
}

impl Sizes {
    fn run(
        &self,
        context: &GpuContext,
        tile: Window<'_>,
        kept: [Window<'_>; 2],
        to: [Window<'_>; 2],
        rules: Rules<'_>,
    ) -> Result<()> {
        check_limit("numbers of a row", self.columns.saturating_add(self.kept), 1 << 30)?;
        let mut flags = 0;
        let (mut scale, mut eligible) = (context.blank(), context.blank());
        if let Some(by) = rules.scale {
            (scale, flags) = (by.whole(context)?, flags | SCALED);
        }
        if let Some(mask) = rules.eligible {
            (eligible, flags) = (mask.whole(context)?, flags | MASKED);
        }
        if rules.rectify {
            flags |= RECTIFY;
        }
        let [rows, columns, stride] = [self.rows, self.columns, self.stride].map(word);
        let [k, kept_count, first] = [self.k, self.kept, self.first].map(word);
        let parameters = [rows?, columns?, stride?, tile.skip, k?, kept_count?, first?, flags, to[0].skip, 0, 0, 0];
        context.run(
            &SELECT,
            "top_k",
            &parameters,
            &[(1, tile), (2, kept[0]), (3, kept[1]), (4, scale), (5, eligible), (6, to[0]), (7, to[1])],
            grid(self.rows)?,
        )
    }
}
