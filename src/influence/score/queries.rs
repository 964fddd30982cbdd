//! Queries of one layer, preconditioned once and then compared with any number of training rows.
//!
//! ```text
//! V_q = φ(C) G_q        s(q, i) = ⟨V_q, G_i⟩ = Σ_t g_tᵀ V_q ã_t
//! one row each          s(q, i) = (g~_q ∘ g~_i)ᵀ φ (a~_q ∘ a~_i)        in the eigenbasis, never rotated back
//! and φ_jk = u_j v_k    s(q, i) = (Q_S (u ∘ g~_q))ᵀ g_i · (Q_A (v ∘ a~_q))ᵀ ã_i
//! ```
//!
//! | way | multiplications | when |
//! |---|---|---|
//! | one row on both sides | `Q N d_out d` as `min(d_out, d)` products | queries and examples of one row |
//! | `V` first | `Q R d_out d` | few queries, or per-token scores |
//! | `G` formed | `(R + Q n) d_out d` | many rows per example |
//! | low rank | `Q R k (d_out + d)` | queries that do not fit, or small `k` |
//! | low rank, `k = 1` | `Q R (d_out + d)` | queries of one row and `φ_jk = u_j v_k`: exact with factored damping, or none |
//!
//! `R` are the rows and `n` the examples of a block. The way is chosen by these counts.
//!
//! Source: Grosse et al., "Studying large language model generalization with influence functions" (2023), section 3.2 and
//! appendix (query batching by low rank), <https://arxiv.org/abs/2308.03296>.

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayView2, Axis, CowArray, Ix2, Slice};

use crate::error::{check_each, check_limit};
use crate::influence::curvature::{LayerSpec, Preconditioner, Rotation};
use crate::influence::rows::{Block, gradient_of};
use crate::influence::score::outer::{self, Side};
use crate::influence::{Examples, LayerRows};
use crate::math::eigen::TruncatedSvd;
use crate::math::gemm::product;
use crate::math::reduce::norm;
use crate::{Dims, Error, Result, Scalar};

/// Most numbers that the queries of a layer may have.
const MAX_NUMBERS: usize = 1 << 31;

/// Training rows that are compared at once: enough for all threads.
const ROWS: usize = 4096;

/// How queries are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct QuerySettings {
    /// Rank that preconditioned queries are cut down to, layer by layer; all of it without, and where a layer has no more.
    pub rank: Option<usize>,
    /// Training rows that will be compared. Where they are many, queries are rotated back into coordinates once, and not
    /// every training row into the eigenbasis.
    pub train_rows: Option<u64>,
}

/// Preconditioned queries of one layer.
#[derive(Debug, Clone)]
pub struct LayerQueries<T> {
    spec: LayerSpec,
    n: usize,
    pub(super) form: Form<T>,
    /// What `g` and `a` of training rows go through before they are compared.
    turn: [Rotation<T>; 2],
    /// `‖V - V_k‖_F` of every query.
    tail: Array1<f64>,
    /// A bound of `‖V‖_2` of every query.
    bound: Array1<f64>,
}

/// `V_q` of all queries.
#[derive(Debug, Clone)]
pub(super) enum Form<T> {
    /// `φ ∘ g~_q a~_qᵀ`.
    Outer { g: Array2<T>, a: Array2<T>, filter: Array2<T> },
    /// One row per query: `(d_out, d)`, row-major.
    Dense(Array2<T>),
    /// `V_q = L_q R_qᵀ`, side by side: `(d_out, Q k)` and `(d, Q k)`.
    LowRank { left: Array2<T>, right: Array2<T>, rank: usize },
}

impl<T: Scalar> LayerQueries<T> {
    /// Preconditions the gradients of all examples of `rows`.
    ///
    /// # Errors
    /// [`Error::Shape`] for rows of another layer, [`Error::TooLarge`], and
    /// [`Error::OutOfRange`] where a number is beyond the precision of `T`.
    pub fn new(inverse: &Preconditioner<'_>, rows: &LayerRows<'_, T>, settings: &QuerySettings) -> Result<Self> {
        let spec = *inverse.basis().spec();
        spec.check_rows(rows)?;
        let block = rows.block::<f64>(0..rows.n_examples());
        if block.one_row_each()
            && let Some(parts) = inverse.separate()
        {
            return Self::separable(inverse, block, parts);
        }
        if block.one_row_each() && settings.rank.is_none() && !comes_back(inverse, rows.n_examples(), settings) {
            return Self::outer(inverse, block);
        }
        check_limit("numbers of the queries", block.n_examples().saturating_mul(spec.d_in * spec.d_out), MAX_NUMBERS)?;
        let gradients = (0..block.n_examples()).map(|query| block.gradient(query)).collect::<Result<Vec<_>>>()?;
        Self::of_gradients(inverse, &gradients, settings)
    }

