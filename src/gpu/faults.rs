//! What went wrong on a device, kept until somebody asks.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{Error, GpuFault, Result};

/// Faults of one device. The driver's callbacks write here, every entry of the context reads.
#[derive(Debug, Default)]
pub(super) struct Faults {
    lost: AtomicBool,
    first: Mutex<Option<GpuFault>>,
    message: Mutex<Option<String>>,
}

/// A lock that a panic elsewhere does not take away: what it guards is valid at every moment.
pub(super) fn lock<V>(mutex: &Mutex<V>) -> MutexGuard<'_, V> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kind of an error that the driver reports.
pub(super) fn kind(error: &wgpu::Error) -> GpuFault {
    match error {
        wgpu::Error::OutOfMemory { .. } => GpuFault::OutOfMemory,
        wgpu::Error::Validation { .. } => GpuFault::Refused,
        wgpu::Error::Internal { .. } => GpuFault::Internal,
    }
}

impl Faults {
    /// Makes the driver report to this instead of panicking.
    pub(super) fn listen(self: &Arc<Self>, device: &wgpu::Device) {
        let faults = Arc::clone(self);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| faults.report(&error)));
        let faults = Arc::clone(self);
        device.set_device_lost_callback(move |_, message| faults.lose(message));
    }

    pub(super) fn report(&self, error: &wgpu::Error) {
        lock(&self.first).get_or_insert(kind(error));
        lock(&self.message).get_or_insert_with(|| error.to_string());
    }

    pub(super) fn lose(&self, message: String) {
        self.lost.store(true, Ordering::SeqCst);
        lock(&self.message).get_or_insert(message);
    }

    /// Whether the device is gone.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }

    /// The driver's own words on the first fault.
    pub(super) fn message(&self) -> Option<String> {
        lock(&self.message).clone()
    }

    /// The error of a lost device at every call, of another fault once.
    pub(super) fn check(&self, what: &'static str) -> Result<()> {
        if self.is_lost() {
            return Err(Error::Gpu { fault: GpuFault::Lost, what });
        }
        lock(&self.first).take().map_or(Ok(()), |fault| Err(Error::Gpu { fault, what }))
    }
}
