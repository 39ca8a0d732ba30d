//! JSON text to [`Table`].

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::default::encode_default;
use crate::table::{
    Branch, DEPTH_LIMIT, Default, Enum, Field, Node, Record, Slot, Table, Union, is_unnamed,
};
use crate::{Error, ErrorKind, Logical, Schema};

/// Compiles `text`; gives the table and the slot of the outermost type.
pub(crate) fn parse(text: &str, references: &[Schema]) -> Result<(Table, u32), Error> {
    let json = parse_json(text)?;
    let mut parser = Parser {
        table: Table::default(),
        names: BTreeMap::new(),
        references,
        defaults: Vec::new(),
    };
    let root = parser.parse(&json, "", DEPTH_LIMIT)?;
    parser.compile_defaults();
    parser.table.finish();
    Ok((parser.table, root))
}

/// An Avro level takes up to four JSON levels (record, `fields`, field, union), so the limit of
/// `serde_json` would be reached before ours; a scan for the depth takes its place.
fn parse_json(text: &str) -> Result<Value, Error> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > JSON_DEPTH_LIMIT {
            return Err(Error::new(ErrorKind::DepthLimit));
        }
    }
    let mut json = serde_json::Deserializer::from_str(text);
    json.disable_recursion_limit();
    Value::deserialize(&mut json).and_then(|value| json.end().map(|()| value)).map_err(|error| {
        let line_start: usize =
            text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
        Error::at(ErrorKind::Json, line_start + error.column().saturating_sub(1))
    })
}

const JSON_DEPTH_LIMIT: usize = 4 * DEPTH_LIMIT as usize + 16;

struct Parser<'a> {
    table: Table,
    /// Full name to slot.
    names: BTreeMap<String, u32>,
    references: &'a [Schema],
    /// Record and field of every default, to be encoded when all types are known.
    defaults: Vec<(usize, usize)>,
}

