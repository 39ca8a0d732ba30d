//! What `fidelity=correct` changes, by defect; the reasons are in the table of debezium-model's
//! documentation.

/// A defect of Debezium, and how its absence shows.
pub(crate) struct Row {
    /// As in the documentation.
    pub(crate) defect: &'static str,
    /// What differs: topic, place and how, in which a star stands for anything.
    differences: &'static [&'static str],
    /// Scenarios that show it. Where there is none, a test in debezium-model's `corrected.rs` does.
    shown_by: &'static [&'static str],
}

pub(crate) const EXPECTED: &[Row] = &[
    Row {
        defect: "null becomes the default",
        differences: &[
            "* value.*: null instead of the default",
            "* row.*: null instead of the default",
        ],
        shown_by: &["defaults", "alter_table", "original_story"],
    },
    Row {
        defect: "the key under REPLICA IDENTITY USING INDEX",
        differences: &["* schema key.*: missing", "* schema key.*: is new"],
        shown_by: &["replica_identity"],
    },
    Row {
        defect: "a transaction's id differs from event to event",
        differences: &["*: the number of the transaction alone"],
        shown_by: &["truncate_messages", "topic_naming"],
    },
    Row {
        defect: "tables of a transaction in the order of a hash map",
        differences: &["* value.data_collections[].*: *"],
        shown_by: &["truncate_messages"],
    },
    Row {
        defect: "numeric with a negative scale",
        differences: &[
            "* schema value.*: *\"scale\":0,\"type\":\"bytes\"} instead of *\"scale\":20*",
            "*: the same number without thousands of zeros",
        ],
        shown_by: &["types_num_default", "decimal_string"],
    },
    Row {
        defect: "numeric that is no number",
        differences: &[
            "source stops at *: value out of range",
            "*: \"NaN\" instead of \"NAN\"",
            "*: \"Infinity\" instead of \"POSITIVE_INFINITY\"",
            "*: \"-Infinity\" instead of \"NEGATIVE_INFINITY\"",
        ],
        shown_by: &["special_num_precise", "special_num_string"],
    },
    Row {
        defect: "infinite dates and timestamps",
        differences: &["* value.*: infinity instead of *"],
        shown_by: &["special_time_adaptive", "special_time_connect", "special_time_isostring"],
    },
    Row {
        defect: "dates lose their era in a snapshot",
        differences: &["* value.*: before the common era instead of *"],
        shown_by: &["special_time_adaptive", "special_time_isostring"],
    },
    Row {
        defect: "timestamps beyond the numbers",
        differences: &["source stops at *: value out of range", "* value.*: null instead of -92*"],
        shown_by: &["special_time_adaptive", "special_time_nanoseconds"],
    },
    Row {
        defect: "name columns are null",
        differences: &["* value.*: \"*\" instead of null"],
        shown_by: &["types_str_default"],
    },
    Row {
        defect: "arrays in arrays",
        differences: &[
            "* schema value.*[]: required instead of optional",
            "* schema value.*[]: {\"items\":*} instead of *",
            "source stops at *: value out of range",
            // Declared with more dimensions than it has.
            "* value.*: null instead of Array(*",
        ],
        shown_by: &["types_unknown_default"],
    },
    Row {
        defect: "an enum array with a null in it",
        differences: &[
            "* schema value.*[]: optional instead of required",
            "* value.*: Array(* instead of null",
            "* schema row.*[]: optional instead of required",
            "* row.*: Array(* instead of null",
        ],
        shown_by: &["types_arr_default"],
    },
    Row {
        defect: "arrays of bit strings",
        differences: &[
            "* schema value.*: {*\"items\":*Bits* instead of *Bits*",
            "* schema row.*: {*\"items\":*Bits* instead of *Bits*",
        ],
        shown_by: &["types_unknown_default"],
    },
    Row {
        defect: "24:00",
        differences: &["*: \"24:00:00*\" instead of \"*:00Z\""],
        shown_by: &["types_time_default", "time_isostring"],
    },
    Row {
        defect: "moments in arrays",
        differences: &["*[]: the moment in *"],
        shown_by: &["array_moments"],
    },
    Row {
        defect: "varbit loses zeros in front",
        differences: &[
            "* schema value.*: *\"string\"* instead of *io.debezium.data.Bits*",
            "* schema row.*: *\"string\"* instead of *io.debezium.data.Bits*",
        ],
        shown_by: &["types_bin_default"],
    },
    Row {
        defect: "rows of a partitioned table come twice",
        differences: &[
            "* records: none of those that a snapshot reads twice",
            "* value.source.snapshot: *",
        ],
        shown_by: &["partitioned"],
    },
    Row {
        defect: "generated columns come and go",
        differences: &["* schema value.*: missing as while streaming"],
        shown_by: &["defaults"],
    },
    Row {
        defect: "columns that were not sent are zero",
        differences: &[
            "* schema value.before.*: optional instead of required",
            "* schema row.*: optional instead of required",
            "* value.before.*: null instead of zero",
            "* value.before.*: null instead of the default",
            "* row.*: null instead of zero",
        ],
        shown_by: &["replica_identity", "ods_default", "original_story"],
    },
    Row {
        defect: "one of several rules for a column applies",
        differences: &[
            "* schema value.*: *\"masked\":\"true\"* instead of *",
            "* value.*: a hash instead of *",
        ],
        shown_by: &["column_masks"],
    },
    Row {
        defect: "a bare numeric has another size in a snapshot",
        differences: &["* schema value.*: *.column.length\":\"131089\"*NUMERIC* instead of *"],
        shown_by: &["types_all_isostring_string"],
    },
    Row {
        defect: "masks do not reach the key",
        differences: &["* key.*: a hash instead of *", "source stops at *: a column of the key*"],
        shown_by: &[],
    },
    Row {
        defect: "numeric loses zeros at its end",
        differences: &["*: the same number with its zeros"],
        shown_by: &["types_num_default"],
    },
    Row {
        defect: "placeholders that pass for values",
        differences: &[
            "source stops at *: value was not sent*",
            // What came of asking for it, which a placeholder leaves no other way to.
            "* value.*: a value instead of the placeholder",
            "* value.*: Record(* instead of null",
            "* value.*: null instead of the placeholder",
        ],
        shown_by: &["toast_default_placeholder"],
    },
];

impl Row {
    /// Whether it is the reason of a difference.
    pub(crate) fn explains(&self, difference: &str) -> bool {
        self.differences.iter().any(|pattern| matches(pattern, difference))
    }

    pub(crate) fn is_shown_by(&self, scenario: &str) -> bool {
        self.shown_by.contains(&scenario)
    }
}

/// Whether a text is a pattern's, in which stars stand for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[test]
fn the_documentation_has_the_same_table() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../debezium-model/README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| **")?.split_once("** |"));
    let documented: Vec<&str> = rows.map(|(defect, _)| defect).collect();
    let expected: Vec<&str> = EXPECTED.iter().map(|row| row.defect).collect();
    assert_eq!(documented, expected);
}

#[test]
fn stars_stand_for_anything() {
    assert!(matches("a*c", "abc") && matches("a*c", "ac") && matches("*", "") && matches("a", "a"));
    assert!(matches("*b*d", "abcd") && matches("a*", "abc"));
    assert!(!matches("a*c", "abcd") && !matches("a", "ab") && !matches("a*b", "a"));
    assert!(!matches("a*a", "a"));
}
