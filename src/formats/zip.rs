//! The zip archive, as far as numpy and PyTorch use it: stored and deflated members, ZIP64, checksums verified.
//!
//! Members may not share bytes, and all deflated ones together may grow to at most 64 times the file: weights hardly
//! compress, a file that claims more is made to exhaust memory.
//!
//! Source: PKWARE, APPNOTE.TXT 6.3.10, sections 4.3 to 4.5; RFC 1951.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use miniz_oxide::inflate::decompress_slice_iter_to_slice;

use super::bytes::Bytes;
use super::fail;
use crate::math::crc32::crc32;
use crate::{Error, FormatKind, Result};

/// How much larger than the file its members may become.
const GROWTH: usize = 64;

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;

/// Bytes of the record at the end, of the ZIP64 locator, and of a local header, without their variable parts.
const END_LENGTH: usize = 22;
const LOCATOR_LENGTH: usize = 20;
const LOCAL_LENGTH: usize = 30;

/// Whether `bytes` begin like a zip archive.
pub(super) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK")
}

/// One file of an archive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) name: &'a str,
    deflated: bool,
    crc: u32,
    size: usize,
    packed: &'a [u8],
    /// Where the packed bytes lie.
    start: usize,
}

/// The members of an archive.
pub(super) fn open(bytes: &[u8]) -> Result<Vec<Member<'_>>> {
    let (count, start, length) = directory(bytes)?;
    let directory = start.checked_add(length).and_then(|end| bytes.get(start..end));
    let directory = directory.ok_or(fail(FormatKind::Zip, "directory inside of the file", bytes.len()))?;
    let (mut at, mut members) = (Bytes::new(directory, FormatKind::Zip), Vec::new());
    for _ in 0..count {
        members.push(member(&mut at, &bytes[..start])?);
    }
    members.sort_by_key(|member| member.start);
    for pair in members.windows(2) {
        let header = LOCAL_LENGTH + pair[1].name.len();
        if pair[0].start + pair[0].packed.len() + header > pair[1].start {
            return Err(fail(FormatKind::Overlap, "zip members", pair[1].start));
        }
    }
    let grown = members.iter().filter(|m| m.deflated).fold(0_usize, |sum, m| sum.saturating_add(m.size));
    if grown > bytes.len().saturating_mul(GROWTH) {
        return Err(fail(FormatKind::Limit, "deflated members of at most 64 times the file", 0));
    }
    Ok(members)
}

/// Number of members, and offset and length of the central directory.
fn directory(bytes: &[u8]) -> Result<(u64, usize, usize)> {
    let end = end_record(bytes).ok_or_else(|| {
        let kind = if is_zip(bytes) { FormatKind::Truncated } else { FormatKind::Zip };
        fail(kind, "zip directory at the end", bytes.len())
    })?;
    let mut at = Bytes::new(bytes, FormatKind::Zip);
    at.seek(end + 4);
    let disks = (at.u16()?, at.u16()?);
    let (_, count) = (at.u16()?, at.u16()?);
    let (length, start) = (at.u32()?, at.u32()?);
    if count == u16::MAX || length == u32::MAX || start == u32::MAX {
        return directory_64(bytes, end);
    }
    if disks != (0, 0) {
        return Err(fail(FormatKind::Zip, "archive on one disk", end));
    }
    let large = |_| fail(FormatKind::Zip, "directory inside of the file", end);
    Ok((u64::from(count), usize::try_from(start).map_err(large)?, usize::try_from(length).map_err(large)?))
}