impl Parser<'_> {
    fn parse(&mut self, json: &Value, namespace: &str, depth: u8) -> Result<u32, Error> {
        match json {
            Value::String(name) => self.named(name, namespace, depth),
            Value::Array(branches) => self.union(branches, namespace, depth),
            Value::Object(attributes) => self.object(attributes, namespace, depth),
            _ => Err(Error::new(ErrorKind::InvalidAttribute)),
        }
    }

    fn named(&mut self, name: &str, namespace: &str, depth: u8) -> Result<u32, Error> {
        if let Some(node) = primitive(name) {
            return self.slot(node, None, None);
        }
        let full = full_name(name, Some(namespace));
        // A name without a dot may also mean a type of the null namespace.
        for candidate in [&*full, name] {
            if let Some(&slot) = self.names.get(candidate) {
                return Ok(slot);
            }
            for reference in self.references {
                if let Some(slot) = reference.find(candidate) {
                    return self.import(reference.table(), slot, depth);
                }
            }
        }
        Err(Error::named(ErrorKind::UnknownType, &full))
    }

    fn object(
        &mut self,
        attributes: &Map<String, Value>,
        namespace: &str,
        depth: u8,
    ) -> Result<u32, Error> {
        let kind = match attributes.get("type") {
            Some(Value::String(kind)) => &**kind,
            // A type wrapped once more, which some writers make.
            Some(inner @ (Value::Object(_) | Value::Array(_))) => {
                return self.parse(inner, namespace, descend(depth)?);
            }
            _ => return Err(Error::named(ErrorKind::InvalidAttribute, "type")),
        };
        match kind {
            "record" | "error" => self.record(attributes, namespace, descend(depth)?),
            "enum" => self.enumeration(attributes, namespace),
            "fixed" => self.fixed(attributes, namespace),
            "array" => {
                let items = attribute(attributes, "items")?;
                let items = self.parse(items, namespace, descend(depth)?)?;
                self.slot(Node::Array(items), None, None)
            }
            "map" => {
                let values = attribute(attributes, "values")?;
                let values = self.parse(values, namespace, descend(depth)?)?;
                self.slot(Node::Map(values), None, None)
            }
            _ => match primitive(kind) {
                Some(node) => self.slot(node, Logical::of(node, attributes), None),
                None => self.named(kind, namespace, depth),
            },
        }
    }

    fn record(
        &mut self,
        attributes: &Map<String, Value>,
        namespace: &str,
        depth: u8,
    ) -> Result<u32, Error> {
        let name = declared_name(attributes, namespace)?;
        let namespace = name.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
        let index = self.table.records.len();
        let slot = self.slot(Node::Record(to_u32(index)?), None, None)?;
        self.define(&name, slot)?;
        self.table.records.push(Record::new(name));
        self.aliases(slot, attributes, &namespace)?;

        let Value::Array(declared) = attribute(attributes, "fields")? else {
            return Err(Error::named(ErrorKind::InvalidAttribute, "fields"));
        };
        let (mut fields, mut aliases) = (Vec::new(), Vec::new());
        for field in declared {
            let name = text(field.as_object(), "name")?;
            check_name(name)?;
            let attributes = field.as_object().ok_or_else(|| invalid(name))?;
            let slot = attribute(attributes, "type")
                .and_then(|kind| self.parse(kind, &namespace, depth))
                .map_err(|error| error.in_field(name))?;
            let mut field = Field::new(name.into(), self.table.node(slot), slot);
            if let Some(json) = attributes.get("default") {
                self.defaults.push((index, fields.len()));
                field.default = Some(Default { json: json.clone(), datum: None }.into());
            }
            aliases.extend(names(attributes)?.into_iter().map(|alias| (fields.len(), alias)));
            fields.push(field);
        }
        self.set_fields(index, fields, aliases)?;
        Ok(slot)
    }

    fn aliases(
        &mut self,
        slot: u32,
        attributes: &Map<String, Value>,
        namespace: &str,
    ) -> Result<(), Error> {
        if let Some(slot) = self.table.slots.get_mut(slot as usize) {
            let aliases = names(attributes)?;
            slot.aliases = aliases.iter().map(|name| full_name(name, Some(namespace))).collect();
        }
        Ok(())
    }

    fn set_fields(
        &mut self,
        index: usize,
        fields: Vec<Field>,
        aliases: Vec<(usize, String)>,
    ) -> Result<(), Error> {
        match self.table.records.get_mut(index) {
            Some(record) => {
                record.aliases = aliases;
                record.set_fields(fields).map_err(|name| Error::named(ErrorKind::Duplicate, &name))
            }
            None => Ok(()),
        }
    }

    fn enumeration(
        &mut self,
        attributes: &Map<String, Value>,
        namespace: &str,
    ) -> Result<u32, Error> {
        let name = declared_name(attributes, namespace)?;
        let Value::Array(declared) = attribute(attributes, "symbols")? else {
            return Err(Error::named(ErrorKind::InvalidAttribute, "symbols"));
        };
        let mut symbols = Vec::new();
        for symbol in declared {
            let symbol = symbol.as_str().ok_or_else(|| invalid("symbols"))?;
            check_name(symbol)?;
            symbols.push(symbol.to_owned());
        }
        let slot = self.slot(Node::Enum(to_u32(self.table.enums.len())?), None, None)?;
        self.define(&name, slot)?;
        let namespace = name.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
        let mut parsed = Enum::new(name, symbols)
            .map_err(|symbol| Error::named(ErrorKind::Duplicate, &symbol))?;
        // A default that is no symbol is not one, as an unknown attribute is none.
        let default = attributes.get("default").and_then(Value::as_str);
        parsed.default =
            default.filter(|symbol| parsed.position(symbol).is_some()).map(ToOwned::to_owned);
        self.table.enums.push(parsed);
        self.aliases(slot, attributes, &namespace)?;
        Ok(slot)
    }

    fn fixed(&mut self, attributes: &Map<String, Value>, namespace: &str) -> Result<u32, Error> {
        let name = declared_name(attributes, namespace)?;
        let size = attribute(attributes, "size")?.as_u64().and_then(|size| size.try_into().ok());
        let node = Node::Fixed(size.ok_or_else(|| invalid("size"))?);
        let slot = self.slot(node, Logical::of(node, attributes), Some(name.clone()))?;
        self.define(&name, slot)?;
        let namespace = name.rsplit_once('.').map_or("", |(namespace, _)| namespace);
        self.aliases(slot, attributes, namespace)?;
        Ok(slot)
    }

    fn union(&mut self, declared: &[Value], namespace: &str, depth: u8) -> Result<u32, Error> {
        let mut branches = Vec::new();
        for branch in declared {
            let slot = self.parse(branch, namespace, depth)?;
            branches.push(Branch { node: self.table.node(slot), slot });
        }
        self.finish_union(branches)
    }

    fn finish_union(&mut self, branches: Vec<Branch>) -> Result<u32, Error> {
        let mut seen = BTreeSet::new();
        for branch in &branches {
            let name = self.table.type_name(branch.slot);
            if matches!(branch.node, Node::Union(_) | Node::Option { .. }) || !seen.insert(name) {
                return Err(Error::named(ErrorKind::InvalidUnion, name));
            }
        }
        let node = match *branches {
            [Branch { node: Node::Null, .. }, Branch { slot: inner, .. }] => {
                Node::Option { null_first: true, inner }
            }
            [Branch { slot: inner, .. }, Branch { node: Node::Null, .. }] => {
                Node::Option { null_first: false, inner }
            }
            _ => {
                let index = to_u32(self.table.unions.len())?;
                self.table.unions.push(Union { branches });
                Node::Union(index)
            }
        };
        self.slot(node, None, None)
    }

    /// Copies a type of another schema, and what it is made of, into this table.
    fn import(&mut self, from: &Table, slot: u32, depth: u8) -> Result<u32, Error> {
        let Some(Slot { node, logical, name, aliases }) = from.slots.get(slot as usize).cloned()
        else {
            return self.slot(Node::Null, None, None);
        };
        let type_name = from.type_name(slot);
        if let Some(&known) = self.names.get(type_name) {
            return Ok(known);
        }
        match node {
            Node::Fixed(_) => {
                let slot = self.slot(node, logical, name)?;
                self.define(type_name, slot)?;
                self.copy_aliases(slot, aliases);
                Ok(slot)
            }
            Node::Array(items) => {
                let items = self.import(from, items, descend(depth)?)?;
                self.slot(Node::Array(items), None, None)
            }
            Node::Map(values) => {
                let values = self.import(from, values, descend(depth)?)?;
                self.slot(Node::Map(values), None, None)
            }
            Node::Option { null_first, inner } => {
                let inner = self.import(from, inner, depth)?;
                // The null gets a slot of its own when the union is looked at.
                self.slot(Node::Option { null_first, inner }, None, None)
            }
            Node::Union(index) => {
                let mut branches = Vec::new();
                for branch in from.branches(index) {
                    let slot = self.import(from, branch.slot, depth)?;
                    branches.push(Branch { node: self.table.node(slot), slot });
                }
                self.finish_union(branches)
            }
            Node::Enum(index) => {
                let symbols = from.enumeration(index).symbols.clone();
                let slot = self.slot(Node::Enum(to_u32(self.table.enums.len())?), None, None)?;
                self.define(type_name, slot)?;
                let mut copy = Enum::new(type_name.to_owned(), symbols)
                    .map_err(|symbol| Error::named(ErrorKind::Duplicate, &symbol))?;
                copy.default.clone_from(&from.enumeration(index).default);
                self.table.enums.push(copy);
                self.copy_aliases(slot, aliases);
                Ok(slot)
            }
            Node::Record(index) => {
                let depth = descend(depth)?;
                let position = self.table.records.len();
                let slot = self.slot(Node::Record(to_u32(position)?), None, None)?;
                self.define(type_name, slot)?;
                self.table.records.push(Record::new(type_name.to_owned()));
                let mut fields = Vec::new();
                for field in &from.record(index).fields {
                    let slot = self.import(from, field.slot, depth)?;
                    let mut copy = Field::new(field.name.clone(), self.table.node(slot), slot);
                    copy.default.clone_from(&field.default);
                    fields.push(copy);
                }
                self.set_fields(position, fields, from.record(index).aliases.clone())?;
                self.copy_aliases(slot, aliases);
                Ok(slot)
            }
            _ => self.slot(node, logical, None),
        }
    }

    fn copy_aliases(&mut self, slot: u32, aliases: Vec<String>) {
        if let Some(slot) = self.table.slots.get_mut(slot as usize) {
            slot.aliases = aliases;
        }
    }

    fn slot(
        &mut self,
        node: Node,
        logical: Option<Logical>,
        name: Option<String>,
    ) -> Result<u32, Error> {
        let slot = to_u32(self.table.slots.len())?;
        self.table.slots.push(Slot { node, logical, name, aliases: Vec::new() });
        Ok(slot)
    }

    fn define(&mut self, name: &str, slot: u32) -> Result<(), Error> {
        match self.names.insert(name.to_owned(), slot) {
            None => Ok(()),
            Some(_) => Err(Error::named(ErrorKind::Duplicate, name)),
        }
    }

    fn compile_defaults(&mut self) {
        // Last first: a default may leave out fields of records that stand further in.
        for (record, field) in core::mem::take(&mut self.defaults).into_iter().rev() {
            let Some(found) = self.table.records.get(record).and_then(|r| r.fields.get(field))
            else {
                continue;
            };
            let Some(default) = &found.default else { continue };
            let mut datum = Vec::new();
            let fits =
                encode_default(&self.table, found.node, &default.json, DEPTH_LIMIT, &mut datum);
            if fits.is_some()
                && let Some(found) =
                    self.table.records.get_mut(record).and_then(|r| r.fields.get_mut(field))
                && let Some(default) = &mut found.default
            {
                default.datum = Some(datum.into());
            }
        }
    }
}

