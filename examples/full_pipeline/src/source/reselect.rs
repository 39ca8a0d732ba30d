//! Reads a row again by its key when the server left out values that did not change.

use debezium_model::Change;
use pgoutput::{
    Column,
    client::{Client, quote_identifier, quote_literal},
};

use super::{catalog, tables::Compiled};
use crate::error::{Error, Part};

/// The values that were missing, by column; empty when the row is gone by now.
#[derive(Debug, Default)]
pub(super) struct Reselected {
    values: Vec<(usize, Option<String>)>,
}

impl Reselected {
    /// The value read for a column.
    pub(super) fn column(&self, index: usize) -> Option<Column<'_>> {
        let (_, value) = self.values.iter().find(|(i, _)| *i == index)?;
        Some(value.as_ref().map_or(Column::Null, |text| Column::Text(text.as_bytes())))
    }
}

/// Reads what the new row of a change lacks, in text form.
pub(super) async fn row(
    client: &mut Client,
    table: &Compiled,
    change: &Change<'_>,
) -> Result<Reselected, Error> {
    let columns: Vec<&str> = table.columns().map(|mapped| mapped.def().name()).collect();
    let wanted: Vec<(usize, String)> = change
        .missing()
        .filter_map(|place| Some((place, quote_identifier(columns.get(place)?))))
        .collect();
    let key = table.row_key(change.after.unwrap_or_default()).ok_or_else(|| no_key(table))?;
    let mut keys = Vec::new();
    for (name, value) in key {
        let Column::Text(text) = value else { return Err(no_key(table)) };
        let text = std::str::from_utf8(text).map_err(|_| no_key(table))?;
        keys.push(format!("{} = {}", quote_identifier(name), quote_literal(text)));
    }
    let names: Vec<&str> = wanted.iter().map(|(_, name)| name.as_str()).collect();
    let sql = format!(
        "SELECT {} FROM {}.{} WHERE {}",
        names.join(", "),
        quote_identifier(&table.schema),
        quote_identifier(&table.name),
        keys.join(" AND ")
    );
    let rows = catalog::query(client, "reading a row again", &sql).await?;
    let Some(row) = rows.first() else { return Ok(Reselected::default()) };
    let values = wanted
        .iter()
        .enumerate()
        .map(|(position, (index, _))| (*index, row.get(position).map(str::to_owned)))
        .collect();
    Ok(Reselected { values })
}

fn no_key(table: &Compiled) -> Error {
    Error::new(
        Part::Data,
        format!(
            "a row of {}.{} cannot be read again: it has no usable primary key",
            table.schema, table.name
        ),
    )
    .with_advice("set toast.policy to placeholder, or give the table REPLICA IDENTITY FULL")
}
