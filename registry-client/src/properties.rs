//! The settings of Confluent's serializers and converters.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::{Config, Credentials};
use crate::error::Error;
use crate::oauth::ClientCredentials;

/// Keys that [`Config::from_properties`] understands, beside those that begin with
/// [`HEADER_PREFIX`].
const KEYS: &[&str] = &[
    "schema.registry.url",
    "basic.auth.credentials.source",
    "basic.auth.user.info",
    "schema.registry.basic.auth.user.info",
    "bearer.auth.credentials.source",
    "bearer.auth.token",
    "bearer.auth.issuer.endpoint.url",
    "bearer.auth.client.id",
    "bearer.auth.client.secret",
    "bearer.auth.scope",
    "bearer.auth.logical.cluster",
    "bearer.auth.identity.pool.id",
    "bearer.auth.cache.expiry.buffer.seconds",
    "http.connect.timeout.ms",
    "http.read.timeout.ms",
    "max.retries",
    "retries.wait.ms",
    "retries.max.wait.ms",
    "max.schemas.per.subject",
    "latest.cache.ttl.sec",
    "missing.id.cache.ttl.sec",
    "schema.registry.ssl.truststore.type",
    "schema.registry.ssl.truststore.location",
    "schema.registry.ssl.truststore.certificates",
    "schema.registry.ssl.keystore.type",
    "schema.registry.ssl.keystore.location",
    "schema.registry.ssl.keystore.certificate.chain",
    "schema.registry.ssl.keystore.key",
];

const HEADER_PREFIX: &str = "request.header.";

/// Properties that nobody has asked for yet.
#[derive(Debug)]
pub(crate) struct Properties<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Properties<'a> {
    pub(crate) fn new(properties: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(properties.into_iter().map(|(key, value)| (key, value.trim())).collect())
    }

    pub(crate) fn take(&mut self, key: &str) -> Option<&'a str> {
        self.0.remove(key)
    }

    /// A number, or the error `otherwise`.
    pub(crate) fn number<T: std::str::FromStr>(
        &mut self,
        key: &str,
        otherwise: &'static str,
    ) -> Result<Option<T>, Error> {
        let number = |value: &str| value.parse().map_err(|_| Error::config(otherwise));
        self.take(key).map(number).transpose()
    }

    /// `true` or `false`, or the error `otherwise`.
    #[cfg(feature = "avro")]
    pub(crate) fn flag(
        &mut self,
        key: &str,
        otherwise: &'static str,
    ) -> Result<Option<bool>, Error> {
        match self.take(key) {
            None => Ok(None),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(Error::config(otherwise)),
        }
    }

    fn millis(&mut self, key: &str, otherwise: &'static str) -> Result<Option<Duration>, Error> {
        Ok(self.number(key, otherwise)?.map(Duration::from_millis))
    }

    /// The keys that are left.
    #[cfg(feature = "avro")]
    pub(crate) fn into_keys(self) -> Vec<Box<str>> {
        self.0.into_keys().map(Into::into).collect()
    }
}

impl Config {
    /// Reads the settings that Confluent's serializers and converters take, without a
    /// `key.converter.` or `value.converter.` prefix: `schema.registry.url` (required);
    /// `basic.auth.credentials.source` (`URL`, `USER_INFO`), `basic.auth.user.info`;
    /// `bearer.auth.credentials.source` (`STATIC_TOKEN`, `OAUTHBEARER`), `bearer.auth.token`,
    /// `bearer.auth.issuer.endpoint.url`, `bearer.auth.client.id`, `bearer.auth.client.secret`,
    /// `bearer.auth.scope`, `bearer.auth.logical.cluster`, `bearer.auth.identity.pool.id`,
    /// `bearer.auth.cache.expiry.buffer.seconds`; `http.connect.timeout.ms`,
    /// `http.read.timeout.ms`, `max.retries`, `retries.wait.ms`, `retries.max.wait.ms`;
    /// `max.schemas.per.subject`, `latest.cache.ttl.sec` (-1: for ever) and
    /// `missing.id.cache.ttl.sec`; `request.header.` with the name of a header; and
    /// `schema.registry.ssl.` with `truststore.type`, `truststore.location`,
    /// `truststore.certificates`, `keystore.type`, `keystore.location`,
    /// `keystore.certificate.chain` and `keystore.key`, where the type must be `PEM` and a
    /// location is a file that is read here.
    ///
    /// Credentials count also when their source is not named, as long as there is only one kind
    /// of them. Other keys are ignored; [`property_keys`](Self::property_keys) lists those that
    /// are not.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for a missing URL, a value that is not
    /// what its key takes, or something that is not supported.
    pub fn from_properties<'a>(
        properties: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Error> {
        Self::take_from(&mut Properties::new(properties))
    }

