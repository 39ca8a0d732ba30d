//! The same messages through arrow-avro, which works on batches of columns.

use arrow_array::RecordBatch;
use arrow_avro::reader::{Decoder, ReaderBuilder};
use arrow_avro::schema::{
    AvroSchema, Fingerprint, FingerprintAlgorithm, FingerprintStrategy, SCHEMA_METADATA_KEY,
    SchemaStore,
};
use arrow_avro::writer::format::AvroSoeFormat;
use arrow_avro::writer::{Encoder, WriterBuilder};

/// Reads messages of the schema `text`, registered with the id `id`.
pub(crate) fn decoder(text: &str, id: u32, batch: usize) -> Decoder {
    let mut store = SchemaStore::new_with_type(FingerprintAlgorithm::Id);
    store.set(Fingerprint::Id(id), AvroSchema::new(text.to_owned())).unwrap();
    ReaderBuilder::new()
        .with_writer_schema_store(store)
        .with_active_fingerprint(Fingerprint::Id(id))
        .with_batch_size(batch)
        .build_decoder()
        .unwrap()
}

pub(crate) fn decode(decoder: &mut Decoder, messages: &[Vec<u8>]) -> RecordBatch {
    for message in messages {
        assert_eq!(decoder.decode(message).unwrap(), message.len());
    }
    decoder.flush().unwrap().unwrap()
}

/// Writes batches like `batch` as messages.
pub(crate) fn encoder(text: &str, id: u32, batch: &RecordBatch) -> Encoder {
    let mut schema = (*batch.schema()).clone();
    schema.metadata.insert(SCHEMA_METADATA_KEY.to_owned(), text.to_owned());
    WriterBuilder::new(schema)
        .with_fingerprint_strategy(FingerprintStrategy::Id(id))
        .build_encoder::<AvroSoeFormat>()
        .unwrap()
}
