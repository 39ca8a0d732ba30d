//! Logging in to Amazon MSK with IAM: the bridge between librdkafka and `msk-iam-auth`.
//!
//! librdkafka asks for a token on the thread that polls the client, so the answer must be at hand;
//! any number of clients share one [`Login`], which has it. What librdkafka itself does not do is
//! done here:
//!
//! - It would use a token for most of its fifteen minutes, also when the broker refuses it. Tokens
//!   are announced as valid for a minute, so that new credentials reach every client soon; an old
//!   token that nobody replaced is used on.
//! - When the broker refuses, new credentials are loaded, once for all clients.
//! - It would come back after a tenth of a second, and MSK limits new connections (to four a second
//!   on small brokers). [`Login::configure`] makes it wait longer each time, at random.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

#[cfg(not(feature = "aws-credentials"))]
use msk_iam_auth::EnvironmentCredentials;
#[cfg(feature = "aws-credentials")]
use msk_iam_auth::{AssumeRole, DefaultCredentials};
use msk_iam_auth::{ProvideCredentials, Region, Signer, Token, TokenProvider};
use rdkafka::{
    ClientConfig, ClientContext,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
};

use crate::{
    config::{ClientSettings, IamOptions},
    error::{Error, Part},
    kafka,
};

/// How long a token is announced to be valid.
const ANNOUNCED: Duration = Duration::from_secs(60);

/// Begins the reason that librdkafka is given for a token it does not get, and tells of in turn.
const NO_TOKEN: &str = "no IAM token at hand";

/// The tokens that any number of clients share; none for clients that do not log in with IAM.
#[derive(Clone, Default)]
pub struct Login {
    tokens: Option<Arc<TokenProvider>>,
}

impl Login {
    /// Prepares the login that `settings` ask for. The first token is signed here, so that wrong
    /// credentials are an error before anything connects. Logins that ask for the same share one
    /// provider.
    ///
    /// # Errors
    ///
    /// No region in the broker's name, or no credentials where they are looked for.
    pub async fn new(settings: &ClientSettings) -> Result<Self, Error> {
        if !settings.iam {
            return Ok(Self::default());
        }
        let region = region(settings)?;
        let provider = shared(&region, &settings.iam_options)?;
        provider.token().await.map_err(|error| {
            Error::new(Part::Kafka, "cannot sign an IAM token").with_cause(error).with_advice(
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), \
                 AWS_PROFILE, or give the machine a role",
            )
        })?;
        Ok(Self { tokens: Some(provider) })
    }

    /// A login with a provider of one's own, which somebody keeps fresh.
    #[must_use]
    pub fn with_provider(provider: TokenProvider) -> Self {
        Self { tokens: Some(Arc::new(provider)) }
    }

    /// Sets what a client of this login needs.
    pub fn configure(&self, config: &mut ClientConfig) {
        if self.tokens.is_some() {
            config.set("sasl.mechanism", "OAUTHBEARER");
            config.set("reconnect.backoff.ms", "1000").set("reconnect.backoff.max.ms", "10000");
        }
    }

    /// The current token, for [`ClientContext::generate_oauth_token`].
    ///
    /// # Errors
    ///
    /// The credentials have expired and no new ones could be loaded.
    pub fn oauth_token(&self) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let provider = self.tokens.as_ref().ok_or("this client does not log in with IAM")?;
        let token = provider.current().map_err(|error| format!("{NO_TOKEN}: {error}"))?;
        let end = token.expires_at().min(SystemTime::now() + ANNOUNCED);
        Ok(OAuthToken {
            token: token.as_str().to_owned(),
            principal_name: Token::PRINCIPAL.to_owned(),
            lifetime_ms: i64::try_from(end.duration_since(UNIX_EPOCH)?.as_millis())?,
        })
    }

    /// Learns of a client's error, for [`ClientContext::error`]: a broker that refuses is a reason
    /// to load new credentials. That there is no token yet is none: they are on their way.
    pub fn heard(&self, error: &KafkaError, reason: &str) {
        if let Some(provider) = &self.tokens
            && error.rdkafka_error_code() == Some(RDKafkaErrorCode::Authentication)
            && !reason.contains(NO_TOKEN)
        {
            tracing::warn!("the broker refuses the IAM token: {reason}");
            provider.reload();
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("tokens", &self.tokens).finish()
    }
}

