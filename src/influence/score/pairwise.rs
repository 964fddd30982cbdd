//! Influence of every training example on every query, over all layers.
//!
//! ```text
//! s(q, i) = Σ_layers g_qᵀ φ(C) g_i
//! ```
//!
//! No minus sign and no `1/N`; `φ` is the damped inverse unless something else is asked for. Where the query is a loss, a
//! positive score says that the training example lowered it. Scores are linear in the query and in the training example:
//! those of a sum are the sums of scores, and are computed as such at the price of one.
//!
//! Source: Koh and Liang, "Understanding black-box predictions via influence functions" (2017),
//! <https://arxiv.org/abs/1703.04730>; Grosse et al. (2023), <https://arxiv.org/abs/2308.03296>.

use alloc::vec::Vec;

use ndarray::{Array1, Array2, Array3, ArrayRef1, Axis};

use super::queries::{LayerQueries, QuerySettings};
use crate::error::{check_length, check_shape};
use crate::influence::LayerRows;
use crate::influence::curvature::{LayerCurvature, LayerSpec, Spectral, Strategy, fit_layer};
use crate::{Result, Scalar};

/// The curvature of a model: one part per layer, no parts between layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Curvature {
    layers: Vec<LayerCurvature>,
}

impl Curvature {
    /// From the curvatures of the layers, in the order in which rows will be given.
    #[must_use]
    pub fn new(layers: Vec<LayerCurvature>) -> Self {
        Self { layers }
    }

