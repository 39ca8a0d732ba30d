use std::{
    fmt,
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use super::{
    error::{Error, ErrorKind},
    passfile,
};

/// Where to connect to, as whom, and how far to trust the network.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    hosts: Vec<Host>,
    target: TargetSessionAttrs,
    user: String,
    password: Option<String>,
    database: Option<String>,
    ssl_mode: SslMode,
    ssl_root_cert: Option<PathBuf>,
    ssl_cert: Option<PathBuf>,
    ssl_key: Option<PathBuf>,
    password_source: Option<PasswordSource>,
    connect_timeout: Duration,
    application_name: String,
    options: Option<String>,
}

/// One server to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) port: u16,
}

impl Host {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), port: 5432 }
    }

    /// The socket in a folder, if the name is one's.
    pub(super) fn socket_path(&self) -> Option<PathBuf> {
        let folder = self.name.starts_with('/').then(|| Path::new(&self.name))?;
        Some(folder.join(format!(".s.PGSQL.{}", self.port)))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

/// Which of several servers will do, in libpq's words and with libpq's meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum TargetSessionAttrs {
    /// The first that can be reached.
    #[default]
    Any,
    /// One that takes writes.
    ReadWrite,
    /// One that takes none.
    ReadOnly,
    /// One that is no standby.
    Primary,
    /// One that is a standby.
    Standby,
    /// A standby, and any if there is none.
    PreferStandby,
}

impl FromStr for TargetSessionAttrs {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        Ok(match word {
            "any" => Self::Any,
            "read-write" => Self::ReadWrite,
            "read-only" => Self::ReadOnly,
            "primary" => Self::Primary,
            "standby" => Self::Standby,
            "prefer-standby" => Self::PreferStandby,
            _ => {
                return Err(invalid(
                    "target_session_attrs must be any, read-write, read-only, primary, standby or \
                     prefer-standby",
                ));
            }
        })
    }
}

/// How TLS is used, in libpq's words and with libpq's meaning.
///
/// With a root certificate given, every mode that ends up with TLS checks the server's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum SslMode {
    /// Never.
    Disable,
    /// Only if the server refuses the user without it.
    Allow,
    /// If the server has it, and without it otherwise, silently.
    #[default]
    Prefer,
    /// Always; the certificate is checked only when a root certificate is given.
    Require,
    /// Always, and the certificate must come from the root certificate given.
    VerifyCa,
    /// The same, and it must be for the host's name: the only mode that keeps an active attacker
    /// out. The name is looked for among the subject alternative names only.
    VerifyFull,
}

impl FromStr for SslMode {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        Ok(match word {
            "disable" => Self::Disable,
            "allow" => Self::Allow,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => {
                return Err(invalid(
                    "sslmode must be disable, allow, prefer, require, verify-ca or verify-full",
                ));
            }
        })
    }
}

impl fmt::Display for SslMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        })
    }
}

impl Config {
    /// Port 5432, user `postgres`, the database named as the user, no password, TLS preferred,
    /// 30 seconds to connect. A host that begins with a slash is the folder of a unix socket, over
    /// which TLS is never used.
    #[must_use]
    pub fn new(host: &str) -> Self {
        Self {
            hosts: vec![Host::new(host)],
            target: TargetSessionAttrs::Any,
            user: "postgres".to_owned(),
            password: None,
            database: None,
            ssl_mode: SslMode::default(),
            ssl_root_cert: None,
            ssl_cert: None,
            ssl_key: None,
            password_source: None,
            connect_timeout: Duration::from_secs(30),
            application_name: "pgoutput".to_owned(),
            options: None,
        }
    }

