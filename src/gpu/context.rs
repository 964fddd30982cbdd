//! A device, its pipelines and buffers, and the commands that wait for it.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use std::collections::HashMap;
use std::sync::Mutex;

use super::faults::{Faults, kind, lock};
use super::host::Forced;
use super::kernels::Kernel;
use super::pool::{Pool, Pooled};
use super::settings::{GpuAdapter, GpuSettings};
use crate::error::check_limit;
use crate::{Error, GpuFault, Result};

/// Calls that are sent to the device together.
const TOGETHER: usize = 256;

/// Bytes between the parameters of two calls: what uniform bindings must be aligned to.
const SLOT: u64 = 256;

/// A graphics device. Cheap to clone; all clones are one device.
///
/// Calls are put into a queue and return at once; only reading waits. A call that fails on the device shows as
/// [`Error::Gpu`] at the next call or read. A lost device says so at every call, and a new context can be made.
///
/// # Example
/// ```no_run
/// use limpid::gpu::{GpuContext, GpuSettings, gemm};
/// use ndarray::array;
///
/// let gpu = GpuContext::new(GpuSettings::default())?;
/// let a = gpu.upload(&array![[1.0_f32, 2.0], [3.0, 4.0]])?;
/// let product = gemm::product(&gpu, &a, &a)?;
/// assert_eq!(gpu.read_blocking(&product)?, array![[7.0, 10.0], [15.0, 22.0]]);
/// # Ok::<(), limpid::Error>(())
/// ```
#[derive(Clone)]
pub struct GpuContext {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    pub(super) settings: GpuSettings,
    pub(super) faults: Arc<Faults>,
    pub(super) forced: Forced,
    pool: Arc<Pool>,
    pipelines: Mutex<Pipelines>,
    recorder: Mutex<Recorder>,
    /// Parameters of the calls that wait.
    parameters: wgpu::Buffer,
    /// Stands where a kernel has a binding that a call does not need.
    pub(super) blank: wgpu::Buffer,
    binding_bytes: u64,
    buffer_bytes: u64,
}

/// Pipelines by kernel, entry point and constants.
type Pipelines = HashMap<(&'static str, &'static str, u32), Arc<Prepared>>;

/// A pipeline and the layout of its bindings.
struct Prepared {
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
}

/// Calls that wait to be sent.
#[derive(Default)]
struct Recorder {
    encoder: Option<wgpu::CommandEncoder>,
    calls: usize,
}

/// A part of a buffer that a kernel sees.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window<'a> {
    pub(super) buffer: &'a wgpu::Buffer,
    /// First byte, aligned as bindings must be.
    pub(super) start: u64,
    pub(super) bytes: u64,
    /// Elements from the start of the window to the first that is meant.
    pub(super) skip: u32,
}

/// One call of a kernel.
pub(super) struct Call<'a> {
    pub(super) kernel: &'static Kernel,
    pub(super) entry: &'static str,
    /// Constants of the pipeline.
    pub(super) constants: &'a [(&'static str, bool)],
    /// Words of the uniform parameters.
    pub(super) parameters: &'a [u32],
    /// Windows by number of binding.
    pub(super) windows: &'a [(u32, Window<'a>)],
    /// Workgroups.
    pub(super) groups: (u32, u32),
}

impl fmt::Debug for GpuContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GpuContext").field("adapter", &self.inner.info.name).finish_non_exhaustive()
    }
}

