/// A column as the catalog describes it, one row of `pg_attribute` and its neighbours.
///
/// | builder | catalog |
/// |---|---|
/// | `new(name, type_oid, type_name)` | `attname`, `atttypid`, `pg_type.typname` or `format_type` |
/// | `with_typmod` | `atttypmod` |
/// | `with_not_null` | `attnotnull` |
/// | `with_default_expression` | `pg_get_expr(adbin, adrelid)` |
/// | `with_key_position` | place in `pg_constraint.conkey` of the primary key, from 1 |
/// | `with_enum_labels` | `pg_enum.enumlabel` by `enumsortorder`, of the type or its elements |
/// | `with_element_type` | `pg_type.typelem` of an array type |
/// | `with_base_type` | `pg_type.typbasetype` of a domain, followed to the end |
/// | `with_dimensions` | `attndims` |
/// | `with_replica_identity` | whether old rows have it: all columns after `REPLICA IDENTITY FULL` |
/// | `with_snapshot_size` | none: what Debezium takes the column for while it reads a snapshot |
///
/// With a replica identity of an index, [`Fidelity::Corrected`](crate::Fidelity::Corrected) wants the
/// places in that index for the key.
///
/// Columns have to be those that arrive in rows, in that order: generated columns, for example,
/// are not streamed before PostgreSQL 18, so they have to be left out there.
///
/// ```
/// use debezium_model::ColumnDef;
///
/// let price = ColumnDef::new("price", 1700, "numeric")
///     .with_typmod(((10 << 16) | 2) + 4)
///     .with_not_null()
///     .with_default_expression("0");
/// assert_eq!(price.name(), "price");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDef {
    pub(crate) name: String,
    pub(crate) type_oid: u32,
    pub(crate) type_name: String,
    pub(crate) typmod: i32,
    pub(crate) not_null: bool,
    pub(crate) default: Option<String>,
    pub(crate) key_position: Option<usize>,
    pub(crate) enum_labels: Option<Vec<String>>,
    pub(crate) element: Option<(u32, String)>,
    pub(crate) base: Option<(u32, String, i32)>,
    pub(crate) snapshot_size: bool,
    pub(crate) dimensions: usize,
    pub(crate) identity: bool,
}

impl ColumnDef {
    /// A nullable column without type modifier, default or place in the key.
    #[must_use]
    pub fn new(name: &str, type_oid: u32, type_name: &str) -> Self {
        Self {
            name: name.to_owned(),
            type_oid,
            type_name: type_name.to_owned(),
            typmod: -1,
            not_null: false,
            default: None,
            key_position: None,
            enum_labels: None,
            element: None,
            base: None,
            snapshot_size: false,
            dimensions: 0,
            identity: false,
        }
    }

    /// The same column with the raw type modifier of the catalog, -1 for none.
    #[must_use]
    pub fn with_typmod(mut self, typmod: i32) -> Self {
        self.typmod = typmod;
        self
    }

    /// The same column, not null.
    #[must_use]
    pub fn with_not_null(mut self) -> Self {
        self.not_null = true;
        self
    }

    /// The same column with a default, as `pg_get_expr` prints it under `TimeZone` UTC and
    /// `DateStyle` ISO.
    #[must_use]
    pub fn with_default_expression(mut self, expression: &str) -> Self {
        self.default = Some(expression.to_owned());
        self
    }

    /// The same column with its place in the primary key, counted from 1. The fields of a key
    /// follow the constraint, not the table.
    #[must_use]
    pub fn with_key_position(mut self, position: usize) -> Self {
        self.key_position = Some(position);
        self
    }

    /// The same column with the labels of its enum type, or of the enum it is an array of.
    #[must_use]
    pub fn with_enum_labels<S: AsRef<str>>(mut self, labels: impl IntoIterator<Item = S>) -> Self {
        self.enum_labels =
            Some(labels.into_iter().map(|label| label.as_ref().to_owned()).collect());
        self
    }

    /// The same column with the element type of its array type. Built-in array types are known
    /// without.
    #[must_use]
    pub fn with_element_type(mut self, type_oid: u32, type_name: &str) -> Self {
        self.element = Some((type_oid, type_name.to_owned()));
        self
    }

    /// The same column, its type being a domain over this type with this type modifier.
    #[must_use]
    pub fn with_base_type(mut self, type_oid: u32, type_name: &str, typmod: i32) -> Self {
        self.base = Some((type_oid, type_name.to_owned(), typmod));
        self
    }

    /// The same column with the length and scale that Debezium propagates during a snapshot
    /// (`column.propagate.source.type`): a `numeric` without precision has length 0 and no scale
    /// there, and other ones while streaming.
    #[must_use]
    pub fn with_snapshot_size(mut self) -> Self {
        self.snapshot_size = true;
        self
    }

    /// The same column with the number of dimensions its array type is declared with; at most six
    /// count, as in PostgreSQL. Debezium knows of one only, so they matter to
    /// [`Fidelity::Corrected`](crate::Fidelity::Corrected) alone.
    #[must_use]
    pub fn with_dimensions(mut self, dimensions: usize) -> Self {
        self.dimensions = dimensions.min(6);
        self
    }

    /// The same column, old rows having its value. Without any such column the old rows of a table
    /// have those of its key, as with the default replica identity. Only
    /// [`Fidelity::Corrected`](crate::Fidelity::Corrected) asks for it.
    #[must_use]
    pub fn with_replica_identity(mut self) -> Self {
        self.identity = true;
        self
    }

    /// The name of the column.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Oid of its type, or of the domain it is declared with.
    #[must_use]
    pub fn type_oid(&self) -> u32 {
        self.type_oid
    }

    /// Place in the primary key, from 1; none for a column that is not part of it.
    #[must_use]
    pub fn key_position(&self) -> Option<usize> {
        self.key_position
    }

    /// Name of the type the column is declared with, without schema and quotes.
    pub(crate) fn source_type_name(&self) -> String {
        let name = crate::kind::plain_type_name(&self.type_name);
        if name.is_empty() {
            return crate::kind::builtin_type_name(self.type_oid).to_owned();
        }
        name.to_owned()
    }

    /// Type, type name and type modifier that decide the mapping: a domain's are its base's.
    pub(crate) fn effective_type(&self) -> (u32, &str, i32) {
        match &self.base {
            Some((oid, name, typmod)) => (*oid, name, *typmod),
            None => (self.type_oid, &self.type_name, self.typmod),
        }
    }
}
