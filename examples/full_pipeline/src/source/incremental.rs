//! An incremental snapshot as a machine without a database: what is left to read, the SQL that
//! reads the next chunk, and the window in which changes replace rows that were read.

use std::collections::{HashMap, VecDeque};

use pgoutput::client::{quote_identifier, quote_literal};
use serde::{Deserialize, Serialize};

/// Values of a table's key as text, in the key's order; none for null.
pub(super) type Key = Vec<Option<String>>;

/// A table that is to be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Collection {
    pub(super) schema: String,
    pub(super) table: String,
    /// A condition for its rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) filter: Option<String>,
    /// A column that stands for the primary key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) surrogate: Option<String>,
}

impl Collection {
    pub(super) fn name(&self) -> String {
        if self.schema.is_empty() {
            return self.table.clone();
        }
        format!("{}.{}", self.schema, self.table)
    }
}

/// How far the incremental snapshot is; what a restart goes on from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The id of the signal that asked for it.
    pub(super) id: Option<String>,
    /// The table being read and those after it.
    pub(super) collections: VecDeque<Collection>,
    /// Key of the last row that was sent or replaced by a change.
    #[serde(default)]
    pub(super) last: Option<Key>,
    /// Key of the last row there was when the table's turn came.
    #[serde(default)]
    pub(super) maximum: Option<Key>,
    /// Rows of the table that were read up to `last`.
    #[serde(default)]
    pub(super) scanned: u64,
    #[serde(default)]
    pub(super) paused: bool,
    /// Patterns of tables that are to be left out from the next chunk on.
    #[serde(default)]
    pub(super) stop: Vec<String>,
}

impl Progress {
    pub(super) fn is_running(&self) -> bool {
        !self.collections.is_empty()
    }

    /// Adds tables; says whether that starts the snapshot.
    pub(super) fn add(&mut self, id: &str, collections: Vec<Collection>) -> bool {
        let starts = !self.is_running() && !collections.is_empty();
        if starts {
            *self = Self::default();
        }
        self.id = Some(id.to_owned());
        self.collections.extend(collections);
        starts
    }

    /// Says whether there was something to pause.
    pub(super) fn pause(&mut self) -> bool {
        let pauses = self.is_running() && !self.paused;
        self.paused |= pauses;
        pauses
    }

    /// Says whether there was something to resume.
    pub(super) fn resume(&mut self) -> bool {
        let resumes = self.is_running() && self.paused;
        self.paused &= !resumes;
        resumes
    }

    /// Notes which tables to leave out; says whether anything is running.
    pub(super) fn request_stop(&mut self, patterns: Vec<String>) -> bool {
        if self.is_running() && patterns.is_empty() {
            self.stop.push(".*".to_owned());
        } else if self.is_running() {
            self.stop.extend(patterns);
        }
        self.is_running()
    }

    /// Leaves out the tables of these names but the current one, of which it says whether it is
    /// among them, behind the names of the others.
    pub(super) fn leave_out(&mut self, names: &[String]) -> (Vec<String>, bool) {
        let current = self.collections.front().map(Collection::name);
        let mut left_out = Vec::new();
        for name in names.iter().filter(|name| Some(*name) != current.as_ref()) {
            if let Some(place) = self.collections.iter().position(|table| table.name() == *name) {
                self.collections.remove(place);
                left_out.push(name.clone());
            }
        }
        (left_out, current.is_some_and(|current| names.contains(&current)))
    }

    /// Goes on to the next table; says whether there is none.
    pub(super) fn next_collection(&mut self) -> bool {
        self.collections.pop_front();
        (self.last, self.maximum, self.scanned) = (None, None, 0);
        !self.is_running()
    }

    /// The names of the tables that are left.
    pub(super) fn names(&self) -> String {
        let names: Vec<String> = self.collections.iter().map(Collection::name).collect();
        names.join(",")
    }
}

/// A column of the key by which a table is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyColumn {
    pub(super) name: String,
    /// Its type as a cast takes it.
    pub(super) cast: String,
    pub(super) nullable: bool,
}

impl KeyColumn {
    fn column(&self) -> String {
        quote_identifier(&self.name)
    }

    fn literal(&self, value: &str) -> String {
        format!("{}::{}", quote_literal(value), self.cast)
    }

    /// Its value as the type's own text.
    fn text(&self) -> String {
        as_text(&self.name, self.nullable)
    }
}

/// A column as the text that its type prints; a cast to text has ideas of its own for some types.
pub(super) fn as_text(column: &str, nullable: bool) -> String {
    let column = quote_identifier(column);
    if nullable {
        format!("CASE WHEN {column} IS NOT NULL THEN concat({column}) END")
    } else {
        format!("concat({column})")
    }
}

