//! Matrices on the device, and the way there and back.

use alloc::vec::Vec;
use core::marker::PhantomData;
use core::ops::Range;

use ndarray::{Array2, ArrayRef1, ArrayRef2};

use super::context::{GpuContext, Window, fault, word};
use super::pool::{GRAIN, Pooled};
use super::ready::{Ready, pair};
use crate::error::check_shape;
use crate::{Dims, Error, GpuFault, Result};

/// Bytes that are read back at once.
const PIECE: u64 = 1 << 26;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for u32 {}
}

/// What arrays on a device hold: `f32` or `u32`.
pub trait GpuElement: sealed::Sealed + bytemuck::Pod + Send + Sync {}

impl GpuElement for f32 {}
impl GpuElement for u32 {}

/// A matrix `(rows, columns)` on a device, row-major. Vectors are matrices of one row.
///
/// Its memory goes back to the context when it is dropped.
#[derive(Debug)]
pub struct GpuArray<E> {
    context: GpuContext,
    /// `None` where there are no elements.
    pooled: Option<Pooled>,
    rows: usize,
    columns: usize,
    element: PhantomData<E>,
}

impl<E: GpuElement> GpuArray<E> {
    /// With whatever content.
    pub(super) fn uninitialised(context: &GpuContext, rows: usize, columns: usize) -> Result<Self> {
        let elements = rows.checked_mul(columns).ok_or(Error::TooLarge {
            what: "numbers of an array on the device",
            got: usize::MAX,
            limit: u32::MAX as usize,
        })?;
        context.check("allocation")?;
        let pooled = if elements == 0 { None } else { Some(context.allocate(elements)?) };
        Ok(Self { context: context.clone(), pooled, rows, columns, element: PhantomData })
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Rows and columns.
    #[must_use]
    pub fn dim(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pooled.is_none()
    }

    /// The same elements in other rows.
    pub(super) fn reshaped(mut self, rows: usize, columns: usize) -> Self {
        debug_assert_eq!(self.rows * self.columns, rows * columns, "no element is lost");
        (self.rows, self.columns) = (rows, columns);
        self
    }

    /// Some rows as a kernel of `context` sees them; a blank where there are none.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the array is on another device.
    pub(super) fn window<'a>(&'a self, context: &'a GpuContext, rows: Range<usize>) -> Result<Window<'a>> {
        if !alloc::sync::Arc::ptr_eq(&self.context.inner, &context.inner) {
            return Err(Error::Unsupported { what: "arrays of another device" });
        }
        let Some(pooled) = self.pooled.as_ref().filter(|_| !rows.is_empty()) else {
            return Ok(context.blank());
        };
        let row = 4 * self.columns as u64;
        let (first, end) = (rows.start as u64 * row, rows.end as u64 * row);
        let start = first - first % GRAIN;
        let skip = word(usize::try_from((first - start) / 4).unwrap_or(usize::MAX))?;
        Ok(Window { buffer: &pooled.buffer, start, bytes: (end - start).next_multiple_of(16), skip })
    }

    /// All of it.
    pub(super) fn whole<'a>(&'a self, context: &'a GpuContext) -> Result<Window<'a>> {
        context.check_window(self.rows * self.columns)?;
        self.window(context, 0..self.rows)
    }

    /// Checks the shape.
    pub(super) fn check_dim(&self, what: &'static str, expected: (usize, usize)) -> Result<()> {
        if self.dim() == expected {
            return Ok(());
        }
        let (expected, got) = (Dims::new(&[expected.0, expected.1]), Dims::new(&[self.rows, self.columns]));
        Err(Error::Shape { what, expected, got })
    }

    /// A copy with memory of its own.
    ///
    /// # Errors
    /// [`Error::Gpu`].
    pub fn duplicate(&self) -> Result<Self> {
        let copy = Self::uninitialised(&self.context, self.rows, self.columns)?;
        if let (Some(from), Some(to)) = (&self.pooled, &copy.pooled) {
            self.context.copy(&from.buffer, &to.buffer, 4 * (self.rows * self.columns) as u64)?;
        }
        Ok(copy)
    }

    /// Sets every element to 0.
    ///
    /// # Errors
    /// [`Error::Gpu`].
    pub fn clear(&mut self) -> Result<()> {
        self.pooled.as_ref().map_or(Ok(()), |pooled| self.context.clear(&pooled.buffer))
    }

    /// Overwrites the elements with `values` of the same shape.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Gpu`].
    pub fn write(&mut self, values: &ArrayRef2<E>) -> Result<()> {
        check_shape("values", values, &[self.rows, self.columns])?;
        let values = values.as_standard_layout();
        match (&self.pooled, values.as_slice()) {
            (Some(pooled), Some(values)) => self.context.write(&pooled.buffer, 0, bytemuck::cast_slice(values)),
            _ => Ok(()),
        }
    }
}

impl GpuContext {
    /// Copies `values: (rows, columns)` to the device.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Gpu`].
    pub fn upload<E: GpuElement>(&self, values: &ArrayRef2<E>) -> Result<GpuArray<E>> {
        let mut array = GpuArray::uninitialised(self, values.nrows(), values.ncols())?;
        array.write(values)?;
        Ok(array)
    }

