//! The curvature of one layer: a basis and eigenvalues in it.
//!
//! ```text
//! identity   C = I                             diagonal   C = diag(mean G²), in the coordinate axes
//! kfac       C = S kron A: l_S,i l_A,j          ekfac      Λ_ij = mean (Q_Sᵀ G Q_A)²_ij
//! ```
//!
//! `vec` is row-major, so the factor of the gradients stands first.

use ndarray::Array2;

use super::basis::EigenBasis;
use super::corrected::EigenvalueAccumulator;
use super::preconditioner::Preconditioner;
use super::spec::{LayerSpec, Unit};
use super::spectral::{Spectral, Spectrum};
use crate::influence::LayerRows;
use crate::math::gemm::product;
use crate::{Error, Result, Scalar};

/// Which approximation of the curvature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Strategy {
    /// None: scores are products of gradients.
    Identity,
    /// Mean squared gradients.
    Diagonal,
    /// Kronecker factors.
    Kfac,
    /// Kronecker factors with corrected eigenvalues.
    #[default]
    Ekfac,
}

/// The curvature of one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerCurvature {
    strategy: Strategy,
    unit: Unit,
    basis: EigenBasis,
    eigenvalues: Array2<f64>,
}

impl LayerCurvature {
    /// No curvature: every function of it leaves gradients as they are.
    #[must_use]
    pub fn identity(spec: LayerSpec) -> Self {
        let eigenvalues = Array2::ones((spec.d_out, spec.d_in));
        Self { strategy: Strategy::Identity, unit: Unit::PerSequence, basis: EigenBasis::identity(spec), eigenvalues }
    }

    /// The diagonal of the Fisher matrix: squares that were summed in [`EigenBasis::identity`].
    ///
    /// # Errors
    /// Those of [`Self::ekfac`].
    pub fn diagonal(squares: &EigenvalueAccumulator) -> Result<Self> {
        let basis = EigenBasis::identity(*squares.spec());
        Ok(Self { strategy: Strategy::Diagonal, ..Self::ekfac(basis, squares)? })
    }

    /// `S kron A`; [`Unit::PerToken`] is what the factors are, [`Unit::PerSequence`] multiplies by the rows per example.
    ///
    /// # Errors
    /// [`Error::Empty`] where there is no example to tell the rows per example from.
    pub fn kfac(basis: EigenBasis, unit: Unit) -> Result<Self> {
        let scale = match unit {
            Unit::PerToken => 1.0,
            Unit::PerSequence => basis.rows_per_example().ok_or(Error::Empty { what: "examples of the curvature" })?,
        };
        let eigenvalues = basis.kfac_eigenvalues() * scale;
        Ok(Self { strategy: Strategy::Kfac, unit, basis, eigenvalues })
    }

    /// Corrected eigenvalues in their basis, means over examples ([`Unit::PerSequence`]).
    ///
    /// # Errors
    /// [`Error::Empty`] without examples, [`Error::Unsupported`] where the squares were summed in another basis.
    pub fn ekfac(basis: EigenBasis, squares: &EigenvalueAccumulator) -> Result<Self> {
        squares.check_basis(basis.fingerprint())?;
        let eigenvalues = squares.eigenvalues()?;
        Ok(Self { strategy: Strategy::Ekfac, unit: Unit::PerSequence, basis, eigenvalues })
    }

    /// A curvature with these eigenvalues `(d_out, d)` in a basis, for curvatures that were made or changed elsewhere.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::OutOfRange`] for an eigenvalue that is negative or not finite.
    pub fn with_eigenvalues(basis: EigenBasis, eigenvalues: Array2<f64>, unit: Unit) -> Result<Self> {
        crate::error::check_shape("eigenvalues", &eigenvalues, &[basis.spec().d_out, basis.spec().d_in])?;
        crate::error::check_each("eigenvalues", &eigenvalues, "a finite number >= 0", |l| l >= 0.0 && l.is_finite())?;
        Ok(Self { strategy: Strategy::Ekfac, unit, basis, eigenvalues })
    }

    /// The same curvature in another unit, given the rows of an example.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a number of rows that is not above 0.
    pub fn in_unit(mut self, unit: Unit, rows_per_example: f64) -> Result<Self> {
        if !(rows_per_example > 0.0 && rows_per_example.is_finite()) {
            let expected = "a finite number > 0";
            return Err(Error::OutOfRange { what: "rows_per_example", index: 0, value: rows_per_example, expected });
        }
        let factor = match (self.unit, unit) {
            (Unit::PerSequence, Unit::PerToken) => 1.0 / rows_per_example,
            (Unit::PerToken, Unit::PerSequence) => rows_per_example,
            _ => 1.0,
        };
        self.eigenvalues.mapv_inplace(|l| l * factor);
        self.unit = unit;
        Ok(self)
    }

    /// Which approximation it is.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// What the eigenvalues are means over.
    #[must_use]
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// The basis.
    #[must_use]
    pub fn basis(&self) -> &EigenBasis {
        &self.basis
    }

    /// The layer.
    #[must_use]
    pub fn spec(&self) -> &LayerSpec {
        self.basis.spec()
    }

