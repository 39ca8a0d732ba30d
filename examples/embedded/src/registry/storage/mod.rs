//! Where changes are kept before they count.

#[cfg(feature = "registry-storage")]
mod file;
#[cfg(feature = "registry-storage")]
mod postgres;

#[cfg(feature = "registry-storage")]
use std::path::PathBuf;

use super::record::Change;
#[cfg(feature = "registry-storage")]
use super::record::Key;

/// What keeps a registry's contents.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Storage {
    /// Nothing: they end with the process.
    #[default]
    Memory,
    /// A file of the embedded store redb, which one process can have open at a time. Every change
    /// is on the disk before it is acknowledged.
    #[cfg(feature = "registry-storage")]
    File(PathBuf),
    /// The schema `registry` of a Postgres database, which is made if it is not there; any number
    /// of registries can share it.
    #[cfg(feature = "registry-storage")]
    Postgres(Box<pgoutput::client::Config>),
}

/// Why contents cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum StorageError {
    #[error("what is stored is not the registry's: {0}")]
    Foreign(#[from] serde_json::Error),
    #[cfg(feature = "registry-storage")]
    #[error("{0}")]
    File(Box<redb::Error>),
    #[cfg(feature = "registry-storage")]
    #[error("{0}")]
    Postgres(#[from] pgoutput::client::Error),
    #[cfg(feature = "registry-storage")]
    #[error("the database answers as if it had no registry")]
    NoRegistry,
    #[cfg(feature = "registry-storage")]
    #[error("no answer from the database in time")]
    Timeout,
    #[cfg(feature = "registry-storage")]
    #[error("a task was cut short")]
    Task,
}

/// An open [`Storage`].
#[derive(Debug)]
pub(super) enum Kept {
    Memory,
    #[cfg(feature = "registry-storage")]
    File(file::File),
    #[cfg(feature = "registry-storage")]
    Postgres(Box<postgres::Postgres>),
}

impl Kept {
    /// Opens the storage and gives what is in it.
    pub(super) async fn open(storage: Storage) -> Result<(Self, Vec<Change>), StorageError> {
        match storage {
            Storage::Memory => Ok((Self::Memory, Vec::new())),
            #[cfg(feature = "registry-storage")]
            Storage::File(path) => {
                let (file, changes) = file::File::open(path).await?;
                Ok((Self::File(file), changes))
            }
            #[cfg(feature = "registry-storage")]
            Storage::Postgres(config) => {
                let mut postgres = postgres::Postgres::open(*config).await?;
                let changes = postgres.news().await?;
                Ok((Self::Postgres(Box::new(postgres)), changes))
            }
        }
    }

    /// Whether others can change what is in it.
    pub(super) const fn is_shared(&self) -> bool {
        match self {
            Self::Memory => false,
            #[cfg(feature = "registry-storage")]
            Self::File(_) => false,
            #[cfg(feature = "registry-storage")]
            Self::Postgres(_) => true,
        }
    }

    /// What others have changed since the last call.
    pub(super) async fn news(&mut self) -> Result<Vec<Change>, StorageError> {
        match self {
            Self::Memory => Ok(Vec::new()),
            #[cfg(feature = "registry-storage")]
            Self::File(_) => Ok(Vec::new()),
            #[cfg(feature = "registry-storage")]
            Self::Postgres(postgres) => postgres.news().await,
        }
    }

    /// Keeps others from changing anything until [`commit`](Self::commit) or
    /// [`rollback`](Self::rollback), and gives what they have changed until now.
    pub(super) async fn begin(&mut self) -> Result<Vec<Change>, StorageError> {
        match self {
            Self::Memory => Ok(Vec::new()),
            #[cfg(feature = "registry-storage")]
            Self::File(_) => Ok(Vec::new()),
            #[cfg(feature = "registry-storage")]
            Self::Postgres(postgres) => postgres.begin().await,
        }
    }

    /// Makes changes last.
    pub(super) async fn commit(&mut self, changes: &[Change]) -> Result<(), StorageError> {
        let _ = changes;
        match self {
            Self::Memory => Ok(()),
            #[cfg(feature = "registry-storage")]
            Self::File(file) => file.commit(changes).await,
            #[cfg(feature = "registry-storage")]
            Self::Postgres(postgres) => postgres.commit(changes).await,
        }
    }

    /// Ends what [`begin`](Self::begin) began.
    pub(super) async fn rollback(&mut self) -> Result<(), StorageError> {
        match self {
            Self::Memory => Ok(()),
            #[cfg(feature = "registry-storage")]
            Self::File(_) => Ok(()),
            #[cfg(feature = "registry-storage")]
            Self::Postgres(postgres) => postgres.rollback().await,
        }
    }
}

/// A change as text.
#[cfg(feature = "registry-storage")]
fn encode(change: &Change) -> Result<(String, Option<String>), StorageError> {
    let value = change.value.as_ref().map(serde_json::to_string).transpose()?;
    Ok((serde_json::to_string(&change.key)?, value))
}

#[cfg(feature = "registry-storage")]
fn decode(key: &str, value: Option<&str>) -> Result<Change, StorageError> {
    let key: Key = serde_json::from_str(key)?;
    Ok(Change { key, value: value.map(serde_json::from_str).transpose()? })
}
