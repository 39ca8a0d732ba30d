//! Base URLs, and paths below them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::Error;
use crate::secret::Secret;
use crate::subject::Context;

/// One base URL without its credentials, and the `Authorization` value they gave.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    base: Box<str>,
    authorization: Option<Secret>,
}

impl Endpoint {
    /// Takes `http(s)://[user:password@]host[:port][/path]` apart.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let url = url.trim();
        let (scheme, rest) = url
            .split_once("://")
            .filter(|(scheme, _)| {
                scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
            })
            .ok_or_else(|| Error::config("the URL must begin with http:// or https://"))?;
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let (userinfo, host) =
            authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        if host.is_empty() || host.starts_with(':') {
            return Err(Error::config("the URL has no host"));
        }
        // An '@' here is a password with a raw slash in it, which must not show in messages.
        if path.contains('@') {
            return Err(Error::config("the URL's path has an @: percent-encode the credentials"));
        }
        if rest.contains(|c: char| c == '?' || c == '#' || c.is_whitespace() || c.is_control()) {
            return Err(Error::config("the URL must not have a query, a fragment or spaces"));
        }
        if host
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.ends_with(']') && port.parse::<u16>().is_err())
        {
            return Err(Error::config("the URL's port is not a number"));
        }
        Ok(Self {
            base: format!("{scheme}://{host}{}", path.trim_end_matches('/')).into(),
            authorization: userinfo.map(basic_from_userinfo).transpose()?,
        })
    }

    /// The same with every path in `context`.
    pub(crate) fn in_context(mut self, context: &Context) -> Result<Self, Error> {
        if !context.is_default() {
            let prefix = Path::new().fixed("contexts").encoded(context.as_str())?;
            self.base = self.join(&prefix).into();
        }
        Ok(self)
    }

    pub(crate) fn authorization(&self) -> Option<&Secret> {
        self.authorization.as_ref()
    }

    /// Full URL of `path`.
    pub(crate) fn join(&self, path: &Path) -> String {
        format!("{}{}", self.base, path.0)
    }
}

