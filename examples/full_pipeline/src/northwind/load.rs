use pgoutput::client::{self, Client};

use super::Northwind;

/// What to do with a schema `ods` that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "one either keeps a thing or does not")]
pub enum Existing {
    /// Keep it. If it is the same database nothing is done, if not the load fails.
    Keep,
    /// Drop it first, whatever it is.
    Drop,
}

/// What a load did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Loaded {
    /// The database was made.
    Made,
    /// The same database was there, and was left as it is: later changes of rows stay.
    WasThere,
}

/// Why the database could not be loaded.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is a schema `ods` that is not this database. Holds its comment, if it has one.
    #[error("the database has another schema `ods` ({})", .0.as_deref().unwrap_or("no comment"))]
    Occupied(Option<String>),
    /// The server refused a statement, or was lost.
    #[error("loading the database failed")]
    Database(#[source] client::Error),
}

impl Northwind {
    /// Loads the database, all of it or, after an error, nothing.
    ///
    /// # Errors
    /// [`LoadError::Occupied`] when another schema `ods` is to be kept; [`LoadError::Database`] for
    /// an error of the server or the connection, after which the connection is best dropped.
    pub async fn load(&self, client: &mut Client, existing: Existing) -> Result<Loaded, LoadError> {
        if existing == Existing::Keep {
            let rows = client
                .query(
                    "SELECT obj_description(oid, 'pg_namespace') AS marker \
                     FROM pg_namespace WHERE nspname = 'ods'",
                )
                .await
                .map_err(LoadError::Database)?;
            if let Some(row) = rows.first() {
                let marker = row.get(0);
                if marker == Some(&self.marker()) {
                    return Ok(Loaded::WasThere);
                }
                return Err(LoadError::Occupied(marker.map(str::to_owned)));
            }
        }
        let dropping = (existing == Existing::Drop).then(|| self.drop_sql().to_owned());
        let statements = ["BEGIN".to_owned()]
            .into_iter()
            .chain(dropping)
            .chain([self.schema_sql()])
            .chain(self.data_statements())
            .chain([self.cdc_sql(), "COMMIT".to_owned()]);
        for statement in statements {
            if let Err(error) = client.execute(&statement).await {
                // The first error is the one to tell; a lost connection rolls back by itself.
                let _ = client.execute("ROLLBACK").await;
                return Err(LoadError::Database(error));
            }
        }
        Ok(Loaded::Made)
    }
}
