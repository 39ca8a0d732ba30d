//! Replays a folder of the corpus. The crates' `tests/corpus.rs` include this file.

use std::fs;
use std::path::Path;

/// Runs `target` on every committed input of the fuzz target `name`.
#[allow(clippy::print_stdout, reason = "a failed test shows the input it failed on")]
pub fn replay(name: &str, target: impl Fn(&[u8])) {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let corpus = above.map(|folder| folder.join("fuzz/corpus")).find(|folder| folder.is_dir());
    let folder = corpus.unwrap_or_default().join(name);
    let mut inputs = 0;
    for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.unwrap_or_else(|e| panic!("{}: {e}", folder.display())).path();
        let input = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        println!("{}", path.display());
        target(&input);
        inputs += 1;
    }
    assert!(inputs > 0, "{} is empty", folder.display());
}
