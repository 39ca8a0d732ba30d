//! Debezium envelopes of a table of 12 columns: 2,000 records that vary one that was captured.
//!
//! Each implementation has to give the same bytes, the same struct or the same row before anything
//! is timed. The logical type of the one decimal is taken out of the schema, because the peers turn
//! it into types of their own; the bytes stay the same.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench fails by panicking and says what it counts"
)]

#[path = "avro_wire/allocations.rs"]
mod allocations;
#[path = "avro_wire/arrow.rs"]
mod arrow;
#[path = "avro_wire/envelope.rs"]
mod envelope;
#[path = "avro_wire/hand.rs"]
mod hand;
mod support;

use std::hint::black_box;
use std::time::Duration;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use avro_wire::ocf::{Codec, Writer};
use avro_wire::{Framing, Resolution, RowCodec, Scalar, Schema, SchemaRef};
use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use embedded_services::registry;
use schema_registry_converter::async_impl::avro::AvroEncoder;
use schema_registry_converter::async_impl::schema_registry::SrSettings;
use schema_registry_converter::schema_registry_common::{
    SchemaType, SubjectNameStrategy, SuppliedSchema,
};

use self::allocations::allocations;
use self::envelope::{Borrowed, Later, Owned};

const RECORDS: i64 = 2_000;
const ID: SchemaRef = SchemaRef::Id(1);

/// What all groups work on.
struct Input {
    text: String,
    schema: Schema,
    owned: Vec<Owned>,
    /// With the header of the registry.
    messages: Vec<Vec<u8>>,
}

impl Input {
    fn new() -> Self {
        let scenario = support::Scenario::load();
        let (_, message) = scenario.insert(&scenario.text());
        let text =
            scenario.table.value_schema().to_avro().replace("logicalType", "connect.logical");
        let schema = Schema::parse(&text).unwrap();
        let frame = Framing::CONFLUENT.split(&message).unwrap();
        let captured: Owned = avro_wire::decode(frame.datum, &schema).unwrap();
        let mut again = Vec::new();
        avro_wire::encode(&captured, &schema, &mut again).unwrap();
        assert_eq!(again, frame.datum);
        let after = captured.after.as_ref().unwrap();
        assert!(after.amount.is_some() && after.tags.is_some() && after.employee.is_some());

        let owned = envelope::vary(&captured, RECORDS);
        let messages: Vec<_> = owned
            .iter()
            .map(|envelope| {
                let mut out = Vec::new();
                Framing::CONFLUENT.write_header(ID, &mut out).unwrap();
                avro_wire::encode(envelope, &schema, &mut out).unwrap();
                out
            })
            .collect();
        let mean = messages.iter().map(Vec::len).sum::<usize>() / messages.len();
        println!("{} messages, mean {mean} bytes", messages.len());
        assert!((338..=348).contains(&mean), "{mean}");
        Self { text, schema, owned, messages }
    }

    fn datums(&self) -> Vec<&[u8]> {
        self.messages.iter().map(|message| &message[5..]).collect()
    }
}

fn main() {
    let input = Input::new();
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .sample_size(40)
        .configure_from_args();
    encode(&mut criterion, &input);
    decode(&mut criterion, &input);
    rows(&mut criterion, &input);
    resolution(&mut criterion, &input);
    framing(&mut criterion, &input);
    container(&mut criterion, &input);
    criterion.final_summary();
}

/// Times `run` over all records and says how often it allocates for them.
fn measure(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mut run: impl FnMut()) {
    run();
    let count = allocations(&mut run);
    println!("{name}: {count} allocations for {RECORDS} records");
    group.bench_function(name, |b| b.iter(&mut run));
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(RECORDS.unsigned_abs()));
    group
}

