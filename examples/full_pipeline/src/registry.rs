//! The schema registry as the pipeline uses it: reached once at the start, then asked once per
//! schema.

use registry_client::{Client, Config};

use crate::error::{Error, Part};

/// A client of a registry that answers.
///
/// # Errors
///
/// The URL is none, or the registry does not answer as one.
pub(crate) async fn reach(url: &str) -> Result<Client, Error> {
    let failed = |error: registry_client::Error| {
        Error::new(Part::Registry, format!("no schema registry answers at {}", redacted(url)))
            .with_retryable(error.is_retryable())
            .with_cause(error)
            .with_advice("start it, or give its base URL with --registry-url")
    };
    let client = Client::new(Config::new(url)).map_err(failed)?;
    client.subjects().await.map_err(failed)?;
    Ok(client)
}

/// The URL without what stands before an `@`.
#[must_use]
pub(crate) fn redacted(url: &str) -> String {
    match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1)))
    {
        Some((scheme, host)) => format!("{scheme}://{host}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn passwords_in_urls_are_not_shown() {
        assert_eq!(redacted("http://u:p@host:1/x"), "http://host:1/x");
        assert_eq!(redacted("http://host:1/x"), "http://host:1/x");
    }
}
