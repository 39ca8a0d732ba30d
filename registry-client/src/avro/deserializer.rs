//! Messages to values.

use std::fmt;
use std::sync::Arc;

use avro_wire::{Frame, Framing, Resolution, Schema, SchemaRef};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::decoder::AvroDecoder;
use super::{codec, references};
use crate::cache::{Cache, Lifetime};
use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::id::{Guid, SchemaId};
use crate::schema::Definition;
use crate::subject::Part;

/// Decodes messages by the schema they name.
///
/// A message without content (a tombstone) has no framing: it is for the caller to see that.
/// Cloning is cheap and shares what is known about schemas.
#[derive(Clone)]
pub struct AvroDeserializer {
    client: Client,
    part: Part,
    framing: Framing,
    reader: Option<Schema>,
    known: Arc<Cache<SchemaRef, Arc<AvroReader>>>,
}

impl AvroDeserializer {
    /// Deserializes the `part` of records as Confluent's deserializer does: by the id or GUID
    /// in the record header, or in front of the datum.
    #[must_use]
    pub fn new(client: Client, part: Part) -> Self {
        let known = Arc::new(Self::cache(&client));
        Self { client, part, framing: Framing::ConfluentHeader, reader: None, known }
    }

    fn cache(client: &Client) -> Cache<SchemaRef, Arc<AvroReader>> {
        Cache::new(client.shared.capacity, client.shared.missing_ttl, |_| Lifetime::ENDLESS)
    }

    /// Expects messages of another framing.
    #[must_use]
    pub fn with_framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// Gives values of `schema`, whatever schema they were written by: fields are found by name
    /// or alias, missing ones take their defaults, numbers are widened (Avro 1.12, "Schema
    /// Resolution").
    #[must_use]
    pub fn with_reader_schema(mut self, schema: Schema) -> Self {
        self.reader = Some(schema);
        self.known = Arc::new(Self::cache(&self.client));
        self
    }

    /// The value in `message`. The registry is asked for the first message of a schema.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] when the message is not of the framing or its datum not of the
    /// schema; [`ErrorKind::Schema`] when the schema is no Avro schema, or cannot be read by the
    /// [reader's](Self::with_reader_schema); and as the [`Client`] says.
    pub async fn decode<T: DeserializeOwned>(&self, message: &[u8]) -> Result<T, Error> {
        self.decode_record([], message).await
    }

    /// The value in `message`, whose record has these headers.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub async fn decode_record<'h, T: DeserializeOwned>(
        &self,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8]), IntoIter: Send> + Send,
        message: &[u8],
    ) -> Result<T, Error> {
        let (reader, datum) = self.reader(headers, message).await?;
        reader.decode(datum)
    }

    /// What reads the datum of `message`, and the datum: for values that borrow from it.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub async fn reader<'a, 'h>(
        &self,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8]), IntoIter: Send> + Send,
        message: &'a [u8],
    ) -> Result<(Arc<AvroReader>, &'a [u8]), Error> {
        let frame = self.split(headers, message)?;
        Ok((self.find(frame.schema).await?, frame.datum))
    }

    pub(super) async fn find(&self, schema: SchemaRef) -> Result<Arc<AvroReader>, Error> {
        self.known.get_or_fetch(&schema, || self.prepare(schema)).await
    }

    /// The same for one task that decodes one message after the other: faster, and values may
    /// borrow from the message.
    #[must_use]
    pub fn decoder(self) -> AvroDecoder {
        AvroDecoder::new(self)
    }

    /// As [`reader`](Self::reader), without waiting; `None` when the registry has to be asked,
    /// and for a message that is not of the framing.
    #[must_use]
    pub fn try_reader<'a, 'h>(
        &self,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
        message: &'a [u8],
    ) -> Option<(Arc<AvroReader>, &'a [u8])> {
        let frame = self.split(headers, message).ok()?;
        Some((self.known.get(&frame.schema)?, frame.datum))
    }

    pub(super) fn split<'a, 'h>(
        &self,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
        message: &'a [u8],
    ) -> Result<Frame<'a>, Error> {
        self.framing
            .split_record(self.part.into(), headers, message)
            .map_err(|error| codec(ErrorKind::Undecodable, error))
    }

    async fn prepare(&self, schema: SchemaRef) -> Result<Arc<AvroReader>, Error> {
        let id = |id: u64| {
            u32::try_from(id).map_err(|_| Error::config("the schema's id has more than 32 bits"))
        };
        let definition = match schema {
            SchemaRef::Id(id) => self.by_id(id).await?,
            SchemaRef::ContentId(content) => self.by_id(id(content.get())?).await?,
            SchemaRef::GlobalId(global) => self.by_id(id(global.get())?).await?,
            SchemaRef::Guid(guid) => self.client.schema_by_guid(Guid::new(guid)).await?,
            _ => return Err(Error::config("registries do not know schemas by their fingerprint")),
        };
        let writer = references::parse(&self.client, Arc::clone(&definition)).await?;
        let resolution = match &self.reader {
            Some(reader) => Some(
                Resolution::new(&writer, reader)
                    .map_err(|error| codec(ErrorKind::Schema, error))?,
            ),
            None => None,
        };
        Ok(Arc::new(AvroReader { definition, writer, resolution }))
    }

    async fn by_id(&self, id: u32) -> Result<Arc<Definition>, Error> {
        let registered = self.client.schema(SchemaId::new(id)).await?;
        Ok(Arc::new(registered.definition().clone()))
    }
}

impl fmt::Debug for AvroDeserializer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AvroDeserializer")
            .field("client", &self.client)
            .field("part", &self.part)
            .field("framing", &self.framing)
            .field("reader", &self.reader)
            .finish_non_exhaustive()
    }
}

/// Reads datums of one schema: no waiting, no request, no lock.
#[derive(Clone, Debug)]
pub struct AvroReader {
    definition: Arc<Definition>,
    writer: Schema,
    resolution: Option<Resolution>,
}

impl AvroReader {
    /// The value of `datum`.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] when it is not of the schema.
    pub fn decode<'a, T: Deserialize<'a>>(&'a self, datum: &'a [u8]) -> Result<T, Error> {
        match &self.resolution {
            Some(resolution) => resolution.decode(datum),
            None => avro_wire::decode(datum, &self.writer),
        }
        .map_err(|error| codec(ErrorKind::Undecodable, error))
    }

    /// The schema that the datums were written by.
    #[must_use]
    pub fn writer_schema(&self) -> &Schema {
        &self.writer
    }

    /// What the registry says about that schema.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.definition
    }
}
