//! Kernels that the processor takes over, so that whoever has a bad driver finds the one at fault and goes around it.
//!
//! [`GpuSettings::on_processor`](super::GpuSettings::on_processor) or `LIMPID_GPU_ON_PROCESSOR` in the environment name kernels of
//! [`KERNELS`]: `gemm`, one entry point such as `gemm::tile64`, or `all`; in the environment with commas between them. A
//! call of such a kernel fetches the words that it would see, computes on the processor and writes what comes out back: the
//! same results within the stated rounding, and two transfers and a wait for every call. That is for finding faults and not
//! fast.

use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::array::Receive;
use super::context::{Call, GpuContext, Window, fault};
use super::kernels::{Entry, KERNELS};
use super::settings::GpuSettings;
use super::twins::Job;
use crate::{Error, GpuFault, Result};

/// Names kernels in the environment.
const VARIABLE: &str = "LIMPID_GPU_ON_PROCESSOR";

/// The entry points that the processor takes over.
#[derive(Debug, Default)]
pub(super) struct Forced {
    entries: Vec<(&'static str, &'static Entry)>,
    calls: AtomicUsize,
}

impl Forced {
    /// Those that settings and environment name.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a name that no kernel has, and in browsers, where nothing may wait.
    pub(super) fn new(settings: &GpuSettings) -> Result<Self> {
        Self::of(settings, &std::env::var(VARIABLE).unwrap_or_default())
    }

    fn of(settings: &GpuSettings, environment: &str) -> Result<Self> {
        let listed = environment.split(',').map(str::trim).filter(|name| !name.is_empty());
        let mut entries = Vec::new();
        for name in settings.on_processor.iter().map(String::as_str).chain(listed) {
            let before = entries.len();
            entries.extend(named(name));
            if entries.len() == before {
                return Err(Error::Unsupported { what: "a kernel on the processor that the table does not name" });
            }
        }
        if cfg!(target_arch = "wasm32") && !entries.is_empty() {
            return Err(Error::Unsupported { what: "kernels on the processor in browsers" });
        }
        Ok(Self { entries, calls: AtomicUsize::new(0) })
    }

    /// The entry of a call that the processor takes over.
    pub(super) fn entry(&self, call: &Call<'_>) -> Option<&'static Entry> {
        let wanted = |(kernel, entry): &&(&str, &Entry)| *kernel == call.kernel.name && entry.name == call.entry;
        self.entries.iter().find(wanted).map(|(_, entry)| *entry)
    }

    /// Calls that were taken over.
    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

/// Entries by the name of their kernel, by both names, or `all`.
fn named(name: &str) -> impl Iterator<Item = (&'static str, &'static Entry)> {
    let entries = KERNELS.iter().flat_map(|kernel| kernel.entries.iter().map(|entry| (kernel.name, entry)));
    entries.filter(move |(kernel, entry)| {
        let both = name.split_once("::");
        name == "all" || name == *kernel || both.is_some_and(|both| both == (*kernel, entry.name))
    })
}

/// The words of a window.
struct Words<'a> {
    window: Window<'a>,
    words: Vec<u32>,
}

impl Receive for Words<'_> {
    fn bytes(&self) -> u64 {
        self.window.bytes
    }

    fn source(&self, _: &GpuContext) -> Result<(wgpu::Buffer, u64)> {
        Ok((self.window.buffer.clone(), self.window.start))
    }

    fn take(&mut self, bytes: &[u8]) {
        self.words.extend_from_slice(bytemuck::cast_slice(bytes));
    }
}

impl GpuContext {
    /// Calls that the processor took over so far.
    #[must_use]
    pub fn calls_on_processor(&self) -> usize {
        self.inner.forced.calls()
    }

    /// Does a call on the processor, after all calls before.
    pub(super) fn compute(&self, call: &Call<'_>, entry: &Entry) -> Result<()> {
        let mut seen: Vec<(u32, Words<'_>)> = Vec::with_capacity(call.windows.len());
        seen.extend(call.windows.iter().map(|&(binding, window)| (binding, Words { window, words: Vec::new() })));
        let mut readings: Vec<&mut dyn Receive> = Vec::with_capacity(seen.len());
        readings.extend(seen.iter_mut().map(|(_, words)| words as &mut dyn Receive));
        wait(self.fill(&mut readings))?;
        let (mut windows, mut outputs) = (Vec::new(), Vec::new());
        for &binding in entry.writes {
            let found = seen.iter().position(|(number, _)| *number == binding);
            let Words { window, words } = seen.swap_remove(found.ok_or(fault(GpuFault::Internal, "a call"))?).1;
            windows.push(window);
            outputs.push(words);
        }
        let inputs = seen.into_iter().map(|(binding, words)| (binding, words.words)).collect();
        let job = Job { parameters: call.parameters, constants: call.constants, inputs };
        (entry.twin)(&job, &mut outputs)?;
        for (window, words) in windows.into_iter().zip(&outputs) {
            self.write(window.buffer, window.start, bytemuck::cast_slice(words))?;
        }
        self.inner.forced.calls.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn wait(reading: impl Future<Output = Result<()>>) -> Result<()> {
    pollster::block_on(reading)
}

/// Nothing is named that would come here.
#[cfg(target_arch = "wasm32")]
fn wait(_: impl Future<Output = Result<()>>) -> Result<()> {
    Err(Error::Unsupported { what: "kernels on the processor in browsers" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::borrow::ToOwned;
    use alloc::vec;

    #[test]
    fn kernels_are_named_by_settings_and_environment() {
        let names = |settings: &[&str], environment: &str| {
            let on_processor = settings.iter().map(|&name| name.to_owned()).collect();
            let forced = Forced::of(&GpuSettings { on_processor, ..GpuSettings::default() }, environment);
            forced.map(|forced| forced.entries.iter().map(|(kernel, entry)| (*kernel, entry.name)).collect::<Vec<_>>())
        };
        assert_eq!(names(&[], "").unwrap(), []);
        let expected = vec![("gemm", "few_rows"), ("select", "top_k"), ("pairs", "stats"), ("pairs", "histogram")];
        assert_eq!(names(&["gemm::few_rows"], " select, pairs,").unwrap(), expected);
        assert_eq!(
            names(&["all"], "").unwrap().len(),
            KERNELS.iter().map(|kernel| kernel.entries.len()).sum::<usize>()
        );
        for (settings, environment) in [(&["gem"][..], ""), (&[], "gemm,slect"), (&["gemm::stats"], "all")] {
            assert!(
                matches!(names(settings, environment), Err(Error::Unsupported { .. })),
                "{settings:?} {environment}"
            );
        }
    }
}
