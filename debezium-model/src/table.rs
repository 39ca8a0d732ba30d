use std::sync::Arc;

use crate::column::ColumnDef;
use crate::default_value::default_value;
use crate::error::{Error, ErrorKind};
use crate::flatten::{DeleteHandling, Metadata};
use crate::kind::Kind;
use crate::mapping::{Fidelity, Mapping};
use crate::names::{Dots, topic_name};
use crate::rules::Rule;
use crate::schema::{ConnectField, ConnectSchema, ConnectType};
use crate::source::{envelope_schema, source_schema, transaction_schema};
use crate::source_type::size;
use crate::value::Reading;

/// Schema and name of a table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableId {
    schema: String,
    table: String,
}

impl TableId {
    /// A table in a schema.
    #[must_use]
    pub fn new(schema: &str, table: &str) -> Self {
        Self { schema: schema.to_owned(), table: table.to_owned() }
    }

    /// Name of the schema.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Name of the table.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }
}

impl std::fmt::Display for TableId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// A table as Debezium describes it: its topic, its schemas, and where each column went.
///
/// Built once per version of the relation; cheap to clone.
///
/// ```
/// use debezium_model::{ColumnDef, Mapping, Table, TableId};
///
/// let columns = vec![
///     ColumnDef::new("id", 23, "int4").with_not_null().with_key_position(1),
///     ColumnDef::new("note", 25, "text"),
/// ];
/// let table = Table::new("cdc", TableId::new("public", "memo"), columns, &Mapping::default())?;
/// assert_eq!(table.topic(), "cdc.public.memo");
/// assert_eq!(table.value_schema().name(), Some("cdc.public.memo.Envelope"));
/// assert_eq!(
///     table.key_schema().unwrap().to_avro(),
///     concat!(
///         r#"{"type":"record","name":"Key","namespace":"cdc.public.memo","#,
///         r#""fields":[{"name":"id","type":"int"}],"connect.name":"cdc.public.memo.Key"}"#
///     )
/// );
/// # Ok::<(), debezium_model::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Table {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    id: TableId,
    prefix: String,
    topic: String,
    #[cfg_attr(not(feature = "avro"), allow(dead_code, reason = "records need it"))]
    row_name: String,
    mapping: Mapping,
    columns: Vec<MappedColumn>,
    #[cfg_attr(not(feature = "avro"), allow(dead_code, reason = "records need it"))]
    key_places: Vec<usize>,
    /// Texts of the fields that routers add to the key.
    #[cfg_attr(not(feature = "avro"), allow(dead_code, reason = "records need it"))]
    key_tail: Vec<String>,
    /// Whether all columns of the key are in old rows.
    #[cfg_attr(not(feature = "avro"), allow(dead_code, reason = "records need it"))]
    complete_identity: bool,
    key: Option<ConnectSchema>,
    value: ConnectSchema,
}

/// A column and what became of it.
#[derive(Clone, Debug)]
pub struct MappedColumn {
    pub(crate) def: ColumnDef,
    /// `None` for a column of a type that is left out.
    pub(crate) mapped: Option<Mapped>,
    /// Whether values have it; a column that an option leaves out may still be in the key.
    pub(crate) in_value: bool,
    /// Whether keys have it.
    pub(crate) in_key: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Mapped {
    pub(crate) kind: Kind,
    /// In values.
    pub(crate) field: ConnectField,
    /// In keys, where options for single columns do not reach.
    pub(crate) key_field: ConnectField,
    /// In old rows, where it is otherwise there.
    pub(crate) before_field: Option<ConnectField>,
    /// What becomes of its values, but not in keys.
    #[cfg_attr(not(feature = "avro"), allow(dead_code, reason = "records need it"))]
    pub(crate) rules: Vec<Rule>,
}

impl MappedColumn {
    /// The column as it was described.
    #[must_use]
    pub fn def(&self) -> &ColumnDef {
        &self.def
    }

    /// Its field in the row schema, or `None` for a type that Debezium leaves out, or a column
    /// that an option leaves out.
    #[must_use]
    pub fn field(&self) -> Option<&ConnectField> {
        self.mapped.as_ref().filter(|_| self.in_value).map(|mapped| &mapped.field)
    }

    /// Whether it belongs to the key of records: the primary key, or what `message.key.columns`
    /// puts in its place.
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.in_key
    }

    /// Whether its binary form can be read; otherwise ask the server for text.
    #[must_use]
    pub fn reads_binary(&self) -> bool {
        self.mapped.as_ref().is_none_or(|mapped| mapped.kind.reads_binary())
    }
}

