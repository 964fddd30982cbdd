//! Files of `torch.save`: a pickle beside the storages that it refers to.
//!
//! ```text
//! since 1.6   zip, members stored: <root>/data.pkl, <root>/data/<key> per storage, <root>/byteorder
//! before      pickles of a magic number, 1001 and system facts; the object; a list of keys; per key u64 count | elements
//! ```
//!
//! Strides matter: a matrix may be stored as the transposed view of another.
//!
//! Source: PyTorch, `torch/serialization.py`.

use alloc::collections::BTreeMap;
use alloc::string::ToString;

use super::bytes::Bytes;
use super::fail;
use super::pickle::{Node, Pickle, Storage, StridedTensor};
use super::tensor::{Dtype, Tensor, Tensors};
use super::zip::{self, Member};
use crate::{Error, FormatKind, Result};

/// The little-endian magic number of files before 1.6, which is too long for an integer of the pickle reader.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// The tensors of a file that holds a dictionary of them, the usual `state_dict`; other values are left out.
///
/// # Errors
/// [`Error::Format`]: `Zip`, `Truncated`, `Overlap` and `Checksum` for the archive, `Pickle` for its program, `Forbidden`
/// where it names code, `Bounds` and `Shape` for a tensor that does not fit its storage, `Header` for big-endian files.
pub fn read(bytes: &[u8]) -> Result<Tensors<'_>> {
    let checkpoint = Checkpoint::open(bytes)?;
    checkpoint.tensors(checkpoint.pickle.root())
}

/// The object of a file, and its storages.
#[derive(Debug)]
pub(super) struct Checkpoint<'a> {
    pub(super) pickle: Pickle<'a>,
    storages: Storages<'a>,
}

#[derive(Debug)]
enum Storages<'a> {
    /// Members of the archive by key.
    Zip(BTreeMap<&'a str, Member<'a>>),
    /// Elements by key.
    Legacy(BTreeMap<&'a str, &'a [u8]>),
}

impl<'a> Checkpoint<'a> {
    /// Reads the object; the storages are only looked up.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self> {
        if zip::is_zip(bytes) { Self::from_zip(bytes) } else { Self::from_legacy(bytes) }
    }

    fn from_zip(bytes: &'a [u8]) -> Result<Self> {
        let members = zip::open(bytes)?;
        let root = members.iter().find_map(|m| m.name.strip_suffix("data.pkl").map(|root| (root, m)));
        let (root, program) = root.ok_or(fail(FormatKind::Missing, "data.pkl of a PyTorch archive", 0))?;
        let inside = |m: &Member<'a>| m.name.strip_prefix(root).map(|name| (name, *m));
        let named: BTreeMap<&'a str, Member<'a>> = members.iter().filter_map(inside).collect();
        if let Some(order) = named.get("byteorder") {
            little_endian(order.stored()? == b"little")?;
        }
        let pickle = Pickle::read(program.stored()?)?;
        let key = |(name, m): (&'a str, Member<'a>)| name.strip_prefix("data/").map(|key| (key, m));
        Ok(Self { pickle, storages: Storages::Zip(named.into_iter().filter_map(key).collect()) })
    }

    fn from_legacy(bytes: &'a [u8]) -> Result<Self> {
        let mut at = 0;
        let mut next = || -> Result<Pickle<'a>> {
            let pickle = Pickle::read(bytes.get(at..).unwrap_or_default()).map_err(|error| shifted(error, at))?;
            at += pickle.length;
            Ok(pickle)
        };
        let not_torch = fail(FormatKind::Header, "the magic number of a PyTorch file", 0);
        // whatever is no pickle at all is no PyTorch file either; a cut one is cut
        let magic = next()
            .map_err(|error| if error.format_kind() == Some(FormatKind::Truncated) { error } else { not_torch })?;
        if !matches!(magic.root(), Node::Bytes(magic) if **magic == MAGIC) {
            return Err(not_torch);
        }
        if next()?.root() != &Node::Int(1001) {
            return Err(fail(FormatKind::Header, "protocol 1001 of a PyTorch file", 0));
        }
        let facts = next()?;
        little_endian(facts.get(facts.root(), "little_endian") != Some(&Node::Bool(false)))?;
        let (pickle, keys) = (next()?, next()?);
        let sizes = storage_sizes(&pickle);
        let Node::List(list) = keys.root() else { return Err(fail(FormatKind::Header, "a list of keys", at)) };
        let (mut data, mut storages) = (Bytes::new(bytes, FormatKind::Truncated), BTreeMap::new());
        data.seek(at);
        for &key in list {
            let Node::Text(key) = keys.node(key) else {
                return Err(fail(FormatKind::Header, "a key that is a text", at));
            };
            let count = data.length(8)?;
            let size = sizes.get(key).ok_or(fail(FormatKind::Header, "a key that a tensor mentions", data.at()))?;
            let length =
                count.checked_mul(*size).ok_or(fail(FormatKind::Bounds, "storage inside of the file", data.at()))?;
            storages.insert(*key, data.take(length)?);
        }
        Ok(Self { pickle, storages: Storages::Legacy(storages) })
    }

    /// The tensors of a dictionary by name.
    pub(super) fn tensors(&self, dict: &Node<'a>) -> Result<Tensors<'a>> {
        let (mut tensors, mut verified) = (Tensors::new(), BTreeMap::new());
        for (name, value) in self.pickle.entries(dict) {
            if let Node::Tensor(tensor) = value {
                let key = tensor.storage.key;
                let bytes = match verified.get(key) {
                    Some(bytes) => *bytes,
                    None => self.storage(key)?,
                };
                verified.insert(key, bytes);
                tensors.insert(name.to_string(), view(tensor, bytes)?);
            }
        }
        Ok(tensors)
    }

    fn storage(&self, key: &str) -> Result<&'a [u8]> {
        let absent = fail(FormatKind::Missing, "storage of a tensor", 0);
        match &self.storages {
            Storages::Zip(members) => members.get(key).ok_or(absent)?.stored(),
            Storages::Legacy(storages) => storages.get(key).copied().ok_or(absent),
        }
    }
}

