//! Python pickles, as far as saved weights need them: data only, nothing is ever called.
//!
//! A pickle is a program for a small stack machine. This one builds values, and knows the few names of [`Global`] that
//! tensors are made of; any other name ends the reading. Every operation makes at most one value, so that memory stays
//! proportional to the length of the pickle.
//!
//! Source: CPython, `Lib/pickletools.py`; for the names PyTorch, `torch/_utils.py` and `torch/serialization.py`.

mod machine;

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::tensor::Dtype;
use crate::Result;
use machine::Machine;

/// Position of a value in the list of all.
pub(in crate::formats) type Id = u32;

/// A value. Text and bytes are borrowed from the pickle.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::formats) enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    /// Also a whole number of more than eight bytes.
    Bytes(&'a [u8]),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Storage<'a>),
    Tensor(Box<StridedTensor<'a>>),
    /// Something that weights do not need: a device, a data type, a set.
    Opaque,
}

/// Names that may be mentioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::formats) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    /// A storage by its type; `None` for one of plain bytes.
    Storage(Option<Dtype>),
    Size,
    /// Called with data only, the result does not matter.
    Inert,
}

impl Global {
    fn named(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "DoubleStorage") => Self::Storage(Some(Dtype::F64)),
            ("torch", "FloatStorage") => Self::Storage(Some(Dtype::F32)),
            ("torch", "HalfStorage") => Self::Storage(Some(Dtype::F16)),
            ("torch", "BFloat16Storage") => Self::Storage(Some(Dtype::Bf16)),
            ("torch", "LongStorage") => Self::Storage(Some(Dtype::I64)),
            ("torch", "IntStorage") => Self::Storage(Some(Dtype::I32)),
            ("torch", "ShortStorage") => Self::Storage(Some(Dtype::I16)),
            ("torch", "CharStorage") => Self::Storage(Some(Dtype::I8)),
            ("torch", "ByteStorage") => Self::Storage(Some(Dtype::U8)),
            ("torch", "BoolStorage") => Self::Storage(Some(Dtype::Bool)),
            ("torch.storage", "UntypedStorage") => Self::Storage(None),
            ("torch", "Size") => Self::Size,
            ("torch", "device" | "strided") => Self::Inert,
            ("torch", "float64" | "float32" | "float16" | "bfloat16" | "int64" | "int32" | "uint8" | "bool") => {
                Self::Inert
            }
            ("builtins" | "__builtin__", "set" | "frozenset") => Self::Inert,
            _ => return None,
        })
    }
}

/// Bytes that lie elsewhere, under a key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::formats) struct Storage<'a> {
    pub(in crate::formats) dtype: Option<Dtype>,
    pub(in crate::formats) key: &'a str,
    /// Number of elements.
    pub(in crate::formats) count: usize,
}

/// A view into a storage; offset and strides in elements.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::formats) struct StridedTensor<'a> {
    pub(in crate::formats) storage: Storage<'a>,
    pub(in crate::formats) offset: usize,
    pub(in crate::formats) shape: Vec<usize>,
    pub(in crate::formats) strides: Vec<usize>,
}

/// The values of a pickle.
#[derive(Debug, Clone)]
pub(in crate::formats) struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    root: Id,
    /// Bytes that were read.
    pub(in crate::formats) length: usize,
}

