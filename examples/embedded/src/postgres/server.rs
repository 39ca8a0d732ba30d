use std::{
    env,
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::{OpenOptionsExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    Config, Error, ErrorKind,
    account::{Account, everyone_can_reach, owned_by_root},
    binaries::Binaries,
    ready,
    supervisor::Supervised,
};

/// A running cluster of its own. Dropping it stops the server and removes its folder.
#[derive(Debug)]
pub struct Postgres {
    // Dropped in this order: the server must be gone before its folder goes.
    server: Option<Supervised>,
    home: Home,
    binaries: Binaries,
    port: u16,
    password: Option<String>,
    timeout: Duration,
    #[cfg(feature = "postgres-tls")]
    ca: Option<PathBuf>,
}

impl Postgres {
    /// Makes a cluster and waits until it accepts connections, about a second on an idle machine.
    /// Blocks: from async code, call it where blocking is allowed.
    ///
    /// The database `postgres` and the superuser `postgres` exist.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when no server is installed and none can be fetched;
    /// [`ErrorKind::InvalidSetting`] for a setting that cannot be written; [`ErrorKind::Initdb`],
    /// [`ErrorKind::Exited`] and [`ErrorKind::NotReady`] when the server does not come up, with the
    /// end of what it wrote in [`Error::log`]; else [`ErrorKind::NoAccount`],
    /// [`ErrorKind::Certificate`] and [`ErrorKind::Io`].
    pub fn start(config: Config) -> Result<Self, Error> {
        let conf = config.conf()?;
        let home = Home::make()?;
        let binaries = Binaries::find(&config, home.account.is_some())?;
        let mut postgres = Self {
            server: None,
            home,
            binaries,
            port: 0,
            password: config.password,
            timeout: config.timeout,
            #[cfg(feature = "postgres-tls")]
            ca: None,
        };
        postgres.make_cluster()?;
        postgres.append_conf(&conf)?;
        #[cfg(feature = "postgres-tls")]
        if config.ssl {
            postgres.turn_tls_on()?;
        }
        postgres.launch_on_a_free_port()?;
        Ok(postgres)
    }

    /// Where clients connect to the database `db`:
    /// `postgresql://postgres@127.0.0.1:40123/postgres`, with the password if there is one.
    #[must_use]
    pub fn url(&self, db: &str) -> String {
        let mut url = String::from("postgresql://postgres");
        if let Some(password) = &self.password {
            url.push(':');
            percent_encode(password, &mut url);
        }
        // Writing to a String cannot fail.
        let _ = write!(url, "@{}:{}/", Ipv4Addr::LOCALHOST, self.port);
        percent_encode(db, &mut url);
        url
    }

    /// The port on 127.0.0.1. A restart keeps it.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the server's programs, where most installations have `psql` too.
    #[must_use]
    pub fn bin_dir(&self) -> &Path {
        &self.binaries.folder
    }

    /// The cluster's data folder.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.home.data
    }

    /// The major version, such as 16.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.binaries.major
    }

    /// The version as the server writes it, such as `16.4`.
    #[must_use]
    pub fn version_text(&self) -> &str {
        &self.binaries.version
    }

    /// The certificate, in PEM, of the authority that signed the server's, if
    /// [`Config::with_ssl`] was used.
    #[cfg(feature = "postgres-tls")]
    #[must_use]
    pub fn ca_path(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// The end of the server's log, at most 16 KiB.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.home.log_since(0)
    }

    /// Stops the server in good order if it runs, and starts it again on the same port.
    ///
    /// # Errors
    /// [`ErrorKind::NotStopped`], [`ErrorKind::Exited`], [`ErrorKind::NotReady`] or
    /// [`ErrorKind::Io`]. The cluster is then stopped; calling this again is allowed.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.halt("INT")?;
        let deadline = Instant::now() + self.timeout;
        loop {
            match self.launch() {
                // The port was ours a moment ago; what holds it now is a passing connection.
                Err((error, true)) if Instant::now() < deadline => {
                    drop(error);
                    thread::sleep(Duration::from_millis(50));
                }
                Err((error, _)) => return Err(error),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Ends the server at once without a checkpoint, as after a crash, and leaves it down. The
    /// next [`restart`](Self::restart) recovers from the write-ahead log.
    ///
    /// # Errors
    /// [`ErrorKind::NotStopped`] or [`ErrorKind::Io`].
    pub fn crash(&mut self) -> Result<(), Error> {
        self.halt("QUIT")
    }

    /// Stops the server and removes its folder, as dropping does, but tells of failure.
    ///
    /// # Errors
    /// [`ErrorKind::NotStopped`] or [`ErrorKind::Io`]; dropping has then been tried as well.
    pub fn stop(mut self) -> Result<(), Error> {
        self.halt("INT")?;
        drop(self.server.take());
        self.home.remove()
    }

    fn make_cluster(&self) -> Result<(), Error> {
        let data = self.home.data.to_string_lossy();
        let password_file = self.home.folder.path().join("password");
        let password_argument = format!("--pwfile={}", password_file.display());
        let mut arguments = vec!["-D", &*data, "-U", "postgres", "-E", "UTF8"];
        arguments.extend(["--no-locale", "--no-sync"]);
        if let Some(password) = &self.password {
            self.home.write(&password_file, password, 0o600)?;
            arguments.extend(["-A", "scram-sha-256", &password_argument]);
        } else {
            arguments.extend(["-A", "trust"]);
        }
        let mut initdb = self.run("initdb", &arguments)?;
        let status = initdb.wait(self.timeout).map_err(Error::io("waiting for initdb"))?;
        if self.password.is_some() {
            fs::remove_file(&password_file).map_err(Error::io("removing the password file"))?;
        }
        match status {
            Some(status) if status.success() => {
                // The shell that ran it removes the folder when told to go before the program has
                // ended, which is not the case any more.
                drop(initdb);
                Ok(())
            }
            _ => Err(Error::new(ErrorKind::Initdb).with_log(self.log_tail())),
        }
    }

    fn append_conf(&self, text: &str) -> Result<(), Error> {
        OpenOptions::new()
            .append(true)
            .open(self.home.data.join("postgresql.conf"))
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(Error::io("writing postgresql.conf"))
    }

    #[cfg(feature = "postgres-tls")]
    fn turn_tls_on(&mut self) -> Result<(), Error> {
        let made = super::tls::Certificates::make()?;
        let ca = self.home.folder.path().join("ca.pem");
        self.home.write(&ca, &made.authority, 0o644)?;
        self.home.write(&self.home.data.join("server.crt"), &made.server, 0o644)?;
        self.home.write(&self.home.data.join("server.key"), &made.key, 0o600)?;
        self.append_conf("ssl = on\n")?;
        self.ca = Some(ca);
        Ok(())
    }

    fn launch_on_a_free_port(&mut self) -> Result<(), Error> {
        let mut attempts = 10;
        loop {
            self.port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .and_then(|listener| listener.local_addr())
                .map_err(Error::io("finding a free port"))?
                .port();
            attempts -= 1;
            match self.launch() {
                // Somebody else took the port between our looking and the server's binding.
                Err((_, true)) if attempts > 0 => {}
                Err((error, _)) => return Err(error),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Starts the server and waits for it. An error says whether the port was taken.
    fn launch(&mut self) -> Result<(), (Error, bool)> {
        let log_start = self.home.log_len();
        let port = self.port.to_string();
        let data = self.home.data.to_string_lossy();
        let mut server =
            self.run("postgres", &["-D", &data, "-p", &port]).map_err(|error| (error, false))?;
        let deadline = Instant::now() + self.timeout;
        loop {
            let ended = server
                .ended()
                .map_err(Error::io("waiting for the server"))
                .map_err(|error| (error, false))?;
            if ended.is_some() {
                let log = self.home.log_since(log_start);
                let port_taken = log.contains("could not bind");
                return Err((Error::new(ErrorKind::Exited).with_log(log), port_taken));
            }
            if ready::says_ready(&self.home.data) && ready::answers(self.port).unwrap_or(false) {
                self.server = Some(server);
                return Ok(());
            }
            if Instant::now() >= deadline {
                let log = self.home.log_since(log_start);
                // Its folder is still needed if the caller looks at it, so end it by signal and
                // not by closing the pipe.
                let _ = server.signal("KILL");
                let _ = server.wait(STOP_TIMEOUT);
                let kind = ErrorKind::NotReady { after: self.timeout };
                return Err((Error::new(kind).with_log(log), false));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends a running server by a signal and keeps the folder.
    fn halt(&mut self, signal: &str) -> Result<(), Error> {
        let Some(server) = self.server.as_mut() else { return Ok(()) };
        // It may have ended by itself, and then nobody reads the pipe.
        let _ = server.signal(signal);
        let mut ended = server.wait(STOP_TIMEOUT).map_err(Error::io("waiting for the server"))?;
        if ended.is_none() {
            let _ = server.signal("KILL");
            ended = server.wait(STOP_TIMEOUT).map_err(Error::io("waiting for the server"))?;
        }
        if ended.is_none() {
            return Err(Error::new(ErrorKind::NotStopped { after: STOP_TIMEOUT }));
        }
        self.server = None;
        Ok(())
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<Supervised, Error> {
        Supervised::spawn(
            &self.binaries.folder.join(program),
            arguments,
            self.home.folder.path(),
            self.binaries.library_path().as_deref(),
            self.home.account,
            &self.home.log,
        )
        .map_err(Error::io("starting a server program"))
    }
}

/// The folder of one cluster: `data`, `log`, and the certificate of the authority.
#[derive(Debug)]
struct Home {
    folder: TempDir,
    data: PathBuf,
    log: File,
    account: Option<Account>,
}

impl Home {
    fn make() -> Result<Self, Error> {
        let io = Error::io;
        let usual = env::temp_dir();
        let mut folder = Self::make_in(&usual).map_err(io("making a temporary folder"))?;
        let account = if owned_by_root(folder.path()) {
            if !everyone_can_reach(&usual) {
                folder = Self::make_in(Path::new("/tmp")).map_err(io("making a folder in /tmp"))?;
            }
            let account =
                Account::unprivileged().ok_or_else(|| Error::new(ErrorKind::NoAccount))?;
            chown(folder.path(), Some(account.uid), Some(account.gid))
                .map_err(io("giving the folder to the server's account"))?;
            Some(account)
        } else {
            None
        };
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .open(folder.path().join(LOG))
            .map_err(io("making the log"))?;
        let data = folder.path().join("data");
        Ok(Self { folder, data, log, account })
    }

    fn make_in(parent: &Path) -> io::Result<TempDir> {
        // The server's account must be able to walk in, and clients to read the certificate.
        tempfile::Builder::new()
            .prefix("pg-cdc-postgres-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(parent)
    }

    /// Writes a file that the server can read.
    fn write(&self, path: &Path, text: &str, mode: u32) -> Result<(), Error> {
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        let owned = written.and_then(|()| match self.account {
            Some(Account { uid, gid }) => chown(path, Some(uid), Some(gid)),
            None => Ok(()),
        });
        owned.map_err(Error::io("writing a file for the server"))
    }

    fn log_len(&self) -> u64 {
        self.log.metadata().map_or(0, |metadata| metadata.len())
    }

    /// The log from `start`, or its last 16 KiB if that is less.
    fn log_since(&self, start: u64) -> String {
        let start = start.max(self.log_len().saturating_sub(16 << 10));
        let mut text = Vec::new();
        let read = File::open(self.folder.path().join(LOG)).and_then(|mut file| {
            file.seek(SeekFrom::Start(start))?;
            file.take(16 << 10).read_to_end(&mut text)
        });
        read.map_or_else(|_| String::new(), |_| String::from_utf8_lossy(&text).into_owned())
    }

    fn remove(self) -> Result<(), Error> {
        match self.folder.close() {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("removing the cluster's folder")(error))
            }
            _ => Ok(()),
        }
    }
}

fn percent_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

const LOG: &str = "log";
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
