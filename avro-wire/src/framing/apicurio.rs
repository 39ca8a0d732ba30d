//! Apicurio's record headers.

use super::{ContentId, GlobalId, IdSpace, Part, SchemaRef};
use crate::{Error, ErrorKind};

/// What Apicurio's serializers say in the headers of a record instead of in the message: an id, or
/// else where in the registry the schema is, or else the schema itself.
///
/// The names start with `apicurio.key.` or `apicurio.value.`; each field tells the rest.
///
/// ```
/// use avro_wire::{ApicurioHeaders, IdSpace, Part, SchemaRef, ContentId};
///
/// let headers = [("apicurio.value.contentId", &9_u64.to_be_bytes()[..]),
///     ("apicurio.value.encoding", b"BINARY")];
/// let found = ApicurioHeaders::read(Part::Value, headers)?;
/// assert_eq!(found.reference(IdSpace::Content), Some(SchemaRef::ContentId(ContentId::new(9))));
/// assert_eq!(found.encoding, Some("BINARY"));
/// # Ok::<(), avro_wire::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ApicurioHeaders<'a> {
    /// `globalId`: eight bytes, big-endian.
    pub global_id: Option<GlobalId>,
    /// `contentId`: eight bytes, big-endian.
    pub content_id: Option<ContentId>,
    /// `contentHash`: SHA-256 of the content, as hexadecimal text.
    pub content_hash: Option<&'a str>,
    /// `groupId` of the artifact; absent for the default group.
    pub group_id: Option<&'a str>,
    /// `artifactId`.
    pub artifact_id: Option<&'a str>,
    /// `version` of the artifact.
    pub version: Option<&'a str>,
    /// `encoding` of the datum: `BINARY` or `JSON`.
    pub encoding: Option<&'a str>,
    /// `msgType`: name of the type of the message.
    pub message_type: Option<&'a str>,
    /// `schema`: the text of the schema itself.
    pub schema: Option<&'a str>,
    /// `schemaType`, such as `AVRO`.
    pub schema_type: Option<&'a str>,
}

impl<'a> ApicurioHeaders<'a> {
    /// Picks the headers of `part` out of those of a record. Others are ignored; of headers with
    /// the same name the last one counts.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidId`] for an id that has not eight bytes or is negative, and
    /// [`ErrorKind::InvalidUtf8`].
    pub fn read(
        part: Part,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, Error> {
        let mut found = Self::default();
        let prefix = match part {
            Part::Key => "apicurio.key.",
            Part::Value => "apicurio.value.",
        };
        for (name, value) in headers {
            let place = match name.strip_prefix(prefix) {
                Some("globalId") => {
                    found.global_id = Some(GlobalId::new(read_id(value)?));
                    continue;
                }
                Some("contentId") => {
                    found.content_id = Some(ContentId::new(read_id(value)?));
                    continue;
                }
                Some("contentHash") => &mut found.content_hash,
                Some("groupId") => &mut found.group_id,
                Some("artifactId") => &mut found.artifact_id,
                Some("version") => &mut found.version,
                Some("encoding") => &mut found.encoding,
                Some("msgType") => &mut found.message_type,
                Some("schema") => &mut found.schema,
                Some("schemaType") => &mut found.schema_type,
                _ => continue,
            };
            let text = core::str::from_utf8(value);
            *place = Some(text.map_err(|_| Error::named(ErrorKind::InvalidUtf8, name))?);
        }
        Ok(found)
    }

    /// The id, if there is one; where there are both, the one of `preferred`.
    #[must_use]
    pub fn reference(&self, preferred: IdSpace) -> Option<SchemaRef> {
        let content = self.content_id.map(SchemaRef::ContentId);
        let global = self.global_id.map(SchemaRef::GlobalId);
        match preferred {
            IdSpace::Content => content.or(global),
            IdSpace::Global => global.or(content),
        }
    }
}

pub(super) const fn id_header(part: Part, space: IdSpace) -> &'static str {
    match (part, space) {
        (Part::Key, IdSpace::Content) => "apicurio.key.contentId",
        (Part::Key, IdSpace::Global) => "apicurio.key.globalId",
        (Part::Value, IdSpace::Content) => "apicurio.value.contentId",
        (Part::Value, IdSpace::Global) => "apicurio.value.globalId",
    }
}

fn read_id(value: &[u8]) -> Result<u64, Error> {
    let id = value.try_into().ok().map(i64::from_be_bytes);
    id.and_then(|id| id.try_into().ok()).ok_or_else(|| Error::new(ErrorKind::InvalidId))
}
