//! What a header may say about a schema.

use core::fmt;

use super::unsupported;
use crate::{Error, ErrorKind};

/// A name of a schema inside a header. What it means depends on the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SchemaRef {
    /// The 32-bit id of Confluent's registry and of those that speak its protocol.
    Id(u32),
    /// Apicurio's id of a content: equal texts share it.
    ContentId(ContentId),
    /// Apicurio's id of a version of an artifact: equal texts may have several.
    GlobalId(GlobalId),
    /// A UUID, big-endian: Confluent's GUID of a schema, or Glue's schema version id.
    Guid([u8; 16]),
    /// CRC-64-AVRO of the canonical form, as [`Schema::fingerprint`](crate::Schema::fingerprint).
    Fingerprint(u64),
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u64);

        impl $name {
            /// The id of this number.
            #[must_use]
            pub const fn new(id: u64) -> Self {
                Self(id)
            }

            /// The number, for URLs.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// Apicurio's number of a content, asked for at `/ids/contentIds/{id}`.
    ContentId
}

id! {
    /// Apicurio's number of a version of an artifact, asked for at `/ids/globalIds/{id}`.
    GlobalId
}

/// Which of its two kinds of numbers an Apicurio serializer was set to use (`use-id`). The bytes
/// do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "Apicurio numbers in these two ways")]
pub enum IdSpace {
    /// Numbers of contents, the default of Apicurio 3.
    Content,
    /// Numbers of versions.
    Global,
}

impl IdSpace {
    pub(super) const fn reference(self, id: u64) -> SchemaRef {
        match self {
            Self::Content => SchemaRef::ContentId(ContentId(id)),
            Self::Global => SchemaRef::GlobalId(GlobalId(id)),
        }
    }

    /// Apicurio's ids are Java's `long`s.
    pub(super) fn read(self, id: [u8; 8], offset: usize) -> Result<SchemaRef, Error> {
        u64::try_from(i64::from_be_bytes(id))
            .map(|id| self.reference(id))
            .map_err(|_| Error::at(ErrorKind::InvalidId, offset))
    }

    pub(super) fn id(self, schema: SchemaRef) -> Result<u64, Error> {
        let ((Self::Content, SchemaRef::ContentId(ContentId(id)))
        | (Self::Global, SchemaRef::GlobalId(GlobalId(id)))) = (self, schema)
        else {
            return Err(unsupported());
        };
        i64::try_from(id).map(|_| id).map_err(|_| unsupported())
    }
}
