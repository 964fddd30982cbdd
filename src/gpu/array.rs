//! Matrices on the device, and the way there and back.

use alloc::vec::Vec;
use core::marker::PhantomData;
use core::ops::Range;

use ndarray::{Array1, Array2, ArrayRef1, ArrayRef2};

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
            (Some(pooled), Some(values)) => self.context.write(&pooled.buffer, bytemuck::cast_slice(values)),
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
        self.check("reading")?;
        let window = array.window(self, 0..array.rows)?;
        let mut values: Vec<E> = Vec::with_capacity(array.rows * array.columns);
        let bytes = 4 * (array.rows * array.columns) as u64;
        let mut start = 0;
        while start < bytes {
            let piece = PIECE.min(bytes - start);
            let staging = self.staging(piece);
            let sent = self.send_copy(window.buffer, start, &staging.buffer, piece);
            if let Some(kind) = sent.await {
                return Err(fault(kind, "reading"));
            }
            let mapped = Mapped { pooled: staging };
            self.map(&mapped, piece).await?;
            let view = mapped.pooled.buffer.get_mapped_range(0..piece);
            let view = view.map_err(|_| fault(GpuFault::Internal, "reading"))?;
            values.extend_from_slice(bytemuck::cast_slice(&view));
            drop(view);
            start += piece;
        }
        self.check("reading")?;
        Array2::from_shape_vec(array.dim(), values).map_err(|_| fault(GpuFault::Internal, "reading"))
    }

    /// As [`GpuContext::read`], and waits.
    ///
    /// # Errors
    /// As [`GpuContext::read`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read_blocking<E: GpuElement>(&self, array: &GpuArray<E>) -> Result<Array2<E>> {
        pollster::block_on(self.read(array))
    }

    /// The elements of an array, row by row.
    pub(super) async fn read_vector<E: GpuElement>(&self, array: &GpuArray<E>) -> Result<Array1<E>> {
        Ok(self.read(array).await?.into_iter().collect())
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
