//! The captures, and what their names say about them.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use pgoutput::{Decoder, ProtocolVersion, Streaming, replication::Frame};

/// One captured stream.
pub struct Capture {
    pub name: String,
    pub frames: Vec<Vec<u8>>,
    folder: PathBuf,
}

impl Capture {
    /// A decoder with the options the stream was started with.
    pub fn decoder(&self) -> Decoder {
        let (version, streaming) = self.options();
        Decoder::new(version).with_streaming(streaming)
    }

    /// Those options.
    pub fn options(&self) -> (ProtocolVersion, Streaming) {
        let version = match self.name.split('-').find_map(|part| part.strip_prefix('v')).unwrap() {
            "1" => ProtocolVersion::V1,
            "2" => ProtocolVersion::V2,
            "3" => ProtocolVersion::V3,
            "4" => ProtocolVersion::V4,
            other => panic!("version {other}"),
        };
        // All streams of version 4 were started with streaming=parallel where they stream.
        let streaming = match version {
            ProtocolVersion::V4 => Streaming::Parallel,
            _ => Streaming::On,
        };
        (version, streaming)
    }

    /// The pgoutput messages.
    pub fn messages(&self) -> Vec<&[u8]> {
        let message = |frame| match Frame::decode(frame).unwrap() {
            Frame::XLogData { data, .. } => Some(data),
            _ => None,
        };
        self.frames.iter().filter_map(|frame| message(frame)).collect()
    }

    /// The independent decode, a line for each frame.
    pub fn decoded(&self) -> Vec<serde_json::Value> {
        let text = String::from_utf8(read(&self.folder, &self.name, "jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The captures in the folder that `VECTORS_DIR` names, else those in `testdata`.
pub fn captures() -> Vec<Capture> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/captures");
    let folder = std::env::var_os("VECTORS_DIR").map_or(own, PathBuf::from);
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let name = name.strip_suffix(".gz").unwrap_or(&name);
            Some(name.strip_suffix(".cap")?.to_owned())
        })
        .collect();
    names.sort();
    assert!(!names.is_empty(), "no captures in {}", folder.display());
    names
        .into_iter()
        .map(|name| {
            let bytes = read(&folder, &name, "cap");
            let mut rest = &bytes[..];
            let mut frames = Vec::new();
            while let Some((length, after)) = rest.split_first_chunk::<4>() {
                let (frame, after) = after.split_at(u32::from_be_bytes(*length) as usize);
                frames.push(frame.to_vec());
                rest = after;
            }
            assert!(rest.is_empty());
            Capture { name, frames, folder: folder.clone() }
        })
        .collect()
}

fn read(folder: &Path, name: &str, extension: &str) -> Vec<u8> {
    let plain = folder.join(format!("{name}.{extension}"));
    if plain.is_file() {
        return fs::read(plain).unwrap();
    }
    let packed = fs::File::open(folder.join(format!("{name}.{extension}.gz"))).unwrap();
    let mut out = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut out).unwrap();
    out
}
