//! What may be asked of a running source through its signal table, and where it tells about it.

use super::Properties;

/// Signals, ad-hoc snapshots and notifications.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignalsConfig {
    /// `signal.data.collection`: schema and name of the table whose new rows are signals.
    pub table: Option<(String, String)>,
    /// `incremental.snapshot.chunk.size`: rows read at once.
    pub chunk_rows: u32,
    /// `incremental.snapshot.watermarking.strategy`.
    pub watermarks: Watermarks,
    /// `notification.sink.topic.name`, where the channel `sink` is enabled.
    pub notification_topic: Option<String>,
    /// Whether the channel `log` is enabled.
    pub notification_log: bool,
}

/// How the end of a chunk is marked in the signal table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Watermarks {
    /// By a second row.
    InsertInsert,
    /// By deleting the row that marks its beginning, so that the table does not grow.
    InsertDelete,
}

/// Rows of a chunk when nothing else is asked for.
const CHUNK_ROWS: u32 = 1024;

impl SignalsConfig {
    pub(super) fn read(properties: &mut Properties) -> Self {
        let table = properties.take(&["signal.data.collection"]);
        let table = table.as_deref().filter(|name| !name.is_empty()).and_then(|name| {
            let parts = parts(name);
            if parts.is_none() {
                properties.problem(format!(
                    "signal.data.collection: {name:?} is not the name of a table with its schema, \
                     such as public.debezium_signal"
                ));
            }
            parts
        });
        for channel in list(properties, "signal.enabled.channels", "source") {
            if channel != "source" {
                properties.problem(format!(
                    "signal.enabled.channels: {channel} is not supported; signals come through \
                     source, the table that signal.data.collection names"
                ));
            }
        }
        if properties.truth("read.only") == Some(true) {
            properties.problem(
                "read.only: true is not supported; incremental snapshots write watermarks into \
                 the table that signal.data.collection names"
                    .to_owned(),
            );
        }
        let chunk_rows = properties
            .parsed::<u32>("incremental.snapshot.chunk.size", "a number of rows")
            .unwrap_or(CHUNK_ROWS);
        if chunk_rows == 0 {
            properties.problem("incremental.snapshot.chunk.size: 0; use 1 or more".to_owned());
        }
        let key = "incremental.snapshot.watermarking.strategy";
        let strategy = properties.take(&[key]).map(|text| text.to_ascii_lowercase());
        let watermarks = match strategy.as_deref() {
            None | Some("insert_insert") => Watermarks::InsertInsert,
            Some("insert_delete") => Watermarks::InsertDelete,
            Some(other) => {
                properties.problem(format!("{key}: {other:?}; use insert_insert or insert_delete"));
                Watermarks::InsertInsert
            }
        };
        let (mut sink, mut notification_log) = (false, false);
        for channel in list(properties, "notification.enabled.channels", "") {
            match channel.as_str() {
                "sink" => sink = true,
                "log" => notification_log = true,
                "jmx" => tracing::warn!(
                    "notification.enabled.channels: there is no jmx here; use sink or log"
                ),
                other => properties.problem(format!(
                    "notification.enabled.channels: {other:?} is not supported; use sink or log"
                )),
            }
        }
        let topic = properties.take(&["notification.sink.topic.name"]);
        if sink && topic.is_none() {
            properties.problem(
                "notification.sink.topic.name is missing: notification.enabled.channels has sink, \
                 which needs a topic"
                    .to_owned(),
            );
        }
        let notification_topic = topic.filter(|_| sink);
        Self { table, chunk_rows, watermarks, notification_topic, notification_log }
    }
}

/// The items of a list.
fn list(properties: &mut Properties, key: &str, default: &str) -> Vec<String> {
    let text = properties.take(&[key]).unwrap_or_else(|| default.to_owned());
    let items = text.split(',').map(|item| item.trim().to_ascii_lowercase());
    items.filter(|item| !item.is_empty()).collect()
}

/// Schema and table of a name that may have quotes where dots are part of it.
fn parts(name: &str) -> Option<(String, String)> {
    let mut parts = vec![String::new()];
    let (mut quoted, mut characters) = (false, name.chars().peekable());
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                parts.last_mut()?.extend(characters.next());
            }
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            other => parts.last_mut()?.push(other),
        }
    }
    let [schema, table] = <[String; 2]>::try_from(parts).ok()?;
    (!quoted && !schema.is_empty() && !table.is_empty()).then_some((schema, table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tables_may_be_quoted() {
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(parts("public.signals"), pair("public", "signals"));
        assert_eq!(parts("\"My.\"\"Schema\".T"), pair("My.\"Schema", "T"));
        for wrong in ["signals", "db.public.signals", "public.", "\"public.signals"] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        let values = [
            ("signal.data.collection", "signals"),
            ("signal.enabled.channels", "source,Kafka,in-process"),
            ("notification.enabled.channels", "sink, log"),
            ("incremental.snapshot.chunk.size", "0"),
            ("incremental.snapshot.watermarking.strategy", "delete"),
            ("read.only", "true"),
        ];
        let values = values.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut properties = Properties::from_values(values.into());
        let read = SignalsConfig::read(&mut properties);
        assert!(read.notification_log && read.notification_topic.is_none());
        let problems = properties.take_problems();
        for part in [
            "signal.data.collection: \"signals\"",
            "kafka is not supported",
            "in-process is not supported",
            "notification.sink.topic.name is missing",
            "chunk.size: 0",
            "strategy: \"delete\"",
            "read.only",
        ] {
            assert!(problems.iter().any(|problem| problem.contains(part)), "{part}: {problems:?}");
        }
        assert_eq!(problems.len(), 7);
    }
}
