use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Config, Error, ErrorKind, account::everyone_can_reach, config::Fetch, fetch};

/// A folder of server programs that were asked for their version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) folder: PathBuf,
    pub(super) major: u32,
    /// As the server writes it, `16.4` or `18beta1`.
    pub(super) version: String,
}

impl Binaries {
    /// Finds the highest version that suits `config`, else fetches one. When `switching`, another
    /// account has to reach the programs.
    pub(super) fn find(config: &Config, switching: bool) -> Result<Self, Error> {
        let suits = |found: &Self| {
            config.version.is_none_or(|major| major == found.major)
                && (!switching || everyone_can_reach(&found.folder))
        };
        let highest = |folders: Vec<PathBuf>| {
            folders
                .iter()
                .filter_map(|folder| Self::in_folder(folder))
                .filter(suits)
                // Of equals the first counts: folders come in the order of preference.
                .reduce(|best, next| if next.major > best.major { next } else { best })
        };
        let missing = Error::new(ErrorKind::NotFound { version: config.version });
        // Who names a folder means that one, so that nothing is fetched either.
        let named = config.bin_dir.clone().or_else(|| env::var_os("PG_BIN").map(PathBuf::from));
        if let Some(folder) = named {
            return highest(vec![folder]).ok_or(missing);
        }
        // What is installed comes before what was fetched, even if that is newer: nobody asked.
        let here = highest(usual_folders()).or_else(|| highest(fetch::fetched(switching)));
        if let Some(found) = here {
            return Ok(found);
        }
        if config.fetch == Fetch::Never {
            return Err(missing);
        }
        match fetch::server(config.version, switching) {
            Ok(folder) => Self::in_folder(&folder).filter(suits).ok_or(missing),
            Err(log) => Err(missing.with_log(log)),
        }
    }

    /// The installation to take the program `name` from, which works with servers of its own major
    /// version and of older ones: this one, or else the oldest that suits.
    pub(super) fn having(&self, name: &str, switching: bool) -> Option<Self> {
        if self.folder.join(name).is_file() {
            return Some(self.clone());
        }
        usual_folders()
            .into_iter()
            .chain(fetch::fetched(switching))
            .filter(|folder| folder.join(name).is_file())
            .filter_map(|folder| Self::in_folder(&folder))
            .filter(|found| {
                found.major >= self.major && (!switching || everyone_can_reach(&found.folder))
            })
            .min_by_key(|found| found.major)
    }

    /// The programs in `folder`, if the two that are needed are there and run.
    pub(super) fn in_folder(folder: &Path) -> Option<Self> {
        let folder = fs::canonicalize(folder).ok()?;
        if !folder.join("initdb").is_file() {
            return None;
        }
        let mut command = Command::new(folder.join("postgres"));
        command.arg("--version");
        if let Some(library) = library_path(&folder) {
            command.env("LD_LIBRARY_PATH", library);
        }
        let output = command.output().ok().filter(|output| output.status.success())?;
        let (major, version) = parse_version(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { folder, major, version })
    }

    /// The libraries that were shipped with the programs. Those of a distribution are found by the
    /// system's loader, and naming them would only hide newer ones.
    pub(super) fn library_path(&self) -> Option<PathBuf> {
        library_path(&self.folder)
    }
}

fn library_path(folder: &Path) -> Option<PathBuf> {
    let library = folder.parent()?.join("lib");
    library.join("libpq.so.5").is_file().then_some(library)
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn parse_version(line: &str) -> Option<(u32, String)> {
    let (_, rest) = line.split_once("(PostgreSQL) ")?;
    let version = rest.split_whitespace().next()?;
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    Some((version.get(..digits)?.parse().ok()?, version.to_owned()))
}

/// Where distributions and the usual package managers put the server.
fn usual_folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    // Debian, Red Hat's PGDG packages, Alpine, Gentoo, and Homebrew on both of its prefixes.
    for (parent, prefix, tail) in [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/usr/libexec", "postgresql", ""),
        ("/usr/lib64", "postgresql-", "bin"),
        ("/opt/homebrew/opt", "postgresql", "bin"),
        ("/usr/local/opt", "postgresql", "bin"),
        ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ] {
        let Ok(entries) = fs::read_dir(parent) else { continue };
        folders.extend(
            entries
                .flatten()
                .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
                .map(|entry| entry.path().join(tail)),
        );
    }
    folders.extend(["/usr/local/pgsql/bin", "/usr/local/bin", "/usr/bin"].map(PathBuf::from));
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        folders.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()));
    }
    // Debian's wrappers on PATH are links to a script; the real programs have `initdb` beside them.
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).filter_map(|folder| {
        let program = fs::canonicalize(folder.join("postgres")).ok()?;
        (program.file_name() == Some(OsStr::new("postgres")))
            .then(|| program.parent().map(Path::to_owned))?
    });
    folders.extend(on_path);
    let mut seen = std::collections::HashSet::new();
    folders.retain(|folder| {
        folder.join("postgres").is_file()
            && fs::canonicalize(folder).is_ok_and(|folder| seen.insert(folder))
    });
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_releases_and_betas() {
        for (line, expected) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some((15, "15.18"))),
            ("postgres (PostgreSQL) 18beta1\n", Some((18, "18beta1"))),
            ("postgres (PostgreSQL) 9.6.24\n", Some((9, "9.6.24"))),
            ("postgres (PostgreSQL) next\n", None),
            ("initdb 15\n", None),
        ] {
            let expected = expected.map(|(major, text)| (major, text.to_owned()));
            assert_eq!(parse_version(line), expected, "{line}");
        }
    }
}
