use std::{fs::OpenOptions, io::Write};

/// Says loudly that a test could not run here. Where `SKIPPED_TESTS_LOG` names a file, a line is
/// added to it, so that a machine that should run every test can fail.
#[allow(clippy::print_stderr, reason = "a skipped test has to be seen")]
pub fn skip(test: &str, why: &str) {
    eprintln!("SKIPPED {test}: {why}");
    if let Some(path) = std::env::var_os("SKIPPED_TESTS_LOG") {
        let line = format!("{test}: {why}\n");
        let logged = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .and_then(|mut log| log.write_all(line.as_bytes()));
        if let Err(error) = logged {
            eprintln!("the skipped test is not in the log: {error}");
        }
    }
}
