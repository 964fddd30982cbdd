//! Bounded reading of little-endian numbers.

use super::fail;
use crate::{FormatKind, Result};

/// Bytes that are read from front to back; past the end every read is an error of the given kind.
#[derive(Debug, Clone)]
pub(super) struct Bytes<'a> {
    bytes: &'a [u8],
    at: usize,
    kind: FormatKind,
}

impl<'a> Bytes<'a> {
    pub(super) fn new(bytes: &'a [u8], kind: FormatKind) -> Self {
        Self { bytes, at: 0, kind }
    }

    /// The same bytes from `at` on.
    pub(super) fn seek(&mut self, at: usize) {
        self.at = at;
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(count);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or(fail(self.kind, "more bytes than there are", self.at))?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.take(N)?;
        bytes.first_chunk().copied().ok_or(fail(self.kind, "more bytes than there are", self.at))
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A big-endian double.
    pub(super) fn f64_big(&mut self) -> Result<f64> {
        self.array().map(f64::from_be_bytes)
    }

    /// A length of four or eight bytes, as far as this machine can address it.
    pub(super) fn length(&mut self, bytes: usize) -> Result<usize> {
        let at = self.at;
        let length = match bytes {
            1 => u64::from(self.u8()?),
            2 => u64::from(self.u16()?),
            4 => u64::from(self.u32()?),
            _ => self.u64()?,
        };
        usize::try_from(length).map_err(|_| fail(self.kind, "more bytes than there are", at))
    }
}
