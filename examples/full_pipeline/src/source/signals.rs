//! Signals: what the rows of the signal table ask for.

use pgoutput::Column;
use regex::Regex;
use serde::{Deserialize, Deserializer};

/// A row of the signal table.
#[derive(Debug, Clone)]
pub(super) struct Signal {
    pub(super) id: String,
    pub(super) command: Command,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(super) enum Command {
    Incremental(Request),
    Blocking(Request),
    /// Of these tables, or of all.
    Stop(Vec<String>),
    Pause,
    Resume,
    Log(String),
    /// The source has marked the beginning of a chunk itself.
    Open,
    /// The same for its end.
    Close,
}

/// An ad-hoc snapshot.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// Patterns of `schema.table`.
    pub(super) collections: Vec<String>,
    conditions: Vec<(Regex, String)>,
    pub(super) surrogate: Option<String>,
}

impl Request {
    /// The condition for rows of a table: the first that fits its name.
    pub(super) fn filter(&self, name: &str) -> Option<&str> {
        let mut conditions = self.conditions.iter();
        let (_, filter) = conditions.find(|(pattern, _)| pattern.is_match(name))?;
        Some(filter.as_str()).filter(|filter| !filter.trim().is_empty())
    }
}

/// The data of a signal.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Data {
    #[serde(default, deserialize_with = "texts")]
    data_collections: Vec<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    additional_conditions: Option<Vec<Condition>>,
    additional_condition: Option<String>,
    surrogate_key: Option<String>,
    message: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Condition {
    data_collection: String,
    #[serde(default)]
    filter: Option<String>,
}

/// A list of texts, or null for none.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let list = Option::<Vec<String>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(list.into_iter().map(|text| text.trim().to_owned()).collect())
}