    /// Preconditions gradients `(d_out, d)` that were formed elsewhere: sums over queries, or gradients of anything else.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_gradients(
        inverse: &Preconditioner<'_>,
        gradients: &[Array2<f64>],
        settings: &QuerySettings,
    ) -> Result<Self> {
        let spec = *inverse.basis().spec();
        let (n, size) = (gradients.len(), spec.d_in * spec.d_out);
        check_limit("numbers of the queries", n.saturating_mul(size), MAX_NUMBERS)?;
        let back = comes_back(inverse, n, settings);
        let narrow = spec.d_in.min(spec.d_out);
        let rank = settings.rank.filter(|&rank| rank < narrow);
        let (mut bound, mut tail) = (Array1::zeros(n), Array1::zeros(n));
        let columns = rank.map_or(0, |rank| n * rank);
        let mut dense = Array2::zeros(if rank.is_some() { (0, size) } else { (n, size) });
        let (mut left, mut right) = (Array2::zeros((spec.d_out, columns)), Array2::zeros((spec.d_in, columns)));
        for (query, gradient) in gradients.iter().enumerate() {
            let filtered = inverse.filtered(gradient)?;
            bound[query] = spectral_bound(&filtered);
            let v = if back { inverse.back(filtered)? } else { filtered };
            if let Some(rank) = rank {
                let svd = TruncatedSvd::new(&v, rank)?;
                tail[query] = svd.tail;
                let range = Slice::from(query * rank..(query + 1) * rank);
                left.slice_axis_mut(Axis(1), range).zip_mut_with(&svd.left, |to, from| *to = T::of(*from));
                right.slice_axis_mut(Axis(1), range).zip_mut_with(&svd.right, |to, from| *to = T::of(*from));
            } else {
                dense.row_mut(query).iter_mut().zip(&v).for_each(|(to, from)| *to = T::of(*from));
            }
        }
        check_fits(dense.iter().chain(&left).chain(&right))?;
        let form = rank.map_or(Form::Dense(dense), |rank| Form::LowRank { left, right, rank });
        let turn = if back { [spec.d_out, spec.d_in].map(Rotation::identity) } else { turn(inverse) };
        Ok(Self { spec, n, form, turn, tail, bound })
    }

    /// Queries of one row each stay outer products.
    fn outer(inverse: &Preconditioner<'_>, block: Block<f64>) -> Result<Self> {
        let (to_g, to_a) = (inverse.basis().gradient().cast::<f64>(), inverse.basis().activation().cast::<f64>());
        let (g, a) = (to_g.forward(block.g)?, to_a.forward(block.a)?);
        let largest = inverse.filter().iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        let n = g.nrows();
        // the filter is a Schur multiplier of outer products
        let bound = (0..n).map(|query| largest * norm(&g.row(query)) * norm(&a.row(query))).collect();
        let cast = |x: &Array2<f64>| x.mapv(T::of);
        let (g, a, filter) = (cast(&g), cast(&a), cast(inverse.filter()));
        check_fits(g.iter().chain(&a).chain(&filter))?;
        let turn = turn(inverse);
        Ok(Self {
            spec: *inverse.basis().spec(),
            n,
            form: Form::Outer { g, a, filter },
            turn,
            tail: Array1::zeros(n),
            bound,
        })
    }

    /// Queries of one row each under a product of a function of `S` and one of `A` stay outer products in coordinates.
    fn separable(inverse: &Preconditioner<'_>, block: Block<f64>, [u, v]: [Array1<f64>; 2]) -> Result<Self> {
        let spec = *inverse.basis().spec();
        let through = |rotation: Rotation<f64>, rows, part| rotation.back(rotation.forward(rows)? * part);
        let g = through(inverse.basis().gradient().cast(), block.g, &u)?;
        let a = through(inverse.basis().activation().cast(), block.a, &v)?;
        let bound = g.rows().into_iter().zip(a.rows()).map(|(g, a)| norm(&g) * norm(&a)).collect();
        let [left, right] = [&g, &a].map(|x| x.t().mapv(T::of));
        check_fits(left.iter().chain(&right))?;
        let n = g.nrows();
        let turn = [spec.d_out, spec.d_in].map(Rotation::identity);
        Ok(Self { spec, n, form: Form::LowRank { left, right, rank: 1 }, turn, tail: Array1::zeros(n), bound })
    }

    /// Number of queries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there is no query.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// `‖V - V_k‖_F` of every query: what the rank left out, 0 where nothing was. A score differs from that of the whole
    /// query by at most this times `‖G_i‖_F`.
    #[must_use]
    pub fn tail(&self) -> &Array1<f64> {
        &self.tail
    }

    /// A bound of `‖V_q‖_2` of every query: `|s(q, i)|` is at most this times `Σ_t ‖ã_t‖ ‖g_t‖`.
    #[must_use]
    pub fn bound(&self) -> &Array1<f64> {
        &self.bound
    }

    /// Bytes that the queries take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let numbers = match &self.form {
            Form::Outer { g, a, filter } => g.len() + a.len() + filter.len(),
            Form::Dense(v) => v.len(),
            Form::LowRank { left, right, .. } => left.len() + right.len(),
        };
        numbers * size_of::<T>()
    }

    /// Adds the scores of all pairs to `out: (n, examples)`.
    ///
    /// # Errors
    /// [`Error::Shape`].
    pub fn add_scores_into(&self, train: &LayerRows<'_, T>, out: &mut Array2<T>) -> Result<()> {
        self.spec.check_rows(train)?;
        crate::error::check_shape("out", out, &[self.n, train.n_examples()])?;
        for block in train.blocks_of::<T>(ROWS) {
            let range = Slice::from(block.first..block.first + block.n_examples());
            let part = self.example_scores(&block)?;
            out.slice_axis_mut(Axis(1), range).zip_mut_with(&part, |to, s| *to += *s);
        }
        Ok(())
    }

    /// Adds the scores of all rows to `out: (n, rows)`; masked rows get nothing.
    ///
    /// # Errors
    /// [`Error::Shape`].
    pub fn add_token_scores_into(&self, train: &LayerRows<'_, T>, out: &mut Array2<T>) -> Result<()> {
        self.spec.check_rows(train)?;
        crate::error::check_shape("out", out, &[self.n, train.n_rows()])?;
        for block in train.blocks_of::<T>(ROWS) {
            let rows = block.rows.clone();
            let part = self.row_scores(&block)?;
            for (mut to, from) in out.rows_mut().into_iter().zip(part.rows()) {
                rows.iter().zip(from).for_each(|(&row, s)| to[row] += *s);
            }
        }
        Ok(())
    }

    /// The inner product of every query with one gradient `(d_out, d)`, such as a sum over examples. Returns `(n)`.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`].
    pub fn against(&self, gradient: &Array2<f64>) -> Result<Array1<T>> {
        crate::error::check_shape("gradient", gradient, &[self.spec.d_out, self.spec.d_in])?;
        // a gradient is a sequence of d_out rows: unit vectors beside its own rows
        let (unit, rows) = (Array2::eye(self.spec.d_out), gradient.mapv(T::of));
        let offsets = [0, self.spec.d_out];
        let block = LayerRows::new(&rows, &unit, Examples::Offsets(&offsets))?.block(0..1);
        Ok(self.example_scores(&block)?.column(0).to_owned())
    }

    /// Scores of a gathered block, `(n, examples)`.
    pub(super) fn example_scores(&self, block: &Block<T>) -> Result<Array2<T>> {
        if block.one_row_each() {
            return self.row_scores(block);
        }
        let (rows, examples) = (block.rows.len(), block.n_examples());
        let forming = rows + self.n * examples < self.n * rows;
        match &self.form {
            Form::Dense(v) if forming => formed(v, &self.turned(block)?, block),
            Form::Outer { .. } if forming => formed(&self.dense(0..self.n), &self.turned(block)?, block),
            _ => Ok(sum_rows(&self.row_scores(block)?, block)),
        }
    }

    /// Scores of every row of a block, `(n, rows)`.
    fn row_scores(&self, block: &Block<T>) -> Result<Array2<T>> {
        let mut out = Array2::zeros((self.n, block.rows.len()));
        match &self.form {
            Form::LowRank { left, right, rank } => {
                let [rows_g, rows_a] = self.turned(block)?;
                let mut parts = product(&rows_g, left)?;
                parts *= &product(&rows_a, right)?;
                if *rank == 1 {
                    return Ok(parts.reversed_axes());
                }
                for (row, line) in parts.rows().into_iter().enumerate() {
                    for query in 0..self.n {
                        out[[query, row]] =
                            line.slice_axis(Axis(0), Slice::from(query * rank..(query + 1) * rank)).sum();
                    }
                }
            }
            Form::Outer { g, a, filter } => {
                let [turn_g, turn_a] = &self.turn;
                let side = |queries, rows, rotation| Side { queries, rows, rotation };
                return outer::scores([side(g, &block.g, turn_g), side(a, &block.a, turn_a)], filter);
            }
            Form::Dense(v) => {
                let [rows_g, rows_a] = self.turned(block)?;
                for (v, mut to) in v.rows().into_iter().zip(out.rows_mut()) {
                    let v = self.matrix(v.as_slice().unwrap_or_default())?;
                    let through = product(&rows_g, &v)?;
                    for ((to, x), y) in to.iter_mut().zip(through.rows()).zip(rows_a.rows()) {
                        *to = crate::math::reduce::dot(&x, &y)?;
                    }
                }
            }
        }
        Ok(out)
    }

    /// A flat query as a matrix.
    fn matrix<'v>(&self, v: &'v [T]) -> Result<ArrayView2<'v, T>> {
        let shape = [self.spec.d_out, self.spec.d_in];
        let error = Error::Shape { what: "query", expected: Dims::new(&shape), got: Dims::new(&[v.len()]) };
        ArrayView2::from_shape(shape, v).map_err(|_| error)
    }

    /// Outer products as dense queries.
    fn dense(&self, queries: core::ops::Range<usize>) -> Array2<T> {
        let Form::Outer { g, a, filter } = &self.form else { return Array2::zeros((0, 0)) };
        let mut out = Array2::zeros((queries.len(), filter.len()));
        for (query, mut to) in queries.zip(out.rows_mut()) {
            let outer = g.row(query).into_iter().flat_map(|g| a.row(query).into_iter().map(move |a| *g * *a));
            to.iter_mut().zip(outer.zip(filter)).for_each(|(to, (v, f))| *to = v * *f);
        }
        out
    }

    /// `g` and `a` of a block in the coordinates of the queries.
    fn turned<'b>(&self, block: &'b Block<T>) -> Result<[CowArray<'b, T, Ix2>; 2]> {
        let [gradient, activation] = &self.turn;
        Ok([gradient.forward_of(&block.g)?, activation.forward_of(&block.a)?])
    }
}

