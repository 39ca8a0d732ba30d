use alloc::{borrow::ToOwned, string::String, vec, vec::Vec};

use crate::{Error, Oid, Relation, RelationColumn, ReplicaIdentity};

/// The tables of a stream, by id, as their last Relation messages had them.
///
/// A repeated identical message costs no allocation; looking up costs the same however many there
/// are. Not bounded: a stream has as many as the publication has tables.
#[derive(Debug, Clone, Default)]
pub struct Relations {
    entries: Vec<OwnedRelation>,
    /// Open addressing: index into `entries` plus one, zero for empty; a power of two long and at
    /// most half full. Nothing is ever removed but by `clear`.
    slots: Vec<u32>,
}

impl Relations {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new(), slots: Vec::new() }
    }

    /// Takes note of a Relation message and says what it changed.
    ///
    /// # Errors
    ///
    /// A malformed column; what was known before stays then.
    pub fn observe(&mut self, relation: &Relation<'_>) -> Result<Observed<'_>, Error> {
        let Some(index) = self.position(relation.id) else {
            let owned = OwnedRelation::new(relation)?;
            return Ok(Observed::New(self.push(owned)));
        };
        // The position came from the table of slots, which holds only positions of entries.
        #[allow(clippy::indexing_slicing, reason = "the line above")]
        let entry = &mut self.entries[index];
        if entry.is(relation)? {
            return Ok(Observed::Same(entry));
        }
        let previous = core::mem::replace(entry, OwnedRelation::new(relation)?);
        Ok(Observed::Changed { relation: entry, previous })
    }

    /// The table with this id, if a Relation message told of it.
    #[inline]
    #[must_use]
    pub fn get(&self, id: Oid) -> Option<&OwnedRelation> {
        self.position(id).and_then(|index| self.entries.get(index))
    }

    /// All of them, in the order they were first seen.
    pub fn iter(&self) -> impl Iterator<Item = &OwnedRelation> {
        self.entries.iter()
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets all of them, for a stream that begins again: the server sends each anew.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.slots.fill(0);
    }

    #[inline]
    fn position(&self, id: Oid) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash(id) & mask;
        loop {
            let index = self.slots.get(at).copied()?.checked_sub(1)? as usize;
            if self.entries.get(index)?.id == id {
                return Some(index);
            }
            at = (at + 1) & mask;
        }
    }

    fn push(&mut self, relation: OwnedRelation) -> &OwnedRelation {
        if (self.entries.len() + 1) * 2 > self.slots.len() {
            self.slots = vec![0; (self.slots.len() * 2).max(16)];
            for (number, entry) in (1..).zip(&self.entries) {
                occupy(&mut self.slots, entry.id, number);
            }
        }
        let index = self.entries.len();
        // Ids have 32 bits and zero is none of them, so there are fewer relations than that.
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        occupy(&mut self.slots, relation.id, number);
        self.entries.push(relation);
        #[allow(clippy::indexing_slicing, reason = "pushed in the line before")]
        &self.entries[index]
    }
}

/// Fibonacci hashing: ids are given out one after the other, so any spreading will do.
#[inline]
const fn hash(id: Oid) -> usize {
    (id.get().wrapping_mul(0x9E37_79B9) >> 7) as usize
}

fn occupy(slots: &mut [u32], id: Oid, number: u32) {
    let Some(mask) = slots.len().checked_sub(1) else { return };
    let mut at = hash(id) & mask;
    while let Some(slot) = slots.get_mut(at) {
        if *slot == 0 {
            *slot = number;
            return;
        }
        at = (at + 1) & mask;
    }
}

/// What a Relation message told.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_enums, reason = "a thing is new, the same, or different")]
pub enum Observed<'r> {
    /// A table not seen before.
    New(&'r OwnedRelation),
    /// What was known already.
    Same(&'r OwnedRelation),
    /// A known table that is different now.
    Changed {
        /// As it is now.
        relation: &'r OwnedRelation,
        /// As it was.
        previous: OwnedRelation,
    },
}

impl<'r> Observed<'r> {
    /// The table as it is now.
    #[must_use]
    pub const fn relation(&self) -> &'r OwnedRelation {
        match self {
            Self::New(relation) | Self::Same(relation) | Self::Changed { relation, .. } => relation,
        }
    }
}

/// A [`Relation`] that owns its names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnedRelation {
    /// The table's id.
    pub id: Oid,
    /// Its schema; empty for `pg_catalog`.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Which old values the server sends.
    pub replica_identity: ReplicaIdentity,
    /// Its columns, in the order of rows.
    pub columns: Vec<OwnedColumn>,
}

/// A [`RelationColumn`] that owns its name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnedColumn {
    /// Bit 0 says that the column belongs to the replica identity's key.
    pub flags: u8,
    /// Its name.
    pub name: String,
    /// Its type.
    pub type_oid: Oid,
    /// The type's modifier, `pg_attribute.atttypmod`; -1 for none.
    pub typmod: i32,
}