    pub(crate) fn take_from(found: &mut Properties<'_>) -> Result<Self, Error> {
        let url = found
            .take("schema.registry.url")
            .ok_or_else(|| Error::config("schema.registry.url is missing"))?;
        let mut config = Self::new(url);
        config.endpoints.clone()?;
        config = config.take_credentials(found)?.take_headers(found)?.take_tls(found)?;

        if let Some(timeout) =
            found.millis("http.connect.timeout.ms", "http.connect.timeout.ms is not a number")?
        {
            config.connect_timeout = timeout;
        }
        if let Some(timeout) =
            found.millis("http.read.timeout.ms", "http.read.timeout.ms is not a number")?
        {
            config.timeout = timeout;
        }
        if let Some(retries) = found.number("max.retries", "max.retries is not a number")? {
            config.retries = retries;
        }
        if let Some(wait) = found.millis("retries.wait.ms", "retries.wait.ms is not a number")? {
            config.retry_wait = wait;
        }
        if let Some(wait) =
            found.millis("retries.max.wait.ms", "retries.max.wait.ms is not a number")?
        {
            config.retry_max_wait = wait;
        }
        if let Some(capacity) =
            found.number("max.schemas.per.subject", "max.schemas.per.subject is not a number")?
        {
            config.cache_capacity = capacity;
        }
        if let Some(seconds) =
            found.number::<i64>("latest.cache.ttl.sec", "latest.cache.ttl.sec is not a number")?
        {
            config.latest_ttl =
                match seconds {
                    -1 => Duration::MAX,
                    seconds => Duration::from_secs(u64::try_from(seconds).map_err(|_| {
                        Error::config("latest.cache.ttl.sec is negative, but not -1")
                    })?),
                };
        }
        if let Some(seconds) =
            found.number("missing.id.cache.ttl.sec", "missing.id.cache.ttl.sec is not a number")?
        {
            config.missing_ttl = Duration::from_secs(seconds);
        }
        Ok(config)
    }

    fn take_credentials(mut self, found: &mut Properties<'_>) -> Result<Self, Error> {
        let user_info = found.take("basic.auth.user.info");
        let old_user_info = found.take("schema.registry.basic.auth.user.info");
        let user_info = user_info.or(old_user_info);
        let user_info = match found.take("basic.auth.credentials.source") {
            None => user_info,
            Some(source) if source.eq_ignore_ascii_case("URL") => None,
            Some(source) if source.eq_ignore_ascii_case("USER_INFO") => {
                Some(user_info.ok_or_else(|| Error::config("basic.auth.user.info is missing"))?)
            }
            Some(_) => {
                return Err(Error::config(
                    "basic.auth.credentials.source must be URL or USER_INFO",
                ));
            }
        };
        let token = found.take("bearer.auth.token");
        let oauth = Self::take_oauth(found)?;
        let (token, oauth) = match found.take("bearer.auth.credentials.source") {
            None => (token, oauth),
            Some(source) if source.eq_ignore_ascii_case("STATIC_TOKEN") => {
                (Some(token.ok_or_else(|| Error::config("bearer.auth.token is missing"))?), None)
            }
            Some(source) if source.eq_ignore_ascii_case("OAUTHBEARER") => {
                let oauth = oauth
                    .ok_or_else(|| Error::config("bearer.auth.issuer.endpoint.url is missing"))?;
                (None, Some(oauth))
            }
            Some(_) => {
                return Err(Error::config(
                    "bearer.auth.credentials.source must be STATIC_TOKEN or OAUTHBEARER",
                ));
            }
        };
        self = match (user_info, token, oauth) {
            (None, None, None) => self,
            (Some(user_info), None, None) => {
                let (user, password) = user_info
                    .split_once(':')
                    .ok_or_else(|| Error::config("basic.auth.user.info must be user:password"))?;
                self.with_basic_auth(user, password)
            }
            (None, Some(token), None) => self.with_bearer_token(token),
            (None, None, Some(oauth)) => self.with_oauth(oauth),
            _ => return Err(Error::config("there is more than one kind of credentials")),
        };
        if let Some(Credentials::Fixed(Err(error))) = &self.credentials {
            return Err(error.clone());
        }
        if let Some(seconds) = found.number(
            "bearer.auth.cache.expiry.buffer.seconds",
            "bearer.auth.cache.expiry.buffer.seconds is not a number",
        )? {
            self.token_refresh_ahead = Duration::from_secs(seconds);
        }
        if let Some(cluster) = found.take("bearer.auth.logical.cluster") {
            self = self.with_logical_cluster(cluster);
        }
        if let Some(pool) = found.take("bearer.auth.identity.pool.id") {
            self = self.with_identity_pool(pool);
        }
        Ok(self)
    }