    /// Copies `values: (n)` to the device, as a matrix of one row.
    ///
    /// # Errors
    /// As [`GpuContext::upload`].
    pub fn upload_vector<E: GpuElement>(&self, values: &ArrayRef1<E>) -> Result<GpuArray<E>> {
        self.upload(&values.view().insert_axis(ndarray::Axis(0)))
    }

    /// Zeros `(rows, columns)`.
    ///
    /// # Errors
    /// As [`GpuContext::upload`].
    pub fn zeros<E: GpuElement>(&self, rows: usize, columns: usize) -> Result<GpuArray<E>> {
        let mut array = GpuArray::uninitialised(self, rows, columns)?;
        array.clear()?;
        Ok(array)
    }

    /// Copies an array from the device, after all calls before. Elsewhere than in browsers the thread waits meanwhile.
    ///
    /// # Errors
    /// [`Error::Gpu`] for whatever went wrong since the last call.
    pub async fn read<E: GpuElement>(&self, array: &GpuArray<E>) -> Result<Array2<E>> {
        let [values] = self.read_many([array]).await?;
        Ok(values)
    }

    /// As [`GpuContext::read`] for several arrays, which come together: small ones cost one wait.
    ///
    /// # Errors
    /// As [`GpuContext::read`].
    pub async fn read_many<E: GpuElement, const N: usize>(&self, arrays: [&GpuArray<E>; N]) -> Result<[Array2<E>; N]> {
        let mut readings = arrays.map(Reading::new);
        self.fill(&mut readings.each_mut().map(|reading| reading as &mut dyn Receive)).await?;
        let mut values = Vec::with_capacity(N);
        for reading in readings {
            values.push(reading.finish()?);
        }
        values.try_into().map_err(|_| fault(GpuFault::Internal, "reading"))
    }

    /// Fills all readings, in as few submissions and waits as their sizes allow.
    pub(super) async fn fill(&self, readings: &mut [&mut dyn Receive]) -> Result<()> {
        self.check("reading")?;
        let mut waiting = Vec::new();
        let mut room = PIECE;
        for at in 0..readings.len() {
            let bytes = readings[at].bytes();
            let mut start = 0;
            while start < bytes {
                let piece = room.min(bytes - start);
                waiting.push(Part { reading: at, start, bytes: piece });
                (start, room) = (start + piece, room - piece);
                if room == 0 {
                    self.fetch(readings, &mut waiting).await?;
                    room = PIECE;
                }
            }
        }
        self.fetch(readings, &mut waiting).await?;
        self.check("reading")
    }

    /// Copies parts of arrays to one buffer and hands them on, in one submission.
    async fn fetch(&self, readings: &mut [&mut dyn Receive], parts: &mut Vec<Part>) -> Result<()> {
        let total = parts.iter().map(|part| part.bytes).sum();
        if total == 0 {
            return Ok(());
        }
        let staging = self.staging(total);
        let mut copies = Vec::with_capacity(parts.len());
        for part in &*parts {
            let (buffer, start) = readings[part.reading].source(self)?;
            copies.push((buffer, start + part.start, part.bytes));
        }
        let sent = self.send_copies(&copies, &staging.buffer);
        if let Some(kind) = sent.await {
            return Err(fault(kind, "reading"));
        }
        let mapped = Mapped { pooled: staging };
        self.map(&mapped, total).await?;
        let view = mapped.pooled.buffer.get_mapped_range(0..total);
        let view = view.map_err(|_| fault(GpuFault::Internal, "reading"))?;
        let mut bytes: &[u8] = &view;
        for part in parts.drain(..) {
            let length = usize::try_from(part.bytes).unwrap_or(usize::MAX);
            let (own, rest) = bytes.split_at_checked(length).ok_or(fault(GpuFault::Internal, "reading"))?;
            readings[part.reading].take(own);
            bytes = rest;
        }
        Ok(())
    }