fn turn<T: Scalar>(inverse: &Preconditioner<'_>) -> [Rotation<T>; 2] {
    [inverse.basis().gradient().cast(), inverse.basis().activation().cast()]
}

/// Whether rotating the queries back once costs less than rotating all training rows.
fn comes_back(inverse: &Preconditioner<'_>, queries: usize, settings: &QuerySettings) -> bool {
    let Some(rows) = settings.train_rows else { return false };
    let (s, a) = (inverse.basis().gradient(), inverse.basis().activation());
    let back = s.size() as f64 * a.rotation_cost() + a.size() as f64 * s.rotation_cost();
    queries as f64 * back < rows as f64 * (s.rotation_cost() + a.rotation_cost())
}

/// Checks that numbers survived the change of precision.
fn check_fits<'a, T: Scalar>(numbers: impl IntoIterator<Item = &'a T>) -> Result<()> {
    check_each("queries", numbers, "numbers that are finite in the precision of the rows", |x| x.is_finite())
}

/// `‖V‖_2 <= min(‖V‖_F, √(‖V‖_1 ‖V‖_∞))`.
fn spectral_bound(v: &Array2<f64>) -> f64 {
    let sum = |lane: ndarray::ArrayView1<'_, f64>| lane.iter().map(|x| x.abs()).sum::<f64>();
    let largest = |axis| v.lanes(axis).into_iter().map(sum).fold(0.0_f64, f64::max);
    let frobenius = v.as_slice_memory_order().map_or(f64::INFINITY, |v| norm(&ndarray::ArrayView1::from(v)));
    frobenius.min(libm::sqrt(largest(Axis(0))) * libm::sqrt(largest(Axis(1))))
}

