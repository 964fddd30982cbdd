//! Guided Grad-CAM: the fine detail of guided backpropagation where Grad-CAM finds the class.
//!
//! ```text
//! A = guided(x) ⊙ upsample(relu(Grad-CAM))        upsampled place (y, x) reads map place (⌊y h/H⌋, ⌊x w/W⌋)
//! ```
//!
//! Source: Selvaraju et al., "Grad-CAM" (arXiv 1610.02391), section 3.2.

use alloc::format;

use ndarray::{Array3, ArrayRef2, ArrayRef3, ArrayView3};

use super::GradCam;
use crate::attribution::gradient::GuidedBackprop;
use crate::attribution::{Attribution, Explained, Explainer, Network, Target};
use crate::error::check_not_empty;
use crate::{Dims, Error, Result, Scalar};

/// Guided backpropagation of images `[c, h, w]`, weighted by the positive part of the Grad-CAM of a layer.
///
/// # Example
/// ```
/// use limpid::attribution::layer::GuidedGradCam;
/// use limpid::attribution::target::Logit;
/// use limpid::attribution::{Explainer, Network};
/// use ndarray::array;
///
/// let model = Network::new(2).linear(array![[1.0, 0.0], [0.0, 1.0]], None)?;
/// let mut model = model.linear(array![[3.0, 1.0]], None)?;
/// let method = GuidedGradCam { layer: 0, layer_shape: [1, 1, 2], input_shape: [1, 1, 2] };
/// let found = method.attribute(&mut model, &array![[5.0, -1.0]], &Logit::of(0))?;
/// assert_eq!(found.values, array![[30.0, 0.0]]);
/// # Ok::<(), limpid::attribution::Failure<limpid::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GuidedGradCam {
    /// The layer of the map.
    pub layer: usize,
    /// Channels, height and width of its units.
    pub layer_shape: [usize; 3],
    /// Channels, height and width of an input.
    pub input_shape: [usize; 3],
}

/// Images `(b, h, w)` in another size `[height, width]`, each place being the nearest one before it.
///
/// # Errors
/// [`Error::Empty`] without places to read; [`Error::TooLarge`] for a size that no memory holds.
///
/// # Example
/// ```
/// use limpid::attribution::layer::upsample_nearest;
/// use ndarray::array;
///
/// let large = upsample_nearest(&array![[[1.0, 2.0]]], [2, 3])?;
/// assert_eq!(large, array![[[1.0, 1.0, 2.0], [1.0, 1.0, 2.0]]]);
/// # Ok::<(), limpid::Error>(())
/// ```
pub fn upsample_nearest<T: Scalar>(images: &ArrayRef3<T>, [height, width]: [usize; 2]) -> Result<Array3<T>> {
    check_not_empty("images", images)?;
    let (b, h, w) = images.dim();
    let limit = isize::MAX.unsigned_abs() / size_of::<T>();
    let places = height.checked_mul(width).and_then(|places| places.checked_mul(b)).filter(|&places| places <= limit);
    if places.is_none() {
        return Err(Error::TooLarge { what: "places of the images", got: usize::MAX, limit });
    }
    // wide integers: the product need not fit a word
    let read = |to: usize, size: usize, from: usize| ((to as u128 * from as u128) / size as u128) as usize;
    Ok(Array3::from_shape_fn((b, height, width), |(image, y, x)| {
        images[[image, read(y, height, h), read(x, width, w)]]
    }))
}

impl GuidedGradCam {
    fn check(&self, n_inputs: usize) -> Result<()> {
        let count = self.input_shape.iter().try_fold(1_usize, |count, &size| count.checked_mul(size));
        if count == Some(n_inputs) {
            return Ok(());
        }
        let (expected, got) = (Dims::new(&[n_inputs]), Dims::new(&self.input_shape));
        Err(Error::Shape { what: "input_shape", expected, got })
    }
}

impl<T: Scalar> Explainer<T, Network<T>> for GuidedGradCam {
    fn attribute(
        &self,
        model: &mut Network<T>,
        x: &ArrayRef2<T>,
        target: &dyn Target<T>,
    ) -> Explained<Attribution<T>, Error> {
        let [_, height, width] = self.input_shape;
        let cam = GradCam { relu: true, ..GradCam::at(self.layer, self.layer_shape) };
        let map = cam.attribute(model, x, target)?;
        self.check(x.ncols())?;
        let mut found = GuidedBackprop.attribute(model, x, target)?;
        let shape = (x.nrows(), self.layer_shape[1], self.layer_shape[2]);
        let images = ArrayView3::from_shape(shape, map.values.as_slice().unwrap_or(&[]));
        let large = upsample_nearest(&images.map_err(|_| Error::Empty { what: "map" })?, [height, width])?;
        for (mut values, map) in found.values.rows_mut().into_iter().zip(large.outer_iter()) {
            // the same map for every channel
            values.iter_mut().zip(map.iter().cycle()).for_each(|(value, &weight)| *value *= weight);
        }
        found.evaluations = found.evaluations.plus(map.evaluations);
        (found.method, found.options) = ("guided_grad_cam".into(), format!("{self:?}"));
        Ok(found)
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
    use ndarray::array;

    #[test]
    fn an_image_by_hand() {
        let (mut model, image) = c6();
        let method = GuidedGradCam { layer: 1, layer_shape: [2, 2, 2], input_shape: [1, 4, 4] };
        let found = method.attribute(&mut model, &image, &Logit::of(0)).unwrap();
        let rows =
            array![[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 12.0, 8.0], [28.0, 84.0, 97.5, 65.0], [28.0, 56.0, 65.0, 32.5]];
        assert_eq!(found.values.into_shape_with_order((4, 4)).unwrap(), rows);
        assert_eq!((found.evaluations.forward, found.evaluations.gradient), (1, 2));
    }

    #[test]
    fn shapes_must_fit() {
        let (mut model, image) = c6();
        let mut explain = |layer_shape, input_shape| {
            let method = GuidedGradCam { layer: 1, layer_shape, input_shape };
            method.attribute(&mut model, &image, &Logit::of(0)).map(|_| ())
        };
        assert!(matches!(explain([2, 2, 3], [1, 4, 4]), Err(Failure::Input(Error::Shape { what: "shape", .. }))));
        assert!(matches!(explain([2, 2, 2], [1, 4, 5]), Err(Failure::Input(Error::Shape { what: "input_shape", .. }))));
        let small = array![[[1.0_f32]]];
        assert!(matches!(upsample_nearest(&small, [usize::MAX, 2]), Err(Error::TooLarge { .. })));
        assert!(matches!(upsample_nearest(&Array3::<f32>::zeros((1, 0, 2)), [2, 2]), Err(Error::Empty { .. })));
        assert_eq!(upsample_nearest(&array![[[1.0, 2.0, 3.0]]], [1, 2]).unwrap(), array![[[1.0, 2.0]]]);
    }
}