/// The context of clients that only need to log in.
#[derive(Debug, Clone)]
pub struct LoginContext(Login);

impl LoginContext {
    /// For one client of the login.
    #[must_use]
    pub const fn new(login: Login) -> Self {
        Self(login)
    }
}

impl ClientContext for LoginContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        kafka::log_client(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("kafka client: {error}: {reason}");
        self.0.heard(&error, reason);
    }

    fn generate_oauth_token(
        &self,
        _: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.0.oauth_token()
    }
}

impl ConsumerContext for LoginContext {}

/// The cluster's region: as configured, as the broker's name says, or where the program runs.
fn region(settings: &ClientSettings) -> Result<Region, Error> {
    let broker = settings.brokers.split(',').next().unwrap_or_default().trim();
    let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let found = match &settings.iam_options.region {
        Some(region) => Region::new(region),
        None => Region::from_host(broker).or_else(|error| {
            let around = named("AWS_REGION").or_else(|| named("AWS_DEFAULT_REGION"));
            around.map_or(Err(error), |region| Region::new(&region))
        }),
    };
    found.map_err(|error| {
        Error::new(Part::Config, format!("no AWS region for the broker {broker}"))
            .with_cause(error)
            .with_advice("name the cluster's region: -X aws.region=…, or AWS_REGION")
    })
}

/// What the providers that are in use were made for.
type InUse = Vec<(Region, IamOptions, Weak<TokenProvider>)>;

/// One provider for everybody who asks for the same, as long as somebody uses it.
fn shared(region: &Region, options: &IamOptions) -> Result<Arc<TokenProvider>, Error> {
    static IN_USE: Mutex<InUse> = Mutex::new(Vec::new());
    let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
    in_use.retain(|(_, _, provider)| provider.strong_count() > 0);
    let same = in_use.iter().find(|(of, with, _)| of == region && with == options);
    if let Some(provider) = same.and_then(|(_, _, provider)| provider.upgrade()) {
        return Ok(provider);
    }
    let signer = Signer::new(region.clone())
        .with_user_agent(concat!("full-pipeline/", env!("CARGO_PKG_VERSION")));
    let provider = TokenProvider::new(signer, source(region, options)?);
    // Clients ask for tokens on threads of their own, perhaps hours from now.
    tokio::spawn(provider.keep_fresh());
    let provider = Arc::new(provider);
    in_use.push((region.clone(), options.clone(), Arc::downgrade(&provider)));
    Ok(provider)
}

#[cfg(feature = "aws-credentials")]
fn source(region: &Region, options: &IamOptions) -> Result<Arc<dyn ProvideCredentials>, Error> {
    let wrong = |error| Error::new(Part::Config, "cannot assume the IAM role").with_cause(error);
    let sts_region = match &options.sts_region {
        Some(name) => Region::new(name).map_err(wrong)?,
        None => region.clone(),
    };
    let mut base = DefaultCredentials::new(sts_region.clone());
    if let Some(profile) = &options.profile {
        base = base.with_profile(profile);
    }
    let Some(role_arn) = &options.role_arn else { return Ok(Arc::new(base)) };
    let mut role = AssumeRole::new(Arc::new(base), role_arn, sts_region);
    if let Some(name) = &options.session_name {
        role = role.with_session_name(name).map_err(wrong)?;
    }
    if let Some(id) = &options.external_id {
        role = role.with_external_id(id);
    }
    Ok(Arc::new(role))
}

#[cfg(not(feature = "aws-credentials"))]
fn source(_: &Region, options: &IamOptions) -> Result<Arc<dyn ProvideCredentials>, Error> {
    if options.profile.is_some() || options.role_arn.is_some() {
        return Err(Error::new(Part::Config, "this build knows no profiles and no roles")
            .with_advice("build it with the feature aws-credentials"));
    }
    Ok(Arc::new(EnvironmentCredentials::new()))
}
