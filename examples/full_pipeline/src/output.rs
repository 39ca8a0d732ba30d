//! What the user reads: the story and the summary. Logs go elsewhere, to standard error.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this module is where the program talks to its user"
)]

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// Where the story goes: standard output, or standard error when that is taken by JSON.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// Output of a run that ends with a summary for people, or as JSON.
    #[must_use]
    pub const fn new(json: bool) -> Self {
        Self { json }
    }

    /// A line of the story.
    pub fn line(self, text: impl AsRef<str>) {
        if self.json {
            eprintln!("{}", text.as_ref());
        } else {
            println!("{}", text.as_ref());
        }
    }

    /// A line on standard output whatever the mode: for programs that read it.
    pub fn raw(text: &str) {
        println!("{text}");
    }

    /// An error at the end of the program.
    pub fn error(text: &str) {
        eprintln!("error: {text}");
    }

    /// Progress of something that has an end: a bar on a terminal, lines elsewhere.
    #[must_use]
    pub fn progress(self, what: &'static str, total: u64) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("  {msg:<10} {bar:40} {pos}/{len} {per_sec}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(total).with_style(style).with_message(what)
        });
        Progress { output: self, bar, what, total, said: Instant::now() }
    }
}

/// A bar, or a line every few seconds.
#[derive(Debug)]
pub struct Progress {
    output: Output,
    bar: Option<ProgressBar>,
    what: &'static str,
    total: u64,
    said: Instant,
}

impl Progress {
    /// Shows how far it is.
    pub fn at(&mut self, done: u64) {
        match &self.bar {
            Some(bar) => bar.set_position(done),
            None if self.said.elapsed() > Duration::from_secs(5) => {
                self.output.line(format!("  {}: {done} of {}", self.what, self.total));
                self.said = Instant::now();
            }
            None => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A number of bytes as people read it.
#[must_use]
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut whole = n;
    let mut tenth = 0;
    let mut units = UNITS.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    while whole >= 1024 {
        let Some(next) = units.next() else { break };
        tenth = whole % 1024 * 10 / 1024;
        whole /= 1024;
        unit = next;
    }
    if unit == "B" { format!("{whole} B") } else { format!("{whole}.{tenth} {unit}") }
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_are_readable() {
        assert_eq!(super::bytes(0), "0 B");
        assert_eq!(super::bytes(1023), "1023 B");
        assert_eq!(super::bytes(1536), "1.5 KiB");
        assert_eq!(super::bytes(1 << 20), "1.0 MiB");
    }
}
