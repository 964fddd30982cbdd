//! What a run will cost, before any of it is spent.
//!
//! ```text
//! stage           operations per layer                                       bytes that stay
//! covariance      R (d² + d_o²)                                              8 (d(d+1)/2 + d_o(d_o+1)/2)
//! eigenvectors    about 9 (d³ + d_o³)                                        8 (d² + d_o²)
//! eigenvalues     2 R (d² + d_o²) + 2 R d d_o, or by gradients               8 d d_o
//! queries         4 Q d d_o (d + d_o)                                        w Q d d_o, or w Q k (d + d_o)
//! scores          the cheapest way of comparing, and rotating R rows         w Q N
//! ```
//!
//! `R` training rows, `N` examples, `Q` queries, `k` the rank, `w` bytes of a number. An operation is a multiplication or an
//! addition. Orders of magnitude are what such numbers are for: packing and memory traffic are not in them.

use alloc::vec::Vec;

use crate::error::check_limit;
use crate::{Error, Result};

use super::curvature::Strategy;

/// Sizes of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LayerSize {
    /// Columns of a gradient, the bias included.
    pub d_in: usize,
    /// Rows of a gradient.
    pub d_out: usize,
    /// Rows per example.
    pub rows_per_example: usize,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PlanSettings {
    /// The layers.
    pub layers: Vec<LayerSize>,
    /// Training examples.
    pub train: u64,
    /// Queries.
    pub queries: u64,
    /// The curvature.
    pub strategy: Strategy,
    /// Bytes of a number of the rows: 4 or 8.
    pub number_bytes: u64,
    /// Rank of the queries; full without.
    pub rank: Option<usize>,
    /// Bytes that queries may take: where full queries need more, the plan says which rank fits.
    pub query_bytes: Option<u64>,
}

/// What a stage costs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Cost {
    /// Bytes that stay until the end of the stage.
    pub bytes: f64,
    /// Multiplications and additions.
    pub operations: f64,
}

/// How scores are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Contraction {
    /// Outer products on both sides, no gradient at all.
    Outer,
    /// Every query with every row.
    QueryFirst,
    /// Gradients of examples, then one product.
    GradientFirst,
    /// Factors of the queries with every row.
    LowRank,
}

/// The costs of all stages, summed over layers.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Plan {
    /// Covariances of both factors.
    pub covariance: Cost,
    /// Eigenvectors; layers are independent tasks.
    pub eigenvectors: Cost,
    /// Corrected eigenvalues, or the diagonal.
    pub eigenvalues: Cost,
    /// Preconditioned queries.
    pub queries: Cost,
    /// Scores of all pairs.
    pub scores: Cost,
    /// Rank of the queries: the one that was asked for, or the largest that fits; full without.
    pub rank: Option<usize>,
    /// The way of comparing, layer by layer.
    pub contractions: Vec<Contraction>,
}

impl Plan {
    /// What `settings` will cost.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a width beyond 2³², [`Error::OutOfRange`] where not even rank 1 fits into `query_bytes`.
    ///
    /// # Example
    /// ```
    /// use limpid::influence::{LayerSize, Plan, PlanSettings, Strategy};
    ///
    /// let settings = PlanSettings {
    ///     layers: vec![LayerSize { d_in: 4096, d_out: 4096, rows_per_example: 512 }],
    ///     train: 10_000,
    ///     queries: 100,
    ///     strategy: Strategy::Ekfac,
    ///     number_bytes: 4,
    ///     rank: None,
    ///     query_bytes: Some(200 << 20),
    /// };
    /// let plan = Plan::new(&settings)?;
    /// assert_eq!(plan.rank, Some(64));
    /// assert!(plan.queries.bytes <= (200 << 20) as f64);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn new(settings: &PlanSettings) -> Result<Self> {
        for layer in &settings.layers {
            // numbers are counted in floats: only what is absurd is refused
            check_limit("width of a layer", layer.d_in.max(layer.d_out) >> 16, 1 << 15)?;
        }
        let rank = rank(settings)?;
        let mut plan = Self {
            covariance: Cost::default(),
            eigenvectors: Cost::default(),
            eigenvalues: Cost::default(),
            queries: Cost::default(),
            scores: Cost {
                bytes: settings.number_bytes as f64 * settings.queries as f64 * settings.train as f64,
                operations: 0.0,
            },
            rank,
            contractions: Vec::new(),
        };
        settings.layers.iter().for_each(|layer| plan.add(settings, *layer));
        Ok(plan)
    }

    /// All operations.
    #[must_use]
    pub fn operations(&self) -> f64 {
        self.stages().iter().map(|stage| stage.operations).sum()
    }

    /// Bytes where everything is kept at once.
    #[must_use]
    pub fn bytes(&self) -> f64 {
        self.stages().iter().map(|stage| stage.bytes).sum()
    }

    fn stages(&self) -> [Cost; 5] {
        [self.covariance, self.eigenvectors, self.eigenvalues, self.queries, self.scores]
    }

    fn add(&mut self, settings: &PlanSettings, layer: LayerSize) {
        let (d, o) = (layer.d_in as f64, layer.d_out as f64);
        let (n, q, w) = (settings.train as f64, settings.queries as f64, settings.number_bytes as f64);
        let rows = n * layer.rows_per_example as f64;
        let squares = d * d + o * o;
        let rotates = matches!(settings.strategy, Strategy::Kfac | Strategy::Ekfac);
        if rotates {
            self.covariance.add(4.0 * (squares + d + o), rows * squares);
            self.eigenvectors.add(8.0 * squares, 9.0 * (d * d * d + o * o * o));
        }
        match settings.strategy {
            Strategy::Ekfac if layer.rows_per_example == 1 => {
                self.eigenvalues.add(8.0 * d * o, 2.0 * rows * (squares + d * o));
            }
            Strategy::Ekfac => {
                let turning = (rows * squares).min(n * d * o * (d + o));
                self.eigenvalues.add(8.0 * d * o, 2.0 * (turning + rows * d * o));
            }
            Strategy::Diagonal => self.eigenvalues.add(8.0 * d * o, 2.0 * rows * d * o),
            Strategy::Identity | Strategy::Kfac => {}
        }
        let rank = self.rank.filter(|&k| k < layer.d_in.min(layer.d_out));
        let outer = layer.rows_per_example == 1 && rank.is_none();
        let numbers = if outer { q * (d + o) + d * o } else { rank.map_or(q * d * o, |k| q * k as f64 * (d + o)) };
        let turning = if !rotates {
            0.0
        } else if outer {
            2.0 * q * squares
        } else {
            4.0 * q * d * o * (d + o)
        };
        self.queries.add(w * numbers, turning);
        let (contraction, operations) = contraction(layer, rank, [n, q, rows]);
        self.contractions.push(contraction);
        self.scores.operations += 2.0 * operations + if rotates { 2.0 * rows * squares } else { 0.0 };
    }
}