fn directory_64(bytes: &[u8], end: usize) -> Result<(u64, usize, usize)> {
    let absent = fail(FormatKind::Zip, "ZIP64 directory", end);
    let mut at = Bytes::new(bytes, FormatKind::Zip);
    at.seek(end.checked_sub(LOCATOR_LENGTH).ok_or(absent)?);
    if (at.u32()?, at.u32()?) != (LOCATOR_64, 0) {
        return Err(absent);
    }
    let record = at.length(8)?;
    at.seek(record);
    if record >= end || at.u32()? != END_64 {
        return Err(absent);
    }
    // its own length, two versions, two disk numbers, members on this disk
    at.take(8 + 4 + 8 + 8)?;
    let count = at.u64()?;
    let (length, start) = (at.length(8)?, at.length(8)?);
    Ok((count, start, length))
}

/// Offset of the record at the end: it names the length of the comment that follows it.
fn end_record(bytes: &[u8]) -> Option<usize> {
    let last = bytes.len().checked_sub(END_LENGTH)?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    (first..=last).rev().find(|&at| {
        let record = &bytes[at..];
        let comment = record.get(20..22).and_then(|b| b.first_chunk()).map(|b| usize::from(u16::from_le_bytes(*b)));
        record.starts_with(&END.to_le_bytes()) && comment == Some(record.len() - END_LENGTH)
    })
}

/// The next entry of the central directory; its data lies in `before`, the bytes before the directory.
fn member<'a>(at: &mut Bytes<'a>, before: &'a [u8]) -> Result<Member<'a>> {
    let wrong = |what| fail(FormatKind::Zip, what, 0);
    if at.u32()? != CENTRAL {
        return Err(wrong("entry of the zip directory"));
    }
    at.take(4)?;
    let (flags, method) = (at.u16()?, at.u16()?);
    at.take(4)?;
    let crc = at.u32()?;
    let (packed, size) = (at.u32()?, at.u32()?);
    let (name, extra, comment) = (at.u16()?, at.u16()?, at.u16()?);
    at.take(8)?;
    let offset = at.u32()?;
    let name = at.take(usize::from(name))?;
    let extra = at.take(usize::from(extra))?;
    at.take(usize::from(comment))?;
    if flags & 1 == 1 || !matches!(method, 0 | 8) {
        return Err(wrong("member that is stored or deflated, and not encrypted"));
    }
    let [size, packed, offset] = widened([size, packed, offset], extra)?;
    let mut local = Bytes::new(before, FormatKind::Zip);
    local.seek(offset);
    if local.u32()? != LOCAL {
        return Err(wrong("local header of a zip member"));
    }
    local.take(22)?;
    let (local_name, local_extra) = (local.u16()?, local.u16()?);
    if local.take(usize::from(local_name))? != name {
        return Err(wrong("equal names in both headers of a zip member"));
    }
    local.take(usize::from(local_extra))?;
    let start = local.at();
    let packed = Bytes::take(&mut local, packed)
        .map_err(|_| fail(FormatKind::Bounds, "data of a zip member before the directory", start))?;
    if method == 0 && size != packed.len() {
        return Err(wrong("stored member of equal sizes"));
    }
    let name = core::str::from_utf8(name).map_err(|_| wrong("member names in UTF-8"))?;
    Ok(Member { name, deflated: method == 8, crc, size, packed, start })
}

/// Size, packed size and offset; those that do not fit 32 bits stand in the ZIP64 field of `extra`, in this order.
fn widened(short: [u32; 3], extra: &[u8]) -> Result<[usize; 3]> {
    let mut fields = Bytes::new(extra, FormatKind::Zip);
    let mut wide = Bytes::new(&[], FormatKind::Zip);
    while short.contains(&u32::MAX) && fields.left() >= 4 {
        let (id, length) = (fields.u16()?, fields.u16()?);
        let field = fields.take(usize::from(length))?;
        if id == 1 {
            wide = Bytes::new(field, FormatKind::Zip);
        }
    }
    let mut long = [0; 3];
    for (long, short) in long.iter_mut().zip(short) {
        *long = if short == u32::MAX {
            wide.length(8)?
        } else {
            usize::try_from(short).map_err(|_| fail(FormatKind::Zip, "member that can be addressed", 0))?
        };
    }
    Ok(long)
}

