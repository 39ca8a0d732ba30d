use alloc::format;
use alloc::string::ToString as _;
use alloc::vec::Vec;

use serde_json::Value;

use super::*;

/// Random histories with the verdicts of Confluent's own checker; `testdata/README.md` says how
/// they were made.
#[test]
fn verdicts_are_confluents() {
    let (mut verdicts, mut refusals) = ([0; 2], 0);
    for line in include_str!("../../testdata/compatibility/confluent.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let parse = |schema: &Value| Schema::parse(&schema.to_string());
        let old: Result<Vec<_>, _> = case["old"].as_array().unwrap().iter().map(parse).collect();
        let new = parse(&case["new"]);
        let Some(allowed) = case["allowed"].as_array() else {
            refusals += 1;
            continue;
        };
        let (old, new) = (old.expect(line), new.expect(line));
        let old: Vec<_> = old.iter().collect();
        for level in Level::ALL {
            let expected = allowed.iter().any(|name| name == level.as_str());
            assert_eq!(level.allows(&new, &old), expected, "{level}\n{line}");
            verdicts[usize::from(expected)] += 1;
        }
    }
    assert!(verdicts[0] > 500 && verdicts[1] > 500 && refusals > 10, "{verdicts:?} {refusals}");
}

#[test]
fn levels_have_the_names_of_the_registry() {
    for level in Level::ALL {
        assert_eq!(level.to_string().to_lowercase().parse::<Level>().unwrap(), level);
    }
    assert!("SIDEWAYS".parse::<Level>().is_err());
}

#[test]
fn recursive_types_end_and_the_branch_that_was_meant_is_told() {
    let list = |value: &str| {
        let text = format!(
            r#"{{"type":"record","name":"L","fields":[{{"name":"v","type":"{value}"}},
                {{"name":"next","type":["null","L"]}}]}}"#
        );
        Schema::parse(&text).unwrap()
    };
    let (int, long) = (list("int"), list("long"));
    assert_eq!(problems(&long, &int), []);
    let found: Vec<_> = problems(&int, &long).iter().map(ToString::to_string).collect();
    assert_eq!(found, ["/v: int cannot hold long"]);
    let problem = &problems(&int, &long)[0];
    assert!(matches!(problem.reason(), Reason::Type { .. }));
    assert_eq!(problem.path(), "/v");

    let option = |schema: &Schema| Schema::parse(&format!(r#"["null",{schema}]"#)).unwrap();
    let found = problems(&option(&int), &option(&long));
    assert_eq!(found[0].to_string(), "/v: int cannot hold long");
}

#[test]
fn webs_of_types_exhaust_neither_memory_nor_stack() {
    let web = |leaf: &str| {
        let mut text = format!(
            r#"[{{"type":"record","name":"T0","fields":[{{"name":"f","type":"{leaf}"}}]}}"#
        );
        for i in 1..1_000 {
            let uses = i - 1;
            text += &format!(
                r#",{{"type":"record","name":"T{i}","fields":[
                    {{"name":"f","type":"T{uses}"}},{{"name":"g","type":"T{uses}"}}]}}"#
            );
        }
        Schema::parse(&(text + "]")).unwrap()
    };
    let found = problems(&web("int"), &web("string"));
    assert!(!found.is_empty() && found.len() <= check::MAX_PROBLEMS);
}
