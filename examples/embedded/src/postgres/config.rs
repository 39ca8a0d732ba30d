use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Error, ErrorKind};

/// What kind of cluster to make. The default listens on a free port of 127.0.0.1, trusts everybody
/// there and has `wal_level=logical`.
#[derive(Clone)]
#[must_use]
pub struct Config {
    pub(super) settings: Vec<(String, String)>,
    pub(super) version: Option<u32>,
    pub(super) bin_dir: Option<PathBuf>,
    pub(super) password: Option<String>,
    pub(super) fetch: Fetch,
    pub(super) timeout: Duration,
    #[cfg(feature = "postgres-tls")]
    pub(super) ssl: bool,
}

/// Whether a server that is not installed may be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetch {
    WhenMissing,
    Never,
}

impl Config {
    /// The default cluster.
    pub const fn new() -> Self {
        Self {
            settings: Vec::new(),
            version: None,
            bin_dir: None,
            password: None,
            fetch: Fetch::WhenMissing,
            timeout: Duration::from_secs(60),
            #[cfg(feature = "postgres-tls")]
            ssl: false,
        }
    }

    /// Adds a line to `postgresql.conf`, over whatever this module would have set. The last one of
    /// a name counts.
    pub fn with_setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes only a server of this major version (`16`). Without it the highest one found is used.
    pub const fn with_version(mut self, major: u32) -> Self {
        self.version = Some(major);
        self
    }

    /// Takes the programs in this folder and looks nowhere else, as the variable `PG_BIN` does.
    pub fn with_bin_dir(mut self, folder: &Path) -> Self {
        self.bin_dir = Some(folder.to_owned());
        self
    }

    /// Makes the user `postgres` prove this password by SCRAM-SHA-256 instead of trusting it.
    pub fn with_password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Turns TLS on, with a certificate for `localhost` and 127.0.0.1 that is signed by an
    /// authority made for this cluster, see [`Postgres::ca_path`](super::Postgres::ca_path).
    /// Connections without TLS are taken too; who must insist sets `sslmode` on their side.
    #[cfg(feature = "postgres-tls")]
    pub const fn with_ssl(mut self) -> Self {
        self.ssl = true;
        self
    }

    /// Never fetches a server: what is neither installed nor fetched already is an error.
    pub const fn without_fetch(mut self) -> Self {
        self.fetch = Fetch::Never;
        self
    }

    /// How long the server may take until it accepts connections, 60 seconds if not given.
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The text to append to the `postgresql.conf` of a new cluster.
    pub(super) fn conf(&self) -> Result<String, Error> {
        self.conf_over(&DEFAULTS)
    }

    /// The text to append to `postgresql.conf`: the caller's settings after `ours`.
    pub(super) fn conf_over(&self, ours: &[(&str, &str)]) -> Result<String, Error> {
        let mut text = String::from("\n# Added for a throwaway cluster.\n");
        let ours = ours.iter().copied();
        let theirs = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in ours.chain(theirs) {
            let named = !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
            if !named || value.contains(['\n', '\r', '\0']) {
                return Err(Error::new(ErrorKind::InvalidSetting { name: name.to_owned() }));
            }
            text.push_str(name);
            text.push_str(" = '");
            for character in value.chars() {
                // Inside quotes the server reads '' as a quote and knows backslash escapes.
                if matches!(character, '\'' | '\\') {
                    text.push(character);
                }
                text.push(character);
            }
            text.push_str("'\n");
        }
        Ok(text)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

/// Does not show the password.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("settings", &self.settings)
            .field("version", &self.version)
            .field("bin_dir", &self.bin_dir)
            .field("password", &self.password.as_ref().map(|_| "..."))
            .field("fetch", &self.fetch)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// No socket folder is named because the distribution's default one need not exist. `fsync` is off
/// because nobody reads this cluster after a power cut.
const DEFAULTS: [(&str, &str); 8] = [
    ("listen_addresses", "127.0.0.1"),
    ("unix_socket_directories", ""),
    ("wal_level", "logical"),
    ("max_wal_senders", "16"),
    ("max_replication_slots", "16"),
    ("max_prepared_transactions", "16"),
    ("fsync", "off"),
    ("logging_collector", "off"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted() {
        let conf = Config::new().with_setting("a.b", r"it's \ here").conf().unwrap();
        assert!(conf.ends_with("a.b = 'it''s \\\\ here'\n"), "{conf}");
    }

    #[test]
    fn what_would_break_the_file_is_refused() {
        for (name, value) in [("", "1"), ("a b", "1"), ("a=b", "1"), ("a", "1\nfsync = on")] {
            let error = Config::new().with_setting(name, value).conf().unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::InvalidSetting { name: name.to_owned() });
        }
    }

    #[test]
    fn debug_hides_the_password() {
        let text = format!("{:?}", Config::new().with_password("open sesame"));
        assert!(!text.contains("sesame"), "{text}");
    }
}