    /// As [`GpuContext::read`], and waits.
    ///
    /// # Errors
    /// As [`GpuContext::read`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read_blocking<E: GpuElement>(&self, array: &GpuArray<E>) -> Result<Array2<E>> {
        pollster::block_on(self.read(array))
    }

    async fn map(&self, staging: &Mapped, bytes: u64) -> Result<()> {
        let (promise, ready) = pair();
        staging.pooled.buffer.map_async(wgpu::MapMode::Read, 0..bytes, move |outcome| promise.keep(outcome.is_ok()));
        if self.arrival(ready).await? {
            return Ok(());
        }
        self.check("reading")?;
        Err(fault(GpuFault::Internal, "reading"))
    }

    /// Waits for a callback; the browser calls it by itself.
    #[cfg(target_arch = "wasm32")]
    async fn arrival<V>(&self, ready: Ready<V>) -> Result<V> {
        Ok(ready.await)
    }

    /// Waits for a callback, which comes while the device is polled.
    #[cfg(not(target_arch = "wasm32"))]
    async fn arrival<V>(&self, ready: Ready<V>) -> Result<V> {
        let wait = wgpu::PollType::Wait { submission_index: None, timeout: Some(self.inner.settings.patience) };
        let polled = self.inner.device.poll(wait);
        if let Some(value) = ready.now() {
            return Ok(value);
        }
        self.check("waiting")?;
        Err(fault(if polled.is_err() { GpuFault::TimedOut } else { GpuFault::Internal }, "waiting"))
    }

    /// What stands where a kernel has a binding that is not needed.
    pub(super) fn blank(&self) -> Window<'_> {
        Window { buffer: &self.inner.blank, start: 0, bytes: GRAIN, skip: 0 }
    }
}

/// Where what is read back goes.
pub(super) trait Receive: wgpu::WasmNotSend {
    /// Bytes that are wanted.
    fn bytes(&self) -> u64;

    /// Where the first one is.
    fn source(&self, context: &GpuContext) -> Result<(wgpu::Buffer, u64)>;

    /// Takes the next bytes.
    fn take(&mut self, bytes: &[u8]);
}

/// An array that is being read.
pub(super) struct Reading<'a, E> {
    array: &'a GpuArray<E>,
    values: Vec<E>,
}

impl<'a, E: GpuElement> Reading<'a, E> {
    pub(super) fn new(array: &'a GpuArray<E>) -> Self {
        Self { array, values: Vec::with_capacity(array.rows * array.columns) }
    }

    /// What came.
    pub(super) fn finish(self) -> Result<Array2<E>> {
        Array2::from_shape_vec(self.array.dim(), self.values).map_err(|_| fault(GpuFault::Internal, "reading"))
    }
}

impl<E: GpuElement> Receive for Reading<'_, E> {
    fn bytes(&self) -> u64 {
        4 * (self.array.rows * self.array.columns) as u64
    }

    fn source(&self, context: &GpuContext) -> Result<(wgpu::Buffer, u64)> {
        Ok((self.array.window(context, 0..self.array.rows)?.buffer.clone(), 0))
    }

    fn take(&mut self, bytes: &[u8]) {
        self.values.extend_from_slice(bytemuck::cast_slice(bytes));
    }
}

/// A part of an array on its way.
struct Part {
    reading: usize,
    start: u64,
    bytes: u64,
}

/// A buffer that is mapped, or about to be; unmapped before it goes back to its pool.
#[derive(Debug)]
struct Mapped {
    pooled: Pooled,
}

impl Drop for Mapped {
    fn drop(&mut self) {
        self.pooled.buffer.unmap();
    }
}
