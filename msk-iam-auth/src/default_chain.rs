use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::{self, ProfileFileCredentialsProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::{StaticConfiguration, WebIdentityTokenCredentialsProvider};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials as ProvideToSdk, future};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_types::os_shim_internal::{Env, Fs};
use tokio::sync::OnceCell;

use crate::{Credentials, Error, ProvideCredentials, Region, sdk};

/// The places where AWS's own programs look, in their order: environment; profile (keys, SSO,
/// process, roles); web identity (IRSA); container (ECS, EKS Pod Identity); instance (IMDSv2).
///
/// It differs from the SDK's chain in one point: where the SDK would make up a name for the session
/// of a role, a fixed one is used, because MSK refuses to re-authenticate a connection as another
/// session. The sessions of EKS Pod Identity are named by AWS at random; put an
/// [`AssumeRole`](crate::AssumeRole) on top of it.
#[derive(Clone)]
pub struct DefaultCredentials {
    sts_region: Region,
    session_name: Option<String>,
    profile: Option<String>,
    /// Made at the first call and kept, with connections and with the tokens of SSO.
    chain: Arc<OnceCell<CredentialsProviderChain>>,
}

impl DefaultCredentials {
    /// Where a role is to be assumed, the STS of this region is asked.
    #[must_use]
    pub fn new(sts_region: Region) -> Self {
        Self { sts_region, session_name: None, profile: None, chain: Arc::default() }
    }

    /// Names the sessions of roles that are not named elsewhere, instead of by
    /// `AWS_ROLE_SESSION_NAME`, or `msk-iam-auth` without that.
    ///
    /// # Errors
    /// [`ErrorKind::SessionName`](crate::ErrorKind::SessionName) for a name STS does not accept.
    pub fn with_session_name(mut self, name: &str) -> Result<Self, Error> {
        sdk::check_session_name(name)?;
        self.session_name = Some(name.to_owned());
        self.chain = Arc::default();
        Ok(self)
    }

    /// Looks only into this profile of the shared configuration files.
    #[must_use]
    pub fn with_profile(mut self, name: &str) -> Self {
        self.profile = Some(name.to_owned());
        self.chain = Arc::default();
        self
    }

    async fn chain(&self) -> Result<&CredentialsProviderChain, Error> {
        self.chain.get_or_try_init(|| self.build()).await
    }

    async fn build(&self) -> Result<CredentialsProviderChain, Error> {
        let session_name = sdk::session_name(self.session_name.as_deref())?;
        let config = sdk::provider_config(&self.sts_region);
        let profiles = profiles(&config, self.profile.as_deref(), &session_name).await;
        if self.profile.is_some() {
            return Ok(CredentialsProviderChain::first_try("Profile", profiles));
        }
        Ok(CredentialsProviderChain::first_try(
            "Environment",
            EnvironmentVariableCredentialsProvider::new(),
        )
        .or_else("Profile", profiles)
        .or_else("WebIdentityToken", web_identity(&config, session_name))
        .or_else(
            "EcsContainer",
            Container { inner: EcsCredentialsProvider::builder().configure(&config).build() },
        )
        .or_else(
            "Ec2InstanceMetadata",
            ImdsCredentialsProvider::builder().configure(&config).build(),
        ))
    }
}

#[async_trait]
impl ProvideCredentials for DefaultCredentials {
    async fn credentials(&self) -> Result<Credentials, Error> {
        let provided = self.chain().await?.provide_credentials().await;
        provided.map(|credentials| sdk::from_sdk(&credentials)).map_err(sdk::failed)
    }
}

impl fmt::Debug for DefaultCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DefaultCredentials")
            .field("sts_region", &self.sts_region)
            .field("session_name", &self.session_name)
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}

/// The profile source over the files it reads anyway and one more, which only names the sessions of
/// the roles that have none: files that come later add to the profiles of earlier ones.
async fn profiles(
    config: &ProviderConfig,
    selected: Option<&str>,
    session_name: &str,
) -> ProfileFileCredentialsProvider {
    let mut builder = ProfileFileCredentialsProvider::builder().configure(config);
    if let Some(name) = selected {
        builder = builder.profile_name(name);
    }
    let usual = EnvConfigFiles::default();
    // A file that cannot be read is reported by the source itself.
    if let Ok(set) = profile::load(&Fs::default(), &Env::default(), &usual, None).await {
        let unnamed: String = set
            .profiles()
            .filter_map(|name| set.get_profile(name))
            .filter(|p| p.get("role_arn").is_some() && p.get("role_session_name").is_none())
            .map(|p| format!("[profile {}]\nrole_session_name = {session_name}\n", p.name()))
            .collect();
        if !unnamed.is_empty() {
            builder = builder.profile_files(
                EnvConfigFiles::builder()
                    .include_default_config_file(true)
                    .include_default_credentials_file(true)
                    .with_contents(EnvConfigFileKind::Config, unnamed)
                    .build(),
            );
        }
    }
    builder.build()
}

/// Where the variables are not both there, the source says itself what is missing.
fn web_identity(
    config: &ProviderConfig,
    session_name: String,
) -> WebIdentityTokenCredentialsProvider {
    let builder = WebIdentityTokenCredentialsProvider::builder().configure(config);
    match (std::env::var("AWS_WEB_IDENTITY_TOKEN_FILE"), std::env::var("AWS_ROLE_ARN")) {
        (Ok(file), Ok(role_arn)) => builder
            .static_configuration(StaticConfiguration {
                web_identity_token_file: file.into(),
                role_arn,
                session_name,
            })
            .build(),
        _ => builder.build(),
    }
}

/// The container source, which would put the authorization token into its error and its log if it
/// holds a character that a header cannot, such as the line break at the end of a file.
#[derive(Debug)]
struct Container {
    inner: EcsCredentialsProvider,
}

impl Container {
    async fn load(&self) -> provider::Result {
        let token = match std::env::var_os("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            // A file that cannot be read is reported by the source itself.
            Some(file) => tokio::fs::read(file).await.unwrap_or_default(),
            None => std::env::var("AWS_CONTAINER_AUTHORIZATION_TOKEN").unwrap_or_default().into(),
        };
        if token.iter().any(u8::is_ascii_control) {
            return Err(CredentialsError::invalid_configuration(
                "the authorization token of the container holds a control character",
            ));
        }
        self.inner.provide_credentials().await
    }
}

impl ProvideToSdk for Container {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.load())
    }
}
