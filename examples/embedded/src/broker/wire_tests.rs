use super::*;

/// The README's table of what is served, from what is served.
#[test]
fn the_readme_lists_every_request_and_its_versions() {
    let mut served = SERVED.to_vec();
    served.sort_unstable_by_key(|&(key, ..)| key as i16);
    let mut table = String::from("| request | key | versions |\n|---|---|---|\n");
    for (key, first, last) in served {
        table.push_str(&format!("| {key:?} | {} | {first} to {last} |\n", key as i16));
    }
    let readme = include_str!("../../README.md");
    assert!(readme.contains(&table), "the README should have this table:\n{table}");
}
