//! The sink's Parquet objects beside arrow's own writer, which is fed from batches that are ready:
//! a million flattened Debezium rows to a local disk. What both have written is read back by arrow.
//!
//! `cargo bench -p benches --bench sink_parquet [-- rows]`
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a bench prints and ends by panicking"
)]

#[path = "../../examples/full_pipeline/benches/support/rows.rs"]
mod rows;

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arrow_array::{ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::Compression,
    file::properties::{EnabledStatistics, WriterProperties},
};
use rows::{Row, best, row};

/// Rows of an object, as the sink closes them.
const OBJECT: usize = 250_000;
/// Rows of a batch.
const BATCH: usize = 10_000;

fn batch(rows: &[Row]) -> RecordBatch {
    let text = |of: fn(&Row) -> &Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(|row| of(row).as_deref()).collect::<StringArray>())
    };
    let long = |of: fn(&Row) -> Option<i64>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<Int64Array>())
    };
    let int = |of: fn(&Row) -> Option<i32>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<Int32Array>())
    };
    let columns: [(&str, ArrayRef); 15] = [
        ("order_id", long(|row| Some(row.order_id))),
        ("customer_id", text(|row| &row.customer_id)),
        ("employee_id", int(|row| row.employee_id)),
        ("order_date", int(|row| row.order_date)),
        ("freight", Arc::new(rows.iter().map(|row| row.freight).collect::<Float64Array>())),
        ("ship_name", text(|row| &row.ship_name)),
        ("ship_address", text(|row| &row.ship_address)),
        ("ship_country", text(|row| &row.ship_country)),
        ("lines", text(|row| &row.lines)),
        ("updated_at", long(|row| row.updated_at)),
        ("__op", text(|row| &row.__op)),
        ("__table", text(|row| &row.__table)),
        ("__lsn", long(|row| row.__lsn)),
        ("__source_ts_ms", long(|row| row.__source_ts_ms)),
        ("__deleted", text(|row| &row.__deleted)),
    ];
    let field = |(name, array): &(&str, ArrayRef)| {
        let kind: DataType = array.data_type().clone();
        Field::new(*name, kind, *name != "order_id")
    };
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.map(|(_, array)| array).into()).unwrap()
}

/// Arrow's writer, with the sink's codec and, as the sink, without statistics of pages.
fn peer(folder: &Path, rows: usize, batches: &[RecordBatch]) -> u64 {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .build();
    let mut batches = batches.iter().cycle();
    let mut bytes = 0;
    for object in 0..rows / OBJECT {
        let path = folder.join(format!("peer-{object}.parquet"));
        let file = File::create(&path).unwrap();
        let schema = batches.clone().next().unwrap().schema();
        let mut writer = ArrowWriter::try_new(file, schema, Some(properties.clone())).unwrap();
        for _ in 0..OBJECT / BATCH {
            writer.write(batches.next().unwrap()).unwrap();
        }
        writer.close().unwrap();
        bytes += std::fs::metadata(path).unwrap().len();
    }
    bytes
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.push(path);
        }
    }
    found.sort();
}

/// Fails unless the objects hold the batches' rows.
fn check(folder: &Path, batches: &[RecordBatch]) -> usize {
    let mut found = Vec::new();
    files(folder, &mut found);
    let mut groups = 0;
    let mut expected = batches.iter().cycle();
    for path in found {
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        groups += builder.metadata().num_row_groups();
        for read in builder.with_batch_size(BATCH).build().unwrap() {
            let (read, expected) = (read.unwrap(), expected.next().unwrap());
            assert_eq!(read.columns(), expected.columns());
        }
    }
    groups
}

fn main() {
    let rows = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    assert_eq!(rows % OBJECT, 0, "whole objects");
    let distinct: Vec<Row> = (0..100_000).map(row).collect();
    let framed = rows::framed(&distinct);
    let batches: Vec<RecordBatch> = distinct.chunks(BATCH).map(batch).collect();
    drop(distinct);
    let folder = tempfile::tempdir().unwrap();
    let count = i64::try_from(rows).unwrap();
    let bucket = folder.path().join("objects");
    let ours = best(|| rows::sink(&bucket, "ParquetFormat", count, &framed));
    let arrow = best(|| peer(folder.path(), rows, &batches));
    let groups = check(&bucket, &batches);

    let rate = |(time, _): (Duration, u64)| rows as f64 / time.as_secs_f64() / 1e6;
    println!("{rows} rows, best of 3; {groups} row groups of ours, read back by arrow");
    for (name, measured) in [("Parquet, sink", ours), ("Parquet, arrow's writer", arrow)] {
        let (time, bytes) = measured;
        println!("{name:<24} {:>6.2} M rows/s {time:>9.0?} {:>5} MB", rate(measured), bytes >> 20);
    }
    println!("the sink beside arrow    {:>6.2} (goal 0.9)", rate(ours) / rate(arrow));
}