    /// Reads `postgresql://user:password@host:port/database?key=value&...`, percent-encoded.
    ///
    /// Keys: `host`, `port`, `user`, `password`, `dbname`, `sslmode`, `sslrootcert`, `sslcert`,
    /// `sslkey`, `target_session_attrs`, `connect_timeout` (seconds, 0 for none),
    /// `application_name`, `options`. What is left out is as in [`new`](Self::new). Several hosts
    /// are separated by commas, as are their ports.
    ///
    /// ```
    /// use pgoutput::client::Config;
    ///
    /// let config = Config::parse("postgresql://cdc:p%40ss@db.example:6432/shop?sslmode=require")?;
    /// assert_eq!((config.host(), config.port()), ("db.example", 6432));
    /// assert_eq!((config.user(), config.database()), ("cdc", "shop"));
    /// assert!(!format!("{config:?}").contains("p@ss"));
    /// # Ok::<_, pgoutput::client::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`]: another scheme, an unknown key, a value that cannot be, or a
    /// `sslmode` that needs a `sslrootcert`.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let rest = url
            .strip_prefix("postgresql://")
            .or_else(|| url.strip_prefix("postgres://"))
            .ok_or_else(|| invalid("the url must begin with postgresql://"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        let mut config = Self::new("localhost");
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (login, None),
        };
        let (mut hosts, mut ports) = (Vec::new(), Vec::new());
        for place in place.split(',') {
            let (host, port) = split_port(place)?;
            hosts.push(host);
            ports.push(port);
        }
        let (hosts, ports) = (hosts.join(","), ports.join(","));
        for (key, value) in [("host", hosts), ("port", ports)] {
            if value.contains(|char| char != ',') {
                config.set(key, &percent_decode(&value)?)?;
            }
        }
        for (key, value) in [("user", user), ("dbname", database)] {
            if !value.is_empty() {
                config.set(key, &percent_decode(value)?)?;
            }
        }
        if let Some(password) = password {
            config.set("password", &percent_decode(password)?)?;
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) =
                pair.split_once('=').ok_or_else(|| invalid("a url parameter has no value"))?;
            config.set(&percent_decode(key)?, &percent_decode(value)?)?;
        }
        config.validate()?;
        Ok(config)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), Error> {
        if value.contains('\0') {
            return Err(invalid("a value holds a zero byte"));
        }
        match key {
            "host" => {
                let port = self.port();
                self.hosts =
                    value.split(',').map(|name| Host { port, ..Host::new(name) }).collect();
            }
            "port" => self.set_ports(value)?,
            "user" => value.clone_into(&mut self.user),
            "password" => self.password = Some(value.to_owned()),
            "dbname" => self.database = Some(value.to_owned()),
            "sslmode" => self.ssl_mode = value.parse()?,
            "sslrootcert" => self.ssl_root_cert = Some(value.into()),
            "sslcert" => self.ssl_cert = Some(value.into()),
            "sslkey" => self.ssl_key = Some(value.into()),
            "target_session_attrs" => self.target = value.parse()?,
            "connect_timeout" => {
                let seconds =
                    value.parse().map_err(|_| invalid("connect_timeout must be whole seconds"))?;
                self.connect_timeout = Duration::from_secs(seconds);
            }
            "application_name" => value.clone_into(&mut self.application_name),
            "options" => self.options = Some(value.to_owned()),
            other => return Err(invalid(format!("unknown url parameter {other}"))),
        }
        Ok(())
    }

    /// One port for all hosts, or one for each.
    fn set_ports(&mut self, value: &str) -> Result<(), Error> {
        let parse = |port: &str| match port {
            "" => Ok(5432),
            port => port.parse().map_err(|_| invalid("port must be 1 to 65535")),
        };
        let ports = value.split(',').map(parse).collect::<Result<Vec<u16>, _>>()?;
        if ports.len() != 1 && ports.len() != self.hosts.len() {
            return Err(invalid("there must be one port, or as many as hosts"));
        }
        for (host, port) in self.hosts.iter_mut().zip(ports.into_iter().cycle()) {
            host.port = port;
        }
        Ok(())
    }

    /// Another port, for all hosts.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        for host in &mut self.hosts {
            host.port = port;
        }
        self
    }

    /// One host more, to be tried when those before it will not do.
    #[must_use]
    pub fn with_other_host(mut self, host: &str, port: u16) -> Self {
        self.hosts.push(Host { name: host.to_owned(), port });
        self
    }

    /// Which of several hosts will do.
    #[must_use]
    pub const fn with_target_session_attrs(mut self, target: TargetSessionAttrs) -> Self {
        self.target = target;
        self
    }

    /// The client's own certificate and key (PEM files), for servers that ask for one. The key's
    /// file must be nobody else's to read.
    #[must_use]
    pub fn with_ssl_client_cert(mut self, cert: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        self.ssl_cert = Some(cert.as_ref().to_owned());
        self.ssl_key = Some(key.as_ref().to_owned());
        self
    }

    /// Where to get the password from each time that a server asks for it, for passwords that
    /// expire, such as IAM tokens. Goes before [`with_password`](Self::with_password).
    ///
    /// ```
    /// use pgoutput::client::{Config, Login};
    ///
    /// async fn token(login: Login) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    ///     Ok(format!("signed for {} at {}:{}", login.user, login.host, login.port))
    /// }
    /// let config = Config::new("db.example").with_password_source(token);
    /// ```
    #[must_use]
    pub fn with_password_source<F, T>(mut self, source: F) -> Self
    where
        F: Fn(Login) -> T + Send + Sync + 'static,
        T: Future<Output = Result<String, PasswordError>> + Send + 'static,
    {
        let source = move |login| -> PasswordFuture { Box::pin(source(login)) };
        self.password_source = Some(PasswordSource(Arc::new(source)));
        self
    }

    /// Another user.
    #[must_use]
    pub fn with_user(mut self, user: &str) -> Self {
        user.clone_into(&mut self.user);
        self
    }

    /// A password. Without one, the environment's `PGPASSWORD` and then the password file
    /// (`PGPASSFILE`, else `~/.pgpass`) are asked when the server wants it.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Another database.
    #[must_use]
    pub fn with_database(mut self, database: &str) -> Self {
        self.database = Some(database.to_owned());
        self
    }

    /// Another use of TLS.
    #[must_use]
    pub const fn with_ssl_mode(mut self, mode: SslMode) -> Self {
        self.ssl_mode = mode;
        self
    }

    /// A file of certificates (PEM) that the server's must come from, or be one of.
    #[must_use]
    pub fn with_ssl_root_cert(mut self, path: impl AsRef<Path>) -> Self {
        self.ssl_root_cert = Some(path.as_ref().to_owned());
        self
    }

    /// How long connecting may take in all, TLS and login included; zero for no limit.
    #[must_use]
    pub const fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// The name shown in `pg_stat_activity` and `pg_stat_replication`.
    #[must_use]
    pub fn with_application_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.application_name);
        self
    }

    /// Settings of the session, as `-c name=value`, separated by spaces.
    #[must_use]
    pub fn with_options(mut self, options: &str) -> Self {
        self.options = Some(options.to_owned());
        self
    }

    /// The host, the first if there are several.
    #[must_use]
    pub fn host(&self) -> &str {
        self.hosts.first().map_or("", |host| &host.name)
    }

    /// The port of that host.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.hosts.first().map_or(5432, |host| host.port)
    }

    /// Which of several hosts will do.
    #[must_use]
    pub const fn target_session_attrs(&self) -> TargetSessionAttrs {
        self.target
    }

    pub(super) fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The client's certificate and key.
    pub(super) fn ssl_client_cert(&self) -> Option<(&Path, &Path)> {
        self.ssl_cert.as_deref().zip(self.ssl_key.as_deref())
    }

    /// The user.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The database; the user's name when none was given.
    #[must_use]
    pub fn database(&self) -> &str {
        self.database.as_deref().unwrap_or(&self.user)
    }

    /// The use of TLS.
    #[must_use]
    pub const fn ssl_mode(&self) -> SslMode {
        self.ssl_mode
    }

    pub(super) fn ssl_root_cert(&self) -> Option<&Path> {
        self.ssl_root_cert.as_deref()
    }

    pub(super) const fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    pub(super) fn application_name(&self) -> &str {
        &self.application_name
    }

    pub(super) fn options(&self) -> Option<&str> {
        self.options.as_deref()
    }

    /// The password to answer this host with.
    pub(super) async fn find_password(&self, host: &Host) -> Result<Option<String>, Error> {
        let (name, port) = (&host.name, host.port);
        if let Some(PasswordSource(source)) = &self.password_source {
            let (user, database) = (self.user().to_owned(), self.database().to_owned());
            let login = Login { host: name.clone(), port, user, database };
            let found = source(login).await.map_err(|error| {
                let message = "the source of the password failed";
                Error::new(ErrorKind::Auth, message).with_boxed_source(error)
            });
            return found.map(Some);
        }
        let stored = || passfile::from_environment(name, port, self.database(), &self.user);
        Ok(self.password.clone().or_else(stored))
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        if self.hosts.iter().any(|host| host.name.is_empty()) {
            return Err(invalid("no host"));
        }
        if cfg!(not(unix)) && self.hosts.iter().any(|host| host.socket_path().is_some()) {
            return Err(invalid("there are no unix sockets here: give a host name"));
        }
        if self.hosts.iter().any(|host| host.port == 0) {
            return Err(invalid("port must be 1 to 65535"));
        }
        if self.ssl_cert.is_some() != self.ssl_key.is_some() {
            return Err(invalid("sslcert and sslkey must be given together"));
        }
        let texts = [self.user(), self.application_name(), self.database()];
        if texts.into_iter().chain(self.options()).any(|text| text.contains('\0')) {
            return Err(invalid("a value holds a zero byte"));
        }
        if self.ssl_mode >= SslMode::VerifyCa && self.ssl_root_cert.is_none() {
            return Err(invalid(format!(
                "sslmode={} needs sslrootcert, a file with the certificate to trust",
                self.ssl_mode
            )));
        }
        Ok(())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("hosts", &self.hosts)
            .field("target_session_attrs", &self.target)
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("database", &self.database)
            .field("ssl_mode", &self.ssl_mode)
            .field("ssl_root_cert", &self.ssl_root_cert)
            .field("ssl_cert", &self.ssl_cert)
            .field("ssl_key", &self.ssl_key)
            .field("password_source", &self.password_source)
            .field("connect_timeout", &self.connect_timeout)
            .field("application_name", &self.application_name)
            .field("options", &self.options)
            .finish()
    }
}

