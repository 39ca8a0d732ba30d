//! Values that PostgreSQL keeps out of line (TOAST) and does not send when they did not change.

#[cfg(feature = "avro")]
use pgoutput::Column;

#[cfg(feature = "avro")]
use crate::plan::{Before, Change};
#[cfg(feature = "avro")]
use crate::table::Table;

/// What becomes of a value that the server did not send because it did not change, when the old
/// row does not have it either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ToastPolicy {
    /// A placeholder, as the type allows: Debezium's `unavailable.value.placeholder`.
    #[default]
    Placeholder,
    /// The caller reads the row again and supplies it with [`Change::filled`]; the placeholder
    /// stands for what is still missing then, because the row is gone.
    Reselect,
    /// An error, [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable), that names the column.
    Fail,
}

#[cfg(feature = "avro")]
impl<'a> Change<'a> {
    /// The places of the columns whose values were not sent and are not in the old row.
    ///
    /// ```
    /// use debezium_model::Change;
    /// use pgoutput::Column;
    ///
    /// let row = [Column::Text(b"7"), Column::Unchanged, Column::Null];
    /// assert!(Change::update(None, &row).missing().eq([1]));
    /// ```
    pub fn missing(&self) -> impl Iterator<Item = usize> + use<'a> {
        let before = self.before.map_or(&[][..], Before::columns);
        let unsent = |column: &Column<'_>| matches!(column, Column::Unchanged);
        let known = move |place: usize| {
            before
                .get(place)
                .is_some_and(|column| !matches!(column, Column::Unchanged | Column::Null))
        };
        let after = self.after.unwrap_or_default().iter().enumerate();
        after
            .filter(move |(place, column)| unsent(column) && !known(*place))
            .map(|(place, _)| place)
    }

    /// The same change with the [missing](Self::missing) values taken from a row that was read
    /// again, given by their places. `room` takes the new row.
    #[must_use]
    pub fn filled<'b>(
        &self,
        values: impl Fn(usize) -> Option<Column<'b>>,
        room: &'b mut Vec<Column<'b>>,
    ) -> Change<'b>
    where
        'a: 'b,
    {
        room.clear();
        room.extend_from_slice(self.after.unwrap_or_default());
        for place in self.missing() {
            if let (Some(column), Some(value)) = (room.get_mut(place), values(place)) {
                *column = value;
            }
        }
        Change { op: self.op, before: self.before, after: self.after.map(|_| &**room) }
    }
}

#[cfg(feature = "avro")]
impl Table {
    /// What a row is found by again: the names and values of the columns of its key. `None` when
    /// the table has no key, or the row lacks a value of it.
    #[must_use]
    pub fn row_key<'r>(&'r self, row: &[Column<'r>]) -> Option<Vec<(&'r str, Column<'r>)>> {
        let columns = self.columns().iter().zip(row).filter(|(column, _)| column.is_key());
        let key: Vec<_> = columns.map(|(column, value)| (column.def().name(), *value)).collect();
        let known = |column: &Column<'_>| matches!(column, Column::Text(_) | Column::Binary(_));
        (!key.is_empty() && key.iter().all(|(_, value)| known(value))).then_some(key)
    }
}