fn primitive(name: &str) -> Option<Node> {
    Some(match name {
        "null" => Node::Null,
        "boolean" => Node::Boolean,
        "int" => Node::Int,
        "long" => Node::Long,
        "float" => Node::Float,
        "double" => Node::Double,
        "bytes" => Node::Bytes,
        "string" => Node::String,
        _ => return None,
    })
}

fn descend(depth: u8) -> Result<u8, Error> {
    depth.checked_sub(1).ok_or_else(|| Error::new(ErrorKind::DepthLimit))
}

fn attribute<'a>(attributes: &'a Map<String, Value>, name: &str) -> Result<&'a Value, Error> {
    attributes.get(name).ok_or_else(|| invalid(name))
}

fn text<'a>(attributes: Option<&'a Map<String, Value>>, name: &str) -> Result<&'a str, Error> {
    attributes.and_then(|a| a.get(name)).and_then(Value::as_str).ok_or_else(|| invalid(name))
}

/// The attribute `aliases` of a type or field.
fn names(attributes: &Map<String, Value>) -> Result<Vec<String>, Error> {
    let Some(names) = attributes.get("aliases") else { return Ok(Vec::new()) };
    let names = names
        .as_array()
        .and_then(|names| names.iter().map(|name| name.as_str().map(ToOwned::to_owned)).collect());
    names.ok_or_else(|| invalid("aliases"))
}

