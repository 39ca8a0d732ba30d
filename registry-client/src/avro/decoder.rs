//! Messages to values, one after the other.

use std::sync::Arc;

use avro_wire::SchemaRef;
use serde::Deserialize;

use super::deserializer::{AvroDeserializer, AvroReader};
use crate::error::Error;

/// Decodes one message after the other: an [`AvroDeserializer`] for one task, which remembers
/// the schema of the message before. As long as that stays the same, as it does in most topics,
/// finding it costs no lock and no atomic instruction.
///
/// ```
/// # #[cfg(feature = "mock")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry_client::Error> {
/// # use std::sync::Arc;
/// # use registry_client::{AvroDeserializer, Client, Config, MockRegistry, NewSchema, Part, Subject};
/// # let client = Client::with_transport(Config::new("http://mock"), Arc::new(MockRegistry::new()))?;
/// # client.register(&Subject::new("s"), &NewSchema::new("\"string\"")).await?;
/// let mut decoder = AvroDeserializer::new(client, Part::Value).decoder();
/// for message in [b"\0\0\0\0\x01\x04hi", b"\0\0\0\0\x01\x04ho"] {
///     let text: &str = decoder.decode([], message).await?;
///     assert!(text.starts_with('h'));
/// }
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "mock"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct AvroDecoder {
    deserializer: AvroDeserializer,
    last: Option<(SchemaRef, Arc<AvroReader>)>,
}

impl AvroDecoder {
    pub(super) fn new(deserializer: AvroDeserializer) -> Self {
        Self { deserializer, last: None }
    }

    /// The value in `message`, whose record has these headers; it may borrow from both.
    ///
    /// # Errors
    /// As [`AvroDeserializer::decode`].
    #[inline]
    pub async fn decode<'a, 'h, T: Deserialize<'a>>(
        &'a mut self,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8]), IntoIter: Send> + Send,
        message: &'a [u8],
    ) -> Result<T, Error> {
        let (reader, datum) = self.reader(headers, message).await?;
        reader.decode(datum)
    }

    /// What reads the datum of `message`, and the datum.
    ///
    /// # Errors
    /// As [`AvroDeserializer::decode`].
    #[inline]
    pub async fn reader<'a, 'h>(
        &'a mut self,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8]), IntoIter: Send> + Send,
        message: &'a [u8],
    ) -> Result<(&'a AvroReader, &'a [u8]), Error> {
        let frame = self.deserializer.split(headers, message)?;
        if self.last.as_ref().is_some_and(|(known, _)| *known != frame.schema) {
            self.last = None;
        }
        let (_, reader) = match &mut self.last {
            Some(last) => last,
            none => none.insert((frame.schema, self.deserializer.find(frame.schema).await?)),
        };
        Ok((reader, frame.datum))
    }
}
