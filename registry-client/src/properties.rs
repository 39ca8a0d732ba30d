//! The settings of Confluent's serializers and converters.

use std::time::Duration;

use crate::config::{Config, Credentials};
use crate::error::Error;

/// Keys that [`Config::from_properties`] understands.
const KEYS: &[&str] = &[
    "schema.registry.url",
    "basic.auth.credentials.source",
    "basic.auth.user.info",
    "schema.registry.basic.auth.user.info",
    "bearer.auth.credentials.source",
    "bearer.auth.token",
    "http.connect.timeout.ms",
    "http.read.timeout.ms",
    "max.retries",
    "retries.wait.ms",
    "retries.max.wait.ms",
    "max.schemas.per.subject",
    "latest.cache.ttl.sec",
    "missing.id.cache.ttl.sec",
];

impl Config {
    /// Reads the settings that Confluent's serializers and converters take, without a
    /// `key.converter.` or `value.converter.` prefix: `schema.registry.url` (required),
    /// `basic.auth.credentials.source` (`URL`, `USER_INFO`), `basic.auth.user.info`,
    /// `bearer.auth.credentials.source` (`STATIC_TOKEN`), `bearer.auth.token`,
    /// `http.connect.timeout.ms`, `http.read.timeout.ms`, `max.retries`, `retries.wait.ms`,
    /// `retries.max.wait.ms`, `max.schemas.per.subject`, `latest.cache.ttl.sec` (-1: for ever)
    /// and `missing.id.cache.ttl.sec`.
    ///
    /// Credentials count also when their source is not named, as long as there is only one kind
    /// of them. Other keys are ignored; [`property_keys`](Self::property_keys) lists those that
    /// are not.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for a missing URL, a value that is not
    /// what its key takes, or a source of credentials that is not supported.
    pub fn from_properties<'a>(
        properties: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Error> {
        let mut found = [None; KEYS.len()];
        for (key, value) in properties {
            let slot = KEYS.iter().zip(&mut found).find(|(known, _)| **known == key);
            if let Some((_, slot)) = slot {
                *slot = Some(value.trim());
            }
        }
        let [
            url,
            basic_source,
            user_info,
            old_user_info,
            bearer_source,
            token,
            connect_timeout,
            read_timeout,
            retries,
            wait,
            max_wait,
            capacity,
            latest_ttl,
            missing_ttl,
        ] = found;

        let url = url.ok_or_else(|| Error::config("schema.registry.url is missing"))?;
        let mut config = Self::new(url);
        config.endpoints.clone()?;

        let user_info = match basic_source {
            None => user_info.or(old_user_info),
            Some(source) if source.eq_ignore_ascii_case("URL") => None,
            Some(source) if source.eq_ignore_ascii_case("USER_INFO") => Some(
                user_info
                    .or(old_user_info)
                    .ok_or_else(|| Error::config("basic.auth.user.info is missing"))?,
            ),
            Some(_) => {
                return Err(Error::config(
                    "basic.auth.credentials.source must be URL or USER_INFO",
                ));
            }
        };
        let token = match bearer_source {
            None => token,
            Some(source) if source.eq_ignore_ascii_case("STATIC_TOKEN") => {
                Some(token.ok_or_else(|| Error::config("bearer.auth.token is missing"))?)
            }
            Some(_) => {
                return Err(Error::config("bearer.auth.credentials.source must be STATIC_TOKEN"));
            }
        };
        match (user_info, token) {
            (None, None) => {}
            (Some(user_info), None) => {
                let (user, password) = user_info
                    .split_once(':')
                    .ok_or_else(|| Error::config("basic.auth.user.info must be user:password"))?;
                config = config.with_basic_auth(user, password);
            }
            (None, Some(token)) => config = config.with_bearer_token(token),
            (Some(_), Some(_)) => {
                return Err(Error::config("basic.auth and bearer.auth exclude each other"));
            }
        }
        if let Some(Credentials::Fixed(Err(error))) = &config.credentials {
            return Err(error.clone());
        }

        let millis = |value: &str, what| number(value, what).map(Duration::from_millis);
        if let Some(value) = connect_timeout {
            config.connect_timeout = millis(value, "http.connect.timeout.ms is not a number")?;
        }
        if let Some(value) = read_timeout {
            config.timeout = millis(value, "http.read.timeout.ms is not a number")?;
        }
        if let Some(value) = retries {
            config.retries = number(value, "max.retries is not a number")?;
        }
        if let Some(value) = wait {
            config.retry_wait = millis(value, "retries.wait.ms is not a number")?;
        }
        if let Some(value) = max_wait {
            config.retry_max_wait = millis(value, "retries.max.wait.ms is not a number")?;
        }
        if let Some(value) = capacity {
            config.cache_capacity = number(value, "max.schemas.per.subject is not a number")?;
        }
        if let Some(value) = latest_ttl {
            config.latest_ttl = if value == "-1" {
                Duration::MAX
            } else {
                Duration::from_secs(number(value, "latest.cache.ttl.sec is not a number")?)
            };
        }
        if let Some(value) = missing_ttl {
            config.missing_ttl =
                Duration::from_secs(number(value, "missing.id.cache.ttl.sec is not a number")?);
        }
        Ok(config)
    }

    /// The keys that [`from_properties`](Self::from_properties) understands, so that a program
    /// can report the ones nobody does.
    #[must_use]
    pub const fn property_keys() -> &'static [&'static str] {
        KEYS
    }
}

fn number<T: std::str::FromStr>(value: &str, otherwise: &'static str) -> Result<T, Error> {
    value.parse().map_err(|_| Error::config(otherwise))
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
