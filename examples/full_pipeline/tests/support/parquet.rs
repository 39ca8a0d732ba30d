//! Parquet files as pyarrow reads them.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Mutex, OnceLock},
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/parquet.py");

fn command() -> Command {
    Command::new(std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned()))
}

/// Whether there is a Python with what the script needs; says so if there is none.
pub fn is_readable(test: &str) -> bool {
    let probe = command().args(["-c", "import fastavro, pyarrow.parquet"]).output();
    let is_there = probe.is_ok_and(|output| output.status.success());
    if !is_there {
        embedded_services::skip(test, "python3 with fastavro and pyarrow is not here");
    }
    is_there
}

/// What the script prints.
pub fn script(arguments: &[&str]) -> String {
    let output = command().arg(SCRIPT).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The column `id` of a file, by one reader for all files, which ends with the test.
pub fn ids(path: &Path) -> Vec<i64> {
    static READER: OnceLock<Mutex<(Child, BufReader<ChildStdout>)>> = OnceLock::new();
    let reader = READER.get_or_init(|| {
        let mut command = command();
        command.args([SCRIPT, "ids"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Mutex::new((child, answers))
    });
    let (child, answers) = &mut *reader.lock().unwrap();
    writeln!(child.stdin.as_mut().unwrap(), "{}", path.display()).unwrap();
    let mut line = String::new();
    answers.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}
