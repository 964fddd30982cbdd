//! Products against double precision, within their stated bound.

use limpid::gpu::gemm::{Epilogue, Product, multiply, multiply_into, product};
use limpid::gpu::{GpuContext, GpuSettings, Tiling};
use limpid::{Dims, Error};
use ndarray::{Array1, Array2, array};

use crate::support::{U, device, devices, narrow, noise, within};

const SIZES: [(usize, usize, usize); 7] =
    [(1, 1, 1), (3, 5, 7), (64, 64, 64), (65, 33, 130), (4, 100, 72), (1, 300, 64), (130, 17, 129)];

fn turned(x: &Array2<f32>, turn: bool) -> Array2<f32> {
    if turn { x.t().as_standard_layout().into_owned() } else { x.clone() }
}

/// The exact product, and the bound of each entry's error.
fn exact(a: &Array2<f32>, b: &Array2<f32>) -> (Array2<f64>, Array2<f64>) {
    let (a, b) = (a.mapv(f64::from), b.mapv(f64::from));
    let k = a.ncols() as f64 + 1.0;
    (a.dot(&b), a.mapv(f64::abs).dot(&b.mapv(f64::abs)) * (k * U / (1.0 - k * U)) + 1e-30)
}

fn agrees(gpu: &GpuContext, (m, k, n): (usize, usize, usize), what: &str) {
    let (a, b) = (noise(m, k, 1), noise(k, n, 2));
    let (exact, bound) = exact(&a, &b);
    for (transpose_a, transpose_b) in [(false, false), (true, false), (false, true), (true, true)] {
        let left = gpu.upload(&turned(&a, transpose_a)).unwrap();
        let right = gpu.upload(&turned(&b, transpose_b)).unwrap();
        let product = Product { transpose_a, transpose_b, ..Product::new(&left, &right) };
        let out = gpu.read_blocking(&multiply(gpu, &product).unwrap()).unwrap();
        within(&out, &exact, &bound, &format!("{what} {m}x{k}x{n} {transpose_a} {transpose_b}"));
    }
}

fn keeps_its_bound(tiling: Tiling) {
    let Some(gpu) = device(GpuSettings { tiling, ..GpuSettings::default() }) else { return };
    SIZES.iter().for_each(|&size| agrees(&gpu, size, &format!("{tiling:?}")));
}

#[test]
pub(crate) fn automatic_tiling_keeps_its_bound() {
    keeps_its_bound(Tiling::Automatic);
}

#[test]
pub(crate) fn tiles_of_64_keep_their_bound() {
    keeps_its_bound(Tiling::Tile64);
}

#[test]
pub(crate) fn tiles_of_128_keep_their_bound() {
    keeps_its_bound(Tiling::Tile128);
}

#[test]
pub(crate) fn few_rows_keep_their_bound() {
    keeps_its_bound(Tiling::FewRows);
}

#[test]
pub(crate) fn arrays_above_the_binding_limit_go_in_pieces() {
    let Some(gpu) = device(narrow(8192)) else { return };
    for size in [(65, 33, 130), (200, 64, 36), (3, 700, 700), (150, 150, 150)] {
        agrees(&gpu, size, "pieces");
    }
    let wide = gpu.zeros::<f32>(1, 5000).unwrap();
    let tall = gpu.zeros::<f32>(5000, 1).unwrap();
    assert!(matches!(product(&gpu, &wide, &tall), Err(Error::TooLarge { .. })));
}

