//! Verdicts beside those of Confluent's own checker, on schemas made up anew; `testdata/registry`
//! holds some that were asked for once. `scripts/check-compatibility` runs this.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use avro_wire::Schema;
use serde_json::{Map, Value, json};

use super::CompatibilityLevel;
use super::content::{check, objections};

#[test]
#[ignore = "CONFLUENT_JARS must name the folder of Confluent's jars"]
#[allow(clippy::print_stdout, reason = "the figures are what it is for")]
fn verdicts_are_those_of_confluents_checker() {
    let jars = std::env::var("CONFLUENT_JARS").expect("CONFLUENT_JARS names a folder");
    let number = |name, default| {
        std::env::var(name).map_or(default, |text| text.parse::<u64>().expect("a number"))
    };
    let (count, seed) = (number("CONFLUENT_HISTORIES", 10_000), number("CONFLUENT_SEED", 1));
    let oracle = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/registry/Oracle.java");
    let mut java = Command::new("java")
        .args(["-Xmx512m", "-cp", &format!("{jars}/*"), oracle])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("java runs");
    let mut input = java.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        for index in 0..count {
            let mut made = Maker::new(seed.wrapping_mul(1_000_003).wrapping_add(index));
            let first = made.start();
            let second = made.mutate(&first);
            let third = made.mutate(&second);
            writeln!(input, "{}", json!({"old": [first, second], "new": third})).unwrap();
        }
    });

    let (mut pairs, mut verdicts, mut refused, mut lines) = (BTreeSet::new(), [0_u64; 2], 0, 0);
    let mut differences = Vec::new();
    for line in BufReader::new(java.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        lines += 1;
        let case: Value = serde_json::from_str(&line).unwrap();
        let old = case["old"].as_array().unwrap();
        let texts: Vec<_> = old.iter().chain([&case["new"]]).map(Value::to_string).collect();
        let schemas: Result<Vec<_>, _> =
            texts.iter().map(|text| check(text, &[]).map(|checked| checked.schema)).collect();
        let (allowed, schemas) = match (case["allowed"].as_array(), schemas) {
            (Some(allowed), Ok(schemas)) => (allowed, schemas),
            (None, Err(_)) => {
                refused += 1;
                continue;
            }
            (_, found) => {
                differences.push(format!("{:?}: {line}", found.err().map(|e| e.to_string())));
                continue;
            }
        };
        let (new, earlier) = schemas.split_last().unwrap();
        let earlier: Vec<&Schema> = earlier.iter().collect();
        for level in CompatibilityLevel::ALL {
            let expected = allowed.iter().any(|name| name == level.as_str());
            let found = objections(level, new, &earlier).is_empty();
            verdicts[usize::from(expected)] += 1;
            if found != expected || level.allows(new, &earlier) != expected {
                differences.push(format!("{level}, expected {expected}: {line}"));
            }
        }
        for old in &texts[..2] {
            pairs.insert((old.clone(), texts[2].clone()));
        }
    }
    writer.join().unwrap();
    assert!(java.wait().unwrap().success());
    println!(
        "{lines} histories: {} different pairs, {refused} with a schema that both refuse; {} \
         verdicts, {} of them for and {} against; {} differences",
        pairs.len(),
        verdicts[0] + verdicts[1],
        verdicts[1],
        verdicts[0],
        differences.len()
    );
    assert_eq!(lines, count);
    assert!(verdicts.iter().all(|v| *v > count / 10) && refused > 0, "too one-sided to tell");
    let shown = differences.len().min(20);
    assert!(differences.is_empty(), "{}", differences[..shown].join("\n"));
}

const PRIMITIVES: [&str; 8] =
    ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];

/// Makes up schemas, the same ones for the same seed.
struct Maker {
    state: u64,
    names: Vec<String>,
    next: u32,
}

impl Maker {
    fn new(seed: u64) -> Self {
        Self { state: seed, names: Vec::new(), next: 0 }
    }

