//! Optimiser steps, projection and unit rows against the processor.

use limpid::gpu::optim::{Moments, normalise_rows, project_gradient};
use limpid::gpu::pointwise::centre;
use limpid::math::optim::{Optimizer, OptimizerState};
use limpid::sae::decoder_norm;
use limpid::{Error, gpu::GpuContext};
use ndarray::{Array2, Axis, array};

use crate::support::{U, devices, noise, within};

fn close(got: &Array2<f32>, expected: &Array2<f32>, tolerance: f64, what: &str) {
    let bound = expected.mapv(|x| tolerance * (1.0 + f64::from(x).abs()));
    within(got, &expected.mapv(f64::from), &bound, what);
}

fn steps(gpu: &GpuContext, optimizer: Optimizer, (rows, columns): (usize, usize)) {
    let mut theta = noise(rows, columns, 1);
    let mut on_device = gpu.upload(&theta).unwrap();
    let mut moments = Moments::new(gpu, &on_device).unwrap();
    let mut state = OptimizerState::new(optimizer, theta.len());
    for t in 1..=5 {
        let gradient = noise(rows, columns, 10 + t as u64);
        state.step(theta.as_slice_mut().unwrap(), gradient.as_slice().unwrap(), 0.01).unwrap();
        let gradient = gpu.upload(&gradient).unwrap();
        moments.step(gpu, &mut on_device, &gradient, &optimizer, (0.01, t)).unwrap();
    }
    // five steps of at most 0.01, each with a few units in the last place
    close(&gpu.read_blocking(&on_device).unwrap(), &theta, 8.0 * U, "parameter");
    let (first, second) = state.moments();
    let shaped = |x: &[f32]| Array2::from_shape_vec((rows, columns), x.to_vec()).unwrap();
    close(&gpu.read_blocking(&moments.first).unwrap(), &shaped(first), 4.0 * U, "first moment");
    close(&gpu.read_blocking(&moments.second).unwrap(), &shaped(second), 4.0 * U, "second moment");
}

#[test]
pub(crate) fn adam_agrees() {
    let adam = Optimizer::Adam { betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.1 };
    for gpu in devices() {
        for optimizer in [Optimizer::adam(), adam, Optimizer::default()] {
            for size in [(1, 1), (3, 300), (150, 70)] {
                steps(&gpu, optimizer, size);
            }
        }
    }
}

#[test]
pub(crate) fn what_the_device_does_not_do_is_refused() {
    for gpu in devices() {
        let mut x = gpu.zeros(2, 2).unwrap();
        let mut moments = Moments::new(&gpu, &x).unwrap();
        let gradient = gpu.zeros(2, 2).unwrap();
        let sgd = Optimizer::Sgd { momentum: 0.0, weight_decay: 0.0 };
        let error = moments.step(&gpu, &mut x, &gradient, &sgd, (0.1, 1)).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }));
        let error = moments.step(&gpu, &mut x, &gradient, &Optimizer::adam(), (f64::NAN, 1)).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { what: "learning_rate", .. }));
        let error = moments.step(&gpu, &mut x, &gradient, &Optimizer::adam(), (0.1, 0)).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { what: "step", .. }));
    }
}

#[test]
pub(crate) fn gradients_are_projected_and_rows_have_unit_length() {
    for gpu in devices() {
        for (rows, columns) in [(1, 1), (5, 33), (40, 300)] {
            let (mut w, mut gradient) = (noise(rows, columns, 1), noise(rows, columns, 2));
            w.row_mut(rows / 2).fill(0.0);
            let first = rows / 3;
            let mut on_device = gpu.upload(&w).unwrap();
            let part = gradient.slice_axis(Axis(0), (first..).into()).to_owned();
            let mut projected = gpu.upload(&part).unwrap();
            project_gradient(&gpu, &on_device, first..rows, &mut projected).unwrap();
            decoder_norm::project_gradient(&w, &mut gradient).unwrap();
            let expected = gradient.slice_axis(Axis(0), (first..).into()).to_owned();
            close(&gpu.read_blocking(&projected).unwrap(), &expected, 40.0 * U, "projection");
            normalise_rows(&gpu, &mut on_device).unwrap();
            decoder_norm::normalise_rows(&mut w);
            close(&gpu.read_blocking(&on_device).unwrap(), &w, 8.0 * U, "unit rows");
        }
    }
}

#[test]
pub(crate) fn centring_is_exact() {
    for gpu in devices() {
        let (x, row) = (noise(90, 70, 1), noise(1, 70, 2));
        let out = centre(&gpu, &gpu.upload(&x).unwrap(), &gpu.upload(&row).unwrap()).unwrap();
        assert_eq!(gpu.read_blocking(&out).unwrap(), &x - &row);
        let none = centre(&gpu, &gpu.zeros(0, 2).unwrap(), &gpu.upload(&array![[1.0, 2.0]]).unwrap()).unwrap();
        assert_eq!(none.dim(), (0, 2));
    }
}