impl Cost {
    fn add(&mut self, bytes: f64, operations: f64) {
        self.bytes += bytes;
        self.operations += operations;
    }
}

/// The way that queries of this form take, and its multiplications.
fn contraction(layer: LayerSize, rank: Option<usize>, [n, q, rows]: [f64; 3]) -> (Contraction, f64) {
    let (d, o) = (layer.d_in as f64, layer.d_out as f64);
    if let Some(rank) = rank {
        return (Contraction::LowRank, q * rows * rank as f64 * (d + o));
    }
    if layer.rows_per_example == 1 {
        return (Contraction::Outer, q * n * d * o);
    }
    let (query_first, gradient_first) = (q * rows * d * o, (rows + q * n) * d * o);
    if gradient_first < query_first {
        (Contraction::GradientFirst, gradient_first)
    } else {
        (Contraction::QueryFirst, query_first)
    }
}

/// The rank that was asked for, or the largest with which all queries fit.
fn rank(settings: &PlanSettings) -> Result<Option<usize>> {
    let Some(limit) = settings.query_bytes else { return Ok(settings.rank) };
    let (mut full, mut per_rank) = (0.0, 0.0);
    for layer in &settings.layers {
        let (d, o) = (layer.d_in as f64, layer.d_out as f64);
        let number = settings.number_bytes as f64 * settings.queries as f64;
        full += number * if layer.rows_per_example == 1 { d + o } else { d * o };
        per_rank += number * (d + o);
    }
    if settings.rank.is_none() && full <= limit as f64 {
        return Ok(None);
    }
    let fits = num_traits::cast::<f64, usize>(libm::floor(limit as f64 / per_rank.max(1.0))).unwrap_or(usize::MAX);
    if fits == 0 {
        let expected = "room for queries of rank 1";
        return Err(Error::OutOfRange { what: "query_bytes", index: 0, value: limit as f64, expected });
    }
    Ok(Some(settings.rank.map_or(fits, |rank| rank.min(fits))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn settings(rows_per_example: usize) -> PlanSettings {
        PlanSettings {
            layers: vec![LayerSize { d_in: 20, d_out: 10, rows_per_example }],
            train: 1000,
            queries: 50,
            strategy: Strategy::Ekfac,
            number_bytes: 4,
            rank: None,
            query_bytes: None,
        }
    }

    #[test]
    fn costs_are_those_of_the_formulas() {
        let plan = Plan::new(&settings(5)).unwrap();
        assert_eq!(plan.covariance, Cost { bytes: 8.0 * (210.0 + 55.0), operations: 5000.0 * 500.0 });
        assert_eq!(plan.eigenvalues.bytes, 1600.0);
        assert_eq!((plan.queries.bytes, plan.scores.bytes), (4.0 * 50.0 * 200.0, 4.0 * 50.0 * 1000.0));
        assert!(plan.operations() > 0.0 && plan.bytes() > plan.scores.bytes);
        let free = Plan::new(&PlanSettings { strategy: Strategy::Identity, ..settings(5) }).unwrap();
        assert_eq!(
            (free.covariance, free.eigenvectors, free.eigenvalues),
            (Cost::default(), Cost::default(), Cost::default())
        );
    }

    #[test]
    fn the_way_depends_on_the_rows() {
        let way = |rows, rank| Plan::new(&PlanSettings { rank, ..settings(rows) }).unwrap().contractions[0];
        assert_eq!(way(1, None), Contraction::Outer);
        assert_eq!(way(5, None), Contraction::GradientFirst);
        assert_eq!(way(5, Some(3)), Contraction::LowRank);
        assert_eq!(way(5, Some(10)), Contraction::GradientFirst);
        let few = Plan::new(&PlanSettings { queries: 1, ..settings(5) }).unwrap();
        assert_eq!(few.contractions[0], Contraction::QueryFirst);
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let with = |bytes| Plan::new(&PlanSettings { query_bytes: Some(bytes), ..settings(5) });
        assert_eq!(with(1 << 20).unwrap().rank, None);
        assert_eq!(with(4 * 50 * 30 * 3).unwrap().rank, Some(3));
        assert!(matches!(with(10), Err(Error::OutOfRange { .. })));
        let wide = LayerSize { d_in: usize::MAX, d_out: 1, rows_per_example: 1 };
        assert!(Plan::new(&PlanSettings { layers: vec![wide], ..settings(5) }).is_err());
    }
}
