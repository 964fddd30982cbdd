//! `TrackStar`: unit-length gradients after the optimiser's scaling, a projection and a whitening, compared by cosine.
//!
//! ```text
//! φ_e = vec(P_outᵀ (G_e / √V) P_in)           V second moments of the optimiser, elementwise
//! R = (1 - c) mean_train φ φᵀ + c mean_query φ φᵀ + λ        per layer
//! s(q, i) = cos(R^(-1/2) φ_q, R^(-1/2) φ_i)                  all layers side by side
//! ```
//!
//! The root stands on both sides, so that unit length means the same for queries and examples: long gradients of outliers
//! no longer win. Mixing the queries' own matrix into `R` tones down what all of them share, such as the form of the task.
//!
//! Source: Chang et al., "Scalable Influence and Fact Tracing for Large Language Model Pretraining" (arXiv 2410.17413).

use alloc::vec::Vec;

use ndarray::{Array2, Axis};

use super::layers::{MAX_VALUES, check_layers, check_like, resolve};
use super::logra::{MAX_DIMENSIONS, mean_eigenvalue, second_moment};
use super::operator::example_weights;
use super::projection::{Projection, Side, project_sides, side_by_side};
use super::similarity::{Similarity, similarity};
use crate::error::{check_each, check_length, check_limit, check_shape};
use crate::influence::{Damping, LayerRows};
use crate::math::eigen::symmetric_eigen;
use crate::math::gemm::product;
use crate::{Result, Scalar};

/// Settings of `TrackStar`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TrackStar {
    /// Projection of both sides of every layer.
    pub projection: Projection,
    /// Share `c` of the queries in the whitening, from 0 to 1.
    pub query_share: f64,
    /// Damping of the whitening.
    pub damping: Damping,
    /// Added to the roots of the second moments.
    pub epsilon: f64,
}

impl TrackStar {
    /// No share of the queries, a tenth of the mean eigenvalue as damping.
    #[must_use]
    pub fn new(projection: Projection) -> Self {
        Self { projection, query_share: 0.0, damping: Damping::default(), epsilon: 1e-8 }
    }
}

/// Whitened gradients: compare them by cosine.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackStarEmbeddings {
    /// Of the training examples, `(examples, Σ k²)`.
    pub train: Array2<f64>,
    /// Of the queries, `(queries, Σ k²)`.
    pub query: Array2<f64>,
}

impl TrackStarEmbeddings {
    /// Scores `(queries, examples)` from -1 to 1; `None` for an example or a query whose gradient is 0.
    ///
    /// # Errors
    /// Those of [`similarity`]; for more examples take [`most_similar`](super::most_similar).
    pub fn scores(&self) -> Result<Array2<Option<f64>>> {
        similarity(&self.query, &self.train, Similarity::Cosine)
    }
}