impl Signal {
    /// Reads a row of the signal table as it is streamed; `oids` are the types of its columns.
    pub(super) fn of_row(
        row: &[Column<'_>],
        oids: impl Iterator<Item = u32>,
    ) -> Result<Self, String> {
        let [_, _, _] = row else {
            return Err(format!("{} columns instead of id, type and data", row.len()));
        };
        let texts = row.iter().zip(oids).map(|(column, oid)| text_of(*column, oid));
        let mut texts = texts.collect::<Result<Vec<_>, _>>()?.into_iter();
        let id = texts.next().flatten().ok_or("it has no id")?;
        let kind = texts.next().flatten().ok_or_else(|| format!("{id}: it has no type"))?;
        let data = texts.next().flatten();
        Self::read(&id, &kind, data.as_deref()).map_err(|why| format!("{id}: {why}"))
    }

    /// Reads a row. The error says why there is nothing to do.
    pub(super) fn read(id: &str, kind: &str, data: Option<&str>) -> Result<Self, String> {
        let data = || match data.map(str::trim) {
            None | Some("") => Ok(Data::default()),
            Some(text) => serde_json::from_str(text)
                .map_err(|error| format!("its data {text:?} cannot be read: {error}")),
        };
        let command = match kind {
            "execute-snapshot" => execute(data()?)?,
            "stop-snapshot" => {
                let data = data()?;
                if kind_of(&data)? != Kind::Incremental {
                    return Err("only incremental snapshots can be stopped".to_owned());
                }
                Command::Stop(data.data_collections)
            }
            "pause-snapshot" => Command::Pause,
            "resume-snapshot" => Command::Resume,
            "log" => Command::Log(data()?.message.ok_or("it has no message")?),
            "snapshot-window-open" => Command::Open,
            "snapshot-window-close" => Command::Close,
            other => return Err(format!("the type {other:?} is not known")),
        };
        Ok(Self { id: id.to_owned(), command })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Incremental,
    Blocking,
}

fn kind_of(data: &Data) -> Result<Kind, String> {
    match data.kind.as_deref().map(str::to_ascii_lowercase).as_deref() {
        None | Some("incremental") => Ok(Kind::Incremental),
        Some("blocking") => Ok(Kind::Blocking),
        Some(other) => Err(format!("there is no snapshot of the type {other:?}")),
    }
}

fn execute(data: Data) -> Result<Command, String> {
    let kind = kind_of(&data)?;
    if data.data_collections.is_empty() {
        return Err("its data has no data-collections".to_owned());
    }
    for pattern in &data.data_collections {
        whole(pattern, false)?;
    }
    let older = data.additional_condition.filter(|_| kind == Kind::Incremental);
    let conditions = match older.filter(|filter| !filter.trim().is_empty()) {
        Some(filter) => vec![(whole(".*", true)?, filter)],
        None => data
            .additional_conditions
            .unwrap_or_default()
            .into_iter()
            .map(|condition| {
                let pattern = whole(&condition.data_collection, true)?;
                Ok((pattern, condition.filter.unwrap_or_default()))
            })
            .collect::<Result<_, String>>()?,
    };
    let surrogate = data.surrogate_key.filter(|name| !name.trim().is_empty());
    let request = Request { collections: data.data_collections, conditions, surrogate };
    Ok(match kind {
        Kind::Incremental => Command::Incremental(request),
        Kind::Blocking => Command::Blocking(request),
    })
}

/// A value of a signal as text.
fn text_of(column: Column<'_>, type_oid: u32) -> Result<Option<String>, String> {
    const JSONB: u32 = 3802;
    const UUID: u32 = 2950;
    let bytes = match column {
        Column::Null => return Ok(None),
        Column::Binary([1, bytes @ ..]) if type_oid == JSONB => bytes,
        Column::Binary(bytes) if type_oid == UUID => {
            let hex = |part: &[u8]| -> String { part.iter().map(|b| format!("{b:02x}")).collect() };
            let parts = [0..4, 4..6, 6..8, 8..10, 10..16].map(|range| bytes.get(range));
            let parts: Option<Vec<String>> = parts.iter().map(|part| part.map(hex)).collect();
            return Ok(Some(parts.ok_or("its id is no UUID")?.join("-")));
        }
        Column::Text(bytes) | Column::Binary(bytes) => bytes,
        _ => return Err("a value of it was not sent".to_owned()),
    };
    let text = std::str::from_utf8(bytes).map_err(|_| "a value of it is no text".to_owned())?;
    Ok(Some(text.to_owned()))
}

/// A pattern that must match a whole name.
pub(super) fn whole(pattern: &str, any_case: bool) -> Result<Regex, String> {
    let flags = if any_case { "(?i)" } else { "" };
    Regex::new(&format!("{flags}^(?:{pattern})$"))
        .map_err(|error| format!("{pattern:?} is no pattern: {error}"))
}

/// The names that patterns match, in the order of the patterns, each once; a pattern that matches
/// none is taken for a name.
pub(super) fn expand(patterns: &[String], names: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for pattern in patterns {
        let regex = whole(pattern, false).ok();
        let matches = |name: &&String| regex.as_ref().is_some_and(|regex| regex.is_match(name));
        let mut matching: Vec<&String> = names.iter().filter(matches).collect();
        if matching.is_empty() {
            matching.push(pattern);
        }
        for name in matching {
            if !found.contains(name) {
                found.push(name.clone());
            }
        }
    }
    found
}

/// Sorts names as a set of Java's keeps them that was copied from a list of so many.
pub(super) fn sort_as_set(names: &mut [String]) {
    let wanted = (names.len() / 3 * 4 + names.len() % 3 * 4 / 3 + 1).max(16);
    let buckets = u32::try_from(wanted.next_power_of_two()).unwrap_or(1 << 30);
    names.sort_by_key(|name| {
        let hash = name
            .encode_utf16()
            .fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
        (hash ^ (hash >> 16)) & (buckets - 1)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(kind: &str, data: &str) -> Command {
        Signal::read("a", kind, Some(data)).unwrap().command
    }

    #[test]
    fn a_snapshot_is_asked_for_with_conditions() {
        let data = r#"{"data-collections":[" public.a ","s.b"],"type":"INCREMENTAL","surrogate-key":"k",
            "additional-conditions":[{"data-collection":"PUBLIC.a","filter":"x > 1"},
                                     {"data-collection":"public.*","filter":"y"}]}"#;
        let Command::Incremental(request) = command("execute-snapshot", data) else { panic!() };
        assert_eq!(request.collections, ["public.a", "s.b"]);
        assert_eq!(request.surrogate.as_deref(), Some("k"));
        assert_eq!(request.filter("public.a"), Some("x > 1"));
        assert_eq!(request.filter("public.c"), Some("y"));
        assert_eq!(request.filter("s.b"), None);
        let data = r#"{"data-collections":["a.b"],"additional-condition":"z = 1"}"#;
        let Command::Incremental(request) = command("execute-snapshot", data) else { panic!() };
        assert_eq!(request.filter("a.b"), Some("z = 1"));
        let data = r#"{"data-collections":["a.b"],"type":"Blocking"}"#;
        assert!(matches!(command("execute-snapshot", data), Command::Blocking(_)));
    }

    #[test]
    fn the_other_signals() {
        assert!(
            matches!(command("log", r#"{"message":"hi {}"}"#), Command::Log(text) if text == "hi {}")
        );
        assert!(matches!(command("stop-snapshot", ""), Command::Stop(list) if list.is_empty()));
        let some = command("stop-snapshot", r#"{"data-collections":["a.b"],"type":"incremental"}"#);
        assert!(matches!(some, Command::Stop(list) if list == ["a.b"]));
        assert!(matches!(command("pause-snapshot", "{"), Command::Pause));
        assert!(matches!(command("resume-snapshot", "{}"), Command::Resume));
        assert!(matches!(Signal::read("i", "snapshot-window-open", None), Ok(s) if s.id == "i"));
    }

    #[test]
    fn a_row_is_text_in_either_form() {
        let row = [
            Column::Text(b"a"),
            Column::Binary(b"log"),
            Column::Binary(b"\x01{\"message\":\"m\"}"),
        ];
        let signal = Signal::of_row(&row, [1043, 25, 3802].into_iter()).unwrap();
        assert!(matches!(signal.command, Command::Log(text) if text == "m"));
        let id = Column::Binary(&[0xab; 16]);
        let row = [id, Column::Text(b"pause-snapshot"), Column::Null];
        let signal = Signal::of_row(&row, [2950, 25, 25].into_iter()).unwrap();
        assert_eq!(signal.id, "abababab-abab-abab-abab-abababababab");
        for (row, why) in [
            (&row[..2], "2 columns"),
            (&[Column::Null, row[1], row[2]], "no id"),
            (&[row[1], Column::Null, row[2]], "no type"),
            (&[row[1], Column::Text(b"\xff"), row[2]], "no text"),
        ] {
            let error = Signal::of_row(row, [25; 3].into_iter()).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (kind, data, why) in [
            ("execute", "{}", "the type \"execute\" is not known"),
            ("execute-snapshot", "{}", "no data-collections"),
            ("execute-snapshot", "{oops", "cannot be read"),
            ("execute-snapshot", "[1]", "cannot be read"),
            ("execute-snapshot", r#"{"data-collections":"a.b"}"#, "cannot be read"),
            ("execute-snapshot", r#"{"data-collections":["a("]}"#, "is no pattern"),
            ("execute-snapshot", r#"{"data-collections":["a"],"type":"full"}"#, "\"full\""),
            ("log", "{}", "no message"),
        ] {
            let error = Signal::read("a", kind, Some(data)).unwrap_err();
            assert!(error.contains(why), "{kind} {data}: {error}");
        }
    }

    #[test]
    fn patterns_match_whole_names_in_their_own_order() {
        let names = ["public.a", "public.ab", "s.a"].map(str::to_owned);
        let patterns = ["s\\..*", "public.a", "nothing.here", ".*"].map(str::to_owned);
        let found = ["s.a", "public.a", "nothing.here", "public.ab"];
        assert_eq!(expand(&patterns, &names), found);
        assert_eq!(expand(&["(".to_owned()], &names), ["("]);
    }

    #[test]
    fn order_of_a_java_hash_set() {
        // The hashes end, folded, in 12, 14, 4 and 10.
        let mut names =
            ["public.tr2", "public.tr", "ods.customers", "ods.cdc_events"].map(str::to_owned);
        sort_as_set(&mut names);
        assert_eq!(names, ["ods.customers", "ods.cdc_events", "public.tr2", "public.tr"]);
    }
}
