//! Targets of the embedded broker.

use embedded_services::broker::decode_request;

/// A request, as it follows its length on the wire.
pub fn request(data: &[u8]) {
    let decoded = decode_request(data);
    assert_eq!(decoded, decode_request(data));
    match decoded {
        // The first four bytes say what it is, and only a request to produce has batches.
        Ok(request) => {
            let (key, version) = (request.key.to_be_bytes(), request.version.to_be_bytes());
            assert_eq!(data[..4], [key[0], key[1], version[0], version[1]]);
            assert!(request.batches == 0 || request.key == 0);
        }
        Err(error) => drop(error.to_string()),
    }
}
