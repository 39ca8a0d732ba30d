//! From an Avro schema to Parquet's: groups and columns as parquet-avro names them, and the walk
//! over a datum that gives each column its values.

use avro_wire::{Kind, Logical, Schema, TypeView};

use super::thrift::Struct;

/// Records in records that are followed.
const DEPTH: usize = 64;
/// A schema that uses its own types again and again could have any number of columns.
const COLUMNS: usize = 10_000;

/// A schema's way to columns.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) nodes: Vec<Node>,
    pub(super) columns: Vec<Leaf>,
    /// The elements of Parquet's schema, the outermost first, and how many there are.
    pub(super) elements: Vec<u8>,
    pub(super) element_count: usize,
    /// The Avro schema, which readers of Avro records look for.
    pub(super) avro: String,
}

/// A column.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) physical: Physical,
    /// How its values compare, where the least and the greatest are worth noting.
    pub(super) ordered: bool,
    pub(super) max_def: u8,
    pub(super) max_rep: u8,
    pub(super) path: Vec<String>,
    /// The values that an enum's numbers stand for.
    pub(super) symbols: Vec<Vec<u8>>,
}

/// Parquet's types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Physical {
    Boolean,
    Int32,
    Int64,
    Float,
    Double,
    Bytes,
    Fixed(u32),
}

/// One step of the walk; other steps by their place in the plan.
#[derive(Debug)]
pub(super) enum Node {
    /// A value of this column.
    Value(usize, Primitive),
    /// A value of this column or null: the number of the branch that is null.
    Nullable { null: i64, column: usize, primitive: Primitive, absent: Absent },
    /// The fields of a record.
    Record(Vec<usize>),
    /// The number of the branch that is null, and the other.
    Option { null: i64, inner: usize, absent: Absent },
    /// Items, each one level deeper in repetition.
    List { item: usize, rep: u8, absent: Absent },
    /// As a list, with the column of keys.
    Map { key: usize, value: usize, rep: u8, absent: Absent },
    /// The branches, `None` for null: those not taken are absent.
    Union { branches: Vec<Option<(usize, Absent)>>, absent: Absent },
}

/// What Avro has in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Primitive {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum(usize),
}

/// The columns under a node, and the definition level that says that none of them has a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Absent {
    pub(super) first: usize,
    pub(super) end: usize,
    pub(super) def: u8,
}

/// Whether a field may be absent, or there may be many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repetition {
    Required = 0,
    Optional = 1,
    Repeated = 2,
}

/// Levels of what encloses a field.
#[derive(Debug, Clone, Copy)]
struct Levels {
    def: u8,
    rep: u8,
}

impl Levels {
    /// Those of a field inside.
    const fn of(self, repetition: Repetition) -> Self {
        // Each level of nesting adds three at most, and there are not many.
        Self {
            def: self.def + !matches!(repetition, Repetition::Required) as u8,
            rep: self.rep + matches!(repetition, Repetition::Repeated) as u8,
        }
    }
}

/// What Parquet calls a group or a column, beside its physical type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    None,
    Text,
    Enum,
    List,
    Map,
    Decimal { precision: u32, scale: u32 },
    Date,
    Time(Unit),
    Timestamp { unit: Unit, utc: bool },
    Uuid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Millis = 1,
    Micros = 2,
    Nanos = 3,
}

impl Plan {
    /// Compiles the walk over datums of a record. An error says what Parquet does not have.
    pub(super) fn new(schema: &Schema) -> Result<Self, String> {
        let root = schema.root_type();
        if root.kind() != Kind::Record {
            return Err("values that are no records".to_owned());
        }
        let plan = Self {
            nodes: Vec::new(),
            columns: Vec::new(),
            elements: Vec::new(),
            element_count: 0,
            avro: schema.as_str().to_owned(),
        };
        let old_lists = !has_optional_items(root, &mut Vec::new());
        let mut builder = Builder { plan, path: Vec::new(), open: Vec::new(), old_lists };
        let name = root.name().unwrap_or_default();
        builder.record(root, name, None, Levels { def: 0, rep: 0 })?;
        Ok(builder.plan)
    }
}

/// Whether a list somewhere holds items that may be null.
fn has_optional_items<'s>(view: TypeView<'s>, seen: &mut Vec<&'s str>) -> bool {
    if let Some(name) = view.name() {
        if seen.contains(&name) {
            return false;
        }
        seen.push(name);
    }
    let is_null = |branch: TypeView<'_>| branch.kind() == Kind::Null;
    (view.kind() == Kind::Array && view.items().is_some_and(|item| item.branches().any(is_null)))
        || view.items().is_some_and(|item| has_optional_items(item, seen))
        || view.branches().any(|branch| has_optional_items(branch, seen))
        || view.fields().any(|field| has_optional_items(field.field_type(), seen))
}