    /// Eigenvalues `(d_out, d)`; rows follow the gradients, columns the activations.
    #[must_use]
    pub fn eigenvalues(&self) -> &Array2<f64> {
        &self.eigenvalues
    }

    /// A function of this curvature, ready to be applied.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for settings that are impossible, [`Error::Singular`] where an inverse does not exist,
    /// [`Error::Unsupported`] for factored damping without factors.
    ///
    /// # Example
    /// ```
    /// use limpid::influence::{Damping, Examples, LayerCurvature, LayerRows, LayerSpec, Spectral};
    /// use limpid::influence::{EigenBasis, EigenvalueAccumulator};
    /// use ndarray::array;
    ///
    /// let (a, g) = (array![[1.0, 2.0], [0.0, 1.0]], array![[1.0], [3.0]]);
    /// let rows = LayerRows::new(&a, &g, Examples::EachRow)?;
    /// let basis = EigenBasis::identity(LayerSpec::of(0, &rows));
    /// let mut squares = EigenvalueAccumulator::new(&basis);
    /// squares.update(&basis, &rows)?;
    /// let curvature = LayerCurvature::diagonal(&squares)?;
    /// let inverse = curvature.preconditioner(&Spectral::DampedInverse(Damping::Absolute(0.5)))?;
    /// assert_eq!(inverse.apply(&array![[1.0, 7.0]])?, array![[1.0, 1.0]]);
    /// # Ok::<(), limpid::Error>(())
    /// ```
    pub fn preconditioner(&self, function: &Spectral) -> Result<Preconditioner<'_>> {
        let (s, a) = (self.basis.gradient().values().as_slice(), self.basis.activation().values().as_slice());
        let factors = s.zip(a).filter(|_| self.strategy == Strategy::Kfac && self.unit == Unit::PerToken);
        let filter = match self.strategy {
            // the identity has no scale that a damping could be compared with
            Strategy::Identity => self.eigenvalues.clone(),
            _ => function.of(Spectrum { eigenvalues: &self.eigenvalues, factors })?,
        };
        let damping = function.damping(&self.eigenvalues).filter(|_| self.strategy != Strategy::Identity);
        Ok(Preconditioner::new(&self.basis, filter, damping))
    }

    /// The whole matrix `C: (d_out d, d_out d)` on row-major `vec`; for small layers and checks.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for more than 4096 parameters.
    pub fn dense(&self) -> Result<Array2<f64>> {
        let (rows, columns) = self.eigenvalues.dim();
        let size = rows.saturating_mul(columns);
        crate::error::check_limit("parameters of the layer", size, 4096)?;
        let (s, a) = (self.basis.gradient().vectors(), self.basis.activation().vectors());
        let q =
            Array2::from_shape_fn((size, size), |(i, j)| s[[i / columns, j / columns]] * a[[i % columns, j % columns]]);
        let scaled =
            Array2::from_shape_fn((size, size), |(i, j)| q[[i, j]] * self.eigenvalues[[j / columns, j % columns]]);
        product(&scaled, &q.t())
    }
}

/// Fits the curvature of one layer in one process: covariances, eigenvectors, corrected eigenvalues.
///
/// K-FAC comes out [`Unit::PerToken`] and EK-FAC [`Unit::PerSequence`], which is what published damping values refer to.
///
/// # Errors
/// Those of the accumulators.
///
/// # Example
/// ```
/// use limpid::influence::{Bias, Examples, LayerRows, LayerSpec, Spectral, Strategy, fit_layer};
/// use ndarray::array;
///
/// let a = array![[1.0, 2.0], [0.0, 1.0], [2.0, -1.0], [1.0, 1.0]];
/// let g = array![[1.0, 0.0], [1.0, 1.0], [-1.0, 2.0], [0.0, 1.0]];
/// let rows = LayerRows::new(&a, &g, Examples::Offsets(&[0, 2, 4]))?.with_bias(Bias::Homogeneous);
/// let curvature = fit_layer(LayerSpec::of(0, &rows), Strategy::Ekfac, &rows)?;
/// let itself = curvature.preconditioner(&Spectral::default())?.quad(&rows)?;
/// assert!((itself[0] - 3.626188523681).abs() < 1e-10);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn fit_layer<T: Scalar>(spec: LayerSpec, strategy: Strategy, rows: &LayerRows<'_, T>) -> Result<LayerCurvature> {
    spec.check_rows(rows)?;
    let squares = |basis: &EigenBasis| {
        let mut squares = EigenvalueAccumulator::new(basis);
        squares.update(basis, rows).map(|()| squares)
    };
    let factors = || {
        let mut covariance = super::CovarianceAccumulator::new(spec)?;
        covariance.update(rows)?;
        EigenBasis::new(&covariance)
    };
    match strategy {
        Strategy::Identity => Ok(LayerCurvature::identity(spec)),
        Strategy::Diagonal => LayerCurvature::diagonal(&squares(&EigenBasis::identity(spec))?),
        Strategy::Kfac => LayerCurvature::kfac(factors()?, Unit::PerToken),
        Strategy::Ekfac => {
            let basis = factors()?;
            let squares = squares(&basis)?;
            LayerCurvature::ekfac(basis, &squares)
        }
    }
}
