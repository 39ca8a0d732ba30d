use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{
    Error, ErrorKind,
    account::{Account, everyone_can_reach, owned_by_root},
};

/// The folder of one cluster: `data`, `log`, and the certificate of the authority.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) folder: TempDir,
    pub(super) data: PathBuf,
    pub(super) log: File,
    pub(super) account: Option<Account>,
}

impl Home {
    pub(super) fn make() -> Result<Self, Error> {
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
    pub(super) fn write(&self, path: &Path, text: &str, mode: u32) -> Result<(), Error> {
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

    pub(super) fn log_len(&self) -> u64 {
        self.log.metadata().map_or(0, |metadata| metadata.len())
    }

    /// The log from `start`, or its last 16 KiB if that is less.
    pub(super) fn log_since(&self, start: u64) -> String {
        let start = start.max(self.log_len().saturating_sub(16 << 10));
        let mut text = Vec::new();
        let read = File::open(self.folder.path().join(LOG)).and_then(|mut file| {
            file.seek(SeekFrom::Start(start))?;
            file.take(16 << 10).read_to_end(&mut text)
        });
        read.map_or_else(|_| String::new(), |_| String::from_utf8_lossy(&text).into_owned())
    }

    pub(super) fn remove(self) -> Result<(), Error> {
        match self.folder.close() {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("removing the cluster's folder")(error))
            }
            _ => Ok(()),
        }
    }
}

const LOG: &str = "log";