#[test]
pub(crate) fn bias_and_activation_come_last() {
    for gpu in devices() {
        let (a, b) = (noise(70, 40, 3), noise(40, 90, 4));
        let (bias, bars) = (Array1::from_iter(noise(1, 90, 5)), Array1::from_iter(noise(1, 90, 6)));
        let (left, right) = (gpu.upload(&a).unwrap(), gpu.upload(&b).unwrap());
        let (of_bias, of_bars) = (gpu.upload_vector(&bias).unwrap(), gpu.upload_vector(&bars).unwrap());
        let run = |epilogue| {
            let product = Product { alpha: -2.0, epilogue, ..Product::new(&left, &right) };
            gpu.read_blocking(&multiply(&gpu, &product).unwrap()).unwrap()
        };
        let plain = run(Epilogue::Plain) + &bias;
        assert_eq!(run(Epilogue::Bias(&of_bias)), plain);
        assert_eq!(run(Epilogue::Relu(&of_bias)), plain.mapv(|z| if z <= 0.0 { 0.0 } else { z }));
        let mut jumped = plain.clone();
        jumped
            .rows_mut()
            .into_iter()
            .for_each(|mut row| row.zip_mut_with(&bars, |z, &t| *z = if *z > t { *z } else { 0.0 }));
        assert_eq!(run(Epilogue::JumpRelu(&of_bias, &of_bars)), jumped);
        let mut sum = gpu.upload(&plain).unwrap();
        multiply_into(&gpu, &Product { add: true, ..Product::new(&left, &right) }, &mut sum).unwrap();
        let (exact, bound) = exact(&a, &b);
        let slack = bound + plain.mapv(|p| f64::from(p).abs() * 4.0 * U);
        within(&gpu.read_blocking(&sum).unwrap(), &(exact + plain.mapv(f64::from)), &slack, "added");
    }
}

#[test]
pub(crate) fn empty_sizes_are_sums_of_nothing() {
    let Some(gpu) = device(GpuSettings::default()) else { return };
    let (tall, flat) = (gpu.zeros::<f32>(3, 0).unwrap(), gpu.zeros::<f32>(0, 2).unwrap());
    assert_eq!(gpu.read_blocking(&product(&gpu, &tall, &flat).unwrap()).unwrap(), Array2::<f32>::zeros((3, 2)));
    assert_eq!(product(&gpu, &flat, &gpu.zeros(2, 5).unwrap()).unwrap().dim(), (0, 5));
    let bias = gpu.upload(&array![[1.0_f32, -1.0]]).unwrap();
    let relu = Product { epilogue: Epilogue::Relu(&bias), ..Product::new(&tall, &flat) };
    assert_eq!(gpu.read_blocking(&multiply(&gpu, &relu).unwrap()).unwrap().row(2), array![1.0, 0.0]);
}

#[test]
pub(crate) fn infinities_and_nan_stay_where_they_belong() {
    let Some(gpu) = device(GpuSettings::default()) else { return };
    let a = array![[f32::INFINITY, 1.0], [f32::NAN, 1.0], [2.0, 3.0]];
    let out = product(&gpu, &gpu.upload(&a).unwrap(), &gpu.upload(&array![[1.0_f32, -1.0], [1.0, 1.0]]).unwrap());
    let out = gpu.read_blocking(&out.unwrap()).unwrap();
    assert_eq!(out.row(0), array![f32::INFINITY, f32::NEG_INFINITY]);
    assert!(out.row(1).iter().all(|x| x.is_nan()));
    assert_eq!(out.row(2), array![5.0, 1.0]);
}

#[test]
pub(crate) fn sizes_and_devices_that_do_not_fit_are_named() {
    let Some(gpu) = device(GpuSettings::default()) else { return };
    let a = gpu.zeros::<f32>(2, 3).unwrap();
    let expected = Error::Shape { what: "b", expected: Dims::new(&[3, 3]), got: Dims::new(&[2, 3]) };
    assert_eq!(product(&gpu, &a, &a).unwrap_err(), expected);
    let bias = gpu.zeros::<f32>(1, 4).unwrap();
    let bad = Product { transpose_b: true, epilogue: Epilogue::Bias(&bias), ..Product::new(&a, &a) };
    assert!(matches!(multiply(&gpu, &bad), Err(Error::Shape { what: "bias", .. })));
    let Some(other) = device(GpuSettings::default()) else { return };
    let b = other.zeros::<f32>(3, 3).unwrap();
    assert!(matches!(product(&gpu, &a, &b), Err(Error::Unsupported { .. })));
}
