//! Parsing Canonical Form and the CRC-64-AVRO fingerprint (Avro 1.12, "Parsing Canonical Form for
//! Schemas" and "Schema Fingerprints").

use alloc::collections::BTreeSet;
use alloc::string::String;
use core::fmt::Write as _;

use crate::table::{Branch, Node, Table};

pub(crate) fn canonical_form(table: &Table, root: u32) -> String {
    let mut out = String::new();
    Writer { table, written: BTreeSet::new(), out: &mut out }.slot(root);
    out
}

struct Writer<'a> {
    table: &'a Table,
    /// Names whose definition has been written: the next use is the name alone.
    written: BTreeSet<&'a str>,
    out: &'a mut String,
}

impl<'a> Writer<'a> {
    fn slot(&mut self, slot: u32) {
        let name = self.table.type_name(slot);
        match self.table.node(slot) {
            Node::Array(items) => self.container("array", "items", items),
            Node::Map(values) => self.container("map", "values", values),
            Node::Option { null_first, inner } => {
                self.out.push_str(if null_first { "[\"null\"," } else { "[" });
                self.slot(inner);
                self.out.push_str(if null_first { "]" } else { ",\"null\"]" });
            }
            Node::Union(index) => {
                let branches = self.table.branches(index);
                self.list(branches, |this, branch: &Branch| this.slot(branch.slot));
            }
            Node::Fixed(size) => {
                if self.start(name, "fixed") {
                    // Writing to a String cannot fail.
                    let _ = write!(self.out, ",\"size\":{size}}}");
                }
            }
            Node::Enum(index) => {
                if self.start(name, "enum") {
                    self.out.push_str(",\"symbols\":");
                    let symbols = &self.table.enumeration(index).symbols;
                    self.list(symbols, |this, symbol| this.string(symbol));
                    self.out.push('}');
                }
            }
            Node::Record(index) => {
                if self.start(name, "record") {
                    self.out.push_str(",\"fields\":");
                    self.list(&self.table.record(index).fields, |this, field| {
                        this.out.push_str("{\"name\":");
                        this.string(&field.name);
                        this.out.push_str(",\"type\":");
                        this.slot(field.slot);
                        this.out.push('}');
                    });
                    self.out.push('}');
                }
            }
            _ => self.string(name),
        }
    }

    /// Opens the definition of a named type, or writes its name if it has been defined.
    fn start(&mut self, name: &'a str, kind: &str) -> bool {
        if !self.written.insert(name) {
            self.string(name);
            return false;
        }
        self.out.push_str("{\"name\":");
        self.string(name);
        let _ = write!(self.out, ",\"type\":\"{kind}\"");
        true
    }

    fn container(&mut self, kind: &str, attribute: &str, slot: u32) {
        let _ = write!(self.out, "{{\"type\":\"{kind}\",\"{attribute}\":");
        self.slot(slot);
        self.out.push('}');
    }

    fn list<T>(&mut self, items: &'a [T], mut write: impl FnMut(&mut Self, &'a T)) {
        self.out.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            write(self, item);
        }
        self.out.push(']');
    }

    /// Names hold no character that JSON escapes, but a namespace may hold any.
    fn string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            if matches!(c, '"' | '\\') {
                self.out.push('\\');
            }
            self.out.push(c);
        }
        self.out.push('"');
    }
}

/// CRC-64-AVRO of `bytes`: the Rabin fingerprint of the specification.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(EMPTY, |hash, &byte| {
        let index = usize::from(hash.to_le_bytes()[0] ^ byte);
        (hash >> 8) ^ TABLE.get(index).copied().unwrap_or_default()
    })
}

const EMPTY: u64 = 0xc15d_213a_a4d7_a795;

#[allow(clippy::indexing_slicing, reason = "evaluated at compile time, where a panic is an error")]
static TABLE: [u64; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut hash = index as u64;
        let mut bit = 0;
        while bit < 8 {
            hash = (hash >> 1) ^ (EMPTY & (hash & 1).wrapping_neg());
            bit += 1;
        }
        table[index] = hash;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    #[test]
    fn fingerprints_of_the_specification() {
        // From the test data of the Avro project (schema-tests.txt).
        assert_eq!(super::fingerprint(b"\"null\""), 7_195_948_357_588_979_594_u64);
        assert_eq!(super::fingerprint(b"\"int\""), 8_247_732_601_305_521_295_u64);
        assert_eq!(super::fingerprint(b"\"boolean\"").cast_signed(), -6_970_731_678_124_411_036);
    }
}