impl GpuContext {
    /// Opens a device, and waits for it.
    ///
    /// # Errors
    /// [`Error::Gpu`] with [`GpuFault::NoAdapter`] or [`GpuFault::NoDevice`]; [`Error::Unsupported`] for kernels on the processor
    /// that do not exist, or in browsers.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn new(settings: GpuSettings) -> Result<Self> {
        pollster::block_on(Self::request(settings))
    }

    /// Opens a device, in browsers too.
    ///
    /// # Errors
    /// [`Error::Gpu`] with [`GpuFault::NoAdapter`] or [`GpuFault::NoDevice`]; [`Error::Unsupported`] for kernels on the processor
    /// that do not exist, or in browsers.
    pub async fn request(settings: GpuSettings) -> Result<Self> {
        let forced = Forced::new(&settings)?;
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgpu::Backends::from_env().unwrap_or(wgpu::Backends::all());
        let instance = wgpu::Instance::new(descriptor);
        let adapter = adapter(&instance, &settings.adapter).await?;
        // limits of every browser but for sizes, so that kernels stay portable
        let has = adapter.limits();
        let limits = wgpu::Limits {
            max_storage_buffer_binding_size: has.max_storage_buffer_binding_size,
            max_buffer_size: has.max_buffer_size,
            ..wgpu::Limits::default()
        };
        let wanted = wgpu::DeviceDescriptor { required_limits: limits.clone(), ..wgpu::DeviceDescriptor::default() };
        let opened = adapter.request_device(&wanted).await;
        let (device, queue) = opened.map_err(|_| fault(GpuFault::NoDevice, "opening a device"))?;
        let faults = Arc::new(Faults::default());
        faults.listen(&device);
        let buffer = |size, usage| {
            device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
        };
        let parameters = buffer(TOGETHER as u64 * SLOT, wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST);
        let blank = buffer(SLOT, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC);
        faults.check("opening a device")?;
        let binding_bytes = limits.max_storage_buffer_binding_size.min(settings.max_binding_bytes.unwrap_or(u64::MAX));
        let inner = Inner {
            info: adapter.get_info(),
            pool: Arc::new(Pool::new(settings.pool_bytes)),
            pipelines: Mutex::default(),
            recorder: Mutex::default(),
            buffer_bytes: limits.max_buffer_size,
            binding_bytes,
            device,
            queue,
            settings,
            faults,
            forced,
            parameters,
            blank,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Name of the adapter.
    #[must_use]
    pub fn adapter(&self) -> &str {
        &self.inner.info.name
    }

    /// The back end in words, such as `vulkan`.
    #[must_use]
    pub fn backend(&self) -> &'static str {
        self.inner.info.backend.to_str()
    }

    /// Whether the adapter computes on the processor.
    #[must_use]
    pub fn is_software(&self) -> bool {
        self.inner.info.device_type == wgpu::DeviceType::Cpu
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &GpuSettings {
        &self.inner.settings
    }

    /// Whether the device is gone.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.inner.faults.is_lost()
    }

    /// The driver's own words on the first fault.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        self.inner.faults.message()
    }

    /// Gives the device up: every later call fails with [`GpuFault::Lost`].
    pub fn destroy(&self) {
        self.inner.faults.lose(String::from("the context was destroyed"));
        self.inner.device.destroy();
    }

    /// Sends all calls that wait to the device, without waiting for their results.
    ///
    /// # Errors
    /// [`Error::Gpu`] for whatever went wrong since the last call.
    pub fn submit(&self) -> Result<()> {
        self.check("sending calls")?;
        self.flush(&mut lock(&self.inner.recorder));
        self.check("sending calls")
    }

    pub(super) fn check(&self, what: &'static str) -> Result<()> {
        self.inner.faults.check(what)
    }

    fn flush(&self, recorder: &mut Recorder) {
        recorder.calls = 0;
        if let Some(encoder) = recorder.encoder.take() {
            self.inner.queue.submit([encoder.finish()]);
            // lets the driver's bookkeeping run; it does not wait
            let _ = self.inner.device.poll(wgpu::PollType::Poll);
        }
    }

    /// Most rows of `columns` numbers that one window shows.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where not even one row does.
    pub(super) fn rows_at_once(&self, columns: usize) -> Result<usize> {
        // a window starts up to a slot too early
        let elements = usize::try_from(self.inner.binding_bytes.saturating_sub(2 * SLOT) / 4).unwrap_or(usize::MAX);
        check_limit("columns on the device", columns, elements)?;
        let rows = elements / columns.max(1);
        Ok(if rows > 128 { rows - rows % 128 } else { rows })
    }

    /// Checks that one window shows this many numbers from the start of a buffer.
    pub(super) fn check_window(&self, numbers: usize) -> Result<()> {
        let most = usize::try_from(self.inner.binding_bytes / SLOT * (SLOT / 4)).unwrap_or(usize::MAX);
        check_limit("numbers that a kernel needs at once", numbers, most)
    }

    /// A buffer for this many 4-byte elements, with whatever content.
    pub(super) fn allocate(&self, elements: usize) -> Result<Pooled> {
        self.check("allocation")?;
        let most = usize::try_from(self.inner.buffer_bytes / 4).unwrap_or(usize::MAX).min(u32::MAX as usize);
        // size classes round up by at most an eighth
        check_limit("numbers of an array on the device", elements, most / 9 * 8)?;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let pooled = self.inner.pool.take(&self.inner.device, 4 * elements as u64, usage);
        self.check("allocation")?;
        Ok(pooled)
    }

    /// Overwrites a buffer from some byte on; calls that wait still see the old content.
    pub(super) fn write(&self, to: &wgpu::Buffer, start: u64, bytes: &[u8]) -> Result<()> {
        self.submit()?;
        self.inner.queue.write_buffer(to, start, bytes);
        self.check("upload")
    }

    /// Puts zeros into a buffer, in turn with the calls.
    pub(super) fn clear(&self, buffer: &wgpu::Buffer) -> Result<()> {
        self.check("clearing")?;
        let mut recorder = lock(&self.inner.recorder);
        self.encoder(&mut recorder).clear_buffer(buffer, 0, None);
        Ok(())
    }

    /// Copies the first bytes of a buffer, in turn with the calls.
    pub(super) fn copy(&self, from: &wgpu::Buffer, to: &wgpu::Buffer, bytes: u64) -> Result<()> {
        self.check("copying")?;
        let mut recorder = lock(&self.inner.recorder);
        self.encoder(&mut recorder).copy_buffer_to_buffer(from, 0, to, 0, Some(bytes));
        Ok(())
    }

    fn encoder<'r>(&self, recorder: &'r mut Recorder) -> &'r mut wgpu::CommandEncoder {
        let device = &self.inner.device;
        recorder
            .encoder
            .get_or_insert_with(|| device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default()))
    }

    /// Puts a call without constants into the queue.
    pub(super) fn run(
        &self,
        kernel: &'static Kernel,
        entry: &'static str,
        parameters: &[u32],
        windows: &[(u32, Window<'_>)],
        groups: (u32, u32),
    ) -> Result<()> {
        self.call(&Call { kernel, entry, constants: &[], parameters, windows, groups })
    }

    /// Puts a call into the queue, or does it on the processor where that is wanted; one without workgroups is nothing.
    pub(super) fn call(&self, call: &Call<'_>) -> Result<()> {
        self.check(call.kernel.name)?;
        if call.groups.0 == 0 || call.groups.1 == 0 {
            return Ok(());
        }
        if let Some(entry) = self.inner.forced.entry(call) {
            return self.compute(call, entry);
        }
        let prepared = self.prepared(call)?;
        let mut recorder = lock(&self.inner.recorder);
        if recorder.calls == TOGETHER {
            self.flush(&mut recorder);
        }
        let slot = recorder.calls as u64 * SLOT;
        recorder.calls += 1;
        let bytes: &[u8] = bytemuck::cast_slice(call.parameters);
        self.inner.queue.write_buffer(&self.inner.parameters, slot, bytes);
        let parameters = (0, Window { buffer: &self.inner.parameters, start: slot, bytes: SLOT, skip: 0 });
        let entries: Vec<wgpu::BindGroupEntry<'_>> = core::iter::once(&parameters)
            .chain(call.windows)
            .map(|(binding, window)| wgpu::BindGroupEntry { binding: *binding, resource: window.resource() })
            .collect();
        let group = self.inner.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(call.entry),
            layout: &prepared.layout,
            entries: &entries,
        });
        let encoder = self.encoder(&mut recorder);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&prepared.pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(call.groups.0, call.groups.1, 1);
        drop(pass);
        drop(recorder);
        self.check(call.kernel.name)
    }

    /// The pipeline of a call, compiled when it is first needed.
    fn prepared(&self, call: &Call<'_>) -> Result<Arc<Prepared>> {
        let bits = call.constants.iter().rev().fold(0, |bits, (_, value)| bits << 1 | u32::from(*value));
        let key = (call.kernel.name, call.entry, bits);
        if let Some(prepared) = lock(&self.inner.pipelines).get(&key) {
            return Ok(Arc::clone(prepared));
        }
        let device = &self.inner.device;
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(call.kernel.name),
            source: wgpu::ShaderSource::Wgsl(call.kernel.source.into()),
        });
        let constants: Vec<(&str, f64)> =
            call.constants.iter().map(|(name, value)| (*name, f64::from(u8::from(*value)))).collect();
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(call.entry),
            layout: None,
            module: &module,
            entry_point: Some(call.entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                // every kernel writes what it reads
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        self.check("compiling a kernel")?;
        let prepared = Arc::new(Prepared { layout: pipeline.get_bind_group_layout(0), pipeline });
        lock(&self.inner.pipelines).insert(key, Arc::clone(&prepared));
        Ok(prepared)
    }

    /// A buffer that the processor can read, of at least this many bytes.
    pub(super) fn staging(&self, bytes: u64) -> Pooled {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        self.inner.pool.take(&self.inner.device, bytes, usage)
    }

    /// Sends the calls that wait and copies after them, of bytes `(buffer, start, count)` one after another to `to`; errors of just
    /// this come back through the future.
    pub(super) fn send_copies(
        &self,
        parts: &[(wgpu::Buffer, u64, u64)],
        to: &wgpu::Buffer,
    ) -> impl Future<Output = Option<GpuFault>> + use<> {
        let scope = self.inner.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let mut recorder = lock(&self.inner.recorder);
        let mut at = 0;
        for (from, start, bytes) in parts {
            self.encoder(&mut recorder).copy_buffer_to_buffer(from, *start, to, at, Some(*bytes));
            at += bytes;
        }
        self.flush(&mut recorder);
        let popped = scope.pop();
        async move { popped.await.map(|error| kind(&error)) }
    }
}

