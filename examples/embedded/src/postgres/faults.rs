use std::{
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

    /// Kills the server's first process (SIGKILL) and leaves it down. The others find themselves
    /// alone and end, each when it next waits for something; connections may outlive this call by
    /// that much. The next [`restart`](Self::restart) waits for them and recovers.
    ///
    /// # Errors
    /// [`ErrorKind::NotStopped`] or [`ErrorKind::Io`].
    pub fn kill(&mut self) -> Result<(), Error> {
        self.halt("KILL")
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
