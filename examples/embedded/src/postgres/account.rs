use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

/// The account that the server runs as when we are root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// `postgres` if the machine has it, else `nobody`.
    pub(super) fn unprivileged() -> Option<Self> {
        let passwd = fs::read_to_string("/etc/passwd").ok()?;
        ["postgres", "nobody"].iter().find_map(|name| Self::named(&passwd, name))
    }

    /// Finds `name:password:uid:gid:...`; root under another name does not count.
    fn named(passwd: &str, name: &str) -> Option<Self> {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            if fields.next()? != name {
                return None;
            }
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            (uid != 0).then_some(Self { uid, gid })
        })
    }
}

/// Whether this process may act as anybody, told by whom a folder it has just made belongs to.
pub(super) fn owned_by_root(made_by_us: &Path) -> bool {
    fs::metadata(made_by_us).is_ok_and(|metadata| metadata.uid() == 0)
}

/// Whether every account can walk down to `path`, which an account we switch to must be able to.
pub(super) fn everyone_can_reach(path: &Path) -> bool {
    path.ancestors().all(|folder| {
        fs::metadata(folder).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_is_found_by_its_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n\
                      postgresql:x:7:8::/:/bin/false\n\
                      postgres:x:101:104:administrator,,,:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(Account::named(passwd, "postgres"), Some(Account { uid: 101, gid: 104 }));
        assert_eq!(Account::named(passwd, "nobody"), None);
        assert_eq!(Account::named(passwd, "root"), None, "never root under its own name");
    }

    #[test]
    fn damaged_lines_are_passed_over() {
        let passwd = "postgres\npostgres:x:many:1\npostgres:x:5:6\n";
        assert_eq!(Account::named(passwd, "postgres"), Some(Account { uid: 5, gid: 6 }));
    }
}
