//! The source against Debezium itself: each scenario is SQL and the records that Debezium made of
//! it. The same SQL runs here, the source follows it, and what comes out of Kafka must be the same,
//! schemas as text and values field by field, apart from what no two runs share.
//!
//! `testdata/debezium` holds the scenarios that always run; `GOLDEN_DIR=<folder>` runs every
//! scenario of another folder instead and tells about each in a line.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::future_not_send,
    clippy::print_stdout,
    reason = "a test fails by panicking and reports by printing"
)]

mod compare;
mod corrected;
mod expected;
mod fresh;
mod pipeline;
mod scenario;
mod schema_tree;
mod sql;
mod tree;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
};

use embedded_services::postgres::{Config, ErrorKind, Postgres};
use pipeline::Failure;
use scenario::Scenario;

/// What came of one scenario.
enum Outcome {
    /// All records are the same; the notes name what was left uncompared.
    Same { records: usize, notes: Vec<String> },
    /// The first difference, or why there is nothing to compare.
    Different(String),
    /// The source refuses these properties.
    Unsupported(Vec<String>),
}

#[test]
fn records_are_those_of_debezium() {
    let asked = std::env::var_os("GOLDEN_DIR").map(PathBuf::from);
    let folder = asked
        .clone()
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/debezium"));
    let scenarios = Scenario::folders(&folder);
    assert!(!scenarios.is_empty(), "{} holds no scenario", folder.display());
    let Some(outcomes) = run_all(&scenarios, run_one) else { return };

    let (mut same, mut records, mut unsupported, mut different) = (0, 0, 0, Vec::new());
    for (path, outcome) in scenarios.iter().zip(outcomes) {
        let name = path.file_name().unwrap().to_string_lossy();
        match outcome {
            Outcome::Same { records: compared, notes } => {
                same += 1;
                records += compared;
                let notes: String = notes.iter().map(|note| format!("; {note}")).collect();
                println!("{name}: ok, {compared} records{notes}");
            }
            Outcome::Unsupported(keys) => {
                unsupported += 1;
                println!("{name}: unsupported: {}", keys.join(", "));
            }
            Outcome::Different(first) => {
                println!("{name}: {first}");
                different.push(format!("{name}: {first}"));
            }
        }
    }
    println!(
        "{same} of {} scenarios the same ({records} records), {} different, {unsupported} unsupported",
        scenarios.len(),
        different.len(),
    );
    assert!(different.is_empty(), "\n{}", different.join("\n"));
    // The committed scenarios are those that must work; elsewhere there may be more.
    assert!(asked.is_some() || unsupported == 0, "a committed scenario is not supported any more");
}

/// The same scenarios with Debezium's defects corrected: every difference is one of a table, and
/// what the table says does differ.
#[test]
fn corrected_records_differ_as_expected() {
    let asked = std::env::var_os("GOLDEN_DIR").map(PathBuf::from);
    let folder =
        asked.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/debezium"));
    let scenarios = Scenario::folders(&folder);
    let Some(outcomes) = run_all(&scenarios, run_corrected) else { return };
    let mut wrong = Vec::new();
    for (path, outcome) in scenarios.iter().zip(outcomes) {
        let name = path.file_name().unwrap().to_string_lossy();
        match outcome {
            Ok(found) => {
                for difference in &found {
                    println!("{name}: {difference}");
                }
                wrong.extend(corrected::unexpected(&name, &found));
            }
            Err(what) => wrong.push(format!("{name}: {what}")),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The differences of a scenario; none of one that this source cannot run, of which the other test
/// tells.
fn run_corrected(path: &Path, server: &Postgres) -> Result<BTreeSet<String>, String> {
    let mut scenario = Scenario::read(path);
    scenario.properties.push_str("\nfidelity=correct\n");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut found = BTreeSet::new();
    let mut run = runtime.block_on(pipeline::run(&scenario, server));
    if let Err(Failure::Broken(what)) = &run {
        // A value that cannot be shown as it is stops the source, unless something else may stand
        // for it: then the rest can be compared.
        found.insert(corrected::stopped(what));
        scenario.properties.push_str("unrepresentable.values=null\ntoast.policy=reselect\n");
        run = runtime.block_on(pipeline::run(&scenario, server));
    }
    match run {
        Ok(received) => found.append(&mut corrected::differences(&scenario, &received)?),
        Err(Failure::Unsupported(_)) => {}
        Err(Failure::Refused(_)) if scenario.cannot_be_registered() => {}
        Err(Failure::Refused(what) | Failure::Broken(what)) => return Err(what),
    }
    Ok(found)
}

/// Runs the scenarios, each worker on a cluster of its own, because they all want a database of the
/// same name. `None` when the machine has no server.
fn run_all<T: Send>(
    scenarios: &[PathBuf],
    run_one: impl Fn(&Path, &Postgres) -> T + Sync,
) -> Option<Vec<T>> {
    // One test at a time is enough for any machine.
    static RUNNING: Mutex<()> = Mutex::new(());
    let _running = RUNNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let workers = thread::available_parallelism().map_or(2, usize::from).clamp(2, 3);
    let workers = workers.min(scenarios.len());
    let mut servers = Vec::new();
    for _ in 0..workers {
        match start() {
            Ok(server) => servers.push(server),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound { .. }) => {
                embedded_services::skip("conformance", &error.to_string());
                return None;
            }
            Err(error) => panic!("{error}: {}", error.log().unwrap_or_default()),
        }
    }
    let queue = Arc::new(Mutex::new(scenarios.iter().enumerate().rev().collect::<Vec<_>>()));
    let run_one = &run_one;
    let mut outcomes: Vec<(usize, T)> = thread::scope(|scope| {
        let running: Vec<_> = servers
            .iter()
            .map(|server| {
                let queue = queue.clone();
                scope.spawn(move || {
                    let next = || queue.lock().unwrap().pop();
                    std::iter::from_fn(next)
                        .map(|(index, path)| (index, run_one(path, server)))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        running.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    outcomes.sort_by_key(|(index, _)| *index);
    Some(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}

/// The scenarios were made with PostgreSQL 15; another version does where there is none.
fn start() -> Result<Postgres, embedded_services::postgres::Error> {
    let config = || Config::new().with_setting("timezone", "UTC");
    match Postgres::start(config().with_version(15).without_fetch()) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound { .. }) => {
            Postgres::start(config())
        }
        started => started,
    }
}

fn run_one(path: &Path, server: &Postgres) -> Outcome {
    let scenario = Scenario::read(path);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let received = match runtime.block_on(pipeline::run(&scenario, server)) {
        Ok(received) => received,
        Err(Failure::Unsupported(keys)) => return Outcome::Unsupported(keys),
        Err(Failure::Refused(_)) if scenario.cannot_be_registered() => {
            let notes = vec!["refused here as by Debezium's converter".to_owned()];
            return Outcome::Same { records: 0, notes };
        }
        Err(Failure::Refused(what) | Failure::Broken(what)) => return Outcome::Different(what),
    };
    match compare::compare(&scenario, &received) {
        Ok(compared) => Outcome::Same { records: compared.records, notes: compared.notes },
        Err(difference) => Outcome::Different(difference),
    }
}
