//! Rows of an embedding: tokens in place of inputs.
//!
//! ```text
//! column v of G_e  =  Σ g_t over the positions t of e whose token is v
//! ```
//!
//! The input of an embedding is one-hot, as wide as the vocabulary, and a score only needs the columns of tokens that occur
//! in the queries: in all others the queries' gradients are 0. `A` is diagonal and keeps its columns apart, so curvatures of
//! some columns are those of all: [`Structure::Diagonal`](crate::influence::Structure::Diagonal). The mean of all
//! eigenvalues, which a relative damping refers to, is not in these columns; [`TokenColumns::mean_eigenvalue`] has it.

use alloc::vec::Vec;

use ndarray::{Array1, Array2, ArrayRef2};

use super::{Examples, LayerRows};
use crate::error::{check_length, check_limit};
use crate::{Error, Result, Scalar};

/// Most numbers of a matrix of one-hot rows.
const MAX_NUMBERS: usize = 1 << 31;

/// The tokens whose columns of an embedding's gradient are looked at.
///
/// # Example
/// ```
/// use limpid::influence::{
///     CovarianceAccumulator, CovarianceSettings, Curvature, Damping, EigenBasis, EigenvalueAccumulator, Examples,
///     LayerCurvature, LayerRows, LayerSpec, QuerySettings, Spectral, Structure, TokenColumns,
/// };
/// use ndarray::array;
///
/// // two texts and a query, and the gradients at the output of an embedding of 50,000 tokens
/// let (tokens, g) = ([17, 40_000, 17, 9], array![[1.0, 0.0], [0.5, 1.0], [-1.0, 2.0], [0.0, 1.0]]);
/// let (query_tokens, query_g) = ([17, 3], array![[1.0, -1.0], [0.0, 2.0]]);
/// let (texts, query_texts) = (Examples::Offsets(&[0, 2, 4]), Examples::Offsets(&[0, 2]));
///
/// let columns = TokenColumns::of(&query_tokens);
/// let (a, query_a) = (columns.one_hot::<f64>(&tokens)?, columns.one_hot::<f64>(&query_tokens)?);
/// let (train, query) = (LayerRows::new(&a, &g, texts)?, LayerRows::new(&query_a, &query_g, query_texts)?);
///
/// let settings = CovarianceSettings { activation: Structure::Diagonal, ..CovarianceSettings::default() };
/// let mut covariance = CovarianceAccumulator::with_settings(LayerSpec::of(0, &train), &settings)?;
/// covariance.update(&train)?;
/// let basis = EigenBasis::new(&covariance)?;
/// let mut squares = EigenvalueAccumulator::new(&basis);
/// squares.update(&basis, &train)?;
/// let curvature = Curvature::new(vec![LayerCurvature::ekfac(basis, &squares)?]);
///
/// let damping = 0.1 * TokenColumns::mean_eigenvalue(&tokens, &g, texts, 50_000)?;
/// let inverse = Spectral::DampedInverse(Damping::Absolute(damping));
/// let scores = curvature.queries(&inverse, &[query], &QuerySettings::default())?.scores(&[train])?;
/// // the first text shares token 17 with the query, and so does the second, with the opposite gradient
/// assert!(scores[[0, 0]] > 0.0 && scores[[0, 1]] < 0.0);
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TokenColumns {
    /// Ascending, each once.
    tokens: Vec<usize>,
}

impl TokenColumns {
    /// A column for every token that occurs in `tokens`, those of the queries; columns ascend with their tokens.
    #[must_use]
    pub fn of(tokens: &[usize]) -> Self {
        let mut tokens = tokens.to_vec();
        tokens.sort_unstable();
        tokens.dedup();
        Self { tokens }
    }

    /// The token of each column.
    #[must_use]
    pub fn tokens(&self) -> &[usize] {
        &self.tokens
    }

    /// The input rows `(rows, columns)` of these tokens: 1 in the column of its token, and 0 where a token has no column.
    ///
    /// A row without a column counts all the same, for the gradients' covariance and for means over rows.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond 2³¹ numbers.
    pub fn one_hot<T: Scalar>(&self, tokens: &[usize]) -> Result<Array2<T>> {
        let columns = self.tokens.len();
        check_limit("numbers of one-hot rows", tokens.len().saturating_mul(columns), MAX_NUMBERS)?;
        let mut out = Array2::zeros((tokens.len(), columns));
        for (mut row, token) in out.rows_mut().into_iter().zip(tokens) {
            if let Ok(column) = self.tokens.binary_search(token) {
                row[column] = T::one();
            }
        }
        Ok(out)
    }

