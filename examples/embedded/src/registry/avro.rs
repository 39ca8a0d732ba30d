//! Avro schemas as trees: what registration validates and compatibility compares.
//!
//! Follows the Java library where the specification leaves room, because registries do: simple
//! names are letters of any alphabet, digits and `_`; namespaces are not looked at; a default
//! must fit the first branch of a union.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

/// A parsed schema with the types it refers to; nodes refer to each other by index, so recursive
/// types are no special case.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    root: NodeId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct NodeId(usize);

#[derive(Clone, Debug)]
pub(super) enum Node {
    Primitive(Primitive),
    Array(NodeId),
    Map(NodeId),
    Union(Vec<NodeId>),
    Record(Name, Vec<Field>),
    Enum(Name, Vec<String>, Option<String>),
    Fixed(Name, i32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Primitive {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
}

/// Name of a record, an enum or a fixed.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) full: String,
    /// Full names.
    pub(super) aliases: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) aliases: Vec<String>,
    pub(super) node: NodeId,
    pub(super) has_default: bool,
}

/// Why a text is no Avro schema.
#[derive(Debug, thiserror::Error)]
pub(super) enum Invalid {
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("a schema must be a string, an object or an array")]
    Shape,
    #[error("\"{0}\" is missing or of the wrong type")]
    Attribute(&'static str),
    #[error("\"{0}\" is not a name")]
    Name(String),
    #[error("\"{0}\" is not defined")]
    Undefined(String),
    #[error("\"{0}\" is defined twice")]
    Redefined(String),
    #[error("enum default \"{0}\" is not one of the symbols")]
    EnumDefault(String),
    #[error("a union must not contain a union")]
    NestedUnion,
    #[error("a union must not contain {0} twice")]
    DuplicateBranch(String),
    #[error("the default of field \"{0}\" does not fit its type")]
    Default(String),
}

impl Primitive {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::Null,
            "boolean" => Self::Boolean,
            "int" => Self::Int,
            "long" => Self::Long,
            "float" => Self::Float,
            "double" => Self::Double,
            "bytes" => Self::Bytes,
            "string" => Self::String,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
        }
    }
}

impl Name {
    /// The name without its namespace.
    pub(super) fn simple(&self) -> &str {
        self.full.rsplit_once('.').map_or(&self.full, |(_, simple)| simple)
    }
}

impl Tree {
    /// Parses `text`, which may use the types that `references` (in this order) define.
    pub(super) fn parse(text: &str, references: &[&str]) -> Result<Self, Invalid> {
        let mut parser = Parser::default();
        for reference in references {
            parser.schema(&serde_json::from_str(reference)?, "")?;
        }
        let root = parser.schema(&serde_json::from_str(text)?, "")?;
        Ok(Self { nodes: parser.nodes, root })
    }

    pub(super) fn root(&self) -> NodeId {
        self.root
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        // Ids are made by pushing nodes, and nodes are never removed.
        self.nodes.get(id.0).unwrap_or(&Node::Primitive(Primitive::Null))
    }

    /// What a person would call the type.
    pub(super) fn describe(&self, id: NodeId) -> String {
        match self.node(id) {
            Node::Primitive(primitive) => primitive.name().to_owned(),
            Node::Array(_) => "array".to_owned(),
            Node::Map(_) => "map".to_owned(),
            Node::Union(_) => "union".to_owned(),
            Node::Record(name, _) => format!("record {}", name.full),
            Node::Enum(name, ..) => format!("enum {}", name.full),
            Node::Fixed(name, _) => format!("fixed {}", name.full),
        }
    }
}

#[derive(Default)]
struct Parser {
    nodes: Vec<Node>,
    primitives: HashMap<Primitive, NodeId>,
    named: HashMap<String, NodeId>,
    /// Records whose fields are being read.
    open: Vec<NodeId>,
}