impl<'a> Pickle<'a> {
    /// Runs the pickle at the front of `bytes`.
    pub(in crate::formats) fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut machine = Machine::new(bytes);
        let root = machine.run()?;
        let length = machine.offset();
        Ok(Self { nodes: machine.finish(), root, length })
    }

    pub(in crate::formats) fn root(&self) -> &Node<'a> {
        self.node(self.root)
    }

    pub(in crate::formats) fn node(&self, id: Id) -> &Node<'a> {
        self.nodes.get(id as usize).unwrap_or(&Node::None)
    }

    /// All values, also those that nothing refers to.
    pub(in crate::formats) fn nodes(&self) -> impl Iterator<Item = &Node<'a>> {
        self.nodes.iter()
    }

    /// Entries of a dictionary whose keys are texts; empty for other values.
    pub(in crate::formats) fn entries(&self, dict: &Node<'a>) -> impl Iterator<Item = (&'a str, &Node<'a>)> {
        let entries = if let Node::Dict(entries) = dict { &entries[..] } else { &[] };
        entries.iter().filter_map(|&(key, value)| match self.node(key) {
            Node::Text(key) => Some((*key, self.node(value))),
            _ => None,
        })
    }

    /// The value of a text key, the last one where it comes more than once.
    pub(in crate::formats) fn get(&self, dict: &Node<'a>, key: &str) -> Option<&Node<'a>> {
        self.entries(dict).filter(|(name, _)| *name == key).map(|(_, value)| value).last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FormatKind;

    fn kind(bytes: &[u8]) -> FormatKind {
        Pickle::read(bytes).unwrap_err().format_kind().unwrap()
    }

    #[test]
    fn plain_values_are_built() {
        // {'a': (1, -2, 1.5), 'b': [None, True]}
        let code = b"\x80\x02}(X\x01\x00\x00\x00aK\x01J\xfe\xff\xff\xffG\x3f\xf8\x00\x00\x00\x00\x00\x00\x87X\x01\x00\x00\x00b](N\x88eu.";
        let pickle = Pickle::read(code).unwrap();
        let of = |key| pickle.get(pickle.root(), key).unwrap();
        let Node::Tuple(numbers) = of("a") else { panic!("{pickle:?}") };
        let numbers: Vec<_> = numbers.iter().map(|&id| pickle.node(id).clone()).collect();
        assert_eq!(numbers, [Node::Int(1), Node::Int(-2), Node::Float(1.5)]);
        let Node::List(items) = of("b") else { panic!("{pickle:?}") };
        assert_eq!(pickle.node(items[1]), &Node::Bool(true));
        assert_eq!((pickle.length, pickle.get(pickle.root(), "c")), (code.len(), None));
    }

    #[test]
    fn a_remembered_value_is_the_same_value() {
        // d = {}; remember; put it into a tuple; then fill it through the memory
        let code = b"}q\x00h\x00X\x01\x00\x00\x00kK\x07s\x86.";
        let pickle = Pickle::read(code).unwrap();
        let Node::Tuple(pair) = pickle.root() else { panic!("{pickle:?}") };
        assert_eq!(pair[0], pair[1]);
        assert_eq!(pickle.get(pickle.node(pair[0]), "k"), Some(&Node::Int(7)));
    }

    #[test]
    fn unknown_names_are_refused_before_anything_else() {
        assert_eq!(kind(b"cos\nsystem\n(X\x02\x00\x00\x00lstR."), FormatKind::Forbidden);
        assert_eq!(kind(b"\x8c\x05posix\x8c\x06system\x93."), FormatKind::Forbidden);
        assert_eq!(kind(b"cbuiltins\neval\n."), FormatKind::Forbidden);
        assert_eq!(kind(b"ctorch\nload\n."), FormatKind::Forbidden);
        assert_eq!(kind(b"X\x01\x00\x00\x00a)R."), FormatKind::Forbidden);
        // the same for making an instance
        assert_eq!(kind(b"csubprocess\nPopen\n)\x81."), FormatKind::Forbidden);
    }

    #[test]
    fn a_pickle_that_is_not_well_formed_is_an_error() {
        for code in [
            &b"."[..],
            b"0.",
            b"t.",
            b"(0.",
            b"h\x00.",
            b"\x80\x06N.",
            b"I1\n.",
            b"]K\x01s.",
            b"}K\x01a.",
            b"(K\x01d.",
            b"}(K\x01u.",
            b"X\x01\x00\x00\x00\xff.",
            b"ccollections\nOrderedDict\nNR.",
            b"ccollections\nOrderedDict\n(]tR.",
            b"ctorch._utils\n_rebuild_tensor_v2\n)R.",
            b"K\x01Q.",
            b"NR.",
        ] {
            assert_eq!(kind(code), FormatKind::Pickle, "{}", code.escape_ascii());
        }
        for code in
            [&b""[..], b"X\x05\x00\x00\x00abc", b"J\x00", b"ccollections\nOrd", b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f"]
        {
            assert_eq!(kind(code), FormatKind::Truncated, "{}", code.escape_ascii());
        }
    }
}
