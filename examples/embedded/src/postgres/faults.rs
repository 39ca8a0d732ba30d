use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::{Error, ErrorKind, Postgres, server::STOP_TIMEOUT, supervisor::PAUSED};

impl Postgres {
    /// Ends the server at once without a checkpoint (SIGQUIT), as after a crash, and leaves it
    /// down. The next [`restart`](Self::restart) recovers from the write-ahead log.
    ///
    /// # Errors
    /// [`ErrorKind::NotStopped`] or [`ErrorKind::Io`].
    pub fn crash(&mut self) -> Result<(), Error> {
        self.halt("QUIT")
    }

    /// Kills the server's first process (SIGKILL) and leaves it down. Returns when the others have
    /// found themselves alone and ended, each when it next waits for something. The next
    /// [`restart`](Self::restart) recovers from the write-ahead log. Needs the program `ps`.
    ///
    /// # Errors
    /// [`ErrorKind::NotStopped`] or [`ErrorKind::Io`].
    pub fn kill(&mut self) -> Result<(), Error> {
        let children = self.children()?;
        self.halt("KILL")?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while processes()?.iter().any(|(_, process)| children.contains(process)) {
            if Instant::now() >= deadline {
                return Err(Error::new(ErrorKind::NotStopped { after: STOP_TIMEOUT }));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Stops every process of the server where it is (SIGSTOP). Its sockets stay: clients connect
    /// and write, and nothing answers. Needs the program `ps`. Stopping the server ends the pause.
    ///
    /// # Errors
    /// [`ErrorKind::Down`] when it does not run, else [`ErrorKind::Io`].
    pub fn pause(&mut self) -> Result<(), Error> {
        self.signal_all("STOP", true)
    }

    /// Lets a paused server go on (SIGCONT).
    ///
    /// # Errors
    /// [`ErrorKind::Down`] when it does not run, else [`ErrorKind::Io`].
    pub fn resume(&mut self) -> Result<(), Error> {
        self.signal_all("CONT", false)
    }

    /// The processes that the server's first one has started.
    fn children(&self) -> Result<Vec<u32>, Error> {
        if self.server.is_none() {
            return Ok(Vec::new());
        }
        let first = fs::read_to_string(self.home.data.join("postmaster.pid"))
            .map_err(Error::io("reading postmaster.pid"))?;
        let first = first.lines().next().and_then(|line| line.trim().parse().ok());
        let children = processes()?.into_iter().filter(|(parent, _)| Some(*parent) == first);
        Ok(children.map(|(_, process)| process).collect())
    }

    fn signal_all(&mut self, signal: &str, paused: bool) -> Result<(), Error> {
        let failed = || Error::io("pausing or resuming the server");
        let server = self.server.as_mut().ok_or_else(|| Error::new(ErrorKind::Down))?;
        if server.ended().map_err(failed())?.is_some() {
            return Err(Error::new(ErrorKind::Down));
        }
        server.signal(signal).map_err(failed())?;
        let mark = self.home.folder.path().join(PAUSED);
        let deadline = Instant::now() + STOP_TIMEOUT;
        while mark.exists() != paused {
            if Instant::now() >= deadline {
                return Err(failed()(std::io::ErrorKind::TimedOut.into()));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// Parent and number of every process.
fn processes() -> Result<Vec<(u32, u32)>, Error> {
    let output = Command::new("ps")
        .args(["-A", "-o", "ppid=", "-o", "pid="])
        .output()
        .map_err(Error::io("listing the processes"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let pair = |line: &str| {
        let (parent, process) = line.trim().split_once(' ')?;
        Some((parent.parse().ok()?, process.trim().parse().ok()?))
    };
    Ok(text.lines().filter_map(pair).collect())
}
