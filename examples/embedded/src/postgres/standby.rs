use std::{
    fs,
    net::Ipv4Addr,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{Config, Error, ErrorKind, Postgres, home::Home};

impl Postgres {
    /// Makes a standby that streams from this server through a physical slot of its own, and waits
    /// until it accepts (read-only) connections.
    ///
    /// Of `config` the settings and the timeout count, over those of this server; version,
    /// programs, password and TLS are this server's. The standby sends feedback, so that slots
    /// made on it hold. From version 17 on it also copies every logical slot of this server that
    /// was made with `failover`. The slot stays when the standby is dropped and then holds back
    /// this server's write-ahead log.
    ///
    /// # Errors
    /// [`ErrorKind::NoProgram`] where there is no `pg_basebackup`, which some packages lack;
    /// [`ErrorKind::Backup`]; [`ErrorKind::Down`] when this server does not run; else as
    /// [`start`](Self::start).
    pub fn standby(&self, config: Config) -> Result<Self, Error> {
        if self.server.is_none() {
            return Err(Error::new(ErrorKind::Down));
        }
        let home = Home::make()?;
        let program = "pg_basebackup";
        let tools = self.binaries.having(program, home.account.is_some()).ok_or_else(|| {
            Error::new(ErrorKind::NoProgram { name: program, version: self.binaries.major })
        })?;
        let slot = format!("standby_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let password = self.password.clone();
        let mut standby = Self::new(home, self.binaries.clone(), password, config.timeout);

        let mut primary = format!(
            "host={} port={} user=postgres dbname=postgres application_name={slot}",
            Ipv4Addr::LOCALHOST,
            self.port
        );
        if let Some(password) = &standby.password {
            // In a file, because everybody sees the arguments of a program.
            let path = standby.home.folder.path().join("passwords");
            let escaped = password.replace('\\', "\\\\").replace(':', "\\:");
            standby.home.write(&path, &format!("*:*:*:postgres:{escaped}\n"), 0o600)?;
            let path = path.to_string_lossy().replace('\\', "\\\\").replace('\'', "\\'");
            primary.push_str(&format!(" passfile='{path}'"));
        }
        let data = standby.home.data.to_string_lossy().into_owned();
        let arguments = ["-D", &data, "-d", &primary, "-X", "stream", "-c", "fast", "--no-sync"];
        let arguments = [&arguments[..], &["--create-slot", "--slot", &slot]].concat();
        let mut backup = standby.run_from(&tools, program, &arguments)?;
        match backup.wait(standby.timeout).map_err(Error::io("waiting for pg_basebackup"))? {
            Some(status) if status.success() => drop(backup),
            _ => return Err(Error::new(ErrorKind::Backup).with_log(standby.log_tail())),
        }

        let mut settings = vec![
            ("primary_conninfo", primary.as_str()),
            ("primary_slot_name", &slot),
            ("hot_standby_feedback", "on"),
            ("wal_receiver_status_interval", "1s"),
        ];
        if standby.binaries.major >= 17 {
            settings.push(("sync_replication_slots", "on"));
        }
        standby.append_conf(&config.conf_over(&settings)?)?;
        standby.home.write(&standby.home.data.join(SIGNAL), "", 0o600)?;
        #[cfg(feature = "postgres-tls")]
        if let Some(ca) = &self.ca {
            let text = fs::read_to_string(ca).map_err(Error::io("reading the certificate"))?;
            let copy = standby.home.folder.path().join("ca.pem");
            standby.home.write(&copy, &text, 0o644)?;
            standby.ca = Some(copy);
        }
        standby.primary_slot = Some(slot);
        standby.launch_on_a_free_port()?;
        Ok(standby)
    }

    /// On a standby, the name of the physical slot that its primary keeps for it, as
    /// `synchronized_standby_slots` (17 and newer) wants it; it stays after a promotion.
    #[must_use]
    pub fn primary_slot(&self) -> Option<&str> {
        self.primary_slot.as_deref()
    }

    /// Makes a standby a primary and waits until it takes writes. Its former primary is left alone.
    ///
    /// # Errors
    /// [`ErrorKind::NotStandby`]; [`ErrorKind::Down`] when it does not run;
    /// [`ErrorKind::NotReady`] when it takes too long, or [`ErrorKind::Io`].
    pub fn promote(&mut self) -> Result<(), Error> {
        let failed = || Error::io("promoting the server");
        let data = self.home.data.clone();
        if !data.join(SIGNAL).exists() {
            return Err(Error::new(ErrorKind::NotStandby));
        }
        let server = self.server.as_mut().ok_or_else(|| Error::new(ErrorKind::Down))?;
        // What `pg_ctl promote` does: a file, then a signal to look for it.
        self.home.write(&data.join("promote"), "", 0o600)?;
        server.signal("USR1").map_err(failed())?;
        let deadline = Instant::now() + self.timeout;
        while !in_production(&data).map_err(failed())? {
            if server.ended().map_err(failed())?.is_some() {
                return Err(Error::new(ErrorKind::Exited).with_log(self.log_tail()));
            }
            if Instant::now() >= deadline {
                let kind = ErrorKind::NotReady { after: self.timeout };
                return Err(Error::new(kind).with_log(self.log_tail()));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// Whether the control file has the state `DB_IN_PRODUCTION`, as `pg_ctl promote` asks: the
/// system's identifier, two versions of 32 bits, then the state (`pg_control.h`, unchanged since
/// 9.3).
fn in_production(data: &Path) -> std::io::Result<bool> {
    const DB_IN_PRODUCTION: [u8; 4] = 6_u32.to_ne_bytes();
    let control = fs::read(data.join("global/pg_control"))?;
    Ok(control.get(16..20) == Some(&DB_IN_PRODUCTION))
}

const SIGNAL: &str = "standby.signal";

/// Tells the standbys of one server apart.
static NEXT: AtomicU32 = AtomicU32::new(1);