    /// SplitMix64.
    fn below(&mut self, limit: usize) -> usize {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % limit.max(1) as u64).unwrap()
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    fn name(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}{}", self.next)
    }

    fn start(&mut self) -> Value {
        if self.chance(80) { self.record(3) } else { self.kind(3, true) }
    }

    fn primitive(&mut self) -> Value {
        self.one(&PRIMITIVES).into()
    }

    fn kind(&mut self, depth: usize, union: bool) -> Value {
        let choice = self.below(13);
        match choice {
            5 if depth > 0 => json!({"type": "array", "items": self.kind(depth - 1, true)}),
            6 if depth > 0 => json!({"type": "map", "values": self.kind(depth - 1, true)}),
            7 if depth > 0 && union => self.union(depth),
            8 => self.enumeration(),
            9 => {
                let name = self.name("F");
                self.names.push(name.clone());
                json!({"type": "fixed", "name": name, "size": 1 + self.below(3)})
            }
            10 if depth > 0 => self.record(depth),
            11 => self.one(&[
                json!({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}),
                json!({"type": "long", "logicalType": "timestamp-micros"}),
                json!({"type": "int", "logicalType": "date"}),
                json!({"type": "string", "connect.name": "io.debezium.time.ZonedTimestamp"}),
            ]),
            12 if !self.names.is_empty() => {
                let names = self.names.clone();
                self.one(&names).into()
            }
            _ => self.primitive(),
        }
    }

    fn union(&mut self, depth: usize) -> Value {
        let mut branches: Vec<Value> = Vec::new();
        for _ in 0..1 + self.below(4) {
            let branch = self.kind(depth - 1, false);
            if branches.iter().all(|other| key(other) != key(&branch)) {
                branches.push(branch);
            }
        }
        branches.into()
    }

    fn enumeration(&mut self) -> Value {
        let name = self.name("E");
        let mut symbols: Vec<_> = ["A", "B", "C", "D"].into();
        for _ in 0..self.below(4) {
            symbols.remove(self.below(symbols.len()));
        }
        self.names.push(name.clone());
        let mut made = json!({"type": "enum", "name": name, "symbols": symbols});
        if self.chance(30) {
            made["default"] = self.one(&symbols).into();
        }
        made
    }

    fn record(&mut self, depth: usize) -> Value {
        let name = self.name("R");
        let mut made = json!({"type": "record", "name": name});
        if self.chance(30) {
            made["namespace"] = self.one(&["a", "b.c"]).into();
        } else {
            self.names.push(name);
        }
        let fields: Vec<_> =
            (0..self.below(5)).map(|n| self.field(&format!("f{n}"), depth - 1)).collect();
        made["fields"] = fields.into();
        made
    }

    fn field(&mut self, name: &str, depth: usize) -> Value {
        let mut field = json!({"name": name, "type": self.kind(depth, true)});
        if self.chance(50)
            && let Some(default) = default(&field["type"])
        {
            field["default"] = default;
        }
        field
    }

    /// Up to three changes anywhere in the schema.
    fn mutate(&mut self, schema: &Value) -> Value {
        let mut changed = schema.clone();
        for _ in 0..self.one(&[0, 1, 1, 1, 2, 3]) {
            let mut places = Vec::new();
            collect(&changed, String::new(), false, &mut places);
            let (place, in_union) = self.one(&places);
            let part = changed.pointer_mut(&place).unwrap();
            match part {
                Value::String(_) => self.change_name(part, in_union),
                Value::Array(_) => self.change_union(part),
                Value::Object(members) => match members["type"].as_str().unwrap() {
                    "enum" => self.change_enum(members),
                    "fixed" => self.change_fixed(members),
                    "record" => self.change_record(members),
                    _ if !in_union => *part = self.primitive(),
                    _ => {}
                },
                _ => unreachable!("a type is a text, a list or an object"),
            }
        }
        changed
    }

    fn change_name(&mut self, part: &mut Value, in_union: bool) {
        let before = part.clone();
        *part = match self.below(10) {
            0..5 => self.primitive(),
            5..8 if !in_union && before != "null" => {
                self.one(&[json!(["null", before]), json!([before, "null"])])
            }
            _ => self.kind(1, !in_union),
        };
    }

    fn change_union(&mut self, part: &mut Value) {
        let branches = part.as_array_mut().unwrap();
        match self.below(10) {
            0..4 if branches.len() > 1 => {
                branches.remove(self.below(branches.len()));
            }
            4..6 if !branches.is_empty() => *part = self.one(branches),
            _ => {
                let more = self.primitive();
                if branches.iter().all(|other| key(other) != key(&more)) {
                    branches.insert(self.below(branches.len() + 1), more);
                }
            }
        }
    }

    fn change_enum(&mut self, members: &mut Map<String, Value>) {
        let choice = self.below(10);
        let symbol: Value = self.one(&["A", "B", "C", "D", "E"]).into();
        let symbols = members["symbols"].as_array_mut().unwrap();
        match choice {
            0..3 if symbols.len() > 1 => symbols.retain(|other| *other != symbol),
            3..6 if !symbols.contains(&symbol) => symbols.push(symbol),
            6..8 => {
                let default = self.one(symbols);
                members.insert("default".to_owned(), default);
            }
            _ => self.rename(members),
        }
    }

    fn change_fixed(&mut self, members: &mut Map<String, Value>) {
        if self.chance(50) {
            members.insert("size".to_owned(), (1 + self.below(3)).into());
        } else {
            self.rename(members);
        }
    }

    fn change_record(&mut self, members: &mut Map<String, Value>) {
        let choice = self.below(20);
        let fresh = self.name("n");
        let more = self.field(&fresh, 1);
        let fields = members["fields"].as_array_mut().unwrap();
        let index = self.below(fields.len());
        match choice {
            0..5 if !fields.is_empty() => {
                fields.remove(index);
            }
            5..10 => fields.insert(index, more),
            10..13 if !fields.is_empty() => self.rename(fields[index].as_object_mut().unwrap()),
            13..16 if !fields.is_empty() => {
                fields[index].as_object_mut().unwrap().remove("default");
            }
            16..18 => self.rename(members),
            _ => {
                members.insert("namespace".to_owned(), self.one(&["a", "q", ""]).into());
            }
        }
    }

    fn rename(&mut self, members: &mut Map<String, Value>) {
        let before = members["name"].clone();
        let after = format!("{}x", before.as_str().unwrap());
        if self.chance(60) {
            members.insert("aliases".to_owned(), json!([before]));
        }
        members.insert("name".to_owned(), after.into());
    }
}

