//! The settings of Confluent's serializer and deserializer.

use avro_wire::Framing;

use super::AvroDeserializer;
use super::serializer::{AvroSerializer, SchemaChoice, Strictness};
use crate::client::Client;
use crate::config::Config;
use crate::error::Error;
use crate::id::{Guid, SchemaId};
use crate::properties::Properties;
use crate::strategy::SubjectStrategy;
use crate::subject::{Part, SubjectNaming};

/// What the properties of a Kafka client say about its Avro serializers and deserializers.
///
/// ```
/// use registry_client::{Part, SerdeProperties};
///
/// let properties = SerdeProperties::new([
///     ("schema.registry.url", "http://localhost:8081"),
///     ("auto.register.schemas", "false"),
///     ("use.latest.version", "true"),
///     ("value.subject.name.strategy", "io.confluent.kafka.serializers.subject.RecordNameStrategy"),
///     ("linger.ms", "5"),
/// ])?;
/// assert_eq!(properties.unknown(), ["linger.ms".into()]);
/// # #[cfg(feature = "reqwest")]
/// let client = registry_client::Client::new(properties.config().clone())?;
/// # #[cfg(feature = "reqwest")]
/// let serializer = properties.serializer(client, Part::Value);
/// # Ok::<(), registry_client::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SerdeProperties {
    config: Config,
    choice: SchemaChoice,
    normalize: bool,
    key: PartProperties,
    value: PartProperties,
    unknown: Vec<Box<str>>,
}

#[derive(Clone, Debug)]
struct PartProperties {
    strategy: SubjectStrategy,
    writes: Framing,
    reads: Framing,
}

impl SerdeProperties {
    /// Reads what [`Config::from_properties`] takes, and beside that `auto.register.schemas`,
    /// `normalize.schemas`, `use.latest.version`, `latest.compatibility.strict`,
    /// `use.latest.with.metadata` (`name=value`, several separated by commas), `use.schema.id`,
    /// `use.schema.guid`, `id.compatibility.strict`, and for `key.` and `value.`
    /// `subject.name.strategy`, `schema.id.serializer` and `schema.id.deserializer` by their
    /// Java class names, with `subject.name.strategy.kafka.cluster.id` and
    /// `subject.name.strategy.fallback.type` (`TOPIC`, `RECORD`, `TOPIC_RECORD`, `NONE`) for the
    /// `AssociatedNameStrategy`.
    ///
    /// Where several choose the schema, an id goes before a GUID, that before metadata, that
    /// before the latest version, and all of them need `auto.register.schemas` to be `false`,
    /// as in Java.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) as [`Config::from_properties`] says.
    pub fn new<'a>(
        properties: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Error> {
        let mut found = Properties::new(properties);
        let config = Config::take_from(&mut found)?;
        let choice = choice(&mut found)?;
        let normalize = found
            .flag("normalize.schemas", "normalize.schemas must be true or false")?
            .unwrap_or(false);
        let associated = associated(&mut found)?;
        let key = part(&mut found, "key", &associated)?;
        let value = part(&mut found, "value", &associated)?;
        Ok(Self { config, choice, normalize, key, value, unknown: found.into_keys() })
    }

    /// How to reach the registry.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The keys that nobody here understands, sorted.
    #[must_use]
    pub fn unknown(&self) -> &[Box<str>] {
        &self.unknown
    }

    /// The serializer for the `part` of records.
    #[must_use]
    pub fn serializer(&self, client: Client, part: Part) -> AvroSerializer {
        let PartProperties { strategy, writes, .. } = self.part(part);
        let serializer = AvroSerializer::new(client, part)
            .with_schema_choice(self.choice.clone())
            .with_strategy(strategy.clone())
            .with_framing(*writes);
        if self.normalize { serializer.with_normalization() } else { serializer }
    }

    /// The deserializer for the `part` of records.
    #[must_use]
    pub fn deserializer(&self, client: Client, part: Part) -> AvroDeserializer {
        AvroDeserializer::new(client, part).with_framing(self.part(part).reads)
    }

    fn part(&self, part: Part) -> &PartProperties {
        match part {
            Part::Key => &self.key,
            Part::Value => &self.value,
        }
    }
}

