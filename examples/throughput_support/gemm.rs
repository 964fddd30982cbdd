//! Dense products, beside the fused-multiply-add peak measured in the same run.

use std::time::Instant;

use limpid::Seed;
use limpid::math::gemm::product_into;
use limpid::math::random::fill_normal;
use ndarray::Array2;
use serde_json::json;

use super::options::Options;
use super::{Measured, peak};

pub fn run(options: &Options) -> Result<String, String> {
    let [m, k, n, iterations] =
        options.sizes([("m", 4096, 128), ("k", 512, 64), ("n", 4096, 128), ("iterations", 10, 2)])?;
    let (a, b) = (noise(m, k, 0), noise(k, n, 1));
    let mut c = Array2::<f32>::zeros((m, n));
    let multiply = |c: &mut Array2<f32>| product_into(&a, &b, c).map_err(|error| error.to_string());
    let mut peak_flops = peak::peak_flops();
    multiply(&mut c)?;
    let start = Instant::now();
    for _ in 0..iterations {
        multiply(&mut c)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    peak_flops = peak_flops.max(peak::peak_flops());
    let per_second = 2.0 * (m * k * n * iterations) as f64 / seconds;
    let share = per_second / peak_flops / limpid::math::par::threads() as f64;
    Ok(Measured {
        workload: "gemm",
        sizes: json!({"m": m, "k": k, "n": n, "iterations": iterations}),
        seconds,
        per_second,
        flops: per_second,
        checks: json!({
            "largest_error": largest_error(&a, &b, &c),
            "peak_flops_per_core": peak_flops,
            "share_of_peak_per_core": share,
        }),
    }
    .line())
}

fn noise(rows: usize, columns: usize, item: u64) -> Array2<f32> {
    let mut values = vec![0.0; rows * columns];
    fill_normal(&mut Seed(0).stream(0, item), 1.0, &mut values);
    Array2::from_shape_fn((rows, columns), |(i, j)| values[i * columns + j])
}

/// Largest difference to a product in double precision, over a sample of entries.
fn largest_error(a: &Array2<f32>, b: &Array2<f32>, c: &Array2<f32>) -> f64 {
    let (m, n) = c.dim();
    let exact = |i: usize, j: usize| -> f64 {
        a.row(i).iter().zip(b.column(j)).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
    };
    (0..1000)
        .map(|t| (t * 7919 % m, t * 104_729 % n))
        .map(|(i, j)| (f64::from(c[[i, j]]) - exact(i, j)).abs())
        .fold(0.0, f64::max)
}
