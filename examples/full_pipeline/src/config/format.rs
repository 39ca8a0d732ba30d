//! What the sink writes, by the connector's own keys: the formats of values, keys and headers.

use avro_wire::ocf::Codec;

use super::Properties;
use crate::sink::Format;
#[cfg(feature = "parquet")]
use crate::sink::parquet;

/// How a key or a value lies in Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Converter {
    /// Avro behind a schema id, as Confluent's serializers frame it.
    Avro,
    /// UTF-8.
    Text,
    /// Bytes without a meaning.
    Bytes,
}

impl Converter {
    /// Takes `key.converter` or `value.converter`.
    pub(super) fn take(properties: &mut Properties, key: &str) -> Self {
        let Some(class) = properties.take(&[key]) else { return Self::Avro };
        match class.rsplit('.').next() {
            Some("AvroConverter") => Self::Avro,
            Some("StringConverter") => Self::Text,
            Some("ByteArrayConverter") => Self::Bytes,
            _ => {
                properties.problem(format!(
                    "{key}: {class:?} is not supported; use AvroConverter, StringConverter or \
                     ByteArrayConverter"
                ));
                Self::Avro
            }
        }
    }
}

/// A format and the ending of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileKind {
    pub(crate) format: Format,
    pub(crate) extension: String,
}

/// What is written for each record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) values: FileKind,
    /// `store.kafka.keys`.
    pub(crate) keys: Option<FileKind>,
    /// `store.kafka.headers`.
    pub(crate) headers: Option<FileKind>,
}

impl Files {
    pub(super) fn take(properties: &mut Properties) -> Self {
        let codec = properties.take(&["avro.codec"]).map_or(Codec::Null, |name| {
            let known = Codec::ALL.iter().find(|codec| codec.name() == name.trim());
            known.copied().unwrap_or_else(|| {
                let names: Vec<&str> = Codec::ALL.iter().map(|codec| codec.name()).collect();
                properties.problem(format!("avro.codec: {name:?}; use {}", names.join(", ")));
                Codec::Null
            })
        });
        let gzip = match properties.peek("s3.compression.type").map(str::trim) {
            Some("gzip") => Some(level(properties)),
            _ => None,
        };
        properties.take(&["s3.compression.level"]);
        match properties.take(&["json.decimal.format"]).as_deref() {
            None | Some("BASE64") => {}
            Some(other) => properties
                .problem(format!("json.decimal.format: {other:?} is not supported; use BASE64")),
        }
        let separator = properties
            .take(&["format.bytearray.separator"])
            .map_or_else(|| b"\n".to_vec(), String::into_bytes);
        let choice = Choice {
            codec,
            gzip,
            separator,
            bytes: bytes_extension(properties),
            #[cfg(feature = "parquet")]
            parquet: parquet_settings(properties),
        };
        // The crate that names objects takes this key too, and checks it.
        let class = properties.peek("format.class").unwrap_or("AvroFormat").to_owned();
        let values = choice.of(&class, "format.class", properties);
        let mut beside = |keys: [&str; 2], part: &str| {
            let class = properties.take(&[keys[1]]).unwrap_or_else(|| "AvroFormat".to_owned());
            let wanted = properties.truth(keys[0]).unwrap_or(false);
            let mut kind = choice.of(&class, keys[1], properties);
            #[cfg(feature = "parquet")]
            if let Format::Parquet(settings) = &mut kind.format {
                // Headers are a record as they are.
                settings.keys = part == ".keys";
            }
            kind.extension.insert_str(0, part);
            wanted.then_some(kind)
        };
        let keys = beside(["store.kafka.keys", "keys.format.class"], ".keys");
        let headers = beside(["store.kafka.headers", "headers.format.class"], ".headers");
        if headers.as_ref().is_some_and(|kind| matches!(kind.format, Format::Bytes { .. })) {
            properties
                .problem("headers.format.class: ByteArrayFormat has no place for names".into());
        }
        Self { values, keys, headers }
    }
}

struct Choice {
    codec: Codec,
    gzip: Option<u32>,
    separator: Vec<u8>,
    bytes: String,
    #[cfg(feature = "parquet")]
    parquet: parquet::Settings,
}

impl Choice {
    fn of(&self, class: &str, key: &str, properties: &mut Properties) -> FileKind {
        let name = class.trim().rsplit('.').next().unwrap_or_default();
        let name = name.strip_suffix("Format").unwrap_or(name).to_ascii_lowercase();
        let format = match name.as_str() {
            "avro" => Format::Avro(self.codec),
            "json" => Format::Json(self.gzip),
            "bytearray" => Format::Bytes { separator: self.separator.clone(), gzip: self.gzip },
            #[cfg(feature = "parquet")]
            "parquet" => Format::Parquet(self.parquet),
            _ => {
                properties.problem(format!(
                    "{key}: {class:?} is not supported; use AvroFormat, JsonFormat{} or \
                     ByteArrayFormat",
                    if cfg!(feature = "parquet") { ", ParquetFormat" } else { "" }
                ));
                Format::Avro(self.codec)
            }
        };
        FileKind { extension: format.extension(&self.bytes), format }
    }
}

fn bytes_extension(properties: &Properties) -> String {
    properties.peek("format.bytearray.extension").unwrap_or(".bin").to_owned()
}

/// A row group of this size and all other memory of the sink are less than 64 MiB.
#[cfg(feature = "parquet")]
const ROW_GROUP: usize = 16 << 20;
/// A row group is read back at once.
#[cfg(feature = "parquet")]
const LARGEST_ROW_GROUP: usize = 1 << 30;

#[cfg(feature = "parquet")]
fn parquet_settings(properties: &mut Properties) -> parquet::Settings {
    use parquet::Codec;
    // The crate that names objects takes this key too.
    let codec = match properties.peek("parquet.codec").map(str::trim) {
        None | Some("snappy") => Codec::Snappy,
        Some("none") => Codec::None,
        Some("gzip") => Codec::Gzip,
        Some("zstd") => Codec::Zstd,
        Some(other) => {
            let problem = format!("parquet.codec: {other:?}; use none, snappy, gzip or zstd");
            properties.problem(problem);
            Codec::Snappy
        }
    };
    let key = "sink.parquet.row.group.bytes";
    let mut row_group = properties.parsed(key, "a number of bytes").unwrap_or(ROW_GROUP);
    if !(1..=LARGEST_ROW_GROUP).contains(&row_group) {
        properties.problem(format!("{key}: {row_group} is not from 1 to {LARGEST_ROW_GROUP}"));
        row_group = ROW_GROUP;
    }
    parquet::Settings { codec, row_group, keys: false }
}

/// `s3.compression.level`, from -1, which leaves it to zlib, to 9.
fn level(properties: &mut Properties) -> u32 {
    match properties.parsed::<i32>("s3.compression.level", "a number from -1 to 9") {
        None | Some(-1) => 6,
        Some(level @ 0..=9) => level.unsigned_abs(),
        Some(other) => {
            properties.problem(format!("s3.compression.level: {other} is not from -1 to 9"));
            6
        }
    }
}
