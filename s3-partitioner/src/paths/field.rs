use crate::partitioner::FieldName;
use crate::{Error, ErrorKind, FieldPartitioner, Record, Shape, Value};

/// The paths of a field partitioner. What has not changed since the record before is not printed
/// again.
#[derive(Clone, Debug)]
pub(super) struct FieldPaths {
    partitioner: FieldPartitioner,
    /// For each field, what the path has of it. After one that is not there, none is.
    seen: Vec<Seen>,
    path: String,
    /// Counts the changes.
    change: i64,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    /// The field.
    name: String,
    /// What comes before its value.
    label: String,
    /// Where its part of the path begins.
    start: usize,
    /// The value printed there.
    kind: Kind,
    integer: i64,
    text: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    /// No value has been printed.
    #[default]
    Nothing,
    Null,
    Boolean,
    Integer,
    Text,
}

impl Seen {
    /// The value without its width, if it can be part of a path.
    #[inline]
    fn simple(value: Value<'_>) -> Option<(Kind, i64, &str)> {
        Some(match value {
            Value::Null => (Kind::Null, 0, ""),
            Value::Boolean(flag) => (Kind::Boolean, i64::from(flag), ""),
            Value::Int8(v) => (Kind::Integer, i64::from(v), ""),
            Value::Int16(v) => (Kind::Integer, i64::from(v), ""),
            Value::Int32(v) => (Kind::Integer, i64::from(v), ""),
            Value::Int64(v) => (Kind::Integer, v, ""),
            Value::String(text) => (Kind::Text, 0, text),
            _ => return None,
        })
    }

    /// Whether the record has the same value. It is looked at where it is: copying what was just
    /// written to memory in pieces costs more than all the rest, and more than to ask again.
    #[inline]
    fn is_in(&self, record: &Record<'_>) -> bool {
        match &record.value.field(&self.name) {
            Some(Value::String(text)) => self.kind == Kind::Text && *text == self.text,
            Some(value) => self.is(value),
            None => false,
        }
    }

    /// In the rarer cases.
    #[inline(never)]
    fn is(&self, value: &Value<'_>) -> bool {
        Self::simple(*value).is_some_and(|(kind, integer, text)| {
            kind == self.kind && integer == self.integer && text == self.text
        })
    }

    fn remember(&mut self, value: Value<'_>) {
        if let Some((kind, integer, text)) = Self::simple(value) {
            (self.kind, self.integer) = (kind, integer);
            self.text.clear();
            self.text.push_str(text);
        }
    }
}

impl FieldPaths {
    pub(super) fn new(partitioner: FieldPartitioner) -> Self {
        let seen = |(index, field): (usize, &FieldName)| {
            let mut label = String::new();
            partitioner.write_name(index, field, &mut label);
            Seen { name: field.path().to_owned(), label, ..Seen::default() }
        };
        let seen = partitioner.fields().iter().enumerate().map(seen).collect();
        Self { partitioner, seen, path: String::new(), change: 0 }
    }

    /// The path of a record whose key has room for that many bytes of path and twice the topic.
    #[inline(never)]
    pub(super) fn find(&mut self, record: &Record<'_>, room: usize) -> Result<&str, Error> {
        self.encode(record)?;
        if self.path.len() + 2 * record.topic.len() > room {
            return Err(Error::new(ErrorKind::KeyTooLong));
        }
        Ok(&self.path)
    }

    /// Gives a number that stays as long as the path does.
    #[inline]
    pub(super) fn encode(&mut self, record: &Record<'_>) -> Result<i64, Error> {
        if record.value.shape() != Shape::Struct {
            return Err(Error::new(ErrorKind::NotStruct));
        }
        if let Some(first) = self.seen.iter().position(|seen| !seen.is_in(record)) {
            self.print(first, record)?;
        }
        Ok(self.change)
    }

    /// Prints the fields from one on.
    #[inline(never)]
    fn print(&mut self, from: usize, record: &Record<'_>) -> Result<(), Error> {
        if let Some(seen) = self.seen.get(from)
            && seen.kind != Kind::Nothing
        {
            self.path.truncate(seen.start);
        }
        self.seen.iter_mut().skip(from).for_each(|seen| seen.kind = Kind::Nothing);
        let fields = self.partitioner.fields().iter().zip(&mut self.seen);
        for (field, seen) in fields.skip(from) {
            let value = field.find(record).ok_or_else(|| field.missing(record))?;
            self.change = self.change.wrapping_add(1);
            seen.start = self.path.len();
            self.path.push_str(&seen.label);
            if let Err(error) = self.partitioner.write_value(field, value, &mut self.path) {
                self.path.truncate(seen.start);
                return Err(error);
            }
            seen.remember(value);
        }
        Ok(())
    }

    #[inline]
    pub(super) fn path(&self) -> &str {
        &self.path
    }
}