impl Window<'_> {
    fn resource(&self) -> wgpu::BindingResource<'_> {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: self.buffer,
            offset: self.start,
            size: wgpu::BufferSize::new(self.bytes),
        })
    }
}

/// `0..count` in pieces of `at_once`, the last one shorter.
pub(super) fn pieces(count: usize, at_once: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).step_by(at_once).map(move |first| first..count.min(first + at_once))
}

/// Workgroups for `count` pieces of work, which a kernel counts row by row: no dimension may exceed 65535.
///
/// # Errors
/// [`Error::TooLarge`] beyond the square of that.
pub(super) fn grid(count: usize) -> Result<(u32, u32)> {
    const MOST: usize = 65_535;
    check_limit("workgroups", count, MOST * MOST)?;
    let rows = count.div_ceil(MOST);
    let columns = count.div_ceil(rows.max(1));
    Ok((word(columns)?, word(rows)?))
}

/// A size as the kernels take it.
///
/// # Errors
/// [`Error::TooLarge`] beyond 32 bits.
pub(super) fn word(size: usize) -> Result<u32> {
    u32::try_from(size).map_err(|_| Error::TooLarge { what: "size on the device", got: size, limit: u32::MAX as usize })
}

pub(super) fn fault(fault: GpuFault, what: &'static str) -> Error {
    Error::Gpu { fault, what }
}