impl Table {
    /// Maps a table.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidTable`] when positions in the primary key repeat or leave a gap, or
    /// when two columns end up with the same field name; [`ErrorKind::MaskedKey`] when
    /// [`Fidelity::Corrected`] is asked for and an option would mask a column of the key.
    pub fn new(
        topic_prefix: &str,
        id: TableId,
        columns: Vec<ColumnDef>,
        mapping: &Mapping,
    ) -> Result<Self, Error> {
        let delimiter = &mapping.topic_delimiter;
        let mut topic =
            topic_name(&format!("{topic_prefix}{delimiter}{}{delimiter}{}", id.schema, id.table));
        let mut mapping = mapping.clone();
        if mapping.flatten_where.as_ref().is_some_and(|predicate| !predicate.holds(&topic)) {
            mapping.flatten = None;
        }
        if mapping.outbox_where.as_ref().is_some_and(|predicate| !predicate.holds(&topic)) {
            mapping.outbox = None;
        }
        let mut name = topic.clone();
        let mut key_name = topic.clone();
        let mut extra_keys: Vec<(String, String)> = Vec::new();
        for (place, (router, predicate)) in mapping.routers.iter().enumerate() {
            if predicate.as_ref().is_some_and(|predicate| !predicate.holds(&topic)) {
                continue;
            }
            let Some(routed) = router.route(&topic) else { continue };
            topic = routed.topic;
            if routed.renames_schemas {
                key_name.clone_from(&topic);
                // Only envelopes are renamed.
                if mapping.flatten.is_none() || place < mapping.flatten_behind {
                    name.clone_from(&topic);
                }
            }
            extra_keys.extend(routed.key_field);
        }
        let mapping = &mapping;
        let key_places = key_places(&id, &columns, mapping)?;
        let mut columns: Vec<MappedColumn> =
            columns.into_iter().map(|def| map_column(def, &id, mapping)).collect();
        for (place, column) in columns.iter_mut().enumerate() {
            column.in_key = key_places.contains(&place);
        }
        let corrected = mapping.fidelity == Fidelity::Corrected;
        let mut complete_identity = true;
        if corrected {
            check_masks(&id, &columns)?;
            let given = columns.iter().any(|column| column.def.identity);
            for column in &mut columns {
                let MappedColumn { def, mapped, in_key, .. } = column;
                let sent = if given { def.identity } else { def.key_position.is_some() };
                complete_identity &= sent || !*in_key;
                if let Some(mapped) = mapped.as_mut().filter(|_| !sent && def.not_null) {
                    let ConnectField { name, schema } = mapped.field.clone();
                    mapped.before_field = Some(ConnectField { name, schema: schema.nullable() });
                }
            }
        }
        let adjusted = |name: &str, suffix: &str| {
            mapping.schema_names.adjust(&format!("{name}.{suffix}"), Dots::Separate)
        };
        let schema_name = |suffix: &str| adjusted(&name, suffix);
        let mapped = |place: &usize| columns.get(*place)?.mapped.as_ref();
        let key_fields: Vec<ConnectField> = key_places
            .iter()
            .filter_map(|place| mapped(place).map(|mapped| mapped.key_field.clone()))
            .collect();
        let mut key_fields = key_fields;
        let mut key_tail = Vec::new();
        if !key_fields.is_empty() {
            for (name, value) in extra_keys {
                let text = ConnectSchema::new(ConnectType::String);
                key_fields.push(ConnectField::new(&name, text));
                key_tail.push(value);
            }
        }
        let key = (!key_fields.is_empty()).then(|| {
            ConnectSchema::new(ConnectType::Struct(key_fields))
                .with_name(&adjusted(&key_name, "Key"))
        });
        if let Some(flatten) = &mapping.flatten
            && flatten.deletes == DeleteHandling::Rewrite
        {
            // Old rows and new ones share a schema.
            for mapped in columns.iter_mut().filter_map(|column| column.mapped.as_mut()) {
                if let Some(before) = mapped.before_field.take() {
                    mapped.field = before;
                }
            }
        }
        let mut row: Vec<ConnectField> =
            columns.iter().filter_map(|column| column.field().cloned()).collect();
        let shown = columns.iter().filter(|column| column.in_value);
        let old: Vec<ConnectField> = shown
            .filter_map(|column| column.mapped.as_ref())
            .map(|mapped| mapped.before_field.as_ref().unwrap_or(&mapped.field).clone())
            .collect();
        if let Some(flatten) = &mapping.flatten {
            if flatten.deletes == DeleteHandling::Rewrite {
                let text = ConnectSchema::new(ConnectType::String).optional();
                row.push(ConnectField::new("__deleted", text));
            }
            for added in &flatten.fields {
                row.push(ConnectField::new(&added.name, metadata_schema(added.metadata)));
            }
        }
        check_names(&id, &row)?;
        let row_name = schema_name("Value");
        let mut mapped = columns.iter().filter_map(|column| column.mapped.as_ref());
        let same = mapped.all(|mapped| mapped.before_field.is_none());
        let row = ConnectSchema::new(ConnectType::Struct(row)).with_name(&row_name);
        let value = match &mapping.flatten {
            None if same => envelope_schema(&schema_name("Envelope"), &row, &row),
            None => {
                let old = ConnectSchema::new(ConnectType::Struct(old));
                let old = old.with_name(&schema_name("Before"));
                envelope_schema(&schema_name("Envelope"), &old, &row)
            }
            Some(_) => row,
        };
        let mapping = mapping.clone();
        let prefix = topic_prefix.to_owned();
        let inner = Inner {
            id,
            prefix,
            topic,
            row_name,
            mapping,
            columns,
            key_places,
            key_tail,
            complete_identity,
            key,
            value,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Schema and name of the table.
    #[must_use]
    pub fn id(&self) -> &TableId {
        &self.inner.id
    }

    /// The prefix of all topics of the source, which is its logical name.
    #[must_use]
    pub fn topic_prefix(&self) -> &str {
        &self.inner.prefix
    }

    /// The topic of the table's records.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.inner.topic
    }

    /// The schema of the key, or `None` for a table without primary key, whose records have none.
    #[must_use]
    pub fn key_schema(&self) -> Option<&ConnectSchema> {
        self.inner.key.as_ref()
    }

    /// The schema of keys in headers ([`HeaderValue::Key`](crate::HeaderValue::Key)): that of the
    /// key, without the fields that routers add.
    #[must_use]
    pub fn header_key_schema(&self) -> Option<ConnectSchema> {
        let key = self.key_schema()?;
        let own = key.fields().len() - self.inner.key_tail.len();
        let fields = key.fields().iter().take(own).cloned().collect();
        let schema = ConnectSchema::new(ConnectType::Struct(fields));
        Some(match key.name() {
            Some(name) => schema.with_name(name),
            None => schema,
        })
    }

    /// The schema of the value: the envelope, or the row when values are flattened.
    #[must_use]
    pub fn value_schema(&self) -> &ConnectSchema {
        &self.inner.value
    }

    /// The columns, in the order of rows.
    #[must_use]
    pub fn columns(&self) -> &[MappedColumn] {
        &self.inner.columns
    }

    /// The columns of the key, in its order.
    #[cfg(feature = "avro")]
    pub(crate) fn key_columns(&self) -> impl Iterator<Item = &MappedColumn> {
        self.inner.key_places.iter().filter_map(|place| self.inner.columns.get(*place))
    }

    /// Name of the schema of a row.
    #[cfg(feature = "avro")]
    pub(crate) fn row_schema_name(&self) -> &str {
        &self.inner.row_name
    }

    /// Texts of the fields that follow the columns in the key.
    #[cfg(feature = "avro")]
    pub(crate) fn key_tail(&self) -> &[String] {
        &self.inner.key_tail
    }

    /// Whether an old row always has the whole key.
    #[cfg(feature = "avro")]
    pub(crate) fn complete_identity(&self) -> bool {
        self.inner.complete_identity
    }

    /// The options the table was mapped with.
    #[must_use]
    pub fn mapping(&self) -> &Mapping {
        &self.inner.mapping
    }

    /// Whether Avro allows the names of all fields. Where it does not, Confluent's converter fails
    /// at the first record, and a registry would refuse the schema; JSON takes any name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidName`], with the first such column.
    pub fn check_avro_names(&self) -> Result<(), Error> {
        let valid = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let refused = self.columns().iter().find(|column| {
            let mapped = column.mapped.as_ref().filter(|_| column.in_value || column.in_key);
            mapped.is_some_and(|mapped| !valid(&mapped.field.name))
        });
        match refused {
            None => Ok(()),
            Some(column) => {
                let (table, name) = (self.id().to_string(), column.def.name());
                Err(Error::column(ErrorKind::InvalidName, &table, name))
            }
        }
    }

    /// Whether rows may come in binary: every mapped column has a binary form that can be read
    /// exactly.
    #[must_use]
    pub fn reads_binary(&self) -> bool {
        self.columns().iter().all(MappedColumn::reads_binary)
    }
}

/// The places of the columns of the key, in its order: what an option says, or the primary key.
fn key_places(id: &TableId, columns: &[ColumnDef], mapping: &Mapping) -> Result<Vec<usize>, Error> {
    let mut key: Vec<(Option<usize>, usize)> = columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.key_position.is_some())
        .map(|(place, column)| (column.key_position, place))
        .collect();
    key.sort_unstable();
    for (index, (position, place)) in key.iter().enumerate() {
        if *position != Some(index + 1) {
            let name = columns.get(*place).map_or("", ColumnDef::name);
            return Err(Error::column(ErrorKind::InvalidTable, &id.to_string(), name));
        }
    }
    let names: Vec<&str> = columns.iter().map(ColumnDef::name).collect();
    let given = mapping.columns.key(id, &names);
    Ok(if given.is_empty() { key.into_iter().map(|(_, place)| place).collect() } else { given })
}

