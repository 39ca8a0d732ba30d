//! Steps over values without decoding them.

use alloc::boxed::Box;
use core::mem;

use crate::primitive::Reader;
use crate::table::{Branch, DEPTH_LIMIT, EMPTY_ITEM_LIMIT, Field, Node, Resolved, Table};
use crate::{Error, ErrorKind, Schema};

/// What every walk over a datum carries along.
#[derive(Debug)]
pub(crate) struct Walk<'s, 'a> {
    pub(crate) table: &'s Table,
    pub(crate) reader: Reader<'a>,
    /// Items of no bytes that the datum may still claim.
    empty_items: u32,
    /// Levels that may still be entered.
    pub(crate) depth: u8,
    /// The datums of [`Role::Default`].
    pub(crate) defaults: &'a [Box<[u8]>],
    /// The datum, while a default is read in its place.
    suspended: Reader<'a>,
}

impl<'s, 'a> Walk<'s, 'a> {
    #[inline]
    pub(crate) const fn new(table: &'s Table, input: &'a [u8]) -> Self {
        Self {
            table,
            reader: Reader::new(input),
            empty_items: EMPTY_ITEM_LIMIT,
            depth: DEPTH_LIMIT,
            defaults: &[],
            suspended: Reader::new(&[]),
        }
    }

    /// Steps over one value of the type `node`.
    pub(crate) fn skip(&mut self, node: &Node) -> Result<(), Error> {
        match *node {
            Node::Null => Ok(()),
            Node::Boolean => self.reader.read_boolean().map(drop),
            Node::Int => self.reader.read_int().map(drop),
            Node::Long => self.reader.skip_long(),
            Node::Float => self.reader.read_float().map(drop),
            Node::Double => self.reader.read_double().map(drop),
            Node::Bytes | Node::String => self.reader.read_bytes().map(drop),
            Node::Byte => self.reader.read_fixed(1).map(drop),
            Node::Fixed(size) => self.reader.read_fixed(size as usize).map(drop),
            Node::Enum(index) => self.symbol(index).map(drop),
            Node::Option { null_first, inner } => {
                if self.is_some(null_first)? {
                    self.skip(self.table.node_ref(inner))
                } else {
                    Ok(())
                }
            }
            Node::Union(index) => {
                let branch = self.branch(index)?;
                self.skip(&branch.node)
            }
            Node::Record(index) => self.skip_record(index),
            Node::Resolved(index) => match self.table.resolution(index) {
                Resolved::Promote { from, .. } => self.skip(&from),
                Resolved::Chosen(slot) | Resolved::Never(slot) => {
                    self.skip(self.table.node_ref(slot))
                }
            },
            Node::Array(item) => self.skip_blocks(item, false),
            Node::Map(item) => self.skip_blocks(item, true),
        }
    }

    /// As [`Walk::skip`], for a few places where the call would take longer than the work.
    #[inline]
    pub(crate) fn skip_inline(&mut self, node: &Node) -> Result<(), Error> {
        match *node {
            Node::Long => self.reader.skip_long(),
            Node::Bytes | Node::String => self.reader.read_bytes().map(drop),
            _ => self.skip(node),
        }
    }

    fn skip_record(&mut self, index: u32) -> Result<(), Error> {
        let record = self.table.record(index);
        self.descend()?;
        if record.min_size > 0 {
            for field in record.fields.iter().filter(|field| field.role.has_bytes()) {
                match field.node {
                    Node::Option { null_first, inner } => {
                        if self.is_some(null_first)? {
                            self.skip_inline(self.table.node_ref(inner))?;
                        }
                    }
                    _ => self.skip_inline(&field.node)?,
                }
            }
        }
        self.depth += 1;
        Ok(())
    }

    fn skip_blocks(&mut self, item: u32, keyed: bool) -> Result<(), Error> {
        let node = self.table.node_ref(item);
        self.descend()?;
        loop {
            let block = self.block(node, keyed)?;
            if block.count == 0 {
                self.depth += 1;
                return Ok(());
            }
            if let Some(size) = block.size {
                self.reader.read_fixed(size)?;
                continue;
            }
            for _ in 0..block.count {
                if keyed {
                    self.reader.read_bytes()?;
                }
                self.skip(node)?;
            }
        }
    }

    /// Checks that the datum ends here, and that all records were read to their ends.
    #[inline]
    pub(crate) fn finish(&self) -> Result<(), Error> {
        if self.depth == DEPTH_LIMIT { self.reader.finish() } else { Err(self.unfinished()) }
    }

    /// A `visit_seq` stopped before the last field that its struct says it has.
    #[cold]
    fn unfinished(&self) -> Error {
        let error = Error::named(ErrorKind::Value, "fields were left");
        error.or_offset(self.reader.offset())
    }

    /// Goes one level in. Whoever comes back out without an error adds the level again.
    #[inline]
    pub(crate) fn descend(&mut self) -> Result<(), Error> {
        match self.depth.checked_sub(1) {
            Some(depth) => {
                self.depth = depth;
                Ok(())
            }
            None => Err(self.reader.error(ErrorKind::DepthLimit)),
        }
    }

    /// Reads from a default until [`Walk::leave_default`]. There are no defaults in defaults.
    #[cold]
    pub(crate) fn enter_default(&mut self, index: u32) {
        let datum = self.defaults.get(index as usize).map_or(&[][..], |datum| datum);
        self.suspended = mem::replace(&mut self.reader, Reader::new(datum));
    }

    #[cold]
    pub(crate) fn leave_default(&mut self) {
        self.reader = self.suspended.clone();
    }

