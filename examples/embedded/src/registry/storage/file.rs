//! A file of redb: one table of keys to values.

use std::path::PathBuf;
use std::sync::Arc;

use redb::{Database, Durability, ReadableTable as _, TableDefinition};

use super::{Change, StorageError, decode, encode};

const ENTRIES: TableDefinition<'_, &str, &str> = TableDefinition::new("registry");

/// The open file. The store is synchronous, so that each call has a thread of its own.
#[derive(Debug)]
pub(crate) struct File {
    database: Arc<Database>,
}

impl File {
    pub(crate) async fn open(path: PathBuf) -> Result<(Self, Vec<Change>), StorageError> {
        blocking(move || {
            let mut builder = Database::builder();
            builder.set_cache_size(CACHE_BYTES).create_with_file_format_v3(true);
            let database = builder.create(path).map_err(failed)?;
            let changes = read(&database)?;
            Ok((Self { database: Arc::new(database) }, changes))
        })
        .await
    }

    pub(crate) async fn commit(&self, changes: &[Change]) -> Result<(), StorageError> {
        let entries: Vec<_> = changes.iter().map(encode).collect::<Result<_, _>>()?;
        let database = Arc::clone(&self.database);
        blocking(move || write(&database, &entries)).await
    }
}

fn read(database: &Database) -> Result<Vec<Change>, StorageError> {
    let transaction = database.begin_read().map_err(failed)?;
    let table = match transaction.open_table(ENTRIES) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut changes = Vec::new();
    for entry in table.iter().map_err(failed)? {
        let (key, value) = entry.map_err(failed)?;
        changes.push(decode(key.value(), Some(value.value()))?);
    }
    Ok(changes)
}

fn write(database: &Database, entries: &[(String, Option<String>)]) -> Result<(), StorageError> {
    let mut transaction = database.begin_write().map_err(failed)?;
    // On the disk when the commit returns.
    transaction.set_durability(Durability::Immediate);
    {
        let mut table = transaction.open_table(ENTRIES).map_err(failed)?;
        for (key, value) in entries {
            match value {
                Some(value) => table.insert(&**key, &**value),
                None => table.remove(&**key),
            }
            .map_err(failed)?;
        }
    }
    transaction.commit().map_err(failed)
}

fn failed(error: impl Into<redb::Error>) -> StorageError {
    StorageError::File(Box::new(error.into()))
}

async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    tokio::task::spawn_blocking(call).await.map_err(|_| StorageError::Task)?
}

/// Everything is in memory anyway; the file is read once.
const CACHE_BYTES: usize = 1 << 20;