/// Records to framed messages, one after the other into one buffer.
fn encode(criterion: &mut Criterion, input: &Input) {
    let Input { text, schema, messages, .. } = input;
    let datums = input.datums();
    let borrowed: Vec<Borrowed<'_>> =
        datums.iter().map(|datum| avro_wire::decode(datum, schema).unwrap()).collect();
    let mut out = Vec::with_capacity(4096);

    let ours = |envelope: &Borrowed<'_>, out: &mut Vec<u8>| {
        Framing::CONFLUENT.write_header(ID, out).unwrap();
        avro_wire::encode(envelope, schema, out).unwrap();
    };
    let by_hand = |envelope: &Borrowed<'_>, out: &mut Vec<u8>| {
        Framing::CONFLUENT.write_header(ID, out).unwrap();
        hand::encode(envelope, out);
    };
    let fast: serde_avro_fast::Schema = text.parse().unwrap();
    let mut config = serde_avro_fast::ser::SerializerConfig::new(&fast);
    let mut serde_avro_fast = |envelope: &Borrowed<'_>, out: &mut Vec<u8>| {
        out.extend_from_slice(&[0, 0, 0, 0, 1]);
        serde_avro_fast::to_datum(envelope, out, &mut config).unwrap();
    };
    let apache = apache_avro::Schema::parse_str(text).unwrap();
    let writer = GenericDatumWriter::builder(&apache).build().unwrap();
    let apache_avro = |envelope: &Borrowed<'_>, out: &mut Vec<u8>| {
        out.extend_from_slice(&[0, 0, 0, 0, 1]);
        writer.write_ser(out, envelope).unwrap();
    };
    let codec = RowCodec::new(schema).unwrap();
    let rows: Vec<Vec<Scalar<'_>>> = datums
        .iter()
        .map(|datum| {
            let mut row = Vec::new();
            codec.read(datum, &mut row).unwrap();
            row
        })
        .collect();
    let by_row = |row: &[Scalar<'_>], out: &mut Vec<u8>| {
        Framing::CONFLUENT.write_header(ID, out).unwrap();
        codec.write(row, out).unwrap();
    };
    let batch = arrow::decode(&mut arrow::decoder(text, 1, messages.len()), messages);
    let mut arrow = arrow::encoder(text, 1, &batch);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let registry = runtime.block_on(registry::Registry::start(registry::Config::new())).unwrap();
    let converter = AvroEncoder::new(SrSettings::new(registry.url()));
    let strategy = SubjectNameStrategy::TopicNameStrategyWithSchema(
        "orders".to_owned(),
        false,
        SuppliedSchema::new(None, SchemaType::Avro, text.clone()),
    );

    arrow.encode(&batch).unwrap();
    let arrow_rows = arrow.flush();
    for (index, message) in messages.iter().enumerate() {
        let mut check = |name: &str, encode: &mut dyn FnMut(&mut Vec<u8>)| {
            out.clear();
            encode(&mut out);
            assert_eq!(out, *message, "{name}");
        };
        let envelope = &borrowed[index];
        check("ours", &mut |out| ours(envelope, out));
        check("hand", &mut |out| by_hand(envelope, out));
        check("row", &mut |out| by_row(&rows[index], out));
        check("serde_avro_fast", &mut |out| serde_avro_fast(envelope, out));
        check("apache_avro", &mut |out| apache_avro(envelope, out));
        assert_eq!(arrow_rows.row(index).unwrap(), message, "arrow");
        let converted = converter.encode_struct(envelope, &strategy);
        assert_eq!(runtime.block_on(converted).unwrap(), *message, "converter");
    }

    let mut group = group(criterion, "encode");
    macro_rules! each {
        ($name:literal, $encode:ident) => {
            measure(&mut group, $name, || {
                for envelope in black_box(&borrowed) {
                    out.clear();
                    $encode(envelope, &mut out);
                }
            });
        };
    }
    each!("hand", by_hand);
    each!("serialize", ours);
    each!("serde_avro_fast", serde_avro_fast);
    each!("apache_avro", apache_avro);
    measure(&mut group, "row", || {
        for row in black_box(&rows) {
            out.clear();
            by_row(row, &mut out);
        }
    });
    measure(&mut group, "arrow_avro", || {
        arrow.encode(black_box(&batch)).unwrap();
        black_box(arrow.flush());
    });
    measure(&mut group, "schema_registry_converter", || {
        runtime.block_on(async {
            for envelope in black_box(&borrowed) {
                black_box(converter.encode_struct(envelope, &strategy).await.unwrap());
            }
        });
    });
    group.finish();
}