/// Scores from the gradients of the examples themselves; `rows` are those of the block, turned.
fn formed<T: Scalar>(v: &Array2<T>, [g, a]: &[CowArray<'_, T, Ix2>; 2], block: &Block<T>) -> Result<Array2<T>> {
    /// Examples whose gradients exist at once.
    const GROUP: usize = 16;
    let mut out = Array2::zeros((v.nrows(), block.n_examples()));
    for first in (0..block.n_examples()).step_by(GROUP) {
        let group = first..block.n_examples().min(first + GROUP);
        let mut gradients = Array2::zeros((group.len(), v.ncols()));
        for (example, mut to) in group.clone().zip(gradients.rows_mut()) {
            let gradient = gradient_of(g, a, block.rows_of(example))?;
            to.iter_mut().zip(&gradient).for_each(|(to, g)| *to = *g);
        }
        out.slice_axis_mut(Axis(1), Slice::from(group)).assign(&product(v, &gradients.t())?);
    }
    Ok(out)
}

/// Sums the scores of rows over their examples.
fn sum_rows<T: Scalar>(rows: &Array2<T>, block: &Block<T>) -> Array2<T> {
    Array2::from_shape_fn((rows.nrows(), block.n_examples()), |(query, example)| {
        block.rows_of(example).map(|row| rows[[query, row]]).sum()
    })
}
