//! Covariances within their bound, symmetric to the bit.

use limpid::Error;
use limpid::gpu::covariance::{add_rank_k, rotate, update_blocking};
use limpid::influence::{Bias, CovarianceAccumulator, Examples, LayerRows, LayerSpec};
use ndarray::{Array2, Axis};

use crate::support::{U, devices, narrow, noise, within};

#[test]
pub(crate) fn sums_of_outer_products_agree() {
    for gpu in devices().into_iter().chain(crate::support::device(narrow(1 << 16))) {
        for (rows, d, weighted) in [(1, 1, false), (300, 33, true), (40, 60, false), (700, 7, true), (0, 5, false)] {
            let (x, weights) = (noise(rows, d, 1), noise(1, rows, 2).mapv(f32::abs));
            let on_device = (gpu.upload(&x).unwrap(), gpu.upload(&weights).unwrap());
            let mut out = gpu.zeros(d, d).unwrap();
            add_rank_k(&gpu, &on_device.0, weighted.then_some(&on_device.1), &mut out).unwrap();
            add_rank_k(&gpu, &on_device.0, weighted.then_some(&on_device.1), &mut out).unwrap();
            let got = gpu.read_blocking(&out).unwrap();
            assert_eq!(got, got.t());
            let x = x.mapv(f64::from);
            let mut scaled = x.clone();
            if weighted {
                scaled *= &weights.row(0).mapv(f64::from).insert_axis(Axis(1));
            }
            let exact = scaled.t().dot(&x) * 2.0;
            let size = scaled.mapv(f64::abs).t().dot(&x.mapv(f64::abs)) * 2.0;
            within(&got, &exact, &(size * (262.0 + rows as f64 / 256.0) * U), "rank k");
        }
    }
}

fn layer<'a>(a: &'a Array2<f32>, g: &'a Array2<f32>, weight: Option<&'a [f32]>) -> LayerRows<'a, f32> {
    let rows = LayerRows::new(a, g, Examples::EachRow).unwrap().with_bias(Bias::Homogeneous);
    weight.map_or(rows.clone(), |weight| rows.with_weight(weight).unwrap())
}

#[test]
pub(crate) fn factors_agree_with_those_of_the_processor() {
    for gpu in devices() {
        let (a, g) = (noise(600, 20, 1), noise(600, 9, 2));
        let weights: Vec<f32> = noise(1, 600, 3).iter().map(|w| w.abs()).collect();
        for weight in [None, Some(&weights[..])] {
            let rows = layer(&a, &g, weight);
            let spec = LayerSpec::of(0, &rows);
            let mut processor = CovarianceAccumulator::new(spec).unwrap();
            let mut on_device = processor.clone();
            for _ in 0..2 {
                processor.update(&rows).unwrap();
                update_blocking(&gpu, &mut on_device, &rows).unwrap();
            }
            assert_eq!((on_device.rows(), on_device.examples()), (1200, 1200));
            assert!((on_device.weight() - processor.weight()).abs() < 1e-9);
            for (got, expected) in [
                (on_device.activation().unwrap(), processor.activation().unwrap()),
                (on_device.gradient().unwrap(), processor.gradient().unwrap()),
            ] {
                let error = (&got - &expected).mapv(f64::abs);
                assert!(error.iter().all(|e| *e < 1e-5), "{error}");
            }
        }
    }
}

#[test]
pub(crate) fn rotations_go_there_and_back() {
    for gpu in devices() {
        let (x, q) = (noise(10, 12, 1), noise(12, 12, 2));
        let [on_device, of_q] = [&x, &q].map(|x| gpu.upload(x).unwrap());
        for (back, by) in [(false, q.clone()), (true, q.t().to_owned())] {
            let got = gpu.read_blocking(&rotate(&gpu, &on_device, &of_q, back).unwrap()).unwrap();
            let (x, by) = (x.mapv(f64::from), by.mapv(f64::from));
            within(&got, &x.dot(&by), &(x.mapv(f64::abs).dot(&by.mapv(f64::abs)) * 16.0 * U), "rotation");
        }
    }
}

#[test]
pub(crate) fn sizes_that_do_not_fit_are_named() {
    for gpu in devices() {
        let x = gpu.zeros(3, 2).unwrap();
        let mut wrong = gpu.zeros(3, 3).unwrap();
        assert!(matches!(add_rank_k(&gpu, &x, None, &mut wrong), Err(Error::Shape { what: "out", .. })));
        let (a, g) = (noise(4, 3, 1), noise(4, 2, 2));
        let rows = layer(&a, &g, None);
        let other = noise(4, 5, 1);
        let mut covariance = CovarianceAccumulator::new(LayerSpec::of(0, &layer(&other, &g, None))).unwrap();
        assert!(update_blocking(&gpu, &mut covariance, &rows).is_err());
    }
}