    /// Mean of the eigenvalues of EK-FAC over all tokens of a `vocabulary`, for `tokens: (rows)` and `g: (rows, d_out)`.
    ///
    /// ```text
    /// mean_e ‖G_e‖_F² / (d_out · vocabulary)
    /// ```
    ///
    /// # Errors
    /// Those of [`LayerRows::new`]; [`Error::Shape`] for another number of tokens, [`Error::Empty`] without examples,
    /// [`Error::OutOfRange`] for a token beyond the vocabulary.
    pub fn mean_eigenvalue<T: Scalar>(
        tokens: &[usize],
        g: &ArrayRef2<T>,
        examples: Examples<'_>,
        vocabulary: usize,
    ) -> Result<f64> {
        check_length("tokens", tokens.len(), g.nrows())?;
        if let Some(index) = tokens.iter().position(|&token| token >= vocabulary) {
            let (what, expected) = ("tokens", "below the size of the vocabulary");
            return Err(Error::OutOfRange { what, index, value: tokens[index] as f64, expected });
        }
        let none = Array2::zeros((g.nrows(), 0));
        let rows = LayerRows::new(&none, g, examples)?;
        if rows.n_examples() == 0 || rows.d_out() == 0 || vocabulary == 0 {
            return Err(Error::Empty { what: "gradients of an embedding" });
        }
        let mut total = 0.0;
        for example in 0..rows.n_examples() {
            let mut live = rows.live_rows(example).to_vec();
            live.sort_by_key(|&row| tokens[row]);
            for column in live.chunk_by(|&left, &right| tokens[left] == tokens[right]) {
                let mut sum = Array1::<f64>::zeros(rows.d_out());
                column.iter().for_each(|&row| sum.zip_mut_with(&g.row(row), |sum, g| *sum += g.as_f64()));
                total += sum.iter().map(|x| x * x).sum::<f64>();
            }
        }
        Ok(total / rows.n_examples() as f64 / rows.d_out() as f64 / vocabulary as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::influence::testing::noise;
    use crate::influence::{
        CovarianceAccumulator, CovarianceSettings, Curvature, Damping, EigenBasis, EigenvalueAccumulator,
        LayerCurvature, LayerSpec, QuerySettings, Spectral, Strategy, Structure, Unit,
    };
    use alloc::vec;

    const VOCABULARY: usize = 11;

    fn fit(strategy: Strategy, train: &LayerRows<'_, f64>) -> Curvature {
        let settings = CovarianceSettings { activation: Structure::Diagonal, ..CovarianceSettings::default() };
        let mut covariance = CovarianceAccumulator::with_settings(LayerSpec::of(0, train), &settings).unwrap();
        covariance.update(train).unwrap();
        let basis = EigenBasis::new(&covariance).unwrap();
        if strategy == Strategy::Kfac {
            return Curvature::new(vec![LayerCurvature::kfac(basis, Unit::PerToken).unwrap()]);
        }
        let mut squares = EigenvalueAccumulator::new(&basis);
        squares.update(&basis, train).unwrap();
        Curvature::new(vec![LayerCurvature::ekfac(basis, &squares).unwrap()])
    }

    #[test]
    fn some_columns_score_as_all_do() {
        let (tokens, g) = ((0..60).map(|i| i * i % VOCABULARY).collect::<Vec<_>>(), noise(60, 3, 0));
        let (query_tokens, query_g) = ([4, 9, 4, 2], noise(4, 3, 1));
        let each = Examples::EachRow;
        for (texts, queries) in [(Examples::Offsets(&[0, 25, 26, 60]), Examples::Offsets(&[0, 3, 4])), (each, each)] {
            let scores = |columns: &TokenColumns, strategy, damping| {
                let (a, query_a) = (columns.one_hot(&tokens).unwrap(), columns.one_hot(&query_tokens).unwrap());
                let train = LayerRows::new(&a, &g, texts).unwrap();
                let query = LayerRows::new(&query_a, &query_g, queries).unwrap();
                let curvature = fit(strategy, &train);
                let function = Spectral::DampedInverse(damping);
                let found = curvature.queries(&function, &[query], &QuerySettings::default()).unwrap();
                found.scores(&[train]).unwrap()
            };
            let all = TokenColumns::of(&(0..VOCABULARY).collect::<Vec<_>>());
            let some = TokenColumns::of(&query_tokens);
            assert_eq!(some.tokens(), [2, 4, 9]);
            let mean = TokenColumns::mean_eigenvalue(&tokens, &g, texts, VOCABULARY).unwrap();
            for (strategy, whole, part) in [
                (Strategy::Ekfac, Damping::RelativeMean(0.1), Damping::Absolute(0.1 * mean)),
                (Strategy::Kfac, Damping::Absolute(0.2), Damping::Absolute(0.2)),
            ] {
                let (expected, found) = (scores(&all, strategy, whole), scores(&some, strategy, part));
                assert!((&found - &expected).iter().all(|x| x.abs() < 1e-11), "{strategy:?}");
                assert!(expected.iter().any(|x| x.abs() > 0.1));
            }
        }
    }

    #[test]
    fn what_an_embedding_cannot_have_is_refused() {
        let g = noise(2, 3, 0);
        let mean =
            |tokens: &[usize], vocabulary| TokenColumns::mean_eigenvalue(tokens, &g, Examples::EachRow, vocabulary);
        assert!(mean(&[1, 0], 2).is_ok());
        assert!(matches!(mean(&[1], 2), Err(Error::Shape { .. })));
        assert!(matches!(mean(&[0, 2], 2), Err(Error::OutOfRange { index: 1, .. })));
        let none = TokenColumns::mean_eigenvalue(&[], &Array2::<f64>::zeros((0, 3)), Examples::EachRow, 5);
        assert!(matches!(none, Err(Error::Empty { .. })));
        assert_eq!(TokenColumns::of(&[]).one_hot::<f64>(&[3, 4]).unwrap().dim(), (2, 0));
    }
}
