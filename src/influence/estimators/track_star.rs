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
//! A corpus in shards takes two passes: the first sums the moments of all shards in a [`GramAccumulator`], and a
//! [`TrackStarWhitening`] made of them embeds one shard after the other.
//!
//! Source: Chang et al., "Scalable Influence and Fact Tracing for Large Language Model Pretraining" (arXiv 2410.17413).

use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array2, Axis, Slice};

use super::gram::{GramAccumulator, mean_eigenvalue, shares};
use super::gram_spec::{GramSpec, ProjectionId, digest, matrix_words, projection_words};
use super::layers::{MAX_VALUES, check_layers, check_like, resolve};
use super::logra_projection::check_dimensions;
use super::operator::example_weights;
use super::projection::{Projection, Side, project_sides};
use super::similarity::{Similarity, similarity};
use crate::error::{check_each, check_length, check_limit, check_shape};
use crate::influence::{Damping, LayerRows};
use crate::math::eigen::symmetric_eigen;
use crate::math::gemm::{product, product_into};
use crate::{Error, Result, Scalar};

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
    /// [`Error::Empty`], [`Error::Shape`],
    /// [`Error::OutOfRange`] for bad settings or a negative second moment,
    /// [`Error::TooLarge`] beyond 8192 dimensions of a layer.
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
        check_layers("train", train)?;
        check_like("query", query, train)?;
        self.check()?;
        check_length("second moments", second_moments.map_or(train.len(), <[_]>::len), train.len())?;
        let weights = [example_weights(train)?, example_weights(query)?];
        let features = [self.features(train, second_moments)?, self.features(query, second_moments)?];
        let of = |which: usize| {
            let dimensions = features[which].iter().map(Array2::ncols).collect();
            let mut moments = GramAccumulator::new(GramSpec::unnamed(dimensions))?;
            moments.update_double(&features[which], Some(&shares(&weights[which])?))?;
            Ok::<_, Error>(moments.into_sums())
        };
        let of_query = if self.query_share > 0.0 { Some(of(1)?) } else { None };
        let whitening = self.whitening_of(of(0)?, of_query)?;
        Ok(TrackStarEmbeddings { train: whitening.embed(&features[0])?, query: whitening.embed(&features[1])? })
    }

    fn check(&self) -> Result<()> {
        check_each("query share", &[self.query_share], "0..=1", |c: f64| (0.0..=1.0).contains(&c))?;
        check_each("epsilon", &[self.epsilon], "finite and > 0", |x: f64| x > 0.0 && (1.0 / x).is_finite())?;
        check_dimensions(self.projection.k)
    }

    /// Which moments belong to these settings, those of checkpoint 0, for so many layers; `second_moments` are those of the
    /// optimiser, told by a digest. The share of the queries and the damping may differ.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of second moments, [`Error::OutOfRange`] for bad settings,
    /// [`Error::TooLarge`] beyond 8192 dimensions of a layer.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::influence::estimators::{Projection, TrackStar};
    ///
    /// let settings = TrackStar::new(Projection::new(8, Seed(1)));
    /// assert_eq!(settings.spec(3, None)?.dimensions, [64, 64, 64]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn spec(&self, layers: usize, second_moments: Option<&[Array2<f64>]>) -> Result<GramSpec> {
        self.check()?;
        let Some(moments) = second_moments else {
            return Ok(self.spec_of(ProjectionId::BothSides(self.projection), layers));
        };
        check_length("second moments", moments.len(), layers)?;
        let settings = projection_words(self.projection).into_iter().chain([self.epsilon.to_bits()]);
        let words = settings.chain(moments.iter().flat_map(matrix_words));
        Ok(self.spec_of(ProjectionId::Digest(digest(words)), layers))
    }

    fn spec_of(&self, projection: ProjectionId, layers: usize) -> GramSpec {
        GramSpec { projection, checkpoint: 0, dimensions: vec![self.projection.k * self.projection.k; layers] }
    }

    /// Projected gradients of each layer, `(examples, k²)`, scaled by the `second_moments` of the optimiser.
    ///
    /// # Errors
    /// As [`TrackStar::embed`].
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::influence::estimators::{Projection, TrackStar};
    /// use limpid::influence::{Examples, LayerRows};
    /// use ndarray::array;
    ///
    /// let (a, g) = (array![[1.0, 0.5], [2.0, 1.0]], array![[1.0], [1.0]]);
    /// let layers = [LayerRows::new(&a, &g, Examples::EachRow)?];
    /// let features = TrackStar::new(Projection::new(4, Seed(0))).features(&layers, None)?;
    /// assert_eq!(features[0].dim(), (2, 16));
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn features<T: Scalar>(
        &self,
        layers: &[LayerRows<'_, T>],
        second_moments: Option<&[Array2<f64>]>,
    ) -> Result<Vec<Array2<f64>>> {
        check_layers("layers", layers)?;
        self.check()?;
        check_length("second moments", second_moments.map_or(layers.len(), <[_]>::len), layers.len())?;
        let moments = |number: usize| second_moments.map(|moments| &moments[number]);
        layers.iter().enumerate().map(|(number, rows)| self.layer_features(number, rows, moments(number))).collect()
    }

    /// Adds the features of `layers`, with the weights of their examples, to `moments` of these settings.
    ///
    /// # Errors
    /// As [`TrackStar::features`] and [`GramAccumulator::update`], and [`Error::Unsupported`] for moments of another
    /// projection; nothing is added then.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::influence::estimators::{GramAccumulator, Projection, TrackStar};
    /// use limpid::influence::{Examples, LayerRows};
    /// use ndarray::array;
    ///
    /// let (a, g) = (array![[1.0, 0.0], [0.0, 2.0]], array![[1.0], [1.0]]);
    /// let shard = [LayerRows::new(&a, &g, Examples::EachRow)?];
    /// let settings = TrackStar::new(Projection::new(1, Seed(1)));
    /// let mut moments = GramAccumulator::new(settings.spec(1, None)?)?;
    /// settings.accumulate(&shard, None, &mut moments)?;
    /// assert_eq!(moments.mean(0)?, array![[2.5]]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn accumulate<T: Scalar>(
        &self,
        layers: &[LayerRows<'_, T>],
        second_moments: Option<&[Array2<f64>]>,
        moments: &mut GramAccumulator,
    ) -> Result<()> {
        self.spec(layers.len(), second_moments)?.check_projection(moments.spec())?;
        moments.update_double(&self.features(layers, second_moments)?, Some(&example_weights(layers)?))
    }

    /// The whitening by the moments of the training examples and, where they have a share, of the queries. Embeddings are
    /// those of [`TrackStar::embed`] up to rounding: there each weight is divided by their sum, here the sum of the products
    /// is.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for moments of another projection or of two checkpoints and for factored damping,
    /// [`Error::Empty`] without examples or without queries that have a share, [`Error::OutOfRange`] for bad settings,
    /// [`Error::Shape`], [`Error::NoConvergence`].
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::influence::estimators::{GramAccumulator, Projection, TrackStar, TrackStarEmbeddings};
    /// use limpid::influence::{Examples, LayerRows};
    /// use ndarray::array;
    ///
    /// let (a, g) = (array![[1.0, 0.5], [2.0, 1.0]], array![[1.0], [1.0]]);
    /// let (b, h) = (array![[0.0, 2.0]], array![[1.0]]);
    /// let shards =
    ///     [[LayerRows::new(&a, &g, Examples::EachRow)?], [LayerRows::new(&b, &h, Examples::EachRow)?]];
    /// let settings = TrackStar { query_share: 0.5, ..TrackStar::new(Projection::new(4, Seed(0))) };
    /// let spec = settings.spec(1, None)?;
    /// let (mut of_train, mut of_query) = (GramAccumulator::new(spec.clone())?, GramAccumulator::new(spec)?);
    /// for shard in &shards {
    ///     settings.accumulate(shard, None, &mut of_train)?;
    /// }
    /// settings.accumulate(&shards[0], None, &mut of_query)?;
    /// let whitening = settings.whitening(&of_train, Some(&of_query), None)?;
    /// let query = whitening.embed(&settings.features(&shards[0], None)?)?;
    /// for shard in &shards {
    ///     let train = whitening.embed(&settings.features(shard, None)?)?;
    ///     let scores = TrackStarEmbeddings { train, query: query.clone() }.scores()?;
    ///     assert_eq!(scores.dim(), (2, shard[0].n_examples()));
    /// }
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn whitening(
        &self,
        train: &GramAccumulator,
        query: Option<&GramAccumulator>,
        second_moments: Option<&[Array2<f64>]>,
    ) -> Result<TrackStarWhitening> {
        self.spec(train.spec().dimensions.len(), second_moments)?.check_projection(train.spec())?;
        query.map_or(Ok(()), |query| train.spec().check_same(query.spec()))?;
        let of_query = match query {
            Some(query) if self.query_share > 0.0 => Some(query.means()?),
            None if self.query_share > 0.0 => return Err(Error::Empty { what: "moments of the queries" }),
            _ => None,
        };
        self.whitening_of(train.means()?, of_query)
    }

    /// The roots of all layers, from the means of the training examples and of the queries.
    fn whitening_of(&self, train: Vec<Array2<f64>>, query: Option<Vec<Array2<f64>>>) -> Result<TrackStarWhitening> {
        let mut query = query.map(Vec::into_iter);
        let root = |mean: Array2<f64>| {
            let mut mixed = mean * (1.0 - self.query_share);
            if let Some(mean) = query.as_mut().and_then(Iterator::next) {
                mixed.scaled_add(self.query_share, &mean);
            }
            self.root(&mixed)
        };
        Ok(TrackStarWhitening { roots: train.into_iter().map(root).collect::<Result<_>>()? })
    }

    /// Projected gradients of one layer, `(n, k²)`.
    fn layer_features<T: Scalar>(
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

    /// `R^(-1/2)`, from `R` without its damping.
    fn root(&self, mixed: &Array2<f64>) -> Result<Array2<f64>> {
        let damping = resolve(self.damping, mean_eigenvalue(mixed))?;
        let eigen = symmetric_eigen(mixed)?;
        // rounding makes some eigenvalues a little negative
        let roots = eigen.values.mapv(|l| 1.0 / libm::sqrt(l.max(0.0) + damping));
        product(&(&eigen.vectors * roots.insert_axis(Axis(0))), &eigen.vectors.t())
    }
}

/// `R^(-1/2)` of every layer.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackStarWhitening {
    roots: Vec<Array2<f64>>,
}

