//! Sparse decoding and its transpose against double precision; the samples of latents exactly.

use limpid::Seed;
use limpid::gpu::select::TopK;
use limpid::gpu::sparse::{Uses, by_features, decode, residual};
use limpid::gpu::{GpuContext, select};
use limpid::math::random::{choose, uniform};
use ndarray::{Array1, Array2, Axis};

use crate::support::{U, devices, noise, within};

/// `(b, d, m, k)`; one width that four does not divide, one sample, more slots than threads of some workgroup.
const SIZES: [(usize, usize, usize, usize); 4] = [(1, 3, 10, 2), (9, 16, 40, 5), (40, 33, 70, 7), (5, 300, 90, 70)];

/// Features with some that are 0, in slots; and the same as a matrix.
fn features(b: usize, m: usize, k: usize) -> (Array2<u32>, Array2<f32>, Array2<f64>) {
    let mut stream = Seed(5).stream(0, m as u64);
    let (mut indices, mut values) = (Array2::zeros((b, k)), Array2::zeros((b, k)));
    let mut dense = Array2::zeros((b, m));
    for row in 0..b {
        let mut latents: Vec<usize> = (0..m).collect();
        choose(&mut stream, k, &mut latents);
        latents[..k].sort_unstable();
        for (slot, &latent) in latents[..k].iter().enumerate() {
            let value: f32 = uniform(&mut stream);
            let value = if value < 0.3 { 0.0 } else { value };
            indices[[row, slot]] = u32::try_from(latent).unwrap();
            values[[row, slot]] = value;
            dense[[row, latent]] = f64::from(value);
        }
    }
    (indices, values, dense)
}

fn upload(gpu: &GpuContext, indices: &Array2<u32>, values: &Array2<f32>) -> TopK {
    TopK { values: gpu.upload(values).unwrap(), indices: gpu.upload(indices).unwrap() }
}

#[test]
pub(crate) fn decoding_and_gradients_by_features_agree() {
    for gpu in devices() {
        for (b, d, m, k) in SIZES {
            let (indices, values, dense) = features(b, m, k);
            let codes = upload(&gpu, &indices, &values);
            let (w, shift, g) = (noise(m, d, 1), noise(1, d, 2), noise(b, d, 3));
            let [on_device, of_shift, of_g] = [&w, &shift, &g].map(|x| gpu.upload(x).unwrap());
            let out = decode(&gpu, &codes, &on_device, &of_shift).unwrap();
            let (w, g) = (w.mapv(f64::from), g.mapv(f64::from));
            let exact = dense.dot(&w) + &shift.mapv(f64::from);
            let bound = (dense.dot(&w.mapv(f64::abs)) + &shift.mapv(|x| f64::from(x.abs()))) * (k as f64 + 2.0) * U;
            within(&gpu.read_blocking(&out).unwrap(), &exact, &bound, "decode");
            let norms = noise(1, m, 4).mapv(f32::abs);
            let of_norms = gpu.upload(&norms).unwrap();
            let by = by_features(&gpu, &codes, &on_device, &of_g, 0.5, Some(&of_norms)).unwrap();
            let full = g.dot(&w.t()) + &norms.mapv(|x| 0.5 * f64::from(x));
            let size = g.mapv(f64::abs).dot(&w.t().mapv(f64::abs)) + &norms.mapv(f64::from);
            let slots = |of: &Array2<f64>| {
                Array2::from_shape_fn((b, k), |(row, slot)| {
                    if values[[row, slot]] > 0.0 { of[[row, indices[[row, slot]] as usize]] } else { 0.0 }
                })
            };
            let bound = slots(&size) * (d as f64 / 64.0 + 9.0) * U;
            within(&gpu.read_blocking(&by).unwrap(), &slots(&full), &bound, "by features");
        }
    }
}

#[test]
pub(crate) fn errors_and_their_squares_agree() {
    for gpu in devices() {
        for (b, d) in [(1, 1), (7, 33), (11, 300)] {
            let (out, target) = (noise(b, d, 1), noise(b, d, 2));
            let mut errors = gpu.upload(&out).unwrap();
            let squares = residual(&gpu, &mut errors, &gpu.upload(&target).unwrap(), 0.25).unwrap();
            let error = &out - &target;
            assert_eq!(gpu.read_blocking(&errors).unwrap(), error.mapv(|e| 0.25 * e));
            let exact = error.mapv(|e| f64::from(e).powi(2)).sum_axis(Axis(1)).insert_axis(Axis(0));
            let bound = &exact * (d as f64 / 256.0 + 12.0) * U;
            within(&gpu.read_blocking(&squares).unwrap(), &exact, &bound, "squares");
        }
    }
}

