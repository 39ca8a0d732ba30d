//! Passwords that are not in the configuration: PostgreSQL documentation, libpq, "The Password
//! File".

use std::{env, fs, path::PathBuf};

pub(super) fn from_environment(
    host: &str,
    port: u16,
    database: &str,
    user: &str,
) -> Option<String> {
    if let Ok(password) = env::var("PGPASSWORD") {
        return Some(password);
    }
    let path = match env::var_os("PGPASSFILE") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env::var_os("HOME")?).join(".pgpass"),
    };
    let metadata = fs::metadata(&path).ok()?;
    // As libpq: a file that others may read is not used.
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0 {
        return None;
    }
    if !metadata.is_file() {
        return None;
    }
    find(&fs::read_to_string(path).ok()?, [host, &port.to_string(), database, user])
}

/// The password of the first line whose four fields fit.
fn find(file: &str, wanted: [&str; 4]) -> Option<String> {
    file.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut rest = line;
        for value in wanted {
            let (field, wildcard, after) = field(rest);
            if !wildcard && field != value {
                return None;
            }
            rest = after?;
        }
        Some(field(rest).0)
    })
}

/// One field without its escapes, whether it is a lone asterisk, and what follows its colon.
fn field(text: &str) -> (String, bool, Option<&str>) {
    let mut out = String::new();
    let mut chars = text.char_indices();
    let mut after = None;
    let mut length = text.len();
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => out.extend(chars.next().map(|(_, escaped)| escaped)),
            ':' => {
                after = Some(chars.as_str());
                length = at;
                break;
            }
            _ => out.push(char),
        }
    }
    let wildcard = out == "*" && length == 1;
    (out, wildcard, after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_line_that_fits() {
        let file = "# h:1:d:u:comment\n\
                    bad line\n\
                    h:1:d:u:first\n\
                    h:*:d:u:any port\n\
                    *:*:*:x\\:y:escaped \\\\ and \\: colon\n\
                    \\*:*:*:*:a host named asterisk\n";
        let wanted = |host, port, user| find(file, [host, port, "d", user]);
        assert_eq!(wanted("h", "1", "u").as_deref(), Some("first"));
        assert_eq!(wanted("h", "2", "u").as_deref(), Some("any port"));
        assert_eq!(wanted("other", "2", "x:y").as_deref(), Some("escaped \\ and : colon"));
        assert_eq!(wanted("*", "2", "z").as_deref(), Some("a host named asterisk"));
        assert_eq!(wanted("other", "2", "u"), None);
    }
}