impl<'a> Member<'a> {
    /// The bytes, borrowed where they are stored; their checksum is verified.
    pub(super) fn read(&self) -> Result<Cow<'a, [u8]>> {
        let bytes = if self.deflated { Cow::Owned(self.inflate()?) } else { Cow::Borrowed(self.packed) };
        if crc32(&bytes) == self.crc { Ok(bytes) } else { Err(self.fail(FormatKind::Checksum, "zip member")) }
    }

    /// As [`Member::read`], for members that are stored by convention.
    pub(super) fn stored(&self) -> Result<&'a [u8]> {
        match self.read()? {
            Cow::Borrowed(bytes) => Ok(bytes),
            Cow::Owned(_) => Err(self.fail(FormatKind::Zip, "member that is stored, not deflated")),
        }
    }

    fn inflate(&self) -> Result<Vec<u8>> {
        let mut out = alloc::vec![0; self.size];
        let written = decompress_slice_iter_to_slice(&mut out, core::iter::once(self.packed), false, true);
        match written {
            Ok(written) if written == self.size => Ok(out),
            _ => Err(self.fail(FormatKind::Zip, "deflated bytes of the declared size")),
        }
    }

    fn fail(&self, kind: FormatKind, what: &'static str) -> Error {
        fail(kind, what, self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{archive, packed_archive};
    use super::*;

    #[test]
    fn members_are_found_and_read() {
        let bytes = archive(&[("a/b", b"hello"), ("c", b"")]);
        let members = open(&bytes).unwrap();
        assert_eq!(members.iter().map(|m| m.name).collect::<Vec<_>>(), ["a/b", "c"]);
        assert_eq!((members[0].stored().unwrap(), members[1].stored().unwrap()), (&b"hello"[..], &b""[..]));
        assert!(open(&archive(&[])).unwrap().is_empty());
    }

    #[test]
    fn deflated_members_are_inflated_to_their_declared_size() {
        // one deflate block of the kind "stored": final bit, length, its complement, bytes
        let packed = [&[1, 5, 0, 0xfa, 0xff][..], b"hello"].concat();
        let read = |size| packed_archive(&[("a", &packed, 8, crc32(b"hello"), size)]);
        assert_eq!(&*open(&read(5)).unwrap()[0].read().unwrap(), b"hello");
        assert!(open(&read(5)).unwrap()[0].stored().is_err());
        for size in [0, 4, 6] {
            assert_eq!(
                open(&read(size)).unwrap()[0].read().unwrap_err().format_kind(),
                Some(FormatKind::Zip),
                "{size}"
            );
        }
        assert_eq!(open(&read(1 << 30)).unwrap_err().format_kind(), Some(FormatKind::Limit));
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let good = archive(&[("a", b"hello"), ("b", b"world")]);
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            let read = open(&bytes).and_then(|members| {
                let read: Result<Vec<_>> = members.iter().map(|m| Ok((m.name, m.stored()?))).collect();
                read.map(|read| read == [("a", &b"hello"[..]), ("b", &b"world"[..])])
            });
            // versions, times and attributes mean nothing to us
            assert!(read != Ok(false), "byte {at} changed the content unnoticed");
        }
    }

    #[test]
    fn every_cut_is_an_error() {
        let good = archive(&[("a", b"hello")]);
        for end in 0..good.len() {
            let kind = open(&good[..end]).unwrap_err().format_kind();
            assert!(matches!(kind, Some(FormatKind::Truncated | FormatKind::Zip)), "{end}: {kind:?}");
        }
    }

    #[test]
    fn members_do_not_share_bytes() {
        let mut bytes = archive(&[("a", b"hello"), ("a", b"hello")]);
        // point the second directory entry to the first member
        let second = bytes.len() - END_LENGTH - 1 - 4;
        bytes[second..second + 4].fill(0);
        assert_eq!(open(&bytes).unwrap_err().format_kind(), Some(FormatKind::Overlap));
    }
}
