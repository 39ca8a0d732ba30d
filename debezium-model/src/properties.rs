//! A connector's configuration, by Debezium's own keys.

use std::collections::BTreeMap;

use crate::error::{Error, ErrorKind};
use crate::flatten::{AddedField, DeleteHandling, Flatten};
use crate::mapping::{
    BinaryMode, DecimalMode, Fidelity, HstoreMode, IntervalMode, Mapping, TimeMode, Unrepresentable,
};
use crate::names::NameAdjustment;
use crate::outbox::Outbox;
use crate::route::{Router, TopicPredicate, whole};
use crate::toast::ToastPolicy;

/// What [`Mapping::from_properties`] found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Properties {
    /// The mapping.
    pub mapping: Mapping,
    /// `topic.prefix`, or `database.server.name` as it was called before Debezium 2.
    pub topic_prefix: Option<String>,
    /// Keys that say nothing about the mapping, in the order given; somebody else's, or typos.
    pub unknown: Vec<String>,
}

/// Type names of the transformation that flattens values, today's and the first one.
const FLATTEN_TYPES: [&str; 2] =
    ["io.debezium.transforms.ExtractNewRecordState", "io.debezium.transforms.UnwrapFromEnvelope"];

impl Mapping {
    /// Reads the options of a Debezium connector that concern the shape of its records. Today's
    /// keys and their older names are understood, and `transforms.*` as far as they configure
    /// `ExtractNewRecordState`.
    ///
    /// ```
    /// use debezium_model::Mapping;
    ///
    /// let found = Mapping::from_properties([
    ///     ("topic.prefix", "cdc"),
    ///     ("decimal.handling.mode", "string"),
    ///     ("tasks.max", "1"),
    /// ])?;
    /// assert_eq!(found.topic_prefix.as_deref(), Some("cdc"));
    /// assert_eq!(found.unknown, ["tasks.max"]);
    /// # Ok::<(), debezium_model::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`] when the value of a known key is not understood,
    /// [`ErrorKind::UnsupportedOption`] when it asks for something this version cannot do; both
    /// name the key.
    pub fn from_properties<'a>(
        properties: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Properties, Error> {
        let properties: Vec<(&str, &str)> =
            properties.into_iter().map(|(key, value)| (key, value.trim())).collect();
        let mut found =
            Properties { mapping: Self::default(), topic_prefix: None, unknown: Vec::new() };
        for &(key, value) in &properties {
            if key == "transforms"
                || key == "predicates"
                || key.starts_with("transforms.")
                || key.starts_with("predicates.")
            {
                continue;
            }
            if !option(&mut found, key, value)? {
                found.unknown.push(key.to_owned());
            }
        }
        transforms(&mut found, &properties)?;
        Ok(found)
    }
}