/// Masked keys would all be the same, so that a log's compaction keeps one row of all.
fn check_masks(id: &TableId, columns: &[MappedColumn]) -> Result<(), Error> {
    let masked = columns.iter().filter(|column| column.in_key).find(|column| {
        column.mapped.as_ref().is_some_and(|mapped| {
            mapped.rules.iter().any(|rule| match rule {
                Rule::Mask(_) => true,
                Rule::Hash(_) => !mapped.kind.is_text(),
                Rule::Truncate(_) | Rule::Propagate => false,
            })
        })
    });
    match masked {
        Some(column) => {
            Err(Error::column(ErrorKind::MaskedKey, &id.to_string(), column.def.name()))
        }
        None => Ok(()),
    }
}

/// The error names the field, which is the column's name after adjustment.
fn check_names(id: &TableId, fields: &[ConnectField]) -> Result<(), Error> {
    let mut names = std::collections::HashSet::new();
    match fields.iter().find(|field| !names.insert(field.name.as_str())) {
        Some(field) => Err(Error::column(ErrorKind::InvalidTable, &id.to_string(), &field.name)),
        None => Ok(()),
    }
}

fn map_column(def: ColumnDef, id: &TableId, mapping: &Mapping) -> MappedColumn {
    let mapped = Kind::of(&def, mapping).map(|kind| {
        let mut schema = kind.schema();
        if !def.not_null {
            schema = schema.optional();
        }
        let reading = match mapping.fidelity {
            Fidelity::Debezium => Reading::Stream,
            Fidelity::Corrected => Reading::Exact,
        };
        let default = def.default.as_deref();
        if let Some(default) = default.and_then(|text| default_value(&def, &kind, text, reading)) {
            schema = schema.with_default(default);
        }
        let name = mapping.field_names.adjust(&def.name, Dots::Adjust);
        let key_field = ConnectField::new(&name, schema.clone());
        let treatment = mapping.columns.treatment(id, &def, mapping);
        for rule in &treatment.value {
            schema = match rule {
                Rule::Truncate(length) if !can_truncate(&def, *length) => schema,
                Rule::Truncate(length) => {
                    schema.with_parameter("truncateLength", &length.to_string())
                }
                _ => schema.with_parameter("masked", "true"),
            };
        }
        if treatment.propagate {
            schema = schema.with_source_type(&def);
        }
        let field = ConnectField::new(&name, schema);
        Mapped { kind, field, key_field, before_field: None, rules: treatment.value }
    });
    let in_value = mapping.columns.includes(id, &def.name);
    MappedColumn { def, mapped, in_value, in_key: false }
}

/// Whether values of the column can be longer than that.
fn can_truncate(def: &ColumnDef, length: usize) -> bool {
    usize::try_from(size(def).0).is_ok_and(|longest| longest > length)
}

fn metadata_schema(metadata: Metadata) -> ConnectSchema {
    let pick = |schema: &ConnectSchema, index: usize| {
        schema.fields().get(index).map(|field| field.schema.bare_optional())
    };
    let found = match metadata {
        Metadata::Envelope(0) => None,
        Metadata::Envelope(_) => Some(ConnectSchema::new(ConnectType::Int64).optional()),
        Metadata::Source(index) => pick(&source_schema(), index),
        Metadata::Transaction(index) => pick(&transaction_schema(), index),
    };
    found.unwrap_or_else(|| ConnectSchema::new(ConnectType::String).optional())
}
