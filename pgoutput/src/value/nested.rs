use alloc::{boxed::Box, vec::Vec};

use super::Value;
use crate::Oid;

/// An array of any number of dimensions.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Array<'a> {
    /// The type of the elements.
    pub element_type: Oid,
    /// The dimensions, the outermost first; none for an empty array.
    pub dimensions: Vec<Dimension>,
    /// The elements, those of the innermost dimension behind each other.
    pub elements: Vec<Value<'a>>,
}

/// One dimension of an [`Array`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Dimension {
    /// How many there are.
    pub len: u32,
    /// The index of the first, 1 if not said otherwise.
    pub lower_bound: i32,
}

/// A range of values.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "a range is empty or has two bounds")]
pub enum Range<'a> {
    /// No value is in it.
    Empty,
    /// What lies between.
    Between {
        /// Where it begins.
        lower: Bound<'a>,
        /// Where it ends.
        upper: Bound<'a>,
    },
}

/// One end of a [`Range`].
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "a bound is in, out, or not there")]
pub enum Bound<'a> {
    /// There is none.
    Unbounded,
    /// This value, which is in the range.
    Included(Box<Value<'a>>),
    /// This value, which is not in the range.
    Excluded(Box<Value<'a>>),
}

impl Array<'_> {
    /// The same array, owning everything.
    #[must_use]
    pub fn into_owned(self) -> Array<'static> {
        Array {
            element_type: self.element_type,
            dimensions: self.dimensions,
            elements: self.elements.into_iter().map(Value::into_owned).collect(),
        }
    }
}

impl Range<'_> {
    /// The same range, owning everything.
    #[must_use]
    pub fn into_owned(self) -> Range<'static> {
        match self {
            Self::Empty => Range::Empty,
            Self::Between { lower, upper } => {
                Range::Between { lower: lower.into_owned(), upper: upper.into_owned() }
            }
        }
    }
}

impl<'a> Bound<'a> {
    pub(super) fn new(value: Value<'a>, included: bool) -> Self {
        let value = Box::new(value);
        if included { Self::Included(value) } else { Self::Excluded(value) }
    }

    /// The same bound, owning everything.
    #[must_use]
    pub fn into_owned(self) -> Bound<'static> {
        match self {
            Self::Unbounded => Bound::Unbounded,
            Self::Included(value) => Bound::Included(Box::new(value.into_owned())),
            Self::Excluded(value) => Bound::Excluded(Box::new(value.into_owned())),
        }
    }
}