fn view<'a>(tensor: &StridedTensor<'a>, bytes: &'a [u8]) -> Result<Tensor<'a>> {
    let Storage { dtype, count, .. } = tensor.storage;
    let dtype = dtype.ok_or(fail(FormatKind::Dtype, "a storage with a type", 0))?;
    let outside = fail(FormatKind::Bounds, "tensor inside of its storage", 0);
    let of = |elements: usize| elements.checked_mul(dtype.size()).ok_or(outside);
    let whole = bytes.get(..of(count)?).ok_or(outside)?;
    Tensor::strided(dtype, &tensor.shape, &tensor.strides, whole.get(of(tensor.offset)?..).ok_or(outside)?)
}

/// Bytes of an element of every storage that a tensor mentions.
fn storage_sizes<'a>(pickle: &Pickle<'a>) -> BTreeMap<&'a str, usize> {
    let sizes = pickle.nodes().filter_map(|node| match node {
        Node::Storage(Storage { dtype, key, .. }) => Some((*key, dtype.map_or(1, Dtype::size))),
        _ => None,
    });
    sizes.collect()
}

fn little_endian(is: bool) -> Result<()> {
    if is { Ok(()) } else { Err(fail(FormatKind::Header, "little-endian elements", 0)) }
}

fn shifted(error: Error, by: usize) -> Error {
    match error {
        Error::Format { kind, what, offset } => fail(kind, what, offset.saturating_add(by)),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::archive;
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use ndarray::array;

    /// `{name: tensor of 6 single floats}` with this shape and these strides.
    fn program(shape: &[u8], strides: &[u8], offset: u8) -> Vec<u8> {
        let tuple =
            |items: &[u8]| [&b"("[..], &items.iter().flat_map(|&n| [b'K', n]).collect::<Vec<_>>(), b"t"].concat();
        let storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ";
        [
            &b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n("[..],
            storage,
            &[b'K', offset],
            &tuple(shape),
            &tuple(strides),
            b"\x89ccollections\nOrderedDict\n)RtRs.",
        ]
        .concat()
    }

    fn zipped(program: &[u8]) -> Vec<u8> {
        let data: Vec<u8> = (0..6_u8).flat_map(|x| f32::from(x).to_le_bytes()).collect();
        archive(&[("ae/data.pkl", program), ("ae/byteorder", b"little"), ("ae/data/0", &data), ("ae/version", b"3\n")])
    }

    #[test]
    fn strides_and_offset_are_followed() {
        let file = zipped(&program(&[3, 2], &[1, 3], 0));
        let tensors = read(&file).unwrap();
        assert_eq!(tensors["w"].array::<f64>().unwrap(), array![[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]].into_dyn());
        assert!(tensors["w"].is_column_major());
        let file = zipped(&program(&[2], &[1], 3));
        assert_eq!(read(&file).unwrap()["w"].array::<f64>().unwrap(), array![3.0, 4.0].into_dyn());
    }

    #[test]
    fn tensors_stay_inside_of_their_storage() {
        for (shape, strides, offset) in
            [(&[4, 2][..], &[1, 4][..], 0), (&[2], &[1], 5), (&[2], &[1], 7), (&[9], &[0], 0)]
        {
            let kind = read(&zipped(&program(shape, strides, offset))).unwrap_err().format_kind();
            assert_eq!(kind, Some(FormatKind::Bounds), "{shape:?} {strides:?} {offset}");
        }
    }

    #[test]
    fn an_archive_without_its_parts_is_refused() {
        let kind = |file: &[u8]| read(file).unwrap_err().format_kind().unwrap();
        assert_eq!(kind(&archive(&[("x", b"")])), FormatKind::Missing);
        assert_eq!(kind(&archive(&[("a/data.pkl", &program(&[1], &[1], 0))])), FormatKind::Missing);
        assert_eq!(kind(&archive(&[("a/data.pkl", b"}."), ("a/byteorder", b"big")])), FormatKind::Header);
        assert_eq!(kind(b"hello"), FormatKind::Header);
        assert_eq!(kind(b""), FormatKind::Truncated);
        assert!(read(&archive(&[("a/data.pkl", b"}.")])).unwrap().is_empty());
    }

    #[test]
    fn the_older_form_is_read() {
        let mut file = vec![0x80, 2, 0x8a, 10];
        file.extend(MAGIC);
        file.extend(b".\x80\x02M\xe9\x03.\x80\x02}X\x0d\x00\x00\x00little_endian\x88s.");
        file.extend(program(&[3, 2], &[2, 1], 0));
        file.extend(b"\x80\x02]X\x01\x00\x00\x000a.");
        file.extend(6_u64.to_le_bytes());
        file.extend((0..6_u8).flat_map(|x| f32::from(x).to_le_bytes()));
        let expected = array![[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]].into_dyn();
        assert_eq!(read(&file).unwrap()["w"].array::<f32>().unwrap(), expected);
        for end in 0..file.len() {
            assert_eq!(read(&file[..end]).unwrap_err().format_kind(), Some(FormatKind::Truncated), "{end}");
        }
    }
}