/// For whom a password is wanted, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Login {
    /// The host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The database.
    pub database: String,
}

type PasswordError = Box<dyn std::error::Error + Send + Sync>;
type PasswordFuture = Pin<Box<dyn Future<Output = Result<String, PasswordError>> + Send>>;

#[derive(Clone)]
struct PasswordSource(Arc<dyn Fn(Login) -> PasswordFuture + Send + Sync>);

impl PartialEq for PasswordSource {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for PasswordSource {}

impl fmt::Debug for PasswordSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordSource")
    }
}

pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message)
}

/// `host:port`, where an IPv6 address stands in brackets.
fn split_port(place: &str) -> Result<(&str, &str), Error> {
    if let Some(rest) = place.strip_prefix('[') {
        let (host, port) =
            rest.split_once(']').ok_or_else(|| invalid("an address has no closing bracket"))?;
        return match port.strip_prefix(':') {
            Some(port) => Ok((host, port)),
            None if port.is_empty() => Ok((host, "")),
            None => Err(invalid("unexpected characters after an address in brackets")),
        };
    }
    Ok(place.split_once(':').unwrap_or((place, "")))
}

fn percent_decode(text: &str) -> Result<String, Error> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit =
            || char::from(bytes.next()?).to_digit(16).and_then(|d| u8::try_from(d).ok());
        match (digit(), digit()) {
            (Some(high), Some(low)) => out.push(high * 16 + low),
            _ => return Err(invalid("a percent sign in the url is not followed by two digits")),
        }
    }
    String::from_utf8(out).map_err(|_| invalid("the url is not utf-8 when decoded"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses() {
        let config = Config::parse(
            "postgres://a%2Fb:p%3A%40@[::1]:5433/my%20db?sslmode=verify-full&sslrootcert=/x/ca.pem\
             &connect_timeout=7&application_name=x%26y&options=-c%20wal_sender_timeout%3D5s",
        )
        .unwrap();
        assert_eq!(config.user(), "a/b");
        assert_eq!(config.password.as_deref(), Some("p:@"));
        assert_eq!((config.host(), config.port()), ("::1", 5433));
        assert_eq!(config.database(), "my db");
        assert_eq!(config.ssl_mode(), SslMode::VerifyFull);
        assert_eq!(config.ssl_root_cert(), Some(Path::new("/x/ca.pem")));
        assert_eq!(config.connect_timeout(), Duration::from_secs(7));
        assert_eq!(config.application_name(), "x&y");
        assert_eq!(config.options(), Some("-c wal_sender_timeout=5s"));

        let short = Config::parse("postgresql://").unwrap();
        assert_eq!(short, Config::new("localhost"));
        let by_key = Config::parse("postgresql:///?host=h&port=1&user=u&dbname=d&password=p");
        let expected =
            Config::new("h").with_port(1).with_user("u").with_database("d").with_password("p");
        assert_eq!(by_key.unwrap(), expected);
    }

    #[test]
    fn several_hosts_and_sockets() {
        let hosts = |url| {
            let config = Config::parse(url).unwrap();
            config.hosts().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(hosts("postgresql://a:1,b,[::1]:3/d"), "a:1 b:5432 ::1:3");
        assert_eq!(hosts("postgresql:///d?host=a,b&port=7"), "a:7 b:7");
        assert_eq!(hosts("postgresql:///d?port=7&host=a,b"), "a:7 b:7");
        assert_eq!(hosts("postgresql:///d?host=a,b&port=7,"), "a:7 b:5432");
        let socket = Config::parse("postgresql://%2Frun%2Fpg:6/d?target_session_attrs=primary");
        let socket = socket.unwrap();
        let path = socket.hosts()[0].socket_path().unwrap();
        assert_eq!(path, Path::new("/run/pg/.s.PGSQL.6"));
        assert_eq!(socket.target_session_attrs(), TargetSessionAttrs::Primary);
        assert_eq!(socket.with_other_host("b", 8).hosts().len(), 2);
    }

    #[test]
    fn refuses() {
        for (url, word) in [
            ("mysql://h", "postgresql://"),
            ("postgresql://h:0", "port"),
            ("postgresql://h:99999", "port"),
            ("postgresql://h1,h2/d?port=1,2,3", "as many"),
            ("postgresql://h1,,h2/d", "no host"),
            ("postgresql://h/d?target_session_attrs=master", "target_session_attrs must be"),
            ("postgresql://h/d?sslcert=/x", "together"),
            ("postgresql://[::1/d", "bracket"),
            ("postgresql://h/d?sslmode=on", "sslmode must be"),
            ("postgresql://h/d?sslmode=verify-ca", "sslrootcert"),
            ("postgresql://h/d?sslmode=verify-full", "sslrootcert"),
            ("postgresql://h/d?colour=red", "colour"),
            ("postgresql://h/d?sslmode", "no value"),
            ("postgresql://h/%zz", "percent"),
            ("postgresql://h/%ff", "utf-8"),
            ("postgresql://h/a%00b", "zero byte"),
            ("postgresql://h/d?connect_timeout=soon", "connect_timeout"),
        ] {
            let error = Config::parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.message().contains(word), "{url}: {error}");
        }
    }

    #[test]
    fn hides_the_password() {
        let config = Config::new("h").with_password("hunter2");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