    #[cold]
    pub(crate) fn in_field(&self, error: Error, field: &Field) -> Error {
        error.or_offset(self.reader.offset()).in_field(&field.name)
    }

    /// Counts `items` that have no bytes; `None` when the datum had too many. Without this bound,
    /// records of records of nothing would cost time and memory that no input pays for.
    #[inline]
    pub(crate) fn take_empty(&mut self, items: u64) -> Option<()> {
        self.empty_items = self.empty_items.checked_sub(u32::try_from(items).ok()?)?;
        Some(())
    }

    /// Why [`Reader::try_str`] gave nothing.
    #[cold]
    pub(crate) fn text_error(&mut self) -> Error {
        match self.reader.read_str() {
            Ok(_) => Error::new(ErrorKind::Value),
            Err(error) => error,
        }
    }

    /// Reads the branch of an option: whether a value follows.
    #[inline]
    pub(crate) fn is_some(&mut self, null_first: bool) -> Result<bool, Error> {
        match self.reader.take_option(null_first) {
            Some(is_some) => Ok(is_some),
            None => self.is_some_at_length(null_first),
        }
    }

    /// For an index in a longer form than it needs, and for errors.
    #[cold]
    fn is_some_at_length(&mut self, null_first: bool) -> Result<bool, Error> {
        let before = self.reader.clone();
        match self.reader.read_long()? {
            0 => Ok(!null_first),
            1 => Ok(null_first),
            index => Err(before.error(ErrorKind::BranchOutOfRange { index })),
        }
    }

    /// Reads the branch of a union.
    #[inline]
    pub(crate) fn branch(&mut self, union: u32) -> Result<&'s Branch, Error> {
        let before = self.reader.clone();
        let index = self.reader.read_long()?;
        let branches = self.table.branches(union);
        match usize::try_from(index).ok().and_then(|index| branches.get(index)) {
            Some(branch) => Ok(branch),
            None => Err(before.error(ErrorKind::BranchOutOfRange { index })),
        }
    }

    /// Reads an enum: the index of its symbol and the symbol.
    #[inline]
    pub(crate) fn symbol(&mut self, index: u32) -> Result<&'s str, Error> {
        let before = self.reader.clone();
        let position = self.reader.read_long()?;
        let symbols = &self.table.enumeration(index).symbols;
        match usize::try_from(position).ok().and_then(|position| symbols.get(position)) {
            Some(symbol) if !symbol.is_empty() => Ok(symbol),
            Some(_) => Err(before.error(ErrorKind::Unresolvable)),
            None => Err(before.error(ErrorKind::SymbolOutOfRange { index: position })),
        }
    }

    /// Reads the head of the next block of an array or map. The count is one that the rest of the
    /// input can hold.
    #[inline]
    pub(crate) fn block(&mut self, item: &Node, keyed: bool) -> Result<Block, Error> {
        let before = self.reader.clone();
        let count = self.reader.read_long()?;
        if count == 0 {
            return Ok(Block { count: 0, size: None, end: None });
        }
        let items = count.unsigned_abs();
        let (size, end) = if count < 0 { self.block_size()? } else { (None, None) };
        let room = size.unwrap_or_else(|| self.reader.rest().len());
        let item_size = u64::from(self.table.min_size(*item)) + u64::from(keyed);
        let fits = if item_size == 0 {
            self.take_empty(items).is_some()
        } else {
            items.saturating_mul(item_size) <= room as u64
        };
        match usize::try_from(items) {
            Ok(count) if fits => Ok(Block { count, size, end }),
            _ => Err(before.error(ErrorKind::ItemCount { count })),
        }
    }

    /// Reads the size in bytes that follows a negative count; with it, what it leaves over.
    #[cold]
    fn block_size(&mut self) -> Result<(Option<usize>, Option<usize>), Error> {
        let before = self.reader.clone();
        let length = self.reader.read_long()?;
        let rest = self.reader.rest().len();
        let size = u64::try_from(length)
            .map_err(|_| before.error(ErrorKind::NegativeLength { length }))?;
        match usize::try_from(size).ok().and_then(|size| Some((size, rest.checked_sub(size)?))) {
            Some((size, end)) => Ok((Some(size), Some(end))),
            None => {
                let missing = size.saturating_sub(rest as u64);
                Err(before.error(ErrorKind::UnexpectedEnd { missing }))
            }
        }
    }

    /// Checks that the items of a block took the bytes that their writer announced.
    #[inline]
    pub(crate) fn end_block(&self, end: Option<usize>) -> Result<(), Error> {
        match end {
            Some(end) if end != self.reader.rest().len() => Err(self.wrong_size(end)),
            _ => Ok(()),
        }
    }

    #[cold]
    fn wrong_size(&self, end: usize) -> Error {
        // No slice is longer than `isize::MAX`, so the difference of two lengths fits.
        let off = (end.cast_signed() - self.reader.rest().len().cast_signed()) as i64;
        self.reader.error(ErrorKind::BlockSize { off })
    }
}

/// The head of a block of array or map items.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    pub(crate) count: usize,
    /// The bytes of the block, where the writer gave them.
    pub(crate) size: Option<usize>,
    /// With `size`, the bytes of the input behind the block.
    pub(crate) end: Option<usize>,
}

pub(crate) fn datum_length(schema: &Schema, input: &[u8]) -> Result<usize, Error> {
    let mut walk = Walk::new(schema.table(), input);
    walk.skip(schema.root())?;
    Ok(walk.reader.offset())
}