impl Parser {
    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }

    fn primitive(&mut self, primitive: Primitive) -> NodeId {
        if let Some(id) = self.primitives.get(&primitive) {
            return *id;
        }
        let id = self.push(Node::Primitive(primitive));
        self.primitives.insert(primitive, id);
        id
    }

    /// The recursion is bounded by the nesting that `serde_json` accepts.
    fn schema(&mut self, json: &Value, namespace: &str) -> Result<NodeId, Invalid> {
        match json {
            Value::String(name) => self.by_name(name, namespace),
            Value::Array(branches) => self.union(branches, namespace),
            Value::Object(_) => self.object(json, namespace),
            _ => Err(Invalid::Shape),
        }
    }

    fn by_name(&mut self, name: &str, namespace: &str) -> Result<NodeId, Invalid> {
        if let Some(primitive) = Primitive::from_name(name) {
            return Ok(self.primitive(primitive));
        }
        self.named
            .get(&qualify(name, namespace))
            .or_else(|| self.named.get(name))
            .copied()
            .ok_or_else(|| Invalid::Undefined(name.to_owned()))
    }

    fn union(&mut self, branches: &[Value], namespace: &str) -> Result<NodeId, Invalid> {
        let mut ids = Vec::with_capacity(branches.len());
        let mut seen = HashSet::new();
        for branch in branches {
            let id = self.schema(branch, namespace)?;
            let kind = match self.nodes.get(id.0) {
                Some(Node::Union(_)) => return Err(Invalid::NestedUnion),
                Some(Node::Primitive(primitive)) => primitive.name().to_owned(),
                Some(Node::Array(_)) => "array".to_owned(),
                Some(Node::Map(_)) => "map".to_owned(),
                Some(Node::Record(name, _) | Node::Enum(name, ..) | Node::Fixed(name, _)) => {
                    name.full.clone()
                }
                None => return Err(Invalid::Shape),
            };
            if !seen.insert(kind.clone()) {
                return Err(Invalid::DuplicateBranch(kind));
            }
            ids.push(id);
        }
        Ok(self.push(Node::Union(ids)))
    }

    fn object(&mut self, json: &Value, namespace: &str) -> Result<NodeId, Invalid> {
        let kind = text(json, "type")?;
        match kind {
            "record" | "error" => self.record(json, namespace),
            "enum" => {
                let name = self.name(json, namespace)?;
                let mut symbols = Vec::new();
                let mut seen = HashSet::new();
                for symbol in list(json, "symbols")? {
                    let symbol = symbol.as_str().ok_or(Invalid::Attribute("symbols"))?;
                    check_name(symbol)?;
                    if !seen.insert(symbol) {
                        return Err(Invalid::Redefined(symbol.to_owned()));
                    }
                    symbols.push(symbol.to_owned());
                }
                // Anything but a text is no default, as the Java library has it.
                let default = match json.get("default").and_then(Value::as_str) {
                    None => None,
                    Some(default) => {
                        if !seen.contains(default) {
                            return Err(Invalid::EnumDefault(default.to_owned()));
                        }
                        Some(default.to_owned())
                    }
                };
                self.define(|name| Node::Enum(name, symbols, default), name)
            }
            "fixed" => {
                let name = self.name(json, namespace)?;
                let size = json.get("size").and_then(Value::as_i64);
                let size = size.and_then(|size| i32::try_from(size).ok());
                let size = size.filter(|size| *size >= 0).ok_or(Invalid::Attribute("size"))?;
                self.define(|name| Node::Fixed(name, size), name)
            }
            "array" => {
                let items = json.get("items").ok_or(Invalid::Attribute("items"))?;
                let items = self.schema(items, namespace)?;
                Ok(self.push(Node::Array(items)))
            }
            "map" => {
                let values = json.get("values").ok_or(Invalid::Attribute("values"))?;
                let values = self.schema(values, namespace)?;
                Ok(self.push(Node::Map(values)))
            }
            name => self.by_name(name, namespace),
        }
    }

    fn record(&mut self, json: &Value, namespace: &str) -> Result<NodeId, Invalid> {
        let name = self.name(json, namespace)?;
        let inner = name.full.rsplit_once('.').map_or("", |(space, _)| space).to_owned();
        // Defined before its fields are read, so that they can refer to it.
        let id = self.define(|name| Node::Record(name, Vec::new()), name)?;
        self.open.push(id);
        let mut fields = Vec::new();
        let mut seen = HashSet::new();
        for field in list(json, "fields")? {
            let name = text(field, "name")?;
            check_name(name)?;
            if !seen.insert(name) {
                return Err(Invalid::Redefined(name.to_owned()));
            }
            let kind = field.get("type").ok_or(Invalid::Attribute("type"))?;
            let node = self.schema(kind, &inner)?;
            let default = field.get("default");
            if default.is_some_and(|value| !self.fits(node, value)) {
                return Err(Invalid::Default(name.to_owned()));
            }
            let order = field.get("order").and_then(Value::as_str).unwrap_or("ignore");
            if !["ascending", "descending", "ignore"].iter().any(|o| o.eq_ignore_ascii_case(order))
            {
                return Err(Invalid::Attribute("order"));
            }
            fields.push(Field {
                name: name.to_owned(),
                aliases: aliases(field)?.map(str::to_owned).collect(),
                node,
                has_default: default.is_some(),
            });
        }
        self.open.pop();
        if let Some(Node::Record(_, empty)) = self.nodes.get_mut(id.0) {
            *empty = fields;
        }
        Ok(id)
    }

    /// Whether `value` is a default of the type (Avro specification, "Complex Types, Records").
    /// Goes no deeper than the value does.
    fn fits(&self, id: NodeId, value: &Value) -> bool {
        match self.nodes.get(id.0) {
            None => false,
            Some(Node::Primitive(primitive)) => match primitive {
                Primitive::Null => value.is_null(),
                Primitive::Boolean => value.is_boolean(),
                Primitive::Int => value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
                Primitive::Long => value.is_i64(),
                // JSON has no way to write the others, such as NaN, as numbers.
                Primitive::Float | Primitive::Double => {
                    value.is_number() || value.as_str().is_some_and(|s| s.parse::<f64>().is_ok())
                }
                Primitive::Bytes | Primitive::String => value.is_string(),
            },
            Some(Node::Enum(..) | Node::Fixed(..)) => value.is_string(),
            Some(Node::Array(item)) => {
                value.as_array().is_some_and(|items| items.iter().all(|v| self.fits(*item, v)))
            }
            Some(Node::Map(item)) => {
                value.as_object().is_some_and(|items| items.values().all(|v| self.fits(*item, v)))
            }
            Some(Node::Union(branches)) => {
                branches.first().is_some_and(|first| self.fits(*first, value))
            }
            // A default of the record that has the default would have no end.
            Some(Node::Record(..)) if self.open.contains(&id) => false,
            Some(Node::Record(_, fields)) => value.as_object().is_some_and(|given| {
                fields.iter().all(|field| match given.get(&field.name) {
                    Some(value) => self.fits(field.node, value),
                    None => field.has_default,
                })
            }),
        }
    }

    fn name(&self, json: &Value, namespace: &str) -> Result<Name, Invalid> {
        let given = text(json, "name")?;
        let namespace = json.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
        let full = qualify(given, namespace);
        let (space, simple) = full.rsplit_once('.').unwrap_or(("", &full));
        check_name(simple)?;
        if Primitive::from_name(&full).is_some() || self.named.contains_key(&full) {
            return Err(Invalid::Redefined(full));
        }
        let aliases: Vec<_> = aliases(json)?.map(|alias| qualify(alias, space)).collect();
        for alias in &aliases {
            check_name(alias.rsplit_once('.').map_or(alias, |(_, simple)| simple))?;
        }
        Ok(Name { aliases, full })
    }

    fn define(&mut self, node: impl FnOnce(Name) -> Node, name: Name) -> Result<NodeId, Invalid> {
        let full = name.full.clone();
        let id = self.push(node(name));
        self.named.insert(full, id);
        Ok(id)
    }
}

