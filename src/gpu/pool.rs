//! Buffers that are used again: a training step asks for the same sizes over and over.

use alloc::sync::Arc;
use alloc::vec::Vec;
use std::sync::Mutex;

use super::faults::lock;

/// Smallest buffer; every size is a multiple, so that any binding may be rounded up to it.
pub(super) const GRAIN: u64 = 256;

/// Unused buffers by size and use.
#[derive(Debug)]
pub(super) struct Pool {
    free: Mutex<Free>,
    most: u64,
}

#[derive(Debug, Default)]
struct Free {
    buffers: Vec<wgpu::Buffer>,
    bytes: u64,
}

impl Pool {
    pub(super) fn new(most: u64) -> Self {
        Self { free: Mutex::default(), most }
    }

    /// A buffer of at least this many bytes, with whatever content. Of a size class, at most an eighth too large.
    pub(super) fn take(self: &Arc<Self>, device: &wgpu::Device, bytes: u64, usage: wgpu::BufferUsages) -> Pooled {
        let size = class(bytes);
        let mut free = lock(&self.free);
        let found = free.buffers.iter().rposition(|buffer| buffer.size() == size && buffer.usage() == usage);
        let buffer = match found {
            Some(at) => {
                free.bytes -= size;
                free.buffers.swap_remove(at)
            }
            None => {
                drop(free);
                device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
            }
        };
        Pooled { pool: Arc::clone(self), buffer }
    }

    fn give(&self, buffer: wgpu::Buffer) {
        let mut free = lock(&self.free);
        if free.bytes.saturating_add(buffer.size()) <= self.most {
            free.bytes += buffer.size();
            free.buffers.push(buffer);
        }
    }
}

/// Bytes of the size class: eight classes between two powers of two.
fn class(bytes: u64) -> u64 {
    let step = (bytes.max(1).next_power_of_two() / 16).max(GRAIN);
    bytes.max(1).next_multiple_of(step)
}

/// A buffer that goes back to its pool.
#[derive(Debug)]
pub(super) struct Pooled {
    pool: Arc<Pool>,
    pub(super) buffer: wgpu::Buffer,
}

impl Drop for Pooled {
    fn drop(&mut self) {
        self.pool.give(self.buffer.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_waste_at_most_an_eighth() {
        for bytes in [0, 1, 255, 256, 257, 5000, 65_537, (1 << 20) + 1, (1 << 30) - 7] {
            let size = class(bytes);
            assert!(size >= bytes.max(1) && size.is_multiple_of(GRAIN), "{bytes}");
            assert!(size - bytes <= GRAIN.max(bytes / 8), "{bytes} {size}");
            assert_eq!(class(size), size);
        }
    }
}
