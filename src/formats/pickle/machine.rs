//! Operations of a pickle: from codes to values.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{Global, Id, Node, Storage, StridedTensor};
use crate::formats::bytes::Bytes;
use crate::formats::fail;
use crate::{Error, FormatKind, Result};

/// Values of a pickle; a checkpoint with its optimiser has some thousands.
const MAX_NODES: usize = 1 << 20;

/// Arguments of a call that are looked at.
const ARGUMENTS: usize = 8;

/// The stack machine that a pickle is a program for.
pub(super) struct Machine<'a> {
    code: Bytes<'a>,
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack where a group of values begins.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Id>,
    /// Offset of the current operation.
    at: usize,
}

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            code: Bytes::new(bytes, FormatKind::Truncated),
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: BTreeMap::new(),
            at: 0,
        }
    }

    /// Runs the program to its end, and gives the value on top.
    pub(super) fn run(&mut self) -> Result<Id> {
        loop {
            self.at = self.code.at();
            match self.code.u8()? {
                b'.' => return self.pop(),
                operation => self.step(operation)?,
            }
        }
    }

    /// Bytes that were read.
    pub(super) fn offset(&self) -> usize {
        self.code.at()
    }

    /// All values.
    pub(super) fn finish(self) -> Vec<Node<'a>> {
        self.nodes
    }

    fn error(&self, what: &'static str) -> Error {
        fail(FormatKind::Pickle, what, self.at)
    }

    fn push(&mut self, node: Node<'a>) -> Result<()> {
        let id = Id::try_from(self.nodes.len()).ok().filter(|_| self.nodes.len() < MAX_NODES);
        self.stack.push(id.ok_or(fail(FormatKind::Limit, "values of a pickle", self.at))?);
        self.nodes.push(node);
        Ok(())
    }

    fn pop(&mut self) -> Result<Id> {
        // a value below the last mark is not this operation's to take
        let floor = self.marks.last().copied().unwrap_or(0);
        let top = if self.stack.len() > floor { self.stack.pop() } else { None };
        top.ok_or_else(|| self.error("a value on the stack"))
    }

    fn top(&mut self) -> Result<&mut Node<'a>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let error = self.error("a value on the stack");
        let top = self.stack.get(floor..).and_then(<[Id]>::last).ok_or(error)?;
        Ok(&mut self.nodes[*top as usize])
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| self.error("a mark on the stack"))?;
        Ok(self.stack.split_off(mark))
    }

    fn step(&mut self, operation: u8) -> Result<()> {
        match operation {
            0x80 => self.protocol(),
            0x95 => self.code.take(8).map(drop),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop().map(drop),
            b'1' => self.pop_mark().map(drop),
            b'2' => {
                let top = self.pop()?;
                self.stack.extend([top, top]);
                Ok(())
            }
            b'N' => self.push(Node::None),
            0x88 | 0x89 => self.push(Node::Bool(operation == 0x88)),
            b'J' | b'K' | b'M' | 0x8a | 0x8b | b'G' => self.number(operation),
            b'U' | b'T' | b'X' | 0x8c | 0x8d => self.text(operation),
            b'C' | b'B' | 0x8e => self.byte_string(operation),
            b']' | b'a' | b'e' | b'l' | b')' | b't' | 0x85..=0x87 => self.sequence(operation),
            b'}' | b'd' | b's' | b'u' => self.dictionary(operation),
            0x8f..=0x91 => self.set(operation),
            b'h' | b'j' | b'q' | b'r' | 0x94 => self.memory(operation),
            b'c' | 0x93 => self.global(operation),
            b'R' | 0x81 => self.reduce(),
            b'b' => self.pop().map(drop).and_then(|()| self.top().map(drop)),
            b'Q' => self.persistent(),
            _ => Err(self.error("an operation that weights are saved with")),
        }
    }

    fn protocol(&mut self) -> Result<()> {
        match self.code.u8()? {
            0..=5 => Ok(()),
            _ => Err(self.error("pickle protocol of at most 5")),
        }
    }

    fn number(&mut self, operation: u8) -> Result<()> {
        let node = match operation {
            b'J' => Node::Int(i64::from(self.code.i32()?)),
            b'K' => Node::Int(i64::from(self.code.u8()?)),
            b'M' => Node::Int(i64::from(self.code.u16()?)),
            b'G' => Node::Float(self.code.f64_big()?),
            _ => {
                let length = self.code.length(if operation == 0x8a { 1 } else { 4 })?;
                long(self.code.take(length)?)
            }
        };
        self.push(node)
    }

    fn text(&mut self, operation: u8) -> Result<()> {
        let length = match operation {
            b'U' | 0x8c => self.code.length(1)?,
            b'T' | b'X' => self.code.length(4)?,
            _ => self.code.length(8)?,
        };
        let text = core::str::from_utf8(self.code.take(length)?).map_err(|_| self.error("text in UTF-8"))?;
        self.push(Node::Text(text))
    }

    fn byte_string(&mut self, operation: u8) -> Result<()> {
        let length = match operation {
            b'C' => self.code.length(1)?,
            b'B' => self.code.length(4)?,
            _ => self.code.length(8)?,
        };
        let bytes = self.code.take(length)?;
        self.push(Node::Bytes(bytes))
    }

    fn sequence(&mut self, operation: u8) -> Result<()> {
        match operation {
            b']' => self.push(Node::List(Vec::new())),
            b')' => self.push(Node::Tuple(Vec::new())),
            b'l' => {
                let items = self.pop_mark()?;
                self.push(Node::List(items))
            }
            b't' => {
                let items = self.pop_mark()?;
                self.push(Node::Tuple(items))
            }
            0x85..=0x87 => {
                let mut items = Vec::new();
                for _ in 0x84..operation {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.push(Node::Tuple(items))
            }
            _ => {
                let items = if operation == b'a' { alloc::vec![self.pop()?] } else { self.pop_mark()? };
                let error = self.error("a list");
                match self.top()? {
                    Node::List(list) => list.extend(items),
                    _ => return Err(error),
                }
                Ok(())
            }
        }
    }

    fn dictionary(&mut self, operation: u8) -> Result<()> {
        let items = match operation {
            b'}' => Vec::new(),
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                alloc::vec![key, value]
            }
            _ => self.pop_mark()?,
        };
        if !items.len().is_multiple_of(2) {
            return Err(self.error("a value for every key"));
        }
        let pairs = items.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        if matches!(operation, b'}' | b'd') {
            return self.push(Node::Dict(pairs.collect()));
        }
        let error = self.error("a dictionary");
        match self.top()? {
            Node::Dict(entries) => entries.extend(pairs),
            _ => return Err(error),
        }
        Ok(())
    }

    fn set(&mut self, operation: u8) -> Result<()> {
        if operation != 0x8f {
            self.pop_mark()?;
        }
        if operation == 0x90 { self.top().map(drop) } else { self.push(Node::Opaque) }
    }

    fn memory(&mut self, operation: u8) -> Result<()> {
        let key = match operation {
            b'h' | b'q' => u32::from(self.code.u8()?),
            b'j' | b'r' => self.code.u32()?,
            _ => u32::try_from(self.memo.len()).map_err(|_| self.error("fewer remembered values"))?,
        };
        if matches!(operation, b'h' | b'j') {
            let id = *self.memo.get(&key).ok_or_else(|| self.error("a value that was remembered"))?;
            self.stack.push(id);
        } else {
            self.top()?;
            let top = self.stack.last().copied().unwrap_or_default();
            self.memo.insert(key, top);
        }
        Ok(())
    }

    fn global(&mut self, operation: u8) -> Result<()> {
        let (module, name) = if operation == b'c' {
            (self.line()?, self.line()?)
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            match (self.node(module), self.node(name)) {
                (Node::Text(module), Node::Text(name)) => (*module, *name),
                _ => return Err(self.error("a name made of texts")),
            }
        };
        let forbidden = fail(FormatKind::Forbidden, "name outside of the list of what tensors are made of", self.at);
        let global = Global::named(module, name).ok_or(forbidden)?;
        self.push(Node::Global(global))
    }

    fn line(&mut self) -> Result<&'a str> {
        let start = self.code.clone();
        let mut length = 0;
        while self.code.u8()? != b'\n' {
            length += 1;
        }
        let line = start.clone().take(length)?;
        core::str::from_utf8(line).map_err(|_| self.error("a name in UTF-8"))
    }

    fn node(&self, id: Id) -> &Node<'a> {
        self.nodes.get(id as usize).unwrap_or(&Node::None)
    }

    /// The first items of the tuple on top of the stack. Not all of it: a large tuple may be passed many times.
    fn pop_tuple(&mut self) -> Result<Vec<Id>> {
        let tuple = self.pop()?;
        match self.node(tuple) {
            Node::Tuple(items) => Ok(items.iter().take(ARGUMENTS).copied().collect()),
            _ => Err(self.error("a tuple")),
        }
    }

    /// What a call of one of the known names makes; nothing is called.
    fn reduce(&mut self) -> Result<()> {
        let (arguments, callee) = (self.pop_tuple()?, self.pop()?);
        let Node::Global(callee) = *self.node(callee) else {
            return Err(fail(FormatKind::Forbidden, "call of something that is not a name", self.at));
        };
        match callee {
            Global::OrderedDict if arguments.is_empty() => self.push(Node::Dict(Vec::new())),
            Global::OrderedDict => Err(self.error("a dictionary that is filled afterwards")),
            Global::RebuildTensor => {
                let tensor = self.tensor(&arguments);
                let tensor = tensor.ok_or_else(|| self.error("storage, offset, shape and strides of a tensor"))?;
                self.push(Node::Tensor(Box::new(tensor)))
            }
            Global::RebuildParameter | Global::Size => {
                let first = arguments.first().ok_or_else(|| self.error("an argument"))?;
                self.stack.push(*first);
                Ok(())
            }
            Global::Storage(_) | Global::Inert => self.push(Node::Opaque),
        }
    }

    fn tensor(&self, arguments: &[Id]) -> Option<StridedTensor<'a>> {
        let [storage, offset, shape, strides, ..] = arguments else { return None };
        let Node::Storage(storage) = self.node(*storage) else { return None };
        let shape = self.counts(*shape)?;
        let strides = self.counts(*strides)?;
        Some(StridedTensor { storage: *storage, offset: self.count(*offset)?, shape, strides })
    }

    fn counts(&self, tuple: Id) -> Option<Vec<usize>> {
        match self.node(tuple) {
            Node::Tuple(items) if items.len() <= 16 => items.iter().map(|&item| self.count(item)).collect(),
            _ => None,
        }
    }

    fn count(&self, id: Id) -> Option<usize> {
        if let Node::Int(count) = *self.node(id) { usize::try_from(count).ok() } else { None }
    }

    /// `('storage', type, key, device, count)`, before PyTorch 1.6 also a view, which must be none.
    fn persistent(&mut self) -> Result<()> {
        let parts = self.pop_tuple()?;
        let parts: Vec<&Node<'a>> = parts.iter().map(|&id| self.node(id)).collect();
        let [
            Node::Text("storage"),
            Node::Global(Global::Storage(dtype)),
            Node::Text(key),
            _,
            Node::Int(count),
            view @ ..,
        ] = parts.as_slice()
        else {
            return Err(self.error("a tuple that names a storage"));
        };
        if view.iter().any(|view| **view != Node::None) {
            return Err(self.error("a whole storage, not a view of one"));
        }
        let count = usize::try_from(*count).map_err(|_| self.error("a storage that is not negative"))?;
        let storage = Storage { dtype: *dtype, key, count };
        self.push(Node::Storage(storage))
    }
}

/// A little-endian whole number in two's complement.
fn long(bytes: &[u8]) -> Node<'_> {
    if bytes.len() > 8 {
        return Node::Bytes(bytes);
    }
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut wide = [if negative { 0xff } else { 0 }; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Node::Int(i64::from_le_bytes(wide))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_of_any_length_are_read() {
        assert_eq!([long(&[]), long(&[0xff]), long(&[0xff, 0])], [Node::Int(0), Node::Int(-1), Node::Int(255)]);
        assert_eq!(long(&[0x80, 0, 0, 0, 0, 0, 0, 0x80]), Node::Int(i64::MIN + 128));
        assert!(matches!(long(&[1; 9]), Node::Bytes(_)));
    }
}