/// What tells the branches of a union apart.
fn key(kind: &Value) -> String {
    match kind["type"].as_str() {
        Some("record" | "enum" | "fixed") => kind["name"].to_string(),
        Some(name) => json!(name).to_string(),
        None => kind.to_string(),
    }
}

fn default(kind: &Value) -> Option<Value> {
    match kind {
        Value::Array(branches) => default(branches.first()?),
        Value::Object(members) => match members["type"].as_str()? {
            "array" => Some(json!([])),
            "map" => Some(json!({})),
            "enum" => members["symbols"].get(0).cloned(),
            "fixed" => Some("x".repeat(usize::try_from(members["size"].as_u64()?).ok()?).into()),
            "record" => None,
            name => default(&name.into()),
        },
        name => match name.as_str()? {
            "null" => Some(Value::Null),
            "boolean" => Some(json!(true)),
            "int" | "long" => Some(json!(1)),
            "float" | "double" => Some(json!(1.5)),
            "bytes" | "string" => Some(json!("x")),
            _ => None,
        },
    }
}

/// The places of all types, and whether each is a branch of a union.
fn collect(kind: &Value, place: String, in_union: bool, places: &mut Vec<(String, bool)>) {
    match kind {
        Value::Array(branches) => {
            for (index, branch) in branches.iter().enumerate() {
                collect(branch, format!("{place}/{index}"), true, places);
            }
        }
        Value::Object(members) => {
            for inner in ["items", "values"] {
                if let Some(kind) = members.get(inner) {
                    collect(kind, format!("{place}/{inner}"), false, places);
                }
            }
            let fields = members.get("fields").and_then(Value::as_array).into_iter().flatten();
            for (index, field) in fields.enumerate() {
                collect(&field["type"], format!("{place}/fields/{index}/type"), false, places);
            }
        }
        _ => {}
    }
    places.push((place, in_union));
}