    fn take_oauth(found: &mut Properties<'_>) -> Result<Option<ClientCredentials>, Error> {
        let url = found.take("bearer.auth.issuer.endpoint.url");
        let id = found.take("bearer.auth.client.id");
        let secret = found.take("bearer.auth.client.secret");
        let scope = found.take("bearer.auth.scope");
        let Some(url) = url else { return Ok(None) };
        let id = id.ok_or_else(|| Error::config("bearer.auth.client.id is missing"))?;
        let secret = secret.ok_or_else(|| Error::config("bearer.auth.client.secret is missing"))?;
        let credentials = ClientCredentials::new(url, id, secret);
        Ok(Some(match scope {
            Some(scope) => credentials.with_scope(scope),
            None => credentials,
        }))
    }

    fn take_headers(mut self, found: &mut Properties<'_>) -> Result<Self, Error> {
        let keys: Vec<&str> =
            found.0.keys().copied().filter(|key| key.starts_with(HEADER_PREFIX)).collect();
        for key in keys {
            let name = key.strip_prefix(HEADER_PREFIX).unwrap_or(key);
            self = self.with_header(name, found.take(key).unwrap_or_default());
        }
        self.headers.clone()?;
        Ok(self)
    }

    #[cfg(feature = "reqwest")]
    fn take_tls(mut self, found: &mut Properties<'_>) -> Result<Self, Error> {
        let pem = |found: &mut Properties<'_>, kind, location| {
            if found.take(kind).is_some_and(|kind| !kind.eq_ignore_ascii_case("PEM")) {
                return Err(Error::config("key stores and trust stores must be of the type PEM"));
            }
            let read = |path: &str| {
                std::fs::read(path).map_err(|e| {
                    Error::build(crate::ErrorKind::Config)
                        .with_detail("cannot read a key store or trust store")
                        .with_source(e)
                        .into()
                })
            };
            found.take(location).map(read).transpose()
        };
        let trusted = pem(
            found,
            "schema.registry.ssl.truststore.type",
            "schema.registry.ssl.truststore.location",
        )?;
        let certificates = found.take("schema.registry.ssl.truststore.certificates");
        if let Some(pem) = trusted.or_else(|| certificates.map(|text| text.as_bytes().to_vec())) {
            self = self.with_ca_certificates(&pem);
        }
        let identity = pem(
            found,
            "schema.registry.ssl.keystore.type",
            "schema.registry.ssl.keystore.location",
        )?;
        let chain = found.take("schema.registry.ssl.keystore.certificate.chain");
        let key = found.take("schema.registry.ssl.keystore.key");
        let parts = match (chain, key) {
            (Some(chain), Some(key)) => Some(format!("{chain}\n{key}").into_bytes()),
            (None, None) => None,
            _ => return Err(Error::config("the key store has no chain, or no key")),
        };
        if let Some(pem) = identity.or(parts) {
            self = self.with_client_certificate(&pem);
        }
        Ok(self)
    }

    /// Certificates are the transport's affair.
    #[cfg(not(feature = "reqwest"))]
    fn take_tls(self, found: &mut Properties<'_>) -> Result<Self, Error> {
        let prefix = "schema.registry.ssl.";
        match found.0.range(prefix..).next().filter(|(key, _)| key.starts_with(prefix)) {
            Some(_) => Err(Error::config("certificates need the feature reqwest")),
            None => Ok(self),
        }
    }

    /// The keys that [`from_properties`](Self::from_properties) understands, so that a program
    /// can report the ones nobody does. Those that begin with `request.header.` come on top.
    #[must_use]
    pub const fn property_keys() -> &'static [&'static str] {
        KEYS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::basic;
    use crate::secret::Secret;

    const URL: (&str, &str) = ("schema.registry.url", "http://h/apis/ccompat/v6");

    fn read(extra: &[(&str, &str)]) -> Result<Config, Error> {
        Config::from_properties([URL].into_iter().chain(extra.iter().copied()))
    }

    fn fixed(config: &Config) -> Option<Secret> {
        match &config.credentials {
            Some(Credentials::Fixed(Ok(secret))) => Some(secret.clone()),
            _ => None,
        }
    }

    #[test]
    fn every_key_is_read() {
        let config = read(&[
            ("basic.auth.credentials.source", "USER_INFO"),
            ("basic.auth.user.info", "user:pass:word"),
            ("http.connect.timeout.ms", "1"),
            ("http.read.timeout.ms", " 2 "),
            ("max.retries", "4"),
            ("retries.wait.ms", "5"),
            ("retries.max.wait.ms", "6"),
            ("max.schemas.per.subject", "7"),
            ("latest.cache.ttl.sec", "-1"),
            ("missing.id.cache.ttl.sec", "9"),
            ("request.header.X-One", "1"),
            ("auto.register.schemas", "true"),
        ])
        .unwrap();
        assert_eq!(fixed(&config), Some(basic("user", "pass:word")));
        assert_eq!(config.connect_timeout, Duration::from_millis(1));
        assert_eq!(config.timeout, Duration::from_millis(2));
        assert_eq!(config.retries, 4);
        assert_eq!(config.retry_wait, Duration::from_millis(5));
        assert_eq!(config.retry_max_wait, Duration::from_millis(6));
        assert_eq!(config.cache_capacity, 7);
        assert_eq!(config.latest_ttl, Duration::MAX);
        assert_eq!(config.missing_ttl, Duration::from_secs(9));

        assert_eq!(config.headers.unwrap(), [("x-one".into(), Secret::new("1"))]);

        let bearer = read(&[
            ("bearer.auth.credentials.source", "STATIC_TOKEN"),
            ("bearer.auth.token", "abc"),
        ]);
        assert_eq!(fixed(&bearer.unwrap()).unwrap().expose(), "Bearer abc");
        let old = read(&[("schema.registry.basic.auth.user.info", "u:p")]).unwrap();
        assert_eq!(fixed(&old), Some(basic("u", "p")));
        let url = read(&[
            ("basic.auth.credentials.source", "URL"),
            ("basic.auth.user.info", "ignored:ignored"),
        ]);
        assert!(url.unwrap().credentials.is_none());
    }

    #[test]
    fn tokens_by_oauth_are_read() {
        let config = read(&[
            ("bearer.auth.credentials.source", "OAUTHBEARER"),
            ("bearer.auth.issuer.endpoint.url", "http://login/token"),
            ("bearer.auth.client.id", "id"),
            ("bearer.auth.client.secret", "secret"),
            ("bearer.auth.scope", "all"),
            ("bearer.auth.logical.cluster", "lsrc-1"),
            ("bearer.auth.identity.pool.id", "pool-1"),
            ("bearer.auth.cache.expiry.buffer.seconds", "60"),
        ])
        .unwrap();
        assert!(matches!(config.credentials, Some(Credentials::OAuth(_))));
        assert_eq!(config.token_refresh_ahead, Duration::from_secs(60));
        let headers = config.headers.unwrap();
        assert_eq!(headers[0], ("target-sr-cluster".into(), Secret::new("lsrc-1")));
        assert_eq!(headers[1], ("confluent-identity-pool-id".into(), Secret::new("pool-1")));
    }

    #[cfg(feature = "reqwest")]
    #[test]
    fn certificates_are_read() {
        let config = read(&[
            ("schema.registry.ssl.truststore.type", "PEM"),
            ("schema.registry.ssl.truststore.certificates", "-----BEGIN"),
            ("schema.registry.ssl.keystore.type", "pem"),
            ("schema.registry.ssl.keystore.certificate.chain", "chain"),
            ("schema.registry.ssl.keystore.key", "key"),
        ])
        .unwrap();
        assert_eq!(config.tls.authorities.as_deref(), Some(&b"-----BEGIN"[..]));
        assert_eq!(config.tls.identity.unwrap().expose(), b"chain\nkey");
    }

    #[test]
    fn bad_settings_are_refused_without_showing_secrets() {
        assert!(Config::from_properties([("x", "y")]).is_err());
        assert!(Config::from_properties([("schema.registry.url", "secret")]).is_err());
        for bad in [
            &[("basic.auth.credentials.source", "SASL_INHERIT")] as &[_],
            &[("basic.auth.credentials.source", "USER_INFO")],
            &[("basic.auth.user.info", "secret")],
            &[("bearer.auth.credentials.source", "OAUTHBEARER")],
            &[("bearer.auth.credentials.source", "STATIC_TOKEN")],
            &[("bearer.auth.token", "secret\r\nx: y")],
            &[("bearer.auth.token", "secret"), ("basic.auth.user.info", "u:secret")],
            &[("bearer.auth.issuer.endpoint.url", "http://h")],
            &[("bearer.auth.credentials.source", "USER")],
            &[("request.header.authorization", "secret")],
            &[("request.header.x", "secret\nx")],
            &[("schema.registry.ssl.truststore.type", "JKS")],
            &[("schema.registry.ssl.truststore.location", "/nowhere/secret")],
            &[("schema.registry.ssl.keystore.key", "secret")],
            &[("latest.cache.ttl.sec", "-2")],
            &[("max.retries", "secret")],
            &[("max.retries", "-1")],
        ] {
            let error = read(bad).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Config);
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
    }

    #[test]
    fn debug_hides_credentials() {
        let config = Config::new("http://user:secret@h,http://token:secret@i")
            .with_basic_auth("user", "secret")
            .with_bearer_token("secret");
        let shown = format!("{config:?}");
        assert!(shown.contains("http://h") && shown.contains("http://i"), "{shown}");
        assert!(!shown.contains("secret") && !shown.contains("user"), "{shown}");
    }
}