impl OwnedRelation {
    /// Copies a Relation message.
    ///
    /// # Errors
    ///
    /// A malformed column.
    pub fn new(relation: &Relation<'_>) -> Result<Self, Error> {
        let mut columns = Vec::new();
        for column in relation.columns() {
            columns.push(OwnedColumn::new(&column?));
        }
        Ok(Self {
            id: relation.id,
            namespace: relation.namespace.to_owned(),
            name: relation.name.to_owned(),
            replica_identity: relation.replica_identity,
            columns,
        })
    }

    fn is(&self, relation: &Relation<'_>) -> Result<bool, Error> {
        let mut same = self.id == relation.id
            && self.namespace == relation.namespace
            && self.name == relation.name
            && self.replica_identity == relation.replica_identity
            && self.columns.len() == relation.len();
        let mut known = self.columns.iter();
        for column in relation.columns() {
            let column = column?;
            same = same && known.next().is_some_and(|known| known.is(&column));
        }
        Ok(same)
    }
}

impl OwnedColumn {
    fn new(column: &RelationColumn<'_>) -> Self {
        Self {
            flags: column.flags,
            name: column.name.to_owned(),
            type_oid: column.type_oid,
            typmod: column.typmod,
        }
    }

    fn is(&self, column: &RelationColumn<'_>) -> bool {
        self.flags == column.flags
            && self.name == column.name
            && self.type_oid == column.type_oid
            && self.typmod == column.typmod
    }

    /// Whether the column belongs to the replica identity's key.
    #[must_use]
    pub const fn is_key(&self) -> bool {
        self.flags & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::{Decoder, Message, ProtocolVersion};

    fn message(id: u32, columns: &[(&str, u32)]) -> Vec<u8> {
        let mut out = vec![b'R'];
        out.extend(id.to_be_bytes());
        out.extend(b"public\0t\0d");
        out.extend(u16::try_from(columns.len()).unwrap().to_be_bytes());
        for (name, oid) in columns {
            out.push(0);
            out.extend(name.as_bytes());
            out.push(0);
            out.extend(oid.to_be_bytes());
            out.extend((-1_i32).to_be_bytes());
        }
        out
    }

    fn observe<'r>(relations: &'r mut Relations, bytes: &[u8]) -> Result<Observed<'r>, Error> {
        match Decoder::new(ProtocolVersion::V1).decode(bytes)? {
            Message::Relation(relation) => relations.observe(&relation),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tells_new_same_and_changed() {
        let mut relations = Relations::new();
        assert!(relations.get(Oid::new(7)).is_none());
        let first = message(7, &[("a", 23)]);
        assert!(matches!(observe(&mut relations, &first).unwrap(), Observed::New(_)));
        assert!(matches!(observe(&mut relations, &first).unwrap(), Observed::Same(_)));
        for other in [
            message(7, &[("a", 25)]),
            message(7, &[("b", 25)]),
            message(7, &[("b", 25), ("c", 25)]),
            message(7, &[]),
        ] {
            let before = relations.get(Oid::new(7)).cloned();
            match observe(&mut relations, &other).unwrap() {
                Observed::Changed { previous, .. } => assert_eq!(Some(previous), before),
                other => panic!("{other:?}"),
            }
            assert!(matches!(observe(&mut relations, &other).unwrap(), Observed::Same(_)));
        }
        assert_eq!(relations.len(), 1);
    }

    #[test]
    fn a_bad_message_changes_nothing() {
        let mut relations = Relations::new();
        observe(&mut relations, &message(7, &[("a", 23), ("b", 23)])).unwrap();
        let before = relations.get(Oid::new(7)).cloned();
        let mut bad = message(7, &[("a", 23), ("c", 23)]);
        bad.pop();
        observe(&mut relations, &bad).unwrap_err();
        observe(&mut relations, &message(8, &[("a", 1)])[..20]).unwrap_err();
        assert_eq!(relations.get(Oid::new(7)).cloned(), before);
        assert_eq!(relations.len(), 1);
    }

    #[test]
    fn finds_each_of_many() {
        let mut relations = Relations::new();
        let ids = |i: u32| i.wrapping_mul(2_654_435_769).max(1);
        for i in 0..10_000 {
            observe(&mut relations, &message(ids(i), &[(&format!("c{i}"), 25)])).unwrap();
        }
        for i in 0..10_000 {
            let found = relations.get(Oid::new(ids(i))).unwrap();
            assert_eq!(found.columns[0].name, format!("c{i}"));
        }
        assert!(relations.get(Oid::new(2)).is_none());
        assert_eq!(relations.iter().count(), 10_000);
        relations.clear();
        assert!(relations.get(Oid::new(ids(5))).is_none());
    }
}