impl TrackStar {
    /// Embeds `train` and `query`; `second_moments` are those of the optimiser for each layer, `(d_out, d)`.
    ///
    /// # Errors
    /// [`Error::Empty`](crate::Error::Empty), [`Error::Shape`](crate::Error::Shape),
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for bad settings or a negative second moment,
    /// [`Error::TooLarge`](crate::Error::TooLarge) beyond 8192 dimensions of a layer.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::influence::estimators::{Projection, TrackStar};
    /// use limpid::influence::{Examples, LayerRows};
    /// use ndarray::array;
    ///
    /// let (a, g) = (array![[1.0, 0.5], [2.0, 1.0], [0.0, 2.0]], array![[1.0], [1.0], [1.0]]);
    /// let layers = [LayerRows::new(&a, &g, Examples::EachRow)?];
    /// let scores = TrackStar::new(Projection::new(4, Seed(0))).embed(&layers, &layers, None)?.scores()?;
    /// // the second example is twice the first: the same direction
    /// assert!((scores[[0, 1]].unwrap() - 1.0).abs() < 1e-9);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn embed<T: Scalar>(
        &self,
        train: &[LayerRows<'_, T>],
        query: &[LayerRows<'_, T>],
        second_moments: Option<&[Array2<f64>]>,
    ) -> Result<TrackStarEmbeddings> {
        let (n, q) = (check_layers("train", train)?, check_like("query", query, train)?);
        check_each("query share", &[self.query_share], "0..=1", |c: f64| (0.0..=1.0).contains(&c))?;
        check_each("epsilon", &[self.epsilon], "finite and > 0", |x: f64| x > 0.0 && (1.0 / x).is_finite())?;
        check_limit("dimensions of a layer", self.projection.k.saturating_mul(self.projection.k), MAX_DIMENSIONS)?;
        check_length("second moments", second_moments.map_or(train.len(), <[_]>::len), train.len())?;
        let weights = [example_weights(train)?, example_weights(query)?];
        let (mut of_train, mut of_query) = (Vec::new(), Vec::new());
        for (number, (train, query)) in train.iter().zip(query).enumerate() {
            let moments = second_moments.map(|moments| &moments[number]);
            let features = [self.features(number, train, moments)?, self.features(number, query, moments)?];
            let root = self.whitening(&features, &weights)?;
            of_train.push(product(&features[0], &root)?);
            of_query.push(product(&features[1], &root)?);
        }
        Ok(TrackStarEmbeddings { train: side_by_side(&of_train, n)?, query: side_by_side(&of_query, q)? })
    }

    /// Projected gradients of one layer, `(n, k²)`.
    fn features<T: Scalar>(
        &self,
        number: usize,
        rows: &LayerRows<'_, T>,
        moments: Option<&Array2<f64>>,
    ) -> Result<Array2<f64>> {
        let k = self.projection.k;
        let input = self.projection.rows(number, Side::Input, 0, rows.d_in())?;
        let output = self.projection.rows(number, Side::Output, 0, rows.d_out())?;
        let Some(moments) = moments else { return project_sides(rows, &input, &output) };
        check_shape("second moments", moments, &[rows.d_out(), rows.d_in()])?;
        check_each("second moments", moments, "finite and >= 0", |x: f64| x >= 0.0 && x.is_finite())?;
        check_limit("numbers of all features", rows.n_examples().saturating_mul(k * k), MAX_VALUES)?;
        let scale = moments.mapv(|x| 1.0 / (libm::sqrt(x) + self.epsilon));
        let mut out = Array2::zeros((rows.n_examples(), k * k));
        for block in rows.blocks::<f64>() {
            for example in 0..block.n_examples() {
                // elementwise scaling does not commute with the projection: here a gradient must be formed
                let gradient = block.gradient(example)? * &scale;
                let small = product(&product(&output.t(), &gradient)?, &input)?;
                let mut to = out.row_mut(block.first + example);
                to.iter_mut().zip(&small).for_each(|(to, &from)| *to = from);
            }
        }
        Ok(out)
    }

    /// `R^(-1/2)`.
    fn whitening(&self, features: &[Array2<f64>; 2], weights: &[Vec<f64>; 2]) -> Result<Array2<f64>> {
        let mut mixed = second_moment(&features[0], &weights[0])? * (1.0 - self.query_share);
        if self.query_share > 0.0 {
            mixed.scaled_add(self.query_share, &second_moment(&features[1], &weights[1])?);
        }
        let damping = resolve(self.damping, mean_eigenvalue(&mixed))?;
        let eigen = symmetric_eigen(&mixed)?;
        // rounding makes some eigenvalues a little negative
        let roots = eigen.values.mapv(|l| 1.0 / libm::sqrt(l.max(0.0) + damping));
        product(&(&eigen.vectors * roots.insert_axis(Axis(0))), &eigen.vectors.t())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::influence::estimators::testing::{layers, noise_layers};
    use crate::{Error, Seed};

    #[test]
    fn scores_do_not_depend_on_the_length_of_a_gradient() {
        let (data, other) = (noise_layers(12, 1), noise_layers(3, 2));
        let longer: Vec<_> = noise_layers(3, 2).into_iter().map(|(a, g, e, n)| (a, g * 7.0, e, n)).collect();
        let (train, query, longer) = (layers(&data), layers(&other), layers(&longer));
        let settings = TrackStar::new(Projection::new(3, Seed(2)));
        let scores = |query: &[LayerRows<'_, f64>]| settings.embed(&train, query, None).unwrap().scores().unwrap();
        let (short, long) = (scores(&query), scores(&longer));
        assert!(short.iter().zip(&long).all(|(a, b)| (a.unwrap() - b.unwrap()).abs() < 1e-12));
        let own = settings.embed(&train, &train, None).unwrap().scores().unwrap();
        assert!(own.diag().iter().all(|s| (s.unwrap() - 1.0).abs() < 1e-12));
    }

    #[test]
    fn equal_second_moments_change_nothing() {
        let data = noise_layers(6, 3);
        let train = layers(&data);
        let settings = TrackStar { query_share: 0.5, ..TrackStar::new(Projection::new(3, Seed(2))) };
        let moments: Vec<Array2<f64>> =
            train.iter().map(|layer| Array2::from_elem((layer.d_out(), layer.d_in()), 4.0)).collect();
        let plain = settings.embed(&train, &train, None).unwrap().scores().unwrap();
        let scaled = settings.embed(&train, &train, Some(&moments)).unwrap().scores().unwrap();
        assert!(plain.iter().zip(&scaled).all(|(a, b)| (a.unwrap() - b.unwrap()).abs() < 1e-9));
        let negative: Vec<_> = moments.iter().map(|moments| moments * -1.0).collect();
        assert!(matches!(settings.embed(&train, &train, Some(&negative)), Err(Error::OutOfRange { .. })));
        assert!(settings.embed(&train, &train, Some(&moments[..1])).is_err());
    }

    #[test]
    fn a_gradient_of_zero_has_no_direction() {
        let mut data = noise_layers(4, 3);
        data.iter_mut().for_each(|(_, g, examples, _)| {
            g.rows_mut().into_iter().zip(examples).filter(|(_, e)| **e == 2).for_each(|(mut g, _)| g.fill(0.0));
        });
        let train = layers(&data);
        let scores = TrackStar::new(Projection::new(2, Seed(0))).embed(&train, &train, None).unwrap().scores().unwrap();
        assert!(scores.indexed_iter().all(|((q, i), score)| score.is_none() == (q == 2 || i == 2)));
    }
}
