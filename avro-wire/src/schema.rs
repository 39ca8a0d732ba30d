//! The public face of a compiled schema.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;

use crate::canonical::{canonical_form, fingerprint};
use crate::parse::parse;
use crate::table::{Node, Table};
use crate::view::TypeView;
use crate::{Error, FieldReader};

/// An Avro schema, compiled once and cheap to clone.
///
/// Names are as lenient as those of Java's parser: only the part after the last dot is checked, so
/// `0pg.public.Value` passes. Attributes that Avro does not know are ignored.
///
/// ```
/// use avro_wire::Schema;
///
/// let schema = Schema::parse(r#"{"type":"fixed","name":"md5","namespace":"a.b","size":16}"#)?;
/// assert_eq!(schema.name(), Some("a.b.md5"));
/// assert_eq!(schema.canonical_form(), r#"{"name":"a.b.md5","type":"fixed","size":16}"#);
/// # Ok::<(), avro_wire::Error>(())
/// ```
#[derive(Clone)]
pub struct Schema {
    inner: Arc<Inner>,
}

struct Inner {
    text: Box<str>,
    table: Table,
    root: Node,
    slot: u32,
    fingerprint: u64,
}

impl Schema {
    /// Parses the JSON text of a schema that needs no other.
    ///
    /// # Errors
    /// Those of [`ErrorKind::is_schema`](crate::ErrorKind::is_schema), and
    /// [`ErrorKind::DepthLimit`](crate::ErrorKind::DepthLimit) beyond 64 levels.
    pub fn parse(json: &str) -> Result<Self, Error> {
        Self::parse_with(json, &[])
    }

    /// Parses the JSON text of a schema that names types of `references` without defining them.
    /// A reference brings every named type that it defines or that its own references defined.
    ///
    /// ```
    /// use avro_wire::Schema;
    ///
    /// let id = Schema::parse(r#"{"type":"fixed","name":"Id","size":4}"#)?;
    /// let list = Schema::parse_with(r#"{"type":"array","items":"Id"}"#, &[id])?;
    /// assert_eq!(avro_wire::decode::<Vec<[u8; 4]>>(b"\x02abcd\x00", &list)?, [*b"abcd"]);
    /// # Ok::<(), avro_wire::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Schema::parse`].
    pub fn parse_with(json: &str, references: &[Self]) -> Result<Self, Error> {
        let (table, slot) = parse(json, references)?;
        let fingerprint = fingerprint(canonical_form(&table, slot).as_bytes());
        let root = table.node(slot);
        Ok(Self { inner: Arc::new(Inner { text: json.into(), table, root, slot, fingerprint }) })
    }

    /// The text that was parsed, character for character.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.inner.text
    }

    /// The full name of the outermost type, if that is a record, an enum or a fixed.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.root_type().name()
    }

    /// The Parsing Canonical Form: two schemas that write the same bytes have the same. Types
    /// that came from references are written out where they are first used. It is made to be
    /// compared: a type of the null namespace inside another namespace cannot be told in it.
    #[must_use]
    pub fn canonical_form(&self) -> String {
        canonical_form(&self.inner.table, self.inner.slot)
    }

    /// The CRC-64-AVRO fingerprint of the canonical form.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.inner.fingerprint
    }

    /// The MD5 fingerprint of the canonical form. Feature `digest`.
    #[cfg(feature = "digest")]
    #[must_use]
    pub fn md5(&self) -> [u8; 16] {
        use md5::Digest as _;

        md5::Md5::digest(self.canonical_form()).into()
    }

    /// The SHA-256 fingerprint of the canonical form. Feature `digest`.
    ///
    /// ```
    /// let schema = avro_wire::Schema::parse(r#"{"type":"int"}"#)?;
    /// assert_eq!(schema.sha256()[..4], [0x3f, 0x2b, 0x87, 0xa9]);
    /// # Ok::<(), avro_wire::Error>(())
    /// ```
    #[cfg(feature = "digest")]
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        use sha2::Digest as _;

        sha2::Sha256::digest(self.canonical_form()).into()
    }

    /// The outermost type, to walk the schema from.
    #[must_use]
    pub fn root_type(&self) -> TypeView<'_> {
        TypeView::new(&self.inner.table, self.inner.slot)
    }

    /// Prepares to read one field of a record, without decoding the others; see [`FieldReader`].
    /// `path` is the name of a field, or several with dots between them for records in records.
    /// `None` when there is no such field or when it is not scalar.
    #[must_use]
    pub fn field_reader(&self, path: &str) -> Option<FieldReader> {
        FieldReader::new(self, path)
    }

    /// The number of bytes of the datum at the start of `input`, found without decoding it:
    /// strings are not checked for UTF-8, and a block of items that gives its size is stepped over
    /// as a whole. What [`decode`](crate::decode) takes has the same length here.
    ///
    /// # Errors
    /// Those of [`ErrorKind::is_data`](crate::ErrorKind::is_data).
    pub fn skip(&self, input: &[u8]) -> Result<usize, Error> {
        crate::skip::datum_length(self, input)
    }

    #[inline]
    pub(crate) fn table(&self) -> &Table {
        &self.inner.table
    }

    #[inline]
    pub(crate) fn root(&self) -> &Node {
        &self.inner.root
    }

    #[inline]
    pub(crate) fn slot(&self) -> u32 {
        self.inner.slot
    }

    /// The slot of the named type `name`.
    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        (0_u32..).zip(&self.inner.table.slots).find_map(|(slot, found)| {
            let named = matches!(found.node, Node::Record(_) | Node::Enum(_) | Node::Fixed(_));
            (named && self.inner.table.type_name(slot) == name).then_some(slot)
        })
    }
}

impl FromStr for Schema {
    type Err = Error;

    fn from_str(json: &str) -> Result<Self, Error> {
        Self::parse(json)
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.as_str()).finish()
    }
}

/// Same text, and same types for the names that it leaves to references.
impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
            || (self.inner.fingerprint == other.inner.fingerprint
                && self.as_str() == other.as_str())
    }
}

impl Eq for Schema {}
