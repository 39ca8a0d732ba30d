use std::sync::Arc;

use crate::column::ColumnDef;
use crate::default_value::default_value;
use crate::error::{Error, ErrorKind};
use crate::flatten::{DeleteHandling, Metadata};
use crate::kind::Kind;
use crate::mapping::Mapping;
use crate::names::{Dots, topic_name};
use crate::schema::{ConnectField, ConnectSchema, ConnectType};
use crate::source::{envelope_schema, source_schema, transaction_schema};

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
    mapping: Mapping,
    columns: Vec<MappedColumn>,
    key: Option<ConnectSchema>,
    value: ConnectSchema,
}

/// A column and what became of it.
#[derive(Clone, Debug)]
pub struct MappedColumn {
    pub(crate) def: ColumnDef,
    /// `None` for a column that is left out.
    pub(crate) mapped: Option<(Kind, ConnectField)>,
}

impl MappedColumn {
    /// The column as it was described.
    #[must_use]
    pub fn def(&self) -> &ColumnDef {
        &self.def
    }

    /// Its field in the row schema, or `None` for a type that Debezium leaves out.
    #[must_use]
    pub fn field(&self) -> Option<&ConnectField> {
        self.mapped.as_ref().map(|(_, field)| field)
    }

    /// Whether it belongs to the primary key.
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.def.key_position.is_some()
    }

    /// Whether its binary form can be read; otherwise ask the server for text.
    #[must_use]
    pub fn reads_binary(&self) -> bool {
        self.mapped.as_ref().is_none_or(|(kind, _)| kind.reads_binary())
    }
}

impl Table {
    /// Maps a table.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidTable`] when positions in the primary key repeat or leave a gap, or
    /// when two columns end up with the same field name.
    pub fn new(
        topic_prefix: &str,
        id: TableId,
        columns: Vec<ColumnDef>,
        mapping: &Mapping,
    ) -> Result<Self, Error> {
        let delimiter = &mapping.topic_delimiter;
        let topic =
            topic_name(&format!("{topic_prefix}{delimiter}{}{delimiter}{}", id.schema, id.table));
        let columns: Vec<MappedColumn> =
            columns.into_iter().map(|def| map_column(def, mapping)).collect();
        let schema_name = |suffix: &str| {
            mapping.schema_names.adjust(&format!("{topic}.{suffix}"), Dots::Separate)
        };
        let fields = |columns: &[&MappedColumn]| {
            columns.iter().filter_map(|column| column.field().cloned()).collect::<Vec<_>>()
        };
        let key_columns = key_columns(&id, &columns)?;
        let key_fields = fields(&key_columns);
        let key = (!key_fields.is_empty()).then(|| {
            ConnectSchema::new(ConnectType::Struct(key_fields)).with_name(&schema_name("Key"))
        });
        let mut row = fields(&columns.iter().collect::<Vec<_>>());
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
        let row = ConnectSchema::new(ConnectType::Struct(row)).with_name(&schema_name("Value"));
        let value = match &mapping.flatten {
            None => envelope_schema(&schema_name("Envelope"), &row),
            Some(_) => row,
        };
        let mapping = mapping.clone();
        let prefix = topic_prefix.to_owned();
        Ok(Self { inner: Arc::new(Inner { id, prefix, topic, mapping, columns, key, value }) })
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

    /// The options the table was mapped with.
    #[must_use]
    pub fn mapping(&self) -> &Mapping {
        &self.inner.mapping
    }

    /// Whether rows may come in binary: every mapped column has a binary form that can be read
    /// exactly.
    #[must_use]
    pub fn reads_binary(&self) -> bool {
        self.columns().iter().all(MappedColumn::reads_binary)
    }
}

/// The columns of the primary key, in its order.
pub(crate) fn key_columns<'c>(
    id: &TableId,
    columns: &'c [MappedColumn],
) -> Result<Vec<&'c MappedColumn>, Error> {
    let mut key: Vec<&MappedColumn> = columns.iter().filter(|column| column.is_key()).collect();
    key.sort_by_key(|column| column.def.key_position);
    for (index, column) in key.iter().enumerate() {
        if column.def.key_position != Some(index + 1) {
            return Err(Error::column(ErrorKind::InvalidTable, &id.to_string(), column.def.name()));
        }
    }
    Ok(key)
}

/// The error names the field, which is the column's name after adjustment.
fn check_names(id: &TableId, fields: &[ConnectField]) -> Result<(), Error> {
    let mut names = std::collections::HashSet::new();
    match fields.iter().find(|field| !names.insert(field.name.as_str())) {
        Some(field) => Err(Error::column(ErrorKind::InvalidTable, &id.to_string(), &field.name)),
        None => Ok(()),
    }
}

fn map_column(def: ColumnDef, mapping: &Mapping) -> MappedColumn {
    let mapped = Kind::of(&def, mapping).map(|kind| {
        let mut schema = kind.schema();
        if !def.not_null {
            schema = schema.optional();
        }
        if let Some(default) = def.default.as_deref().and_then(|text| default_value(&kind, text)) {
            schema = schema.with_default(default);
        }
        let name = mapping.field_names.adjust(&def.name, Dots::Adjust);
        (kind, ConnectField::new(&name, schema))
    });
    MappedColumn { def, mapped }
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
