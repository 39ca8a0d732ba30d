use crate::{Error, ErrorKind, FieldPartitioner, Record, Shape, Value};

/// The paths of a field partitioner. What has not changed since the record before is not printed
/// again.
#[derive(Clone, Debug)]
pub(super) struct FieldPaths {
    partitioner: FieldPartitioner,
    /// For each field, where its part of the path begins, and the value printed there.
    seen: Vec<Seen>,
    /// How many of them are printed.
    printed: usize,
    path: String,
    /// Counts the changes.
    change: i64,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    start: usize,
    kind: Kind,
    integer: i64,
    text: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
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

    /// Looks at the value where it is: copying what was just written to memory in pieces costs
    /// more than all the rest.
    #[inline]
    fn is(&self, value: &Value<'_>) -> bool {
        match *value {
            Value::String(text) => self.kind == Kind::Text && text == self.text,
            Value::Int64(number) => self.kind == Kind::Integer && number == self.integer,
            Value::Int32(number) => self.kind == Kind::Integer && i64::from(number) == self.integer,
            _ => Self::simple(*value).is_some_and(|(kind, integer, text)| {
                kind == self.kind && integer == self.integer && text == self.text
            }),
        }
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
        let seen = vec![Seen::default(); partitioner.fields().len()];
        Self { partitioner, seen, printed: 0, path: String::new(), change: 0 }
    }

    /// Gives a number that stays as long as the path does.
    #[inline]
    pub(super) fn encode(&mut self, record: &Record<'_>) -> Result<i64, Error> {
        if record.value.shape() != Shape::Struct {
            return Err(Error::new(ErrorKind::NotStruct));
        }
        let fields = self.partitioner.fields().iter().zip(&mut self.seen);
        for (index, (field, seen)) in fields.enumerate() {
            let found = field.find(record);
            if let Some(value) = &found
                && index < self.printed
                && seen.is(value)
            {
                continue;
            }
            let value = found.ok_or_else(|| field.missing(record))?;
            if index < self.printed {
                self.path.truncate(seen.start);
            }
            self.printed = index;
            self.change = self.change.wrapping_add(1);
            seen.start = self.path.len();
            self.partitioner.write_name(index, field, &mut self.path);
            if let Err(error) = self.partitioner.write_value(field, value, &mut self.path) {
                self.path.truncate(seen.start);
                return Err(error);
            }
            seen.remember(value);
            self.printed = index + 1;
        }
        Ok(self.change)
    }

    #[inline]
    pub(super) fn path(&self) -> &str {
        &self.path
    }
}