impl TrackStarWhitening {
    /// Embeddings of features, each as [`TrackStar::features`] gives them, `(examples, Σ k²)`: those of the whole corpus, to
    /// the bit, whichever shard it is.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::TooLarge`] beyond 2²⁸ numbers.
    ///
    /// # Example
    /// ```
    /// use limpid::Seed;
    /// use limpid::influence::Damping;
    /// use limpid::influence::estimators::{GramAccumulator, Projection, TrackStar};
    /// use ndarray::array;
    ///
    /// let settings = TrackStar { damping: Damping::Absolute(0.5), ..TrackStar::new(Projection::new(1, Seed(0))) };
    /// let mut moments = GramAccumulator::new(settings.spec(1, None)?)?;
    /// moments.update(&[array![[1.0], [2.0], [3.0], [4.0]]], None)?;
    /// // R = 7.5 + 0.5
    /// let embedded = settings.whitening(&moments, None, None)?.embed(&[array![[8.0]]])?;
    /// assert!((embedded[[0, 0]] - 8.0_f64.sqrt()).abs() < 1e-12);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn embed(&self, features: &[Array2<f64>]) -> Result<Array2<f64>> {
        check_length("layers of the features", features.len(), self.roots.len())?;
        let n = features.first().map_or(0, Array2::nrows);
        let width = self.roots.iter().fold(0_usize, |sum, root| sum.saturating_add(root.nrows()));
        check_limit("numbers of all features", width.saturating_mul(n), MAX_VALUES)?;
        let mut out = Array2::zeros((n, width));
        let mut start = 0;
        for (features, root) in features.iter().zip(&self.roots) {
            check_shape("features", features, &[n, root.nrows()])?;
            let columns = Slice::from(start..start + root.nrows());
            product_into(features, root, &mut out.slice_axis_mut(Axis(1), columns))?;
            start += root.nrows();
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use crate::influence::estimators::testing::{layers, noise_layers, part};
    use crate::math::merge::{Bytes, Merge};
    use ndarray::ArrayRef2;

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

    #[test]
    fn a_corpus_in_shards_has_the_embeddings_of_one_call() {
        let (cuts, other) = ([(0, 3), (3, 9), (9, 13)], noise_layers(5, 2));
        let query = layers(&other);
        let data = noise_layers(13, 1);
        let moments: Vec<Array2<f64>> =
            layers(&data).iter().map(|layer| Array2::from_elem((layer.d_out(), layer.d_in()), 0.3)).collect();
        for (query_share, moments) in [(0.0, None), (0.4, Some(&moments[..])), (1.0, None)] {
            let settings = TrackStar { query_share, ..TrackStar::new(Projection::new(3, Seed(2))) };
            let spec = settings.spec(2, moments).unwrap();
            let [mut of_train, mut of_query] = [(); 2].map(|()| GramAccumulator::new(spec.clone()).unwrap());
            let shards = cuts.map(|(from, to)| part(&data, from, to));
            for shard in &shards {
                let mut found = GramAccumulator::new(spec.clone()).unwrap();
                settings.accumulate(&layers(shard), moments, &mut found).unwrap();
                of_train.merge(&GramAccumulator::from_bytes(&found.to_bytes()).unwrap()).unwrap();
            }
            settings.accumulate(&query, moments, &mut of_query).unwrap();
            let whitening = settings.whitening(&of_train, Some(&of_query), moments).unwrap();
            let embed =
                |data: &[LayerRows<'_, f64>]| whitening.embed(&settings.features(data, moments).unwrap()).unwrap();
            let expected = settings.embed(&layers(&data), &query, moments).unwrap();
            let close = |found: &Array2<f64>, expected: &ArrayRef2<f64>| {
                found.iter().zip(expected).all(|(found, x)| (found - x).abs() < 1e-12 * (1.0 + x.abs()))
            };
            assert!(close(&embed(&query), &expected.query));
            for (shard, (from, to)) in shards.iter().zip(cuts) {
                assert!(close(&embed(&layers(shard)), &expected.train.slice_axis(Axis(0), Slice::from(from..to))));
            }
        }
    }

    #[test]
    fn one_shard_is_one_call_to_the_bit_where_no_weight_is_rounded() {
        // a quarter is a number in binary
        let (data, other) = (noise_layers(8, 1), noise_layers(4, 2));
        let (train, query) = (layers(&data), layers(&other));
        let settings = TrackStar { query_share: 0.3, ..TrackStar::new(Projection::new(2, Seed(2))) };
        let spec = settings.spec(2, None).unwrap();
        let [mut of_train, mut of_query] = [(); 2].map(|()| GramAccumulator::new(spec.clone()).unwrap());
        settings.accumulate(&train, None, &mut of_train).unwrap();
        settings.accumulate(&query, None, &mut of_query).unwrap();
        let whitening = settings.whitening(&of_train, Some(&of_query), None).unwrap();
        let last = whitening.embed(&settings.features(&layers(&part(&data, 5, 8)), None).unwrap()).unwrap();
        let expected = settings.embed(&train, &query, None).unwrap();
        assert_eq!(last, expected.train.slice_axis(Axis(0), Slice::from(5..)));
        assert_eq!(whitening.embed(&settings.features(&query, None).unwrap()).unwrap(), expected.query);
    }

    #[test]
    fn moments_of_something_else_are_refused() {
        let data = noise_layers(6, 3);
        let train = layers(&data);
        let settings = TrackStar { query_share: 0.5, ..TrackStar::new(Projection::new(2, Seed(2))) };
        let second: Vec<_> = train.iter().map(|layer| Array2::from_elem((layer.d_out(), layer.d_in()), 4.0)).collect();
        let spec = settings.spec(2, None).unwrap();
        let mut found = GramAccumulator::new(spec.clone()).unwrap();
        let empty = settings.whitening(&found, Some(&found), None);
        assert!(matches!(empty, Err(Error::Empty { .. })));
        settings.accumulate(&train, None, &mut found).unwrap();
        let refused = Error::Unsupported { what: "moments of another projection" };
        assert_eq!(settings.whitening(&found, Some(&found), Some(&second)), Err(refused));
        assert_eq!(settings.accumulate(&train, Some(&second), &mut found), Err(refused));
        let other = TrackStar { projection: Projection::new(2, Seed(3)), ..settings };
        assert_eq!(other.whitening(&found, Some(&found), None), Err(refused));
        // the epsilon changes features only beside second moments
        let coarse = TrackStar { epsilon: 1e-3, ..settings };
        assert_eq!(coarse.spec(2, None).unwrap(), spec);
        assert_ne!(coarse.spec(2, Some(&second)).unwrap(), settings.spec(2, Some(&second)).unwrap());
        let later = GramAccumulator::new(GramSpec { checkpoint: 1, ..spec }).unwrap();
        let refused = settings.whitening(&found, Some(&later), None);
        assert_eq!(refused, Err(Error::Unsupported { what: "moments of another checkpoint" }));
        let missing = settings.whitening(&found, None, None);
        assert_eq!(missing, Err(Error::Empty { what: "moments of the queries" }));
        let whitening = settings.whitening(&found, Some(&found), None).unwrap();
        let features = settings.features(&train, None).unwrap();
        assert!(matches!(whitening.embed(&features[..1]), Err(Error::Shape { .. })));
        assert!(matches!(settings.spec(1, Some(&second)), Err(Error::Shape { .. })));
    }
}
