//! Contexts and data for the tests of kernels.

use std::cell::RefCell;
use std::io::Write;

use limpid::gpu::{GpuContext, GpuSettings};
use limpid::math::random::fill_normal;
use limpid::{Error, GpuFault, Seed};
use ndarray::Array2;

thread_local! {
    /// Kernels that the processor takes over on the devices that this thread opens, and these devices.
    static FORCED: RefCell<(Vec<String>, Vec<GpuContext>)> = RefCell::default();
}

/// Runs tests while the processor takes these kernels over; returns how many calls it did.
pub(crate) fn forced(name: &str, tests: &[fn()]) -> usize {
    struct End;
    // what a thread still holds when it ends, or panics, cannot be closed properly
    impl Drop for End {
        fn drop(&mut self) {
            drop(FORCED.take());
        }
    }
    FORCED.set((vec![name.to_owned()], Vec::new()));
    let _end = End;
    tests.iter().for_each(|test| test());
    FORCED.with_borrow(|(_, opened)| opened.iter().map(GpuContext::calls_on_processor).sum())
}

/// A device with these settings; `None` where there is no adapter and none is required.
pub(crate) fn device(mut settings: GpuSettings) -> Option<GpuContext> {
    FORCED.with_borrow(|(names, _)| settings.on_processor.extend(names.iter().cloned()));
    match GpuContext::new(settings) {
        Ok(context) => {
            FORCED.with_borrow_mut(|(names, opened)| {
                if !names.is_empty() {
                    opened.push(context.clone());
                }
            });
            Some(context)
        }
        Err(Error::Gpu { fault: GpuFault::NoAdapter, .. }) => {
            assert!(std::env::var("LIMPID_GPU").as_deref() != Ok("require"), "no adapter, and LIMPID_GPU=require");
            // the harness swallows what passing tests print, but not this
            let _ = std::io::stderr().write_all(b"SKIPPED: a test of the GPU, there is no adapter\n");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Settings under which kernels see no more than this many bytes of an array.
pub(crate) fn narrow(bytes: u64) -> GpuSettings {
    GpuSettings { max_binding_bytes: Some(bytes), ..GpuSettings::default() }
}

/// Both a device as it is and one with bindings of 16 KiB, so that most arrays go in pieces.
pub(crate) fn devices() -> Vec<GpuContext> {
    [GpuSettings::default(), narrow(1 << 14)].into_iter().filter_map(device).collect()
}

/// Normal numbers.
pub(crate) fn noise(rows: usize, columns: usize, item: u64) -> Array2<f32> {
    let mut x = Array2::zeros((rows, columns));
    fill_normal(&mut Seed(77).stream(0, item), 1.0, x.as_slice_mut().unwrap());
    x
}

/// Unit roundoff of single precision.
pub(crate) const U: f64 = 1.0 / (1 << 24) as f64;

/// Checks every number against an exact one, within a bound of its own.
pub(crate) fn within(got: &Array2<f32>, exact: &Array2<f64>, bound: &Array2<f64>, what: &str) {
    assert_eq!(got.dim(), exact.dim(), "{what}");
    for ((place, &got), (&exact, &bound)) in got.indexed_iter().zip(exact.iter().zip(bound)) {
        let error = (f64::from(got) - exact).abs();
        assert!(error <= bound, "{what} at {place:?}: {got} for {exact}, {error:e} above {bound:e}");
    }
}