struct Builder<'s> {
    plan: Plan,
    /// Names from the record down.
    path: Vec<String>,
    /// Named types that are being added.
    open: Vec<&'s str>,
    /// Whether items are the repeated field itself, without a group around it.
    old_lists: bool,
}

impl<'s> Builder<'s> {
    /// Adds a field with all that is in it, and gives its step of the walk. `outer` are the levels
    /// of what encloses it.
    fn field(
        &mut self,
        view: TypeView<'s>,
        name: &str,
        repetition: Repetition,
        outer: Levels,
    ) -> Result<usize, String> {
        self.path.push(name.to_owned());
        if self.path.len() > DEPTH {
            return Err(format!("{}: more than {DEPTH} levels", self.place()));
        }
        let node = match view.kind() {
            Kind::Record => self.record(view, name, Some(repetition), outer),
            Kind::Union => self.union(view, name, repetition, outer),
            Kind::Array => self.list(view, name, repetition, outer),
            Kind::Map => self.map(view, name, repetition, outer),
            Kind::Null => Err(format!("{}: nothing but null", self.place())),
            _ => self.column(view, name, repetition, outer),
        };
        self.path.pop();
        node
    }

    fn record(
        &mut self,
        view: TypeView<'s>,
        name: &str,
        repetition: Option<Repetition>,
        outer: Levels,
    ) -> Result<usize, String> {
        let full_name = view.name().unwrap_or_default();
        if self.open.contains(&full_name) {
            return Err(format!("{}: {full_name} within {full_name}", self.place()));
        }
        let count = view.fields().count();
        if count == 0 {
            return Err(format!("{}: a record without fields", self.place()));
        }
        self.open.push(full_name);
        self.group(name, repetition, count, Meaning::None);
        let levels = outer.of(repetition.unwrap_or(Repetition::Required));
        let node = self.step();
        let mut fields = Vec::with_capacity(count);
        for field in view.fields() {
            fields.push(self.field(
                field.field_type(),
                field.name(),
                Repetition::Required,
                levels,
            )?);
        }
        self.open.pop();
        Ok(self.set(node, Node::Record(fields)))
    }

    fn union(
        &mut self,
        view: TypeView<'s>,
        name: &str,
        repetition: Repetition,
        outer: Levels,
    ) -> Result<usize, String> {
        // What the branches add to the path is theirs alone.
        self.path.pop();
        let branches: Vec<TypeView<'s>> = view.branches().collect();
        let null = branches.iter().position(|branch| branch.kind() == Kind::Null);
        let others = branches.len() - usize::from(null.is_some());
        let repetition = if null.is_some() { Repetition::Optional } else { repetition };
        let first = self.plan.columns.len();
        let node = self.step();
        let step = if let ([one, other], Some(null @ (0 | 1))) = (branches.as_slice(), null) {
            let inner = if null == 0 { other } else { one };
            let inner = self.field(*inner, name, repetition, outer)?;
            let null = i64::from(null == 1);
            let absent = self.absent(first, outer.def);
            match self.plan.nodes.get(inner) {
                Some(Node::Value(column, primitive)) => {
                    Node::Nullable { null, column: *column, primitive: *primitive, absent }
                }
                _ => Node::Option { null, inner, absent },
            }
        } else {
            // One type in brackets is that type.
            let alone = others == 1;
            let mut levels = outer;
            self.path.push(name.to_owned());
            if alone {
                self.path.pop();
            } else if others == 0 {
                return Err(format!("{}: nothing but null", self.place()));
            } else {
                self.group(name, Some(repetition), others, Meaning::None);
                levels = outer.of(repetition);
            }
            let mut steps = Vec::with_capacity(branches.len());
            let mut number = 0;
            for branch in branches {
                if branch.kind() == Kind::Null {
                    steps.push(None);
                    continue;
                }
                let first = self.plan.columns.len();
                let step = if alone {
                    self.field(branch, name, repetition, levels)?
                } else {
                    let name = format!("member{number}");
                    self.field(branch, &name, Repetition::Optional, levels)?
                };
                steps.push(Some((step, self.absent(first, levels.def))));
                number += 1;
            }
            if !alone {
                self.path.pop();
            }
            Node::Union { branches: steps, absent: self.absent(first, outer.def) }
        };
        // The caller takes the name off again.
        self.path.push(name.to_owned());
        Ok(self.set(node, step))
    }

