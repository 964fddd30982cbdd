//! The choice of the largest is exactly that of the processor.

use limpid::Seed;
use limpid::gpu::select::top_k;
use limpid::gpu::{GpuContext, GpuSettings};
use limpid::math::random::below;
use limpid::math::select;
use ndarray::Array2;

use crate::support::{device, devices, narrow, noise};

fn agrees(gpu: &GpuContext, x: &Array2<f32>, k: usize) {
    let found = top_k(gpu, &gpu.upload(x).unwrap(), k).unwrap();
    let (values, indices) = (gpu.read_blocking(&found.values).unwrap(), gpu.read_blocking(&found.indices).unwrap());
    for (row, x) in x.rows().into_iter().enumerate() {
        let chosen = select::top_k(&x.to_vec(), k);
        let got: Vec<usize> = indices.row(row).iter().map(|&i| i as usize).collect();
        assert_eq!(got, chosen, "row {row}, k {k}, {x}");
        let bits = |value: &f32| value.to_bits();
        let expected: Vec<u32> = chosen.iter().map(|&i| x[i].to_bits()).collect();
        assert_eq!(values.row(row).iter().map(bits).collect::<Vec<_>>(), expected);
    }
}

#[test]
pub(crate) fn all_sizes_agree() {
    for gpu in devices() {
        for (rows, columns) in [(1, 1), (3, 7), (5, 256), (4, 257), (2, 1023), (3, 2500)] {
            for k in [1, 2, columns / 2 + 1, columns, columns + 3] {
                agrees(&gpu, &noise(rows, columns, k as u64), k);
            }
        }
    }
}

#[test]
pub(crate) fn ties_nan_infinities_and_zeros_of_both_signs_agree() {
    let Some(gpu) = device(GpuSettings::default()) else { return };
    let few = [0.0, -0.0, 1.0, -1.0, f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-40, f32::MIN_POSITIVE];
    let mut stream = Seed(3).stream(0, 0);
    for columns in [1, 5, 40, 300, 1100] {
        let x = Array2::from_shape_simple_fn((6, columns), || few[below(&mut stream, few.len())]);
        for k in 1..columns.min(12) {
            agrees(&gpu, &x, k);
        }
        agrees(&gpu, &x, columns - columns / 3);
    }
}

#[test]
pub(crate) fn nothing_is_chosen_from_nothing() {
    let Some(gpu) = device(narrow(1 << 14)) else { return };
    for (rows, columns, k) in [(0, 5, 2), (3, 0, 2), (3, 5, 0)] {
        let found = top_k(&gpu, &gpu.zeros(rows, columns).unwrap(), k).unwrap();
        assert_eq!(found.values.dim(), (rows, k.min(columns)));
        assert_eq!(gpu.read_blocking(&found.indices).unwrap().dim(), (rows, k.min(columns)));
    }
}
