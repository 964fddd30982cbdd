//! Grad-CAM: where in an image a convolutional layer found what the output is made of.
//!
//! ```text
//! a_c = mean over places of ∂f/∂h_c        map = Σ_c a_c h_c, with negative places at zero if asked for
//! ```
//!
//! Source: Selvaraju et al., "Grad-CAM" (arXiv 1610.02391), equations 1 and 2.

use alloc::format;

use ndarray::{Array2, ArrayRef2, ArrayView2, ArrayView3, ArrayViewMut2, Axis, Zip};

use super::layer_gradient;
use crate::attribution::probe::Probe;
use crate::attribution::{Attribution, Explained, Explainer, Layers, Target};
use crate::math::reduce::sum;
use crate::{Dims, Error, Result, Scalar};

/// The map of a layer whose units are an image `[c, h, w]`; see [`GradCam::map_shape`] for the shape of a row.
///
/// # Example
/// ```
/// use limpid::attribution::layer::GradCam;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use ndarray::array;
///
/// // an image of one channel and two places is its own layer
/// let model = Network::new(2).linear(array![[1.0, 0.0], [0.0, 1.0]], None)?;
/// let mut model = model.linear(array![[3.0, 1.0]], None)?;
/// let method = GradCam::at(0, [1, 1, 2]);
/// let found = method.attribute(&mut model, &array![[5.0, -1.0]], &Logit::of(0))?;
/// assert_eq!((found.values, method.map_shape()), (array![[10.0, -2.0]], [1, 1, 2]));
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GradCam {
    /// The layer.
    pub layer: usize,
    /// Channels, height and width of its units.
    pub shape: [usize; 3],
    /// Whether negative values are set to zero, after the sum.
    pub relu: bool,
    /// Whether the channels are added up.
    pub sum_channels: bool,
}

impl GradCam {
    /// The signed map of `layer`, whose units are an image `[c, h, w]`.
    #[must_use]
    pub fn at(layer: usize, shape: [usize; 3]) -> Self {
        Self { layer, shape, relu: false, sum_channels: true }
    }

    /// Channels, height and width that a row of the result is to be read as, `[1, h, w]` for a sum over channels.
    #[must_use]
    pub fn map_shape(&self) -> [usize; 3] {
        let [channels, height, width] = self.shape;
        [if self.sum_channels { 1 } else { channels }, height, width]
    }

    /// Number of places of an image, if the layer is one.
    fn places(&self, units: usize) -> Result<usize> {
        let [channels, height, width] = self.shape;
        match height.checked_mul(width) {
            Some(places) if places > 0 && places.checked_mul(channels) == Some(units) => Ok(places),
            _ => Err(Error::Shape { what: "shape", expected: Dims::new(&[units]), got: Dims::new(&self.shape) }),
        }
    }

    fn map<T: Scalar>(&self, h: &ArrayRef2<T>, gradient: &ArrayRef2<T>, places: usize) -> Array2<T> {
        let width = if self.sum_channels { places } else { h.ncols() };
        let (mut maps, images) = (Array2::zeros((h.nrows(), width)), (h.nrows(), self.shape[0], places));
        let images = |x| reshaped(x, images).expect("the width was checked");
        let rows = images(h).into_outer_iter().zip(images(gradient).into_outer_iter());
        for (mut map, (h, gradient)) in maps.rows_mut().into_iter().zip(rows) {
            let mut map = ArrayViewMut2::from_shape((width / places, places), map.as_slice_mut().expect("it is a row"))
                .expect("the width is a whole number of images");
            add_channels(&h, &gradient, &mut map);
            if self.relu {
                map.mapv_inplace(|x| x.max(T::zero()));
            }
        }
        maps
    }
}

fn reshaped<T: Scalar>(x: &ArrayRef2<T>, shape: (usize, usize, usize)) -> Option<ArrayView3<'_, T>> {
    ArrayView3::from_shape(shape, x.as_slice()?).ok()
}

/// Adds every channel, times the mean of its gradient, to its own row of the map or to the one row there is.
fn add_channels<T: Scalar>(h: &ArrayView2<'_, T>, gradient: &ArrayView2<'_, T>, map: &mut ArrayViewMut2<'_, T>) {
    let (rows, places) = (map.nrows(), T::of(h.ncols() as f64));
    for (channel, (h, gradient)) in h.rows().into_iter().zip(gradient.rows()).enumerate() {
        let weight = sum(&gradient) / places;
        Zip::from(map.index_axis_mut(Axis(0), channel.min(rows - 1))).and(h).for_each(|map, &h| *map += weight * h);
    }
}

impl<T: Scalar, M: Layers<T> + ?Sized> Explainer<T, M> for GradCam {
    fn attribute(
        &self,
        model: &mut M,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, M::Error> {
        let x = &*x.as_standard_layout();
        let mut probe = Probe::new(model, x, target)?;
        let places = self.places(probe.layer_width(self.layer)?)?;
        let (h, gradient, output) = layer_gradient(&mut probe, self.layer, x)?;
        let map = self.map(&h, &gradient, places);
        let result = Attribution::new("grad_cam", format!("{self:?}"), map, output);
        Ok(probe.account(result))
    }

    fn is_per_row(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::c6;
    use super::*;
    use crate::attribution::Failure;
    use crate::attribution::target::Logit;
    use ndarray::{Array1, array};

    fn map(method: GradCam) -> Array1<f64> {
        let (mut model, image) = c6();
        method.attribute(&mut model, &image, &Logit::of(0)).unwrap().values.row(0).to_owned()
    }

    #[test]
    fn maps_by_hand() {
        let conv = GradCam::at(0, [2, 2, 2]);
        assert_eq!(map(conv), array![11.25, 13.5, 20.25, 22.5]);
        assert_eq!(map(GradCam::at(1, [2, 2, 2])), array![0.0, 4.0, 28.0, 32.5]);
        let channels = GradCam { sum_channels: false, ..conv };
        assert_eq!(map(channels), array![-3.75, 3.0, 23.25, 30.0, 15.0, 10.5, -3.0, -7.5]);
        assert_eq!((channels.map_shape(), conv.map_shape()), ([2, 2, 2], [1, 2, 2]));
        let positive = GradCam { relu: true, ..channels };
        assert_eq!(map(positive), array![0.0, 3.0, 23.25, 30.0, 15.0, 10.5, 0.0, 0.0]);
    }

    #[test]
    fn a_shape_must_fit_the_layer() {
        let (mut model, image) = c6();
        for shape in [[2, 2, 3], [0, 2, 2], [usize::MAX, usize::MAX, 2], [8, 0, 0]] {
            let found = GradCam::at(0, shape).attribute(&mut model, &image, &Logit::of(0));
            assert!(matches!(found, Err(Failure::Input(Error::Shape { what: "shape", .. }))), "{shape:?}");
        }
    }
}