    fn list(
        &mut self,
        view: TypeView<'s>,
        name: &str,
        repetition: Repetition,
        outer: Levels,
    ) -> Result<usize, String> {
        let items = view.items().ok_or_else(|| self.place())?;
        let levels = outer.of(repetition);
        let repeated = levels.of(Repetition::Repeated);
        self.group(name, Some(repetition), 1, Meaning::List);
        let (first, node) = (self.plan.columns.len(), self.step());
        let item = if self.old_lists {
            self.field(items, "array", Repetition::Repeated, levels)?
        } else {
            self.path.push("list".to_owned());
            self.group("list", Some(Repetition::Repeated), 1, Meaning::None);
            let item = self.field(items, "element", Repetition::Required, repeated)?;
            self.path.pop();
            item
        };
        let absent = self.absent(first, levels.def);
        Ok(self.set(node, Node::List { item, rep: repeated.rep, absent }))
    }

    fn map(
        &mut self,
        view: TypeView<'s>,
        name: &str,
        repetition: Repetition,
        outer: Levels,
    ) -> Result<usize, String> {
        let values = view.items().ok_or_else(|| self.place())?;
        let levels = outer.of(repetition);
        let repeated = levels.of(Repetition::Repeated);
        self.group(name, Some(repetition), 1, Meaning::Map);
        let (key, node) = (self.plan.columns.len(), self.step());
        self.path.push("key_value".to_owned());
        self.group("key_value", Some(Repetition::Repeated), 2, Meaning::None);
        self.path.push("key".to_owned());
        let (physical, required) = (Physical::Bytes, Repetition::Required);
        self.leaf("key", required, repeated, physical, Meaning::Text, Vec::new())?;
        self.path.pop();
        let value = self.field(values, "value", required, repeated)?;
        self.path.pop();
        let absent = self.absent(key, levels.def);
        Ok(self.set(node, Node::Map { key, value, rep: repeated.rep, absent }))
    }

    fn column(
        &mut self,
        view: TypeView<'s>,
        name: &str,
        repetition: Repetition,
        outer: Levels,
    ) -> Result<usize, String> {
        let size = view.size().unwrap_or(0);
        let symbols: Vec<Vec<u8>> = match view.kind() {
            Kind::Enum => view.symbols().map(|symbol| symbol.as_bytes().to_vec()).collect(),
            _ => Vec::new(),
        };
        let (physical, primitive, plain) = match view.kind() {
            Kind::Boolean => (Physical::Boolean, Primitive::Boolean, Meaning::None),
            Kind::Int => (Physical::Int32, Primitive::Int, Meaning::None),
            Kind::Long => (Physical::Int64, Primitive::Long, Meaning::None),
            Kind::Float => (Physical::Float, Primitive::Float, Meaning::None),
            Kind::Double => (Physical::Double, Primitive::Double, Meaning::None),
            Kind::String => (Physical::Bytes, Primitive::String, Meaning::Text),
            Kind::Enum => (Physical::Bytes, Primitive::Enum(symbols.len()), Meaning::Enum),
            Kind::Fixed if size > 0 && i32::try_from(size).is_ok() => {
                (Physical::Fixed(size), Primitive::Fixed(size as usize), Meaning::None)
            }
            Kind::Fixed => return Err(format!("{}: a fixed of no bytes", self.place())),
            _ => (Physical::Bytes, Primitive::Bytes, Meaning::None),
        };
        let utc = |unit| Meaning::Timestamp { unit, utc: true };
        let local = |unit| Meaning::Timestamp { unit, utc: false };
        let meaning = match (view.logical(), physical) {
            (Some(Logical::Decimal { precision, scale }), _) => {
                Meaning::Decimal { precision, scale }
            }
            (Some(Logical::Date), _) => Meaning::Date,
            (Some(Logical::TimeMillis), _) => Meaning::Time(Unit::Millis),
            (Some(Logical::TimeMicros), _) => Meaning::Time(Unit::Micros),
            (Some(Logical::TimestampMillis), _) => utc(Unit::Millis),
            (Some(Logical::TimestampMicros), _) => utc(Unit::Micros),
            (Some(Logical::TimestampNanos), _) => utc(Unit::Nanos),
            (Some(Logical::LocalTimestampMillis), _) => local(Unit::Millis),
            (Some(Logical::LocalTimestampMicros), _) => local(Unit::Micros),
            (Some(Logical::LocalTimestampNanos), _) => local(Unit::Nanos),
            (Some(Logical::Uuid), Physical::Fixed(16)) => Meaning::Uuid,
            _ => plain,
        };
        let column = self.leaf(name, repetition, outer, physical, meaning, symbols)?;
        let node = self.step();
        Ok(self.set(node, Node::Value(column, primitive)))
    }