/// What SQL needs to know of a table.
#[derive(Debug, Clone)]
pub(super) struct TableSql {
    pub(super) schema: String,
    pub(super) table: String,
    pub(super) filter: Option<String>,
    pub(super) key: Vec<KeyColumn>,
    /// Whether no two rows have the same key.
    pub(super) unique: bool,
}

impl TableSql {
    fn from(&self) -> String {
        format!("{}.{}", quote_identifier(&self.schema), quote_identifier(&self.table))
    }

    fn order(&self, direction: &str) -> String {
        let columns = self.key.iter().map(|key| format!("{}{direction}", key.column()));
        columns.collect::<Vec<_>>().join(", ")
    }

    /// The texts of the key.
    pub(super) fn key_texts(&self) -> Vec<String> {
        self.key.iter().map(KeyColumn::text).collect()
    }

    /// Asks for the key of the last row; nulls are last.
    pub(super) fn maximum(&self) -> String {
        let mut sql = format!("SELECT {} FROM {}", self.key_texts().join(", "), self.from());
        if let Some(filter) = &self.filter {
            sql.push_str(&format!(" WHERE ({filter})"));
        }
        sql.push_str(&format!(" ORDER BY {} LIMIT 1", self.order(" DESC")));
        sql
    }

    /// Asks for columns of the rows behind `last` up to `maximum`. Where keys are not unique, rows
    /// with the key of the last one come along: the next chunk begins behind that key.
    pub(super) fn chunk(
        &self,
        columns: &[String],
        last: Option<&Key>,
        maximum: &Key,
        rows: u32,
    ) -> String {
        let mut conditions = Vec::new();
        conditions.extend(last.map(|last| self.behind(last)));
        conditions.push(self.up_to(maximum));
        conditions.extend(self.filter.as_ref().map(|filter| format!("({filter})")));
        let limit = if self.unique {
            format!("LIMIT {rows}")
        } else {
            format!("FETCH FIRST {rows} ROWS WITH TIES")
        };
        format!(
            "SELECT {} FROM {} WHERE {} ORDER BY {} {limit}",
            columns.join(", "),
            self.from(),
            conditions.join(" AND "),
            self.order("")
        )
    }

    /// The condition for rows behind a key.
    fn behind(&self, key: &Key) -> String {
        self.compared(key, ">").unwrap_or_else(|| self.behind_with_nulls(key))
    }

    /// The condition for rows up to a key, with it.
    fn up_to(&self, key: &Key) -> String {
        let compared = self.compared(key, "<=");
        compared.unwrap_or_else(|| format!("NOT {}", self.behind_with_nulls(key)))
    }

    /// Compares the key as a row, which cannot be done where there are nulls.
    fn compared(&self, key: &Key, operator: &str) -> Option<String> {
        let values = self.key.iter().zip(key).map(|(column, value)| {
            let value = value.as_deref().filter(|_| !column.nullable)?;
            Some((column.column(), column.literal(value)))
        });
        let (columns, values): (Vec<String>, Vec<String>) =
            values.collect::<Option<Vec<_>>>()?.into_iter().unzip();
        Some(format!("({}) {operator} ({})", columns.join(", "), values.join(", ")))
    }

    /// As [`Self::behind`], where nulls are behind all else.
    fn behind_with_nulls(&self, key: &Key) -> String {
        let mut alternatives = Vec::new();
        let mut equal = String::new();
        for (column, value) in self.key.iter().zip(key) {
            let name = column.column();
            let (behind, same) = match value.as_deref() {
                Some(value) => {
                    let literal = column.literal(value);
                    let behind = format!("({name} > {literal} OR {name} IS NULL)");
                    (behind, format!("{name} = {literal} AND "))
                }
                None => ("false".to_owned(), format!("{name} IS NULL AND ")),
            };
            alternatives.push(format!("({equal}{behind})"));
            equal.push_str(&same);
        }
        format!("({})", alternatives.join(" OR "))
    }
}

/// Which transactions a query has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    next: u32,
    running: Vec<u32>,
}

impl Seen {
    /// Reads what `pg_current_snapshot()` says: the oldest that runs, the next one, and those in
    /// between that run.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':').skip(1);
        // Changes are streamed with the low half only.
        let low = |text: &str| u32::try_from(text.parse::<u64>().ok()? & 0xffff_ffff).ok();
        let next = low(parts.next()?)?;
        let running = parts.next()?.split(',').filter(|text| !text.is_empty());
        Some(Self { next, running: running.map(low).collect::<Option<_>>()? })
    }

    /// Whether the changes of a transaction that has committed were there for the query.
    pub(super) fn sees(&self, xid: u32) -> bool {
        let before = self.next.wrapping_sub(xid).wrapping_sub(1) < 1 << 31;
        before && !self.running.contains(&xid)
    }

    /// Those that ran.
    pub(super) fn running(&self) -> &[u32] {
        &self.running
    }
}

