//! Buffers whose first element starts a cache line, so that no vector load touches two.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

/// Bytes of a cache line, and of the widest vector.
const LINE: usize = 64;

/// Scalars aligned to [`LINE`] bytes.
#[derive(Debug, Default)]
pub(crate) struct Aligned<T> {
    data: Vec<T>,
    start: usize,
    len: usize,
}

impl<T> Aligned<T> {
    /// No elements.
    pub(crate) const fn new() -> Self {
        Self { data: Vec::new(), start: 0, len: 0 }
    }
}

impl<T: Clone + Default> Aligned<T> {
    /// At least `len` elements; if there are fewer, zeros take their place.
    pub(crate) fn grow(&mut self, len: usize) {
        if self.len < len {
            *self = Self::zeros(len);
        }
    }

    /// `len` defaults: zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let data = vec![T::default(); len + LINE / size_of::<T>()];
        let start = offset(&data);
        Self { data, start, len }
    }
}

/// Elements up to the first one that starts a line.
fn offset<T>(data: &[T]) -> usize {
    let offset = data.as_ptr().align_offset(LINE);
    // an address that cannot be aligned (as under an interpreter) is used as it is
    if offset < LINE / size_of::<T>() { offset } else { 0 }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.data[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.data[self.start..self.start + self.len]
    }
}

impl<T: Clone> Clone for Aligned<T> {
    fn clone(&self) -> Self {
        // the capacity is never exceeded, so the address stays
        let mut data = Vec::with_capacity(self.len + LINE / size_of::<T>());
        // without elements there is nothing to align, and nothing to fill the gap with
        let start = if self.is_empty() { 0 } else { offset(&data) };
        data.extend(self.data.iter().cycle().take(start).cloned());
        data.extend(self.iter().cloned());
        Self { data, start, len: self.len }
    }
}

impl<T: PartialEq> PartialEq for Aligned<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_equal_and_aligned_itself() {
        for len in [0, 1, 100] {
            let mut x = Aligned::<f32>::zeros(len);
            x.iter_mut().enumerate().for_each(|(i, x)| *x = i as f32);
            let copy = x.clone().clone();
            assert!(copy == x && copy.len() == len);
            assert!(cfg!(miri) || len == 0 || copy.as_ptr().addr().is_multiple_of(LINE));
        }
    }
}
