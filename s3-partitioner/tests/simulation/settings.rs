use s3_partitioner::{Compatibility, ConnectSchema, ConnectType, RotationConfig, Settings};

use crate::random::Random;

/// How one history partitions and rotates.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) settings: Settings,
    pub(crate) rotation: RotationConfig,
    pub(crate) metadata_limit: usize,
    /// Of the keys 0, 1 and 2.
    pub(crate) schemas: [ConnectSchema; 3],
    pub(crate) projects: bool,
}

const ZONES: [&str; 4] = ["UTC", "Australia/Sydney", "America/Sao_Paulo", "+05:45"];

impl Policy {
    pub(crate) fn random(random: &mut Random) -> Self {
        let mut properties: Vec<(&str, String)> = Vec::new();
        let mut set = |key, value: &str| properties.push((key, value.to_owned()));
        set("flush.size", random.pick(&["2", "3", "7", "1000", "1000"]));
        set("timezone", random.pick(&ZONES));
        set("locale", "en");
        // The wall clock is the hardest, so it is the most frequent.
        match random.below(8) {
            0 => {}
            1 => {
                set("partitioner.class", "field");
                set("partition.field.name", "region");
            }
            2 => {
                set("partitioner.class", "hourly");
                set("timestamp.extractor", random.pick(&["Record", "RecordField"]));
            }
            kind => {
                set("partitioner.class", if kind == 3 { "daily" } else { "time" });
                set("path.format", random.pick(&["HH/mm", "DDD-HH-mm-ss", "'day'=dd"]));
                set("partition.duration.ms", random.pick(&["1000", "60000", "3600000"]));
                set("timestamp.extractor", "Wallclock");
            }
        }
        if random.one_in(3) {
            set("rotate.interval.ms", random.pick(&["1000", "60000", "7200000"]));
            set("rotate.file.on.partition.change", random.pick(&["true", "false"]));
        }
        if random.one_in(3) {
            set("rotate.schedule.interval.ms", random.pick(&["1000", "60000", "7200000"]));
        }
        if random.one_in(4) {
            set("partitioner.max.open.files", random.pick(&["1", "2", "3"]));
        }
        if random.one_in(4) {
            set("s3.schema.partition.affix.type", random.pick(&["PREFIX", "SUFFIX"]));
        }
        let per_schema = random.one_in(3);
        if !per_schema {
            set("schema.compatibility", random.pick(&["NONE", "BACKWARD", "FORWARD", "FULL"]));
        }
        let pairs = properties.iter().map(|(key, value)| (*key, value.as_str()));
        let settings = Settings::from_properties(pairs).unwrap();
        let mut rotation = settings.rotation().clone();
        if per_schema {
            rotation = rotation.with_file_per_schema();
        }
        if random.one_in(4) {
            rotation = rotation.with_flush_bytes(random.between(10, 500));
        }
        if random.one_in(4) {
            rotation = rotation.with_idle_ms(random.pick(&[500, 5_000, 60_000]));
        }
        let metadata_limit = random.pick(&[128, 200, 300, 4_096]);
        rotation = rotation.with_metadata_limit(metadata_limit).unwrap();
        let projects = !per_schema && settings.compatibility() != Compatibility::None;
        Self { settings, rotation, metadata_limit, schemas: [1, 2, 3].map(schema), projects }
    }
}

fn schema(version: i32) -> ConnectSchema {
    let number = ConnectSchema::new(ConnectType::Int64).optional();
    let schema = ConnectSchema::new(ConnectType::Struct)
        .with_name("orders.Value")
        .with_version(version)
        .with_field("region", ConnectSchema::new(ConnectType::String));
    if version == 1 { schema } else { schema.with_field("total", number) }
}