    fn leaf(
        &mut self,
        name: &str,
        repetition: Repetition,
        outer: Levels,
        physical: Physical,
        meaning: Meaning,
        symbols: Vec<Vec<u8>>,
    ) -> Result<usize, String> {
        let levels = outer.of(repetition);
        let column = self.plan.columns.len();
        if column == COLUMNS {
            return Err(format!("{}: more than {COLUMNS} columns", self.place()));
        }
        self.element(name, Some(repetition), Some(physical), None, meaning);
        self.plan.columns.push(Leaf {
            physical,
            // Bytes are compared as they lie there; decimals in bytes are not ordered so.
            ordered: !matches!(meaning, Meaning::Decimal { .. }),
            max_def: levels.def,
            max_rep: levels.rep,
            path: self.path.clone(),
            symbols,
        });
        Ok(column)
    }

    fn group(
        &mut self,
        name: &str,
        repetition: Option<Repetition>,
        children: usize,
        meaning: Meaning,
    ) {
        self.element(name, repetition, None, Some(children), meaning);
    }

    /// `SchemaElement` of the format's Thrift definition.
    fn element(
        &mut self,
        name: &str,
        repetition: Option<Repetition>,
        physical: Option<Physical>,
        children: Option<usize>,
        meaning: Meaning,
    ) {
        self.plan.element_count += 1;
        Struct::write(&mut self.plan.elements, |element| {
            if let Some(physical) = physical {
                element.i32(1, physical.number());
            }
            if let Some(Physical::Fixed(size)) = physical {
                element.i32(2, size.try_into().unwrap_or(i32::MAX));
            }
            if let Some(repetition) = repetition {
                element.i32(3, repetition as i32);
            }
            element.binary(4, name.as_bytes());
            if let Some(children) = children {
                element.i32(5, children.try_into().unwrap_or(i32::MAX));
            }
            meaning.write(element);
        });
    }

    fn absent(&self, first: usize, def: u8) -> Absent {
        Absent { first, end: self.plan.columns.len(), def }
    }

    /// A place for a step whose parts come first.
    fn step(&mut self) -> usize {
        self.plan.nodes.push(Node::Record(Vec::new()));
        self.plan.nodes.len() - 1
    }

    fn set(&mut self, at: usize, node: Node) -> usize {
        if let Some(place) = self.plan.nodes.get_mut(at) {
            *place = node;
        }
        at
    }

    fn place(&self) -> String {
        self.path.join(".")
    }
}

impl Physical {
    /// `Type` of the format's Thrift definition.
    pub(super) const fn number(self) -> i32 {
        match self {
            Self::Boolean => 0,
            Self::Int32 => 1,
            Self::Int64 => 2,
            Self::Float => 4,
            Self::Double => 5,
            Self::Bytes => 6,
            Self::Fixed(_) => 7,
        }
    }
}

impl Meaning {
    /// The older `ConvertedType`, where there is one, and `LogicalType`.
    fn write(self, element: &mut Struct<'_>) {
        let converted = match self {
            Self::None | Self::Uuid => None,
            Self::Text => Some(0),
            Self::Map => Some(1),
            Self::List => Some(3),
            Self::Enum => Some(4),
            Self::Decimal { .. } => Some(5),
            Self::Date => Some(6),
            Self::Time(Unit::Millis) => Some(7),
            Self::Time(Unit::Micros) => Some(8),
            Self::Timestamp { unit: Unit::Millis, utc: true } => Some(9),
            Self::Timestamp { unit: Unit::Micros, utc: true } => Some(10),
            Self::Time(Unit::Nanos) | Self::Timestamp { .. } => None,
        };
        if let Some(converted) = converted {
            element.i32(6, converted);
        }
        if let Self::Decimal { precision, scale } = self {
            element.i32(7, scale.try_into().unwrap_or(i32::MAX));
            element.i32(8, precision.try_into().unwrap_or(i32::MAX));
        }
        let empty = |_: &mut Struct<'_>| {};
        let instant = |of: &mut Struct<'_>, utc: bool, unit: Unit| {
            of.bool(1, utc);
            of.structure(2, |choice| choice.structure(unit as u8, empty));
        };
        if self != Self::None {
            element.structure(10, |logical| match self {
                Self::None => {}
                Self::Text => logical.structure(1, empty),
                Self::Map => logical.structure(2, empty),
                Self::List => logical.structure(3, empty),
                Self::Enum => logical.structure(4, empty),
                Self::Decimal { precision, scale } => logical.structure(5, |decimal| {
                    decimal.i32(1, scale.try_into().unwrap_or(i32::MAX));
                    decimal.i32(2, precision.try_into().unwrap_or(i32::MAX));
                }),
                Self::Date => logical.structure(6, empty),
                Self::Time(unit) => logical.structure(7, |time| instant(time, true, unit)),
                Self::Timestamp { unit, utc } => {
                    logical.structure(8, |timestamp| instant(timestamp, utc, unit));
                }
                Self::Uuid => logical.structure(14, empty),
            });
        }
    }
}
