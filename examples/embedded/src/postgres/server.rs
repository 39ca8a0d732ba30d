#[cfg(feature = "postgres-tls")]
use std::path::PathBuf;
use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::Write,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{
    Config, Error, ErrorKind, binaries::Binaries, home::Home, ready, supervisor::Supervised,
};

/// A running cluster of its own. Dropping it stops the server and removes its folder.
#[derive(Debug)]
pub struct Postgres {
    // Dropped in this order: the server must be gone before its folder goes.
    pub(super) server: Option<Supervised>,
    pub(super) home: Home,
    pub(super) binaries: Binaries,
    pub(super) port: u16,
    pub(super) password: Option<String>,
    pub(super) timeout: Duration,
    /// On a standby, the slot that its primary keeps for it.
    pub(super) primary_slot: Option<String>,
    #[cfg(feature = "postgres-tls")]
    pub(super) ca: Option<PathBuf>,
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
        let mut postgres = Self::new(home, binaries, config.password, config.timeout);
        postgres.make_cluster()?;
        postgres.append_conf(&conf)?;
        #[cfg(feature = "postgres-tls")]
        if config.ssl {
            postgres.turn_tls_on()?;
        }
        postgres.launch_on_a_free_port()?;
        Ok(postgres)
    }

    /// A cluster with nothing in its folder yet.
    pub(super) const fn new(
        home: Home,
        binaries: Binaries,
        password: Option<String>,
        timeout: Duration,
    ) -> Self {
        Self {
            server: None,
            home,
            binaries,
            port: 0,
            password,
            timeout,
            primary_slot: None,
            #[cfg(feature = "postgres-tls")]
            ca: None,
        }
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
                // The port was ours a moment ago; what holds it now is a passing connection. And
                // the children of a killed server need a moment to notice.
                Err((error, true)) if Instant::now() < deadline => {
                    drop(error);
                    thread::sleep(Duration::from_millis(50));
                }
                Err((error, _)) => return Err(error),
                Ok(()) => return Ok(()),
            }
        }
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

    pub(super) fn append_conf(&self, text: &str) -> Result<(), Error> {
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

    pub(super) fn launch_on_a_free_port(&mut self) -> Result<(), Error> {
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

    /// Starts the server and waits for it. An error says whether it may pass: that the port was
    /// taken, or that processes of the server before this one are still there.
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
                let passing = ["could not bind", "pre-existing shared memory block"];
                let may_pass = passing.iter().any(|reason| log.contains(reason));
                return Err((Error::new(ErrorKind::Exited).with_log(log), may_pass));
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
    pub(super) fn halt(&mut self, signal: &str) -> Result<(), Error> {
        let Some(server) = self.server.as_mut() else { return Ok(()) };
        // It may have ended by itself, and then nobody reads the pipe. One that is paused would not
        // act on a signal.
        let _ = server.signal("CONT");
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
        self.run_from(&self.binaries, program, arguments)
    }

    pub(super) fn run_from(
        &self,
        binaries: &Binaries,
        program: &str,
        arguments: &[&str],
    ) -> Result<Supervised, Error> {
        Supervised::spawn(
            &binaries.folder.join(program),
            arguments,
            self.home.folder.path(),
            binaries.library_path().as_deref(),
            self.home.account,
            &self.home.log,
        )
        .map_err(Error::io("starting a server program"))
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

pub(super) const STOP_TIMEOUT: Duration = Duration::from_secs(15);