/// Adds a value to what tells rows apart.
pub(super) fn push_value(identity: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => {
            identity.extend_from_slice(&(value.len() as u64 + 1).to_le_bytes());
            identity.extend_from_slice(value);
        }
        None => identity.extend_from_slice(&[0; 8]),
    }
}

/// Rows that were read and wait for the end of their chunk to come by in the stream.
#[derive(Debug)]
pub(super) struct Window {
    seen: Seen,
    bytes: Vec<u8>,
    rows: Vec<Held>,
    /// Places of the rows by what tells them apart.
    places: HashMap<Vec<u8>, Vec<usize>>,
    /// Something has changed of which it is not known which rows it was.
    stale: bool,
    /// Key of the last row, and rows of the table up to it.
    pub(super) end: Key,
    pub(super) scanned: u64,
}

#[derive(Debug)]
struct Held {
    start: usize,
    end: usize,
    columns: u16,
    gone: bool,
}

impl Window {
    pub(super) fn new(seen: Seen) -> Self {
        Self {
            seen,
            bytes: Vec::new(),
            rows: Vec::new(),
            places: HashMap::new(),
            stale: false,
            end: Key::new(),
            scanned: 0,
        }
    }

    pub(super) fn push(&mut self, identity: Vec<u8>, columns: u16, row: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(row);
        self.places.entry(identity).or_default().push(self.rows.len());
        self.rows.push(Held { start, end: self.bytes.len(), columns, gone: false });
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the changes of a transaction are in the rows already.
    pub(super) fn sees(&self, xid: u32) -> bool {
        self.seen.sees(xid)
    }

    /// Takes a row out that a change has replaced; of rows that are all alike, one.
    pub(super) fn remove(&mut self, identity: &[u8]) {
        let Some(places) = self.places.get_mut(identity) else { return };
        if let Some(held) = places.pop().and_then(|place| self.rows.get_mut(place)) {
            held.gone = true;
        }
    }

    /// The rows have to be read again.
    pub(super) fn spoil(&mut self) {
        self.stale = true;
    }

    pub(super) fn is_stale(&self) -> bool {
        self.stale
    }

    /// The rows that no change has replaced, in order, with their numbers of columns.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u16, &[u8])> {
        let kept = self.rows.iter().filter(|held| !held.gone);
        kept.filter_map(|held| Some((held.columns, self.bytes.get(held.start..held.end)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collection(table: &str) -> Collection {
        Collection {
            schema: "s".to_owned(),
            table: table.to_owned(),
            filter: None,
            surrogate: None,
        }
    }

    fn key(values: &[&str]) -> Key {
        values.iter().map(|value| Some((*value).to_owned())).collect()
    }

    fn table(key: &[(&str, &str, bool)], unique: bool) -> TableSql {
        let key = key.iter().map(|(name, cast, nullable)| KeyColumn {
            name: (*name).to_owned(),
            cast: (*cast).to_owned(),
            nullable: *nullable,
        });
        let (schema, table) = ("s".to_owned(), "T".to_owned());
        TableSql { schema, table, filter: None, key: key.collect(), unique }
    }

    #[test]
    fn tables_are_read_one_after_the_other() {
        let mut progress = Progress::default();
        assert!(!progress.pause() && !progress.resume() && !progress.request_stop(Vec::new()));
        assert!(!progress.add("nothing", Vec::new()));
        assert!(progress.add("a", vec![collection("x"), collection("y")]));
        assert!(!progress.add("b", vec![collection("z")]));
        assert_eq!((progress.id.as_deref(), progress.names().as_str()), (Some("b"), "s.x,s.y,s.z"));
        (progress.last, progress.scanned) = (Some(key(&["5"])), 9);
        assert!(!progress.next_collection());
        assert_eq!((&progress.last, progress.scanned), (&None, 0));
        assert!(!progress.next_collection() && progress.next_collection());
    }

    #[test]
    fn a_snapshot_pauses_resumes_and_stops_in_parts() {
        let mut progress = Progress::default();
        progress.add("a", ["x", "y", "z"].map(collection).to_vec());
        assert!(progress.pause() && !progress.pause());
        assert!(progress.resume() && !progress.resume());
        assert!(progress.request_stop(Vec::new()));
        assert_eq!(progress.stop, [".*"]);
        let names = ["s.x", "s.z", "s.other"].map(str::to_owned);
        assert_eq!(progress.leave_out(&names), (vec!["s.z".to_owned()], true));
        assert_eq!(progress.names(), "s.x,s.y");
        assert_eq!(progress.leave_out(&["s.y".to_owned()]), (vec!["s.y".to_owned()], false));
    }

    #[test]
    fn progress_is_written_down_and_read_again() {
        let mut progress = Progress::default();
        progress.add("a", vec![Collection { filter: Some("x > 1".to_owned()), ..collection("x") }]);
        progress.last = Some(vec![Some("1".to_owned()), None]);
        let text = serde_json::to_string(&progress).unwrap();
        assert_eq!(serde_json::from_str::<Progress>(&text).unwrap(), progress);
        let least = r#"{"id":null,"collections":[{"schema":"s","table":"x"}]}"#;
        assert!(serde_json::from_str::<Progress>(least).unwrap().is_running());
    }

    #[test]
    fn chunks_by_a_key_of_several_columns() {
        let mut table = table(&[("a", "integer", false), ("B", "text", false)], true);
        assert_eq!(
            table.maximum(),
            "SELECT concat(\"a\"), concat(\"B\") FROM \"s\".\"T\" \
             ORDER BY \"a\" DESC, \"B\" DESC LIMIT 1"
        );
        table.filter = Some("c = 1".to_owned());
        let columns = ["\"a\"".to_owned()];
        assert_eq!(
            table.chunk(&columns, Some(&key(&["1", "o'x"])), &key(&["9", "z"]), 7),
            "SELECT \"a\" FROM \"s\".\"T\" WHERE (\"a\", \"B\") > ('1'::integer, 'o''x'::text) \
             AND (\"a\", \"B\") <= ('9'::integer, 'z'::text) AND (c = 1) \
             ORDER BY \"a\", \"B\" LIMIT 7"
        );
        assert!(table.maximum().contains("WHERE (c = 1) ORDER"));
    }

    #[test]
    fn chunks_by_a_key_that_repeats_and_may_be_null() {
        let table = table(&[("a", "integer", true)], false);
        let (columns, last) = (["1".to_owned()], key(&["3"]));
        assert_eq!(
            table.chunk(&columns, Some(&last), &vec![None], 2),
            "SELECT 1 FROM \"s\".\"T\" \
             WHERE (((\"a\" > '3'::integer OR \"a\" IS NULL))) AND NOT ((false)) \
             ORDER BY \"a\" FETCH FIRST 2 ROWS WITH TIES"
        );
        let two = TableSql {
            key: vec![
                table.key[0].clone(),
                KeyColumn { name: "b".to_owned(), ..table.key[0].clone() },
            ],
            ..table
        };
        assert_eq!(
            two.behind(&vec![None, Some("2".to_owned())]),
            "((false) OR (\"a\" IS NULL AND (\"b\" > '2'::integer OR \"b\" IS NULL)))"
        );
    }

    #[test]
    fn a_query_has_seen_what_was_over_when_it_began() {
        let seen = Seen::parse("100:105:101,103").unwrap();
        assert_eq!(
            [99, 100, 101, 102, 103, 104, 105, 200].map(|xid| seen.sees(xid)),
            [true, true, false, true, false, true, false, false]
        );
        assert!(Seen::parse("7:7:").unwrap().running().is_empty());
        // Numbers begin again; only their low half is streamed.
        let seen = Seen::parse("4294967290:4294967301:4294967291,4294967298").unwrap();
        assert_eq!(
            [4_294_967_290, 4_294_967_291, 0, 2, 4, 5].map(|xid| seen.sees(xid)),
            [true, false, true, false, true, false]
        );
        for wrong in ["", "1", "1:2", "a:b:", "1:2:x"] {
            assert!(Seen::parse(wrong).is_none(), "{wrong}");
        }
    }

    fn identity(value: Option<&str>) -> Vec<u8> {
        let mut identity = Vec::new();
        push_value(&mut identity, value.map(str::as_bytes));
        identity
    }

    #[test]
    fn changes_take_rows_out_of_the_window() {
        let mut window = Window::new(Seen::parse("1:10:").unwrap());
        for (value, row) in [("a", "row a"), ("b", "row b"), ("b", "row b again"), ("c", "row c")] {
            window.push(identity(Some(value)), 1, row.as_bytes());
        }
        window.remove(&identity(Some("a")));
        window.remove(&identity(Some("b")));
        window.remove(&identity(None));
        window.remove(&identity(Some("a")));
        let rows: Vec<&[u8]> = window.rows().map(|(_, row)| row).collect();
        assert_eq!(rows, [b"row b".as_slice(), b"row c"]);
        assert_eq!((window.len(), window.len_bytes()), (4, 26));
        assert!(window.sees(9) && !window.sees(10) && !window.is_stale());
        window.spoil();
        assert!(window.is_stale());
    }

    #[test]
    fn values_do_not_run_into_each_other() {
        let of = |values: &[Option<&str>]| {
            let mut identity = Vec::new();
            for value in values {
                push_value(&mut identity, value.map(str::as_bytes));
            }
            identity
        };
        assert_ne!(of(&[Some("ab"), Some("c")]), of(&[Some("a"), Some("bc")]));
        assert_ne!(of(&[Some("")]), of(&[None]));
    }
}