fn choice(found: &mut Properties<'_>) -> Result<SchemaChoice, Error> {
    let mut strictness = |key, otherwise| -> Result<Strictness, Error> {
        Ok(match found.flag(key, otherwise)? {
            None | Some(true) => Strictness::Strict,
            Some(false) => Strictness::Lenient,
        })
    };
    let latest_strictness = strictness(
        "latest.compatibility.strict",
        "latest.compatibility.strict must be true or false",
    )?;
    let id_strictness =
        strictness("id.compatibility.strict", "id.compatibility.strict must be true or false")?;
    let register = found
        .flag("auto.register.schemas", "auto.register.schemas must be true or false")?
        .unwrap_or(true);
    let latest = found
        .flag("use.latest.version", "use.latest.version must be true or false")?
        .unwrap_or(false);
    let id = found.number::<i64>("use.schema.id", "use.schema.id is not a number")?;
    let guid = found.take("use.schema.guid").map(str::parse::<Guid>).transpose()?;
    let metadata = match found.take("use.latest.with.metadata") {
        Some(text) => Some(text.split(',').map(pair).collect::<Result<Vec<_>, Error>>()?),
        None => None,
    };
    if register {
        return Ok(SchemaChoice::Register);
    }
    // Java's default for "no id" is -1.
    if let Some(id) = id.filter(|id| *id >= 0) {
        let id = u32::try_from(id).map_err(|_| Error::config("use.schema.id is not an id"))?;
        return Ok(SchemaChoice::Id(SchemaId::new(id), id_strictness));
    }
    Ok(match (guid, metadata) {
        (Some(guid), _) => SchemaChoice::Guid(guid, id_strictness),
        (None, Some(properties)) => SchemaChoice::LatestWithMetadata(properties, latest_strictness),
        (None, None) if latest => SchemaChoice::Latest(latest_strictness),
        (None, None) => SchemaChoice::Lookup,
    })
}

fn pair(text: &str) -> Result<(Box<str>, Box<str>), Error> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| Error::config("use.latest.with.metadata must be name=value"))?;
    Ok((name.trim().into(), value.trim().into()))
}

fn associated(found: &mut Properties<'_>) -> Result<SubjectStrategy, Error> {
    let kafka_cluster = found.take("subject.name.strategy.kafka.cluster.id").map(Into::into);
    let fallback = match found.take("subject.name.strategy.fallback.type") {
        None | Some("TOPIC") => Some(SubjectNaming::TopicName),
        Some("RECORD") => Some(SubjectNaming::RecordName),
        Some("TOPIC_RECORD") => Some(SubjectNaming::TopicRecordName),
        Some("NONE") => None,
        Some(_) => {
            return Err(Error::config(
                "subject.name.strategy.fallback.type must be TOPIC, RECORD, TOPIC_RECORD or NONE",
            ));
        }
    };
    Ok(SubjectStrategy::Associated { kafka_cluster, fallback })
}

