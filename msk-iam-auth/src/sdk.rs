//! What the sources of the AWS SDK have in common: a TLS stack, a name for sessions, and the way
//! into this crate's types. No type of the SDK is seen outside this crate.

use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

use crate::{Credentials, Error, ErrorKind, Region};

/// The name of a role's session where nobody names another. It has to be the same after every
/// refresh and every restart: MSK refuses to re-authenticate a connection as another session, and
/// the SDK would make up a new name each time.
const SESSION_NAME: &str = "msk-iam-auth";

/// For the sources that find their settings themselves. STS is asked in `region`.
pub(crate) fn provider_config(region: &Region) -> ProviderConfig {
    ProviderConfig::without_region().with_region(Some(sdk_region(region))).with_http_client(
        Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https(),
    )
}

/// For a client of STS in `region`, or at `endpoint`.
pub(crate) async fn sts_config(region: &Region, endpoint: Option<&str>) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(sdk_region(region))
        .no_credentials()
        .http_client(Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https());
    if let Some(endpoint) = endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    loader.load().await
}

fn sdk_region(region: &Region) -> aws_config::Region {
    aws_config::Region::new(region.as_str().to_owned())
}

/// The name asked for, else the environment's, else the fixed one.
pub(crate) fn session_name(asked: Option<&str>) -> Result<String, Error> {
    let from_env = || std::env::var("AWS_ROLE_SESSION_NAME").ok().filter(|name| !name.is_empty());
    match asked.map(str::to_owned).or_else(from_env) {
        Some(name) => check_session_name(&name).map(|()| name),
        None => Ok(SESSION_NAME.to_owned()),
    }
}

pub(crate) fn check_session_name(name: &str) -> Result<(), Error> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
    if (2..=64).contains(&name.len()) && name.bytes().all(legal) {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::SessionName))
    }
}

pub(crate) fn from_sdk(credentials: &aws_credential_types::Credentials) -> Credentials {
    let ours = Credentials::new(credentials.access_key_id(), credentials.secret_access_key())
        .with_session_token(credentials.session_token().unwrap_or_default());
    match credentials.expiry() {
        Some(at) => ours.with_expires_at(at),
        None => ours,
    }
}

pub(crate) fn to_sdk(credentials: &Credentials) -> aws_credential_types::Credentials {
    aws_credential_types::Credentials::new(
        credentials.access_key_id(),
        credentials.secret(),
        credentials.session_token().map(str::to_owned),
        credentials.expires_at(),
        "msk-iam-auth",
    )
}

/// The SDK has tried again already where that makes sense, so nothing of this is worth doing at
/// once again but what took too long.
pub(crate) fn failed(error: CredentialsError) -> Error {
    let kind = match &error {
        CredentialsError::CredentialsNotLoaded(_) => {
            ErrorKind::MissingCredentials("a source of the default chain")
        }
        CredentialsError::ProviderTimedOut(_) => ErrorKind::Timeout,
        _ => ErrorKind::Provider,
    };
    Error::caused(kind, error)
}