async fn adapter(instance: &wgpu::Instance, wanted: &GpuAdapter) -> Result<wgpu::Adapter> {
    if let GpuAdapter::Named(name) = wanted {
        let name = name.to_lowercase();
        let mut all = instance.enumerate_adapters(wgpu::Backends::all()).await.into_iter();
        let found = all.find(|adapter| adapter.get_info().name.to_lowercase().contains(&name));
        return found.ok_or_else(|| fault(GpuFault::NoAdapter, "choice of an adapter by name"));
    }
    let power_preference = match wanted {
        GpuAdapter::LowPower => wgpu::PowerPreference::LowPower,
        _ => wgpu::PowerPreference::HighPerformance,
    };
    let force_fallback_adapter = *wanted == GpuAdapter::Software;
    let options = wgpu::RequestAdapterOptions {
        power_preference,
        force_fallback_adapter,
        ..wgpu::RequestAdapterOptions::default()
    };
    let found = instance.request_adapter(&options).await;
    found.map_err(|_| fault(GpuFault::NoAdapter, "choice of an adapter"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_hold_all_workgroups_and_few_more() {
        for count in [0, 1, 65_535, 65_536, 131_071, 10_000_019] {
            let (x, y) = grid(count).unwrap();
            let (x, y) = (x as usize, y as usize);
            assert!(x * y >= count && x <= 65_535 && y <= 65_535 && x * y < count + y.max(1), "{count}");
        }
        assert!(grid(usize::MAX).is_err());
    }
}
