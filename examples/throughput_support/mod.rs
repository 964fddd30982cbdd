//! Workloads of the throughput example, one file each, and what they share.
#![expect(unreachable_pub, reason = "an example has no crate to reach from")]

pub mod attribution;
pub mod bare;
pub mod gemm;
pub mod influence;
pub mod mlp;
pub mod options;
pub mod peak;
pub mod sae;
pub mod score;
pub mod superposition;

use serde_json::{Value, json};

/// Runs `body` on a pool of `threads` threads, or on the default pool.
pub fn on_threads<V: Send>(threads: Option<usize>, body: impl FnOnce() -> V + Send) -> V {
    #[cfg(feature = "rayon")]
    if let Some(threads) = threads
        && let Ok(pool) = rayon::ThreadPoolBuilder::new().num_threads(threads).build()
    {
        return pool.install(body);
    }
    let _ = threads;
    body()
}

/// The JSON line of one workload.
pub struct Measured {
    pub workload: &'static str,
    pub sizes: Value,
    pub seconds: f64,
    pub per_second: f64,
    pub flops: f64,
    pub checks: Value,
}

impl Measured {
    pub fn line(&self) -> String {
        json!({
            "workload": self.workload,
            "sizes": self.sizes,
            "threads": limpid::math::par::threads(),
            "seconds": self.seconds,
            "per_second": self.per_second,
            "flops": self.flops,
            "peak_rss_bytes": peak_rss_bytes(),
            "checks": self.checks,
        })
        .to_string()
    }
}

/// Largest resident size of this process so far, where the system tells it.
fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}