#[test]
pub(crate) fn samples_of_latents_are_counted_and_summed_in_order() {
    for gpu in devices() {
        for (b, d, m, k) in SIZES {
            let (indices, values, dense) = features(b, m, k);
            let uses = Uses::new(&gpu, &upload(&gpu, &indices, &values), m).unwrap();
            let counts = dense.map_axis(Axis(0), |column| column.iter().map(|f| u32::from(*f != 0.0)).sum::<u32>());
            assert_eq!(gpu.read_blocking(&uses.counts).unwrap().row(0), counts);
            let (weights, rows) = (noise(b, k, 5), noise(b, d, 6));
            let [of_weights, of_rows] = [&weights, &rows].map(|x| gpu.upload(x).unwrap());
            let mut by_latent = Array2::<f64>::zeros((b, m));
            for ((row, slot), &index) in indices.indexed_iter().filter(|((row, slot), _)| values[[*row, *slot]] != 0.0)
            {
                by_latent[[row, index as usize]] = f64::from(weights[[row, slot]]);
            }
            let rows = rows.mapv(f64::from);
            let (exact, size) = (by_latent.t().dot(&rows), by_latent.t().mapv(f64::abs).dot(&rows.mapv(f64::abs)));
            let bound = size * (b as f64 + 1.0) * U;
            let (first, last) = (m / 3, m - m / 4);
            let mut out = gpu.zeros(last - first, d).unwrap();
            for (add, times) in [(false, 1.0), (true, 2.0)] {
                uses.accumulate(&gpu, (&of_weights, &of_rows), first..last, add, &mut out).unwrap();
                let part = |of: &Array2<f64>| of.slice_axis(Axis(0), (first..last).into()).mapv(|x| times * x);
                within(&gpu.read_blocking(&out).unwrap(), &part(&exact), &(part(&bound) * 2.0), "accumulate");
            }
            let mut sums = gpu.zeros(1, m).unwrap();
            uses.weigh(&gpu, &of_weights, false, &mut sums).unwrap();
            let exact: Array1<f64> = by_latent.sum_axis(Axis(0));
            let bound = by_latent.mapv(f64::abs).sum_axis(Axis(0)).insert_axis(Axis(0)) * (b as f64 + 1.0) * U;
            within(&gpu.read_blocking(&sums).unwrap(), &exact.insert_axis(Axis(0)), &bound, "weigh");
        }
    }
}

#[test]
pub(crate) fn the_same_sums_come_at_every_run() {
    for gpu in devices() {
        let (indices, values, _) = features(50, 12, 6);
        let codes = upload(&gpu, &indices, &values);
        let (weights, rows) = (gpu.upload(&noise(50, 6, 1)).unwrap(), gpu.upload(&noise(50, 20, 2)).unwrap());
        let run = || {
            let mut out = gpu.zeros(12, 20).unwrap();
            let uses = Uses::new(&gpu, &codes, 12).unwrap();
            uses.accumulate(&gpu, (&weights, &rows), 0..12, false, &mut out).unwrap();
            gpu.read_blocking(&out).unwrap()
        };
        let first = run();
        assert!((0..5).all(|_| run() == first));
    }
}

#[test]
pub(crate) fn empty_codes_give_the_shift() {
    for gpu in devices() {
        let shift = noise(1, 6, 1);
        let none = select::top_k(&gpu, &gpu.zeros(3, 0).unwrap(), 0).unwrap();
        let out = decode(&gpu, &none, &gpu.zeros(4, 6).unwrap(), &gpu.upload(&shift).unwrap()).unwrap();
        let expected = shift.broadcast((3, 6)).unwrap().to_owned();
        assert_eq!(gpu.read_blocking(&out).unwrap(), expected);
        let uses = Uses::new(&gpu, &none, 4).unwrap();
        assert_eq!(gpu.read_blocking(&uses.counts).unwrap(), Array2::<u32>::zeros((1, 4)));
    }
}