/// Takes one option; says whether it is ours.
fn option(found: &mut Properties, key: &str, value: &str) -> Result<bool, Error> {
    let mapping = &mut found.mapping;
    match key {
        "topic.prefix" | "database.server.name" => found.topic_prefix = Some(value.to_owned()),
        "fidelity" => {
            let words = [("debezium", Fidelity::Debezium), ("correct", Fidelity::Corrected)];
            mapping.fidelity = word(key, value, &words)?;
        }
        "unrepresentable.values" => {
            let words = [("fail", Unrepresentable::Fail), ("null", Unrepresentable::Null)];
            mapping.unrepresentable = word(key, value, &words)?;
        }
        "toast.policy" => {
            let words = [
                ("placeholder", ToastPolicy::Placeholder),
                ("reselect", ToastPolicy::Reselect),
                ("fail", ToastPolicy::Fail),
            ];
            mapping.toast = word(key, value, &words)?;
        }
        "topic.transaction" => value.clone_into(&mut mapping.transaction_topic),
        "topic.heartbeat.prefix" | "heartbeat.topics.prefix" => {
            value.clone_into(&mut mapping.heartbeat_prefix);
        }
        "topic.delimiter" => value.clone_into(&mut mapping.topic_delimiter),
        "time.precision.mode" => {
            mapping.time = word(
                key,
                value,
                &[
                    ("adaptive", TimeMode::Adaptive),
                    ("adaptive_time_microseconds", TimeMode::AdaptiveTimeMicroseconds),
                    ("connect", TimeMode::Connect),
                    ("microseconds", TimeMode::Microseconds),
                    ("nanoseconds", TimeMode::Nanoseconds),
                    ("isostring", TimeMode::IsoString),
                ],
            )?;
        }
        "decimal.handling.mode" => {
            mapping.decimal = word(
                key,
                value,
                &[
                    ("precise", DecimalMode::Precise),
                    ("double", DecimalMode::Double),
                    ("string", DecimalMode::String),
                ],
            )?;
        }
        "binary.handling.mode" => {
            mapping.binary = word(
                key,
                value,
                &[
                    ("bytes", BinaryMode::Bytes),
                    ("base64", BinaryMode::Base64),
                    ("base64-url-safe", BinaryMode::Base64UrlSafe),
                    ("hex", BinaryMode::Hex),
                ],
            )?;
        }
        "interval.handling.mode" => {
            let words = [("numeric", IntervalMode::Numeric), ("string", IntervalMode::String)];
            mapping.interval = word(key, value, &words)?;
        }
        "hstore.handling.mode" => {
            let words = [("json", HstoreMode::Json), ("map", HstoreMode::Map)];
            mapping.hstore = word(key, value, &words)?;
        }
        "money.fraction.digits" => {
            mapping.money_fraction_digits = match value.parse() {
                Ok(digits) if digits <= MAX_FRACTION_DIGITS => digits,
                _ => return Err(Error::option(ErrorKind::InvalidOption, key)),
            };
        }
        "unavailable.value.placeholder" | "toasted.value.placeholder" => {
            *mapping = std::mem::take(mapping).with_placeholder(value);
        }
        "tombstones.on.delete" => mapping.tombstones = boolean(key, value)?,
        "skipped.operations" => skipped(mapping, key, value)?,
        "schema.name.adjustment.mode" => mapping.schema_names = adjustment(key, value)?,
        "field.name.adjustment.mode" => mapping.field_names = adjustment(key, value)?,
        "sanitize.field.names" => {
            mapping.field_names =
                if boolean(key, value)? { NameAdjustment::Avro } else { NameAdjustment::None };
        }
        "include.unknown.datatypes" => mapping.unknown_types = boolean(key, value)?,
        "skip.messages.without.change" => mapping.skip_unchanged = boolean(key, value)?,
        "converters" => refuse_unless_empty(key, value)?,
        _ if key.starts_with("column.")
            || key == "message.key.columns"
            || key == "datatype.propagate.source.type" =>
        {
            return mapping.columns.option(key, value);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// More digits than any currency has; keeps a typo from making megabyte values.
const MAX_FRACTION_DIGITS: u16 = 100;

fn skipped(mapping: &mut Mapping, key: &str, value: &str) -> Result<(), Error> {
    mapping.skip_create = false;
    mapping.skip_update = false;
    mapping.skip_delete = false;
    mapping.skip_truncate = false;
    for operation in value.split(',').map(str::trim).filter(|operation| !operation.is_empty()) {
        match operation {
            "c" => mapping.skip_create = true,
            "u" => mapping.skip_update = true,
            "d" => mapping.skip_delete = true,
            "t" => mapping.skip_truncate = true,
            "none" => {}
            _ => return Err(Error::option(ErrorKind::InvalidOption, key)),
        }
    }
    Ok(())
}

/// The settings of one transformation, with the full key for errors.
type Settings<'a> = BTreeMap<&'a str, (&'a str, &'a str)>;

fn transforms(found: &mut Properties, properties: &[(&str, &str)]) -> Result<(), Error> {
    let names = properties.iter().find(|(key, _)| *key == "transforms").map_or("", |(_, v)| v);
    let names: Vec<&str> =
        names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    for &(key, _) in properties {
        let Some(rest) = key.strip_prefix("transforms.") else { continue };
        let owned = names
            .iter()
            .any(|name| rest.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')));
        if !owned {
            found.unknown.push(key.to_owned());
        }
    }
    for name in names {
        let prefix = format!("transforms.{name}.");
        let settings: Settings<'_> = properties
            .iter()
            .filter_map(|&(key, value)| Some((key.strip_prefix(&prefix)?, (key, value))))
            .collect();
        let type_key = format!("{prefix}type");
        let Some((_, class)) = settings.get("type") else {
            return Err(Error::option(ErrorKind::InvalidOption, &type_key));
        };
        let predicate = predicate(&settings, properties)?;
        let unknown = match *class {
            class if FLATTEN_TYPES.contains(&class) => {
                let (flatten, unknown) = flatten(&settings)?;
                let twice = found.mapping.flatten.replace(flatten).is_some();
                found.mapping.flatten_where = predicate;
                found.mapping.flatten_behind = found.mapping.routers.len();
                Some(unknown).filter(|_| !twice)
            }
            class @ (REGEX_ROUTER | LOGICAL_TABLE_ROUTER) => {
                let (router, unknown) = router(&settings, class, &prefix)?;
                found.mapping.routers.push((router, predicate));
                Some(unknown)
            }
            OUTBOX if found.mapping.outbox.is_none() => {
                let mut outbox = Outbox::default();
                let mut unknown = Vec::new();
                for (&setting, &(key, value)) in &settings {
                    match outbox.set(setting, value) {
                        Some(true) => {}
                        Some(false) => unknown.push(key.to_owned()),
                        None => return Err(Error::option(ErrorKind::InvalidOption, key)),
                    }
                }
                found.mapping.outbox = Some(outbox);
                found.mapping.outbox_where = predicate;
                Some(unknown)
            }
            _ => None,
        };
        match unknown {
            Some(unknown) => found.unknown.extend(unknown),
            None => return Err(Error::option(ErrorKind::UnsupportedOption, &type_key)),
        }
    }
    Ok(())
}

const OUTBOX: &str = "io.debezium.transforms.outbox.EventRouter";
const REGEX_ROUTER: &str = "org.apache.kafka.connect.transforms.RegexRouter";
const LOGICAL_TABLE_ROUTER: &str = "io.debezium.transforms.ByLogicalTableRouter";
const TOPIC_NAME_MATCHES: &str = "org.apache.kafka.connect.transforms.predicates.TopicNameMatches";

/// The topics a transformation is for, where it names a predicate. Only predicates about the name
/// of the topic are known.
fn predicate(
    settings: &Settings<'_>,
    properties: &[(&str, &str)],
) -> Result<Option<TopicPredicate>, Error> {
    let Some((key, name)) = settings.get("predicate").filter(|(_, name)| !name.is_empty()) else {
        return Ok(None);
    };
    let setting = |setting: &str| {
        let key = format!("predicates.{name}.{setting}");
        let found = properties.iter().find(|(other, _)| *other == key);
        found.map(|(key, value)| (*key, *value))
    };
    let invalid = |key: &str| Error::option(ErrorKind::InvalidOption, key);
    let (type_key, class) = setting("type").ok_or_else(|| invalid(key))?;
    if class != TOPIC_NAME_MATCHES {
        return Err(Error::option(ErrorKind::UnsupportedOption, type_key));
    }
    let (key, pattern) = setting("pattern").ok_or_else(|| invalid(key))?;
    let pattern = whole(pattern).ok_or_else(|| invalid(key))?;
    let negate = match settings.get("negate") {
        Some((key, value)) => boolean(key, value)?,
        None => false,
    };
    Ok(Some(TopicPredicate { pattern, negate }))
}

fn router(
    settings: &Settings<'_>,
    class: &str,
    prefix: &str,
) -> Result<(Router, Vec<String>), Error> {
    let invalid =
        |setting: &str| Error::option(ErrorKind::InvalidOption, &format!("{prefix}{setting}"));
    let logical = class == LOGICAL_TABLE_ROUTER;
    let names =
        if logical { ["topic.regex", "topic.replacement"] } else { ["regex", "replacement"] };
    let get = |setting: &str| settings.get(setting).map(|(_, value)| *value);
    let [Some(pattern), Some(replacement)] = names.map(get) else {
        return Err(invalid(names[0]));
    };
    let make = if logical { Router::logical_table } else { Router::regex };
    let mut router = make(pattern, replacement).ok_or_else(|| invalid(names[0]))?;
    let mut unknown = Vec::new();
    for (&setting, &(key, value)) in settings {
        match setting {
            "type" | "predicate" | "negate" => {}
            setting if names.contains(&setting) => {}
            "key.field.regex" | "key.field.replacement" | "schema.name.adjustment.mode"
                if logical => {}
            "key.field.name" if logical => router = router.with_key_field(value),
            "key.enforce.uniqueness" if logical => {
                boolean(key, value)?;
            }
            "logical.table.cache.size" if logical => {}
            _ => unknown.push(key.to_owned()),
        }
    }
    if let (Some(pattern), Some(replacement)) =
        (get("key.field.regex"), get("key.field.replacement"))
    {
        router = router
            .with_key_value(pattern, replacement)
            .ok_or_else(|| invalid("key.field.regex"))?;
    }
    if get("key.enforce.uniqueness").is_some_and(|value| value.eq_ignore_ascii_case("false")) {
        router = router.without_key_field();
    }
    Ok((router, unknown))
}

fn flatten(settings: &Settings<'_>) -> Result<(Flatten, Vec<String>), Error> {
    let mut flatten = Flatten::default();
    let mut unknown = Vec::new();
    let prefix = settings.get("add.fields.prefix").map_or("__", |(_, value)| value);
    let header_prefix = settings.get("add.headers.prefix").map_or("__", |(_, value)| value);
    // Before Debezium 2.5 two options said what the one does now, with other defaults.
    let mut old_deletes = None;
    let mut old_drop = None;
    let mut deletes = None;
    for (&setting, &(key, value)) in settings {
        match setting {
            "type" | "add.fields.prefix" | "add.headers.prefix" => {}
            "delete.tombstone.handling.mode" => {
                deletes = Some(word(
                    key,
                    value,
                    &[
                        ("drop", (DeleteHandling::Drop, false)),
                        ("tombstone", (DeleteHandling::Tombstone, false)),
                        ("rewrite", (DeleteHandling::Rewrite, false)),
                        ("rewrite-with-tombstone", (DeleteHandling::Rewrite, true)),
                        ("delete-to-tombstone", (DeleteHandling::Tombstone, false)),
                    ],
                )?);
            }
            "delete.handling.mode" => {
                old_deletes = Some(word(
                    key,
                    value,
                    &[
                        ("drop", DeleteHandling::Drop),
                        ("none", DeleteHandling::Tombstone),
                        ("rewrite", DeleteHandling::Rewrite),
                    ],
                )?);
            }
            "drop.tombstones" => old_drop = Some(boolean(key, value)?),
            "add.fields" | "add.source.fields" => flatten.fields = added(key, value, prefix)?,
            "add.headers" => flatten.headers = added(key, value, header_prefix)?,
            "route.by.field" => {
                flatten.route_by = Some(value.to_owned()).filter(|field| !field.is_empty());
            }
            "replace.null.with.default" => {
                if !boolean(key, value)? {
                    return Err(Error::option(ErrorKind::UnsupportedOption, key));
                }
            }
            "predicate" | "negate" => {}
            "operation.header" => refuse_if_set(key, value)?,
            "drop.fields.header.name"
            | "drop.fields.from.key"
            | "drop.fields.keep.schema.compatible" => {
                refuse_unless_empty(key, value)?;
            }
            _ => unknown.push(key.to_owned()),
        }
    }
    (flatten.deletes, flatten.tombstones) = match (deletes, old_deletes, old_drop) {
        (Some(new), _, _) => new,
        (None, None, None) => (DeleteHandling::Tombstone, false),
        (None, deletes, drop) => (deletes.unwrap_or(DeleteHandling::Drop), !drop.unwrap_or(true)),
    };
    Ok((flatten, unknown))
}

/// The entries of `add.fields` or `add.headers`.
fn added(key: &str, list: &str, prefix: &str) -> Result<Vec<AddedField>, Error> {
    list.split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(|entry| {
            AddedField::parse(entry, prefix)
                .ok_or_else(|| Error::option(ErrorKind::InvalidOption, key))
        })
        .collect()
}

fn word<T: Copy>(key: &str, value: &str, words: &[(&str, T)]) -> Result<T, Error> {
    words
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(value))
        .map(|(_, meaning)| *meaning)
        .ok_or_else(|| Error::option(ErrorKind::InvalidOption, key))
}

fn boolean(key: &str, value: &str) -> Result<bool, Error> {
    word(key, value, &[("true", true), ("false", false)])
}

fn adjustment(key: &str, value: &str) -> Result<NameAdjustment, Error> {
    word(
        key,
        value,
        &[
            ("none", NameAdjustment::None),
            ("avro", NameAdjustment::Avro),
            ("avro_unicode", NameAdjustment::AvroUnicode),
        ],
    )
}

fn refuse_if_set(key: &str, value: &str) -> Result<(), Error> {
    if boolean(key, value)? {
        Err(Error::option(ErrorKind::UnsupportedOption, key))
    } else {
        Ok(())
    }
}

fn refuse_unless_empty(key: &str, value: &str) -> Result<(), Error> {
    if value.is_empty() { Ok(()) } else { Err(Error::option(ErrorKind::UnsupportedOption, key)) }
}

#[cfg(test)]
mod tests {
    use super::{DeleteHandling, ErrorKind, Mapping};

    fn flatten(properties: &[(&str, &str)]) -> (DeleteHandling, bool, Vec<String>) {
        let mut all = vec![("transforms", "u"), ("transforms.u.type", super::FLATTEN_TYPES[0])];
        all.extend_from_slice(properties);
        let flatten = Mapping::from_properties(all).unwrap().mapping.flatten.unwrap();
        let names = flatten.fields.into_iter().map(|field| field.name).collect();
        (flatten.deletes, flatten.tombstones, names)
    }

    #[test]
    fn delete_handling_old_and_new() {
        use DeleteHandling::{Drop, Rewrite, Tombstone};
        let mode = "transforms.u.delete.tombstone.handling.mode";
        let old = "transforms.u.delete.handling.mode";
        let keep = ("transforms.u.drop.tombstones", "false");
        for (properties, expected) in [
            (vec![], (Tombstone, false)),
            (vec![(mode, "drop")], (Drop, false)),
            (vec![(mode, "rewrite")], (Rewrite, false)),
            (vec![(mode, "rewrite-with-tombstone")], (Rewrite, true)),
            (vec![(mode, "delete-to-tombstone")], (Tombstone, false)),
            (vec![(old, "none")], (Tombstone, false)),
            (vec![(old, "rewrite"), keep], (Rewrite, true)),
            (vec![keep], (Drop, true)),
        ] {
            let (deletes, tombstones, _) = flatten(&properties);
            assert_eq!((deletes, tombstones), expected, "{properties:?}");
        }
    }

    #[test]
    fn added_field_names() {
        let fields = ("transforms.u.add.fields", "op, table,source.ts_ms,lsn,ts_ms:event_ts");
        let (_, _, names) = flatten(&[fields]);
        assert_eq!(names, ["__op", "__table", "__source_ts_ms", "__lsn", "__event_ts"]);
        let (_, _, names) = flatten(&[("transforms.u.add.fields.prefix", "_x_"), fields]);
        assert_eq!(names[0], "_x_op");
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (key, value, kind) in [
            ("time.precision.mode", "hours", ErrorKind::InvalidOption),
            ("tombstones.on.delete", "yes", ErrorKind::InvalidOption),
            ("money.fraction.digits", "-1", ErrorKind::InvalidOption),
            ("skipped.operations", "x", ErrorKind::InvalidOption),
            ("column.mask.with.x.chars", "public.t.c", ErrorKind::InvalidOption),
            ("column.truncate.to.0.chars", "public.t.c", ErrorKind::InvalidOption),
            ("column.include.list", "(", ErrorKind::InvalidOption),
            ("message.key.columns", "public.t", ErrorKind::InvalidOption),
            ("column.mask.hash.MD2.with.salt.s", "public.t.c", ErrorKind::UnsupportedOption),
            ("converters", "isbn", ErrorKind::UnsupportedOption),
            ("include.unknown.datatypes", "yes", ErrorKind::InvalidOption),
        ] {
            let error = Mapping::from_properties([(key, value)]).unwrap_err();
            assert_eq!((error.kind(), error.option_key()), (kind, Some(key)));
        }
        let error = Mapping::from_properties([("transforms", "r"), ("transforms.r.type", "x.Y")])
            .unwrap_err();
        assert_eq!(error.option_key(), Some("transforms.r.type"));
    }

    #[test]
    fn foreign_keys_are_handed_back() {
        let found = Mapping::from_properties([
            ("database.server.name", "old"),
            ("slot.name", "s"),
            ("transforms.stray.type", "x"),
        ])
        .unwrap();
        assert_eq!(found.topic_prefix.as_deref(), Some("old"));
        assert_eq!(found.unknown, ["slot.name", "transforms.stray.type"]);
    }
}
