use std::{
    fs, io,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

/// Whether the server of this data folder, and no other, says in `postmaster.pid` that it is ready.
/// Another server may have won the race for the port and would answer in its place.
pub(super) fn says_ready(data_dir: &Path) -> bool {
    let Ok(text) = fs::read_to_string(data_dir.join("postmaster.pid")) else { return false };
    // Line 8 since PostgreSQL 10: "starting", "stopping", "ready" or "standby", padded.
    text.lines().nth(7).is_some_and(|status| status.trim_end() == "ready")
}

/// Whether a client's startup packet is answered by a request to authenticate, which a server that
/// is still starting refuses with an error.
pub(super) fn answers(port: u16) -> io::Result<bool> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let timeout = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.write_all(STARTUP)?;
    let mut tag = [0];
    stream.read_exact(&mut tag)?;
    Ok(tag == *b"R")
}

/// StartupMessage: length, protocol 3.0, parameters (PostgreSQL documentation, "Message Formats").
const STARTUP: &[u8] = b"\x00\x00\x00\x29\x00\x03\x00\x00user\0postgres\0database\0postgres\0\0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn startup_packet_states_its_own_length() {
        assert_eq!(u32::from_be_bytes(*STARTUP.first_chunk().unwrap()) as usize, STARTUP.len());
    }
}