#[cold]
fn invalid(attribute: &str) -> Error {
    Error::named(ErrorKind::InvalidAttribute, attribute)
}

fn declared_name(attributes: &Map<String, Value>, enclosing: &str) -> Result<String, Error> {
    let name = text(Some(attributes), "name")?;
    let namespace = attributes.get("namespace").and_then(Value::as_str).unwrap_or(enclosing);
    let full = full_name(name, Some(namespace));
    check_name(full.rsplit_once('.').map_or(&*full, |(_, last)| last))?;
    if is_unnamed(&full) {
        return Err(Error::named(ErrorKind::InvalidName, &full));
    }
    Ok(full)
}

fn full_name(name: &str, namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) if !namespace.is_empty() && !name.contains('.') => {
            alloc::format!("{namespace}.{name}")
        }
        // A leading dot is the null namespace spelled out.
        _ => name.strip_prefix('.').unwrap_or(name).to_owned(),
    }
}

/// The rule of Java's parser: a letter or `_`, then letters, digits and `_`, where letters are
/// those of Unicode. It looks only at the last part of a name, never at the namespace.
fn check_name(name: &str) -> Result<(), Error> {
    let mut characters = name.chars();
    let first = characters.next().is_some_and(|c| c.is_alphabetic() || c == '_');
    if first && characters.all(|c| c.is_alphanumeric() || c == '_') {
        Ok(())
    } else {
        Err(Error::named(ErrorKind::InvalidName, name))
    }
}

fn to_u32(number: usize) -> Result<u32, Error> {
    u32::try_from(number).map_err(|_| Error::new(ErrorKind::InvalidAttribute))
}
