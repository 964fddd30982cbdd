//! Sums within their stated bounds.

use limpid::gpu::reduce::{Term, add_total, column_sums, row_sums, total};
use ndarray::{Array2, Axis, array};

use crate::support::{U, devices, noise, within};

const SIZES: [(usize, usize); 7] = [(1, 1), (1, 5000), (2000, 1), (3, 255), (70, 257), (33, 32), (300, 500)];

fn of(term: Term, x: f32) -> f64 {
    let x = f64::from(x);
    match term {
        Term::Value => x,
        Term::Square => x * x,
        Term::Active => f64::from(u8::from(x != 0.0)),
    }
}

#[test]
pub(crate) fn rows_columns_and_totals_agree() {
    for gpu in devices() {
        for (rows, columns) in SIZES {
            let mut x = noise(rows, columns, 1);
            x.iter_mut().step_by(3).for_each(|x| *x = 0.0);
            for term in [Term::Value, Term::Square, Term::Active] {
                // no window shows 5000 numbers of one row where windows are narrow
                let Ok(on_device) = row_sums(&gpu, &gpu.upload(&x).unwrap(), term) else { continue };
                let terms = x.mapv(|x| of(term, x));
                let sums = |axis: usize| {
                    let exact = terms.sum_axis(Axis(axis)).insert_axis(Axis(0));
                    let bound = terms.mapv(f64::abs).sum_axis(Axis(axis)).insert_axis(Axis(0));
                    let n = terms.len_of(Axis(axis)) as f64;
                    (exact, bound * (n / 8.0 + 10.0) * U)
                };
                let (exact, bound) = sums(1);
                within(&gpu.read_blocking(&on_device).unwrap(), &exact, &bound, "rows");
                let on_device = gpu.upload(&x).unwrap();
                let (exact, bound) = sums(0);
                let columns = column_sums(&gpu, &on_device, term).unwrap();
                within(&gpu.read_blocking(&columns).unwrap(), &exact, &bound, "columns");
                let mut all = total(&gpu, &on_device, term).unwrap();
                add_total(&gpu, &on_device, term, 2.0, &mut all).unwrap();
                let size = array![[terms.mapv(f64::abs).sum()]];
                let bound = size * 3.0 * ((rows + columns.columns()) as f64 / 8.0 + 20.0) * U;
                within(&gpu.read_blocking(&all).unwrap(), &array![[3.0 * terms.sum()]], &bound, "total");
            }
        }
    }
}

#[test]
pub(crate) fn sums_of_nothing_are_zero() {
    for gpu in devices() {
        let (tall, flat) = (gpu.zeros::<f32>(3, 0).unwrap(), gpu.zeros::<f32>(0, 3).unwrap());
        let zeros = |n: usize| Array2::<f32>::zeros((1, n));
        assert_eq!(gpu.read_blocking(&row_sums(&gpu, &tall, Term::Value).unwrap()).unwrap(), zeros(3));
        assert_eq!(gpu.read_blocking(&column_sums(&gpu, &flat, Term::Value).unwrap()).unwrap(), zeros(3));
        assert_eq!(gpu.read_blocking(&total(&gpu, &flat, Term::Square).unwrap()).unwrap(), zeros(1));
    }
}
