//! Which part of a list to ask for.

use std::num::NonZeroU32;

use crate::endpoint::Path;

/// Which entries of a list: all that are not deleted, unless it says otherwise. A call ignores
/// what its list does not have; registries other than Confluent's ignore more.
///
/// ```
/// use registry_client::{Deleted, Listing};
///
/// let second_page = Listing::new().with_prefix("orders-").with_page(1_000, 1_000);
/// let all_that_ever_were = Listing::new().with_deleted(Deleted::Included);
/// assert_ne!(second_page, all_that_ever_were);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Listing {
    prefix: Option<Box<str>>,
    deleted: Deleted,
    newest: bool,
    offset: u32,
    limit: Option<NonZeroU32>,
}

/// Whether softly deleted entries are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "there is no fourth way")]
pub enum Deleted {
    /// No. The default.
    #[default]
    Excluded,
    /// They as well.
    Included,
    /// Only they.
    Only,
}

impl Listing {
    /// Everything that is not deleted.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only what begins so: subjects, or contexts. Confluent's `:*:` asks for the subjects of
    /// all contexts.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Whether softly deleted entries are listed.
    #[must_use]
    pub fn with_deleted(mut self, deleted: Deleted) -> Self {
        self.deleted = deleted;
        self
    }

    /// Of each subject only the newest version, where schemas are listed.
    #[must_use]
    pub fn with_newest_only(mut self) -> Self {
        self.newest = true;
        self
    }

    /// At most `limit` entries (0: as many as the registry gives), without the first `offset`.
    #[must_use]
    pub fn with_page(mut self, offset: u32, limit: u32) -> Self {
        self.offset = offset;
        self.limit = NonZeroU32::new(limit);
        self
    }

    /// Adds the query to `path`; `prefix` is what the list calls its prefix.
    pub(crate) fn query(&self, mut path: Path, prefix: &str) -> Path {
        if let Some(text) = &self.prefix {
            path = path.param(prefix, text);
        }
        match self.deleted {
            Deleted::Excluded => {}
            Deleted::Included => path = path.param("deleted", "true"),
            Deleted::Only => path = path.param("deleted", "true").param("deletedOnly", "true"),
        }
        if self.newest {
            path = path.param("latestOnly", "true");
        }
        if self.offset > 0 {
            path = path.param("offset", &self.offset.to_string());
        }
        if let Some(limit) = self.limit {
            path = path.param("limit", &limit.to_string());
        }
        path
    }
}

/// How a subject or version is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "registries know these two")]
pub enum Deletion {
    /// It is hidden; its ids still work, and registering the same again brings it back.
    Soft,
    /// It is gone. It must have been deleted softly before.
    Permanent,
}