/// Full name: a name with a dot has its namespace already, and a leading dot means none.
fn qualify(name: &str, namespace: &str) -> String {
    match name.strip_prefix('.') {
        Some(bare) if !bare.contains('.') => bare.to_owned(),
        _ if namespace.is_empty() || name.contains('.') => name.to_owned(),
        _ => format!("{namespace}.{name}"),
    }
}

fn check_name(name: &str) -> Result<(), Invalid> {
    let mut letters = name.chars();
    let first = letters.next().is_some_and(|c| c.is_alphabetic() || c == '_');
    if first && letters.all(|c| c.is_alphanumeric() || c == '_') {
        Ok(())
    } else {
        Err(Invalid::Name(name.to_owned()))
    }
}

fn text<'a>(json: &'a Value, key: &'static str) -> Result<&'a str, Invalid> {
    json.get(key).and_then(Value::as_str).ok_or(Invalid::Attribute(key))
}

fn list<'a>(json: &'a Value, key: &'static str) -> Result<&'a [Value], Invalid> {
    json.get(key).and_then(Value::as_array).map(Vec::as_slice).ok_or(Invalid::Attribute(key))
}

fn aliases(json: &Value) -> Result<impl Iterator<Item = &str>, Invalid> {
    let aliases = match json.get("aliases") {
        Some(_) => list(json, "aliases")?,
        None => &[],
    };
    if aliases.iter().any(|alias| !alias.is_string()) {
        return Err(Invalid::Attribute("aliases"));
    }
    Ok(aliases.iter().filter_map(Value::as_str))
}