fn part(
    found: &mut Properties<'_>,
    part: &str,
    associated: &SubjectStrategy,
) -> Result<PartProperties, Error> {
    let mut class = |key: &str| {
        let class = found.take(&format!("{part}.{key}"))?;
        Some(class.rsplit_once('.').map_or(class, |(_, name)| name))
    };
    Ok(PartProperties {
        strategy: match class("subject.name.strategy") {
            None => SubjectStrategy::default(),
            Some("AssociatedNameStrategy") => associated.clone(),
            Some(class) => SubjectStrategy::Naming(class.parse()?),
        },
        writes: match class("schema.id.serializer") {
            None | Some("PrefixSchemaIdSerializer") => Framing::Confluent,
            Some("HeaderSchemaIdSerializer") => Framing::ConfluentHeader,
            Some(_) => return Err(Error::config("unknown schema id serializer")),
        },
        reads: match class("schema.id.deserializer") {
            None | Some("DualSchemaIdDeserializer" | "HeaderSchemaIdDeserializer") => {
                Framing::ConfluentHeader
            }
            Some("PrefixSchemaIdDeserializer") => Framing::ConfluentPrefix,
            Some(_) => return Err(Error::config("unknown schema id deserializer")),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(extra: &[(&str, &str)]) -> Result<SerdeProperties, Error> {
        let url = ("schema.registry.url", "http://h");
        SerdeProperties::new([url].into_iter().chain(extra.iter().copied()))
    }

    fn chosen(extra: &[(&str, &str)]) -> SchemaChoice {
        let manual = ("auto.register.schemas", "false");
        let all: Vec<_> = [manual].into_iter().chain(extra.iter().copied()).collect();
        read(&all).unwrap().choice
    }

    #[test]
    fn the_schema_is_chosen_as_in_java() {
        use Strictness::{Lenient, Strict};
        assert_eq!(read(&[]).unwrap().choice, SchemaChoice::Register);
        assert_eq!(read(&[("use.latest.version", "true")]).unwrap().choice, SchemaChoice::Register);
        assert_eq!(chosen(&[]), SchemaChoice::Lookup);
        let latest = ("use.latest.version", "TRUE");
        assert_eq!(chosen(&[latest]), SchemaChoice::Latest(Strict));
        let lenient = ("latest.compatibility.strict", "false");
        assert_eq!(chosen(&[latest, lenient]), SchemaChoice::Latest(Lenient));
        let metadata = ("use.latest.with.metadata", "a=1, b=2=3");
        assert_eq!(
            chosen(&[latest, metadata]),
            SchemaChoice::LatestWithMetadata(
                vec![("a".into(), "1".into()), ("b".into(), "2=3".into())],
                Strict
            )
        );
        let guid = ("use.schema.guid", "8f2c2d1e00ff4abc9def0123456789ab");
        assert_eq!(
            chosen(&[metadata, guid, ("use.schema.id", "-1")]),
            SchemaChoice::Guid(guid.1.parse().unwrap(), Strict)
        );
        assert_eq!(
            chosen(&[guid, ("use.schema.id", "7"), ("id.compatibility.strict", "false")]),
            SchemaChoice::Id(SchemaId::new(7), Lenient)
        );
    }

    #[test]
    fn key_and_value_differ_and_unknown_keys_are_told() {
        let prefix = "io.confluent.kafka.serializers";
        let found = read(&[
            ("key.subject.name.strategy", &format!("{prefix}.subject.RecordNameStrategy")),
            ("value.subject.name.strategy", "AssociatedNameStrategy"),
            ("subject.name.strategy.kafka.cluster.id", "lkc-1"),
            ("subject.name.strategy.fallback.type", "NONE"),
            ("value.schema.id.serializer", &format!("{prefix}.schema.id.HeaderSchemaIdSerializer")),
            ("key.schema.id.deserializer", "PrefixSchemaIdDeserializer"),
            ("normalize.schemas", "true"),
            ("specific.avro.reader", "true"),
            ("acks", "all"),
        ])
        .unwrap();
        assert!(found.normalize);
        assert_eq!(found.unknown(), ["acks".into(), "specific.avro.reader".into()]);
        assert!(matches!(found.key.strategy, SubjectStrategy::Naming(SubjectNaming::RecordName)));
        let SubjectStrategy::Associated { kafka_cluster, fallback } = found.value.strategy else {
            panic!("another strategy");
        };
        assert_eq!((kafka_cluster.as_deref(), fallback), (Some("lkc-1"), None));
        assert_eq!(
            (found.key.writes, found.key.reads),
            (Framing::Confluent, Framing::ConfluentPrefix)
        );
        assert_eq!(
            (found.value.writes, found.value.reads),
            (Framing::ConfluentHeader, Framing::ConfluentHeader)
        );
    }

    #[test]
    fn bad_settings_are_refused() {
        for bad in [
            ("auto.register.schemas", "yes"),
            ("use.schema.id", "x"),
            ("use.schema.guid", "x"),
            ("use.latest.with.metadata", "x"),
            ("key.subject.name.strategy", "Mine"),
            ("value.schema.id.serializer", "Mine"),
            ("value.schema.id.deserializer", "Mine"),
            ("subject.name.strategy.fallback.type", "x"),
        ] {
            assert_eq!(read(&[bad]).unwrap_err().kind(), crate::ErrorKind::Config, "{bad:?}");
        }
    }
}