/// Datums to structs.
fn decode(criterion: &mut Criterion, input: &Input) {
    let Input { text, schema, owned, .. } = input;
    let datums = input.datums();
    let fast: serde_avro_fast::Schema = text.parse().unwrap();
    let apache = apache_avro::Schema::parse_str(text).unwrap();
    let reader = GenericDatumReader::builder(&apache).build().unwrap();
    for (&datum, owned) in datums.iter().zip(owned) {
        let ours: Borrowed<'_> = avro_wire::decode(datum, schema).unwrap();
        assert_eq!(serde_avro_fast::from_datum_slice::<Borrowed<'_>>(datum, &fast).unwrap(), ours);
        assert_eq!(hand::decode(datum).unwrap(), ours);
        assert_eq!(avro_wire::decode::<Owned>(datum, schema).unwrap(), *owned);
        assert_eq!(serde_avro_fast::from_datum_slice::<Owned>(datum, &fast).unwrap(), *owned);
        assert_eq!(reader.read_deser::<Owned>(&mut &*datum).unwrap(), *owned);
    }
    let mut group = group(criterion, "decode");
    macro_rules! each {
        ($name:literal, $datum:ident => $decode:expr) => {
            measure(&mut group, $name, || {
                for &$datum in black_box(&datums) {
                    black_box($decode.unwrap());
                }
            });
        };
    }
    each!("hand_borrowed", datum => hand::decode(datum));
    each!("ours_borrowed", datum => avro_wire::decode::<Borrowed<'_>>(datum, schema));
    each!("serde_avro_fast_borrowed",
        datum => serde_avro_fast::from_datum_slice::<Borrowed<'_>>(datum, &fast));
    each!("ours_owned", datum => avro_wire::decode::<Owned>(datum, schema));
    each!("serde_avro_fast_owned",
        datum => serde_avro_fast::from_datum_slice::<Owned>(datum, &fast));
    each!("apache_avro_owned", datum => reader.read_deser::<Owned>(&mut &*datum));
    group.finish();
}

/// Datums to flat rows, and parts of datums.
fn rows(criterion: &mut Criterion, input: &Input) {
    let Input { text, schema, messages, .. } = input;
    let datums = input.datums();
    let codec = RowCodec::new(schema).unwrap();
    let three = RowCodec::project(schema, &["source.lsn", "op", "ts_ms"]).unwrap();
    let columns: Vec<_> = codec.columns().collect();
    let wanted: Vec<_> =
        three.columns().map(|name| columns.iter().position(|c| *c == name).unwrap()).collect();
    let lsn = schema.field_reader("source.lsn").unwrap();
    let apache = apache_avro::Schema::parse_str(text).unwrap();
    let reader = GenericDatumReader::builder(&apache).build().unwrap();
    let mut decoder = arrow::decoder(text, 1, messages.len());
    let batch = arrow::decode(&mut decoder, messages);
    let arrow_rows = {
        let mut encoder = arrow::encoder(text, 1, &batch);
        encoder.encode(&batch).unwrap();
        encoder.flush()
    };
    let (mut row, mut other) = (Vec::new(), Vec::new());
    for (index, &datum) in datums.iter().enumerate() {
        codec.read(datum, &mut row).unwrap();
        hand::decode_flat(datum, &mut other).unwrap();
        assert_eq!(row, other);
        three.read(datum, &mut other).unwrap();
        assert_eq!(other, wanted.iter().map(|&column| row[column]).collect::<Vec<_>>());
        assert_eq!(lsn.read(datum).unwrap(), other[0]);
        assert_eq!(schema.skip(datum).unwrap(), datum.len());
        assert_eq!(arrow_rows.row(index).unwrap(), messages[index]);
    }

    let mut group = group(criterion, "row");
    macro_rules! each {
        ($name:literal, $datum:ident => $decode:expr) => {
            measure(&mut group, $name, || {
                for &$datum in black_box(&datums) {
                    black_box($decode.unwrap());
                }
            });
        };
    }
    each!("hand", datum => hand::decode_flat(datum, &mut other));
    each!("ours", datum => codec.read(datum, &mut row));
    measure(&mut group, "arrow_avro", || {
        black_box(arrow::decode(&mut decoder, black_box(messages)));
    });
    each!("apache_avro_value", datum => reader.read_value(&mut &*datum));
    each!("three_fields", datum => three.read(datum, &mut row));
    each!("one_field", datum => lsn.read(datum));
    each!("skip", datum => schema.skip(datum));
    group.finish();
}

/// Datums of one schema as structs of another, beside datums of that schema itself.
fn resolution(criterion: &mut Criterion, input: &Input) {
    let Input { text, schema, .. } = input;
    let datums = input.datums();
    let later_text = envelope::later(text);
    let later = Schema::parse(&later_text).unwrap();
    let resolution = Resolution::new(schema, &later).unwrap();
    let same = Resolution::new(schema, schema).unwrap();
    let (apache, apache_later) = (
        apache_avro::Schema::parse_str(text).unwrap(),
        apache_avro::Schema::parse_str(&later_text).unwrap(),
    );
    let reader = GenericDatumReader::builder(&apache).reader_schema(&apache_later).build().unwrap();
    let writer = GenericDatumWriter::builder(&apache_later).build().unwrap();
    let later_datums: Vec<Vec<u8>> = datums
        .iter()
        .map(|&datum| {
            let resolved: Later<'_> = resolution.decode(datum).unwrap();
            let mut out = Vec::new();
            avro_wire::encode(&resolved, &later, &mut out).unwrap();
            assert_eq!(avro_wire::decode::<Later<'_>>(&out, &later).unwrap(), resolved);
            // It does not follow the alias, and so gives the default of the field with the new name.
            let theirs = reader.read_value(&mut &*datum).unwrap();
            let theirs = writer.write_value_to_vec(theirs).unwrap();
            let theirs: Later<'_> = avro_wire::decode(&theirs, &later).unwrap();
            assert_eq!(theirs, without_alias(resolved));
            let unchanged: Borrowed<'_> = same.decode(datum).unwrap();
            assert_eq!(avro_wire::decode::<Borrowed<'_>>(datum, schema).unwrap(), unchanged);
            out
        })
        .collect();

    let mut group = group(criterion, "resolution");
    macro_rules! each {
        ($name:literal, $datums:ident, $datum:ident => $decode:expr) => {
            measure(&mut group, $name, || {
                for $datum in black_box(&$datums) {
                    black_box($decode.unwrap());
                }
            });
        };
    }
    each!("none", datums, datum => avro_wire::decode::<Borrowed<'_>>(datum, schema));
    each!("of_equal_schemas", datums, datum => same.decode::<Borrowed<'_>>(datum));
    each!("none_later", later_datums, datum => avro_wire::decode::<Later<'_>>(datum, &later));
    each!("to_later", datums, datum => resolution.decode::<Later<'_>>(datum));
    each!("apache_avro", datums, datum => reader.read_value(&mut &**datum));
    group.finish();
}

fn without_alias(mut envelope: Later<'_>) -> Later<'_> {
    for row in envelope.before.iter_mut().chain(&mut envelope.after) {
        row.remark = None;
    }
    envelope
}

/// The header alone.
fn framing(criterion: &mut Criterion, input: &Input) {
    let Input { messages, .. } = input;
    let mut out = Vec::with_capacity(16);
    let mut group = group(criterion, "framing");
    measure(&mut group, "write", || {
        for _ in 0..RECORDS {
            out.clear();
            Framing::CONFLUENT.write_header(black_box(ID), &mut out).unwrap();
            black_box(&out);
        }
    });
    measure(&mut group, "split", || {
        for message in black_box(messages) {
            black_box(Framing::CONFLUENT.split(message).unwrap());
        }
    });
    group.finish();
}

/// Datums into an object container file.
fn container(criterion: &mut Criterion, input: &Input) {
    let Input { text, schema, owned, .. } = input;
    let datums = input.datums();
    let apache = apache_avro::Schema::parse_str(text).unwrap();
    let ours = |file: &mut Vec<u8>| {
        file.clear();
        let mut writer = Writer::new(schema, Codec::Null, [7; 16]);
        writer.header(file);
        for datum in black_box(&datums) {
            writer.append(datum, file).unwrap();
        }
        writer.finish(file).unwrap();
    };
    let theirs = || {
        let mut writer = apache_avro::Writer::new(&apache, Vec::new()).unwrap();
        for envelope in black_box(owned) {
            writer.append_ser(envelope).unwrap();
        }
        writer.into_inner().unwrap()
    };
    let mut file = Vec::new();
    ours(&mut file);
    let read = |file: &[u8]| {
        let reader = apache_avro::Reader::new(file).unwrap();
        reader.map(Result::unwrap).collect::<Vec<_>>()
    };
    assert_eq!(read(&file), read(&theirs()));

    let mut group = group(criterion, "container");
    measure(&mut group, "ours_pass_through", || ours(&mut file));
    measure(&mut group, "apache_avro_append_ser", || drop(black_box(theirs())));
    group.finish();
}