/// `Authorization` value of HTTP basic authentication (RFC 7617).
pub(crate) fn basic(user: &str, password: &str) -> Secret {
    Secret::new(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

fn basic_from_userinfo(userinfo: &str) -> Result<Secret, Error> {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let decode = |text: &str| {
        percent_decode(text)
            .ok_or_else(|| Error::config("the URL's credentials are not percent-encoded UTF-8"))
    };
    Ok(basic(&decode(user)?, &decode(password)?))
}

pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'%' {
            let (digits, tail) = rest.split_first_chunk::<2>()?;
            rest = tail;
            let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
            out.push(u8::try_from(high? * 16 + low?).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// Appends `text`, percent-encoded but for RFC 3986's unreserved characters.
pub(crate) fn push_encoded(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for nibble in [byte >> 4, byte & 15] {
                let digit = char::from_digit(u32::from(nibble), 16).unwrap_or('0');
                out.push(digit.to_ascii_uppercase());
            }
        }
    }
}

/// A path below a base URL, percent-encoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Path(String);

impl Path {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a segment that is part of the protocol.
    pub(crate) fn fixed(mut self, segment: &str) -> Self {
        self.0.push('/');
        self.0.push_str(segment);
        self
    }

    /// Adds a number or another text that needs no encoding.
    pub(crate) fn display(self, segment: impl fmt::Display) -> Self {
        self.fixed(&segment.to_string())
    }

    /// Adds a segment of any text: all but RFC 3986's unreserved characters is encoded.
    ///
    /// `.`, `..` and the empty text cannot be a segment: URL parsers remove them, encoded or
    /// not.
    pub(crate) fn encoded(mut self, segment: &str) -> Result<Self, Error> {
        if matches!(segment, "" | "." | "..") {
            return Err(Error::config("the subject cannot be part of a URL"));
        }
        self.0.push('/');
        push_encoded(&mut self.0, segment);
        Ok(self)
    }

    /// Adds a parameter to the query; `name` is part of the protocol, `value` any text.
    pub(crate) fn param(mut self, name: &str, value: &str) -> Self {
        self.0.push(if self.0.contains('?') { '&' } else { '?' });
        self.0.push_str(name);
        self.0.push('=');
        push_encoded(&mut self.0, value);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(base: &str) -> String {
        Endpoint::parse(base).unwrap().join(&Path::new().fixed("subjects"))
    }

    #[test]
    fn bases_work_with_and_without_paths() {
        assert_eq!(join("http://h"), "http://h/subjects");
        assert_eq!(join(" https://h:8081/ "), "https://h:8081/subjects");
        assert_eq!(join("http://h/apis/ccompat/v6"), "http://h/apis/ccompat/v6/subjects");
        assert_eq!(join("http://h/apis/ccompat/v7//"), "http://h/apis/ccompat/v7/subjects");
        assert_eq!(join("http://[::1]:81"), "http://[::1]:81/subjects");
        assert_eq!(join("http://[::1]"), "http://[::1]/subjects");
    }

    #[test]
    fn userinfo_becomes_basic_auth_and_leaves_the_url() {
        let endpoint = Endpoint::parse("http://us%40er:p%2Fw:%C3%A9@h/x").unwrap();
        assert_eq!(endpoint.join(&Path::new()), "http://h/x");
        assert_eq!(endpoint.authorization().unwrap(), &basic("us@er", "p/w:é"));
        let raw_at = Endpoint::parse("http://u:p@ss@h").unwrap();
        assert_eq!(raw_at.authorization().unwrap(), &basic("u", "p@ss"));
        assert!(!format!("{endpoint:?}").contains("us@er"));
    }

    #[test]
    fn bad_bases_are_refused_without_showing_them() {
        for url in [
            "",
            "h:8081",
            "ftp://h",
            "http://",
            "http:///x",
            "http://:80",
            "http://h:port",
            "http://u:secret/x@h",
            "http://u:1/secret@h",
            "http://h?secret",
            "http://h/#secret",
            "http://u:%zz@h",
            "http://u:%ff@h",
            "http://a b/secret",
            "http://h:99999",
        ] {
            let error = Endpoint::parse(url).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Config, "{url}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{url}");
        }
    }

    proptest::proptest! {
        #[test]
        fn encoding_can_be_undone_and_leaves_one_plain_segment(text in ".+") {
            if let Ok(path) = Path::new().encoded(&text) {
                let segment = path.0.strip_prefix('/').unwrap();
                assert_eq!(percent_decode(segment).as_deref(), Some(&*text));
                assert!(segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
            }
        }
    }

    #[test]
    fn parameters_and_contexts_are_encoded() {
        let path = Path::new().fixed("subjects").param("a", "x&y=:*:").param("b", "true");
        assert_eq!(path.0, "/subjects?a=x%26y%3D%3A%2A%3A&b=true");
        let context = |name| {
            let endpoint = Endpoint::parse("http://h/apis/ccompat/v7").unwrap();
            endpoint.in_context(&Context::new(name)).map(|endpoint| endpoint.join(&Path::new()))
        };
        assert_eq!(context("a b").unwrap(), "http://h/apis/ccompat/v7/contexts/.a%20b");
        assert_eq!(context(".").unwrap(), "http://h/apis/ccompat/v7");
        assert!(context("..").is_err());
    }

    #[test]
    fn segments_are_encoded() {
        let path = |s| Path::new().encoded(s).unwrap().0;
        assert_eq!(path("ord.ods.cdc_events-value"), "/ord.ods.cdc_events-value");
        assert_eq!(path("a/b%c?d#e f+g"), "/a%2Fb%25c%3Fd%23e%20f%2Bg");
        assert_eq!(path(":.ctx:s"), "/%3A.ctx%3As");
        assert_eq!(path("é"), "/%C3%A9");
        assert_eq!(path("..."), "/...");
        for segment in ["", ".", ".."] {
            assert!(Path::new().encoded(segment).is_err());
        }
    }
}