    /// Fits all layers in one process; layer `l` is number `l`.
    ///
    /// # Errors
    /// Those of [`fit_layer`].
    ///
    /// # Example
    /// ```
    /// use limpid::influence::{Bias, Curvature, Examples, LayerRows, QuerySettings, Spectral, Strategy};
    /// use ndarray::array;
    ///
    /// let a = array![[1.0_f64, 2.0], [0.0, 1.0], [2.0, -1.0], [1.0, 1.0]];
    /// let g = array![[1.0, 0.0], [1.0, 1.0], [-1.0, 2.0], [0.0, 1.0]];
    /// let train = [LayerRows::new(&a, &g, Examples::Offsets(&[0, 2, 4]))?.with_bias(Bias::Homogeneous)];
    /// let (a, g) = (array![[1.0, 1.0], [2.0, 0.0]], array![[1.0, -1.0], [0.0, 2.0]]);
    /// let query = [LayerRows::new(&a, &g, Examples::Offsets(&[0, 2]))?.with_bias(Bias::Homogeneous)];
    ///
    /// let curvature = Curvature::fit(Strategy::Ekfac, &train)?;
    /// let queries = curvature.queries(&Spectral::default(), &query, &QuerySettings::default())?;
    /// let scores = queries.scores(&train)?;
    /// assert!((scores[[0, 1]] - 1.197410075243).abs() < 1e-10);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn fit<T: Scalar>(strategy: Strategy, rows: &[LayerRows<'_, T>]) -> Result<Self> {
        let fit = |(layer, rows)| fit_layer(LayerSpec::of(layer as u64, rows), strategy, rows);
        Ok(Self { layers: rows.iter().enumerate().map(fit).collect::<Result<_>>()? })
    }

    /// The layers.
    #[must_use]
    pub fn layers(&self) -> &[LayerCurvature] {
        &self.layers
    }

    /// Preconditioned queries: one per example of `rows`.
    ///
    /// # Errors
    /// Those of [`LayerCurvature::preconditioner`] and [`LayerQueries::new`]; [`Error::Shape`](crate::Error::Shape) where
    /// layers are missing or have other examples.
    pub fn queries<T: Scalar>(
        &self,
        function: &Spectral,
        rows: &[LayerRows<'_, T>],
        settings: &QuerySettings,
    ) -> Result<Queries<T>> {
        self.check(rows)?;
        let layers = self.layers.iter().zip(rows);
        let layers = layers.map(|(layer, rows)| LayerQueries::new(&layer.preconditioner(function)?, rows, settings));
        Queries::new(layers.collect::<Result<_>>()?)
    }

    /// One query for the sum `Σ_q c_q G_q` of all examples of `rows`, `c: (n_examples)`: ones for the influence on a whole
    /// test set.
    ///
    /// # Errors
    /// As [`Self::queries`].
    pub fn summed_query<T: Scalar>(
        &self,
        function: &Spectral,
        rows: &[LayerRows<'_, T>],
        c: &ArrayRef1<f64>,
        settings: &QuerySettings,
    ) -> Result<Queries<T>> {
        self.check(rows)?;
        let layers = self.layers.iter().zip(rows).map(|(layer, rows)| {
            LayerQueries::of_gradients(&layer.preconditioner(function)?, &[rows.weighted_sum(c)?], settings)
        });
        Queries::new(layers.collect::<Result<_>>()?)
    }

    /// Influence of every example on itself, `(n_examples)`: large where the model fits an example against the others.
    ///
    /// Rows are rotated once and never back.
    ///
    /// # Errors
    /// As [`Self::queries`].
    pub fn self_scores<T: Scalar>(&self, function: &Spectral, rows: &[LayerRows<'_, T>]) -> Result<Array1<f64>> {
        self.check(rows)?;
        let mut out = Array1::zeros(rows.first().map_or(0, LayerRows::n_examples));
        for (layer, rows) in self.layers.iter().zip(rows) {
            out += &layer.preconditioner(function)?.quad(rows)?;
        }
        Ok(out)
    }

    /// Influence of every example on a measurement of itself, whose rows are `measurement`, `(n_examples)`.
    ///
    /// # Errors
    /// As [`Self::queries`].
    pub fn measurement_self_scores<T: Scalar>(
        &self,
        function: &Spectral,
        measurement: &[LayerRows<'_, T>],
        rows: &[LayerRows<'_, T>],
    ) -> Result<Array1<f64>> {
        self.check(rows)?;
        self.check(measurement)?;
        let mut out = Array1::zeros(rows.first().map_or(0, LayerRows::n_examples));
        for ((layer, rows), measurement) in self.layers.iter().zip(rows).zip(measurement) {
            out += &layer.preconditioner(function)?.quad_with(measurement, rows)?;
        }
        Ok(out)
    }

    /// `‖φ(C) G_e‖²` of every example, `(n_examples)`.
    ///
    /// # Errors
    /// As [`Self::queries`].
    pub fn squared_norms<T: Scalar>(&self, function: &Spectral, rows: &[LayerRows<'_, T>]) -> Result<Array1<f64>> {
        self.check(rows)?;
        let mut out = Array1::zeros(rows.first().map_or(0, LayerRows::n_examples));
        for (layer, rows) in self.layers.iter().zip(rows) {
            out += &layer.preconditioner(function)?.squared().quad(rows)?;
        }
        Ok(out)
    }

    fn check<T: Scalar>(&self, rows: &[LayerRows<'_, T>]) -> Result<()> {
        check_length("layers of the rows", rows.len(), self.layers.len())?;
        same_examples(rows).map(|_| ())
    }
}

/// Preconditioned queries of all layers.
#[derive(Debug, Clone)]
pub struct Queries<T> {
    layers: Vec<LayerQueries<T>>,
}

impl<T: Scalar> Queries<T> {
    /// From the queries of the layers.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) where their numbers differ.
    pub fn new(layers: Vec<LayerQueries<T>>) -> Result<Self> {
        let n = layers.first().map_or(0, LayerQueries::len);
        layers.iter().try_for_each(|layer| check_length("queries of a layer", layer.len(), n))?;
        Ok(Self { layers })
    }

    /// Number of queries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.layers.first().map_or(0, LayerQueries::len)
    }

    /// Whether there is no query.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The layers.
    #[must_use]
    pub fn layers(&self) -> &[LayerQueries<T>] {
        &self.layers
    }

    /// Scores summed over layers, `(queries, examples)`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) where layers are missing or have other examples.
    pub fn scores(&self, train: &[LayerRows<'_, T>]) -> Result<Array2<T>> {
        let mut out = Array2::zeros((self.len(), self.check(train)?));
        for (layer, rows) in self.layers.iter().zip(train) {
            layer.add_scores_into(rows, &mut out)?;
        }
        Ok(out)
    }

    /// Scores of every layer on its own, `(layers, queries, examples)`.
    ///
    /// # Errors
    /// As [`Self::scores`].
    pub fn layer_scores(&self, train: &[LayerRows<'_, T>]) -> Result<Array3<T>> {
        let examples = self.check(train)?;
        let mut out = Array3::zeros((self.layers.len(), self.len(), examples));
        for ((layer, rows), mut to) in self.layers.iter().zip(train).zip(out.axis_iter_mut(Axis(0))) {
            let mut part = Array2::zeros((self.len(), examples));
            layer.add_scores_into(rows, &mut part)?;
            to.assign(&part);
        }
        Ok(out)
    }

    /// Scores of every row, summed over layers that share their rows: `(queries, rows)`, 0 for a masked row.
    ///
    /// The sum over the rows of an example is its score. A row's gradient holds the losses of later positions too, so its
    /// score is the influence of how the weights were used there.
    ///
    /// # Errors
    /// As [`Self::scores`]; also where the layers have different numbers of rows, for which
    /// [`LayerQueries::add_token_scores_into`] does one layer.
    pub fn token_scores(&self, train: &[LayerRows<'_, T>]) -> Result<Array2<T>> {
        self.check(train)?;
        let rows = train.first().map_or(0, LayerRows::n_rows);
        train.iter().try_for_each(|layer| check_length("rows of a layer", layer.n_rows(), rows))?;
        let mut out = Array2::zeros((self.len(), rows));
        for (layer, rows) in self.layers.iter().zip(train) {
            layer.add_token_scores_into(rows, &mut out)?;
        }
        Ok(out)
    }

    /// Scores of the sum `Σ_i c_i G_i` over training examples, `c: (n_examples)`. Returns `(queries)`.
    ///
    /// # Errors
    /// As [`Self::scores`].
    pub fn scores_of_sum(&self, train: &[LayerRows<'_, T>], c: &ArrayRef1<f64>) -> Result<Array1<T>> {
        check_shape("c", c, &[self.check(train)?])?;
        let mut out = Array1::zeros(self.len());
        for (layer, rows) in self.layers.iter().zip(train) {
            out += &layer.against(&rows.weighted_sum(c)?)?;
        }
        Ok(out)
    }

    /// How far every score can be from that of queries of full rank, `(queries, examples)`: 0 without a rank.
    ///
    /// ```text
    /// |s - s_k| <= Σ_layers ‖V - V_k‖_F ‖G_i‖_F
    /// ```
    ///
    /// # Errors
    /// As [`Self::scores`].
    pub fn rank_error(&self, train: &[LayerRows<'_, T>]) -> Result<Array2<f64>> {
        let mut out = Array2::zeros((self.len(), self.check(train)?));
        for (layer, rows) in self.layers.iter().zip(train) {
            let norms = rows.squared_norms()?.mapv(|x| libm::sqrt(x.max(0.0)));
            for (mut to, tail) in out.rows_mut().into_iter().zip(layer.tail()) {
                to.zip_mut_with(&norms, |to, norm| *to += tail * norm);
            }
        }
        Ok(out)
    }

    pub(super) fn check(&self, train: &[LayerRows<'_, T>]) -> Result<usize> {
        check_length("layers of the rows", train.len(), self.layers.len())?;
        same_examples(train)
    }
}

/// The number of examples of all layers.
fn same_examples<T: Scalar>(rows: &[LayerRows<'_, T>]) -> Result<usize> {
    let n = rows.first().map_or(0, LayerRows::n_examples);
    rows.iter().try_for_each(|layer| check_length("examples of a layer", layer.n_examples(), n))?;
    Ok(n)
}
