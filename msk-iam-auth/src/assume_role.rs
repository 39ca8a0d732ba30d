use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_config::sts::AssumeRoleProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials as ProvideToSdk, future};
use tokio::sync::OnceCell;

use crate::{Credentials, Error, ProvideCredentials, Region, sdk};

/// A role, assumed with the credentials of another source: of any source, another role among them.
///
/// The session has a fixed name, so that every refresh gives the same principal, which MSK insists
/// on when a connection authenticates again.
///
/// ```
/// use std::sync::Arc;
/// use msk_iam_auth::{AssumeRole, DefaultCredentials, Region};
///
/// # fn main() -> Result<(), msk_iam_auth::Error> {
/// let region = Region::new("eu-west-1")?;
/// let pod = Arc::new(DefaultCredentials::new(region.clone()));
/// let hub = AssumeRole::new(pod, "arn:aws:iam::111122223333:role/hub", region.clone());
/// let role = AssumeRole::new(Arc::new(hub), "arn:aws:iam::444455556666:role/orders", region)
///     .with_session_name("orders")?
///     .with_external_id("shared-with-the-partner");
/// # drop(role);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct AssumeRole {
    base: Arc<dyn ProvideCredentials>,
    role_arn: String,
    sts_region: Region,
    session_name: Option<String>,
    external_id: Option<String>,
    sts_endpoint: Option<String>,
    /// Made at the first call and kept, with its connections.
    provider: Arc<OnceCell<AssumeRoleProvider>>,
}

impl AssumeRole {
    /// The role named by `role_arn`, asked for at the STS of a region, which need not be the
    /// cluster's.
    #[must_use]
    pub fn new(base: Arc<dyn ProvideCredentials>, role_arn: &str, sts_region: Region) -> Self {
        Self {
            base,
            role_arn: role_arn.to_owned(),
            sts_region,
            session_name: None,
            external_id: None,
            sts_endpoint: None,
            provider: Arc::default(),
        }
    }

    /// Names the session, instead of by `AWS_ROLE_SESSION_NAME`, or `msk-iam-auth` without that.
    ///
    /// # Errors
    /// [`ErrorKind::SessionName`](crate::ErrorKind::SessionName) for a name STS does not accept.
    pub fn with_session_name(mut self, name: &str) -> Result<Self, Error> {
        sdk::check_session_name(name)?;
        self.session_name = Some(name.to_owned());
        self.provider = Arc::default();
        Ok(self)
    }

    /// Tells the external id that the role's trust policy asks for.
    #[must_use]
    pub fn with_external_id(mut self, id: &str) -> Self {
        self.external_id = Some(id.to_owned());
        self.provider = Arc::default();
        self
    }

    /// Asks an STS at this URL, such as a private endpoint, instead of the region's. The
    /// environment's `AWS_ENDPOINT_URL_STS` wins over it.
    #[must_use]
    pub fn with_sts_endpoint(mut self, url: &str) -> Self {
        self.sts_endpoint = Some(url.to_owned());
        self.provider = Arc::default();
        self
    }

    async fn provider(&self) -> Result<&AssumeRoleProvider, Error> {
        self.provider
            .get_or_try_init(|| async {
                let mut builder = AssumeRoleProvider::builder(&self.role_arn)
                    .session_name(sdk::session_name(self.session_name.as_deref())?)
                    .configure(
                        &sdk::sts_config(&self.sts_region, self.sts_endpoint.as_deref()).await,
                    );
                if let Some(id) = &self.external_id {
                    builder = builder.external_id(id);
                }
                Ok(builder.build_from_provider(Base(Arc::clone(&self.base))).await)
            })
            .await
    }
}

#[async_trait]
impl ProvideCredentials for AssumeRole {
    async fn credentials(&self) -> Result<Credentials, Error> {
        let provided = self.provider().await?.provide_credentials().await;
        provided.map(|credentials| sdk::from_sdk(&credentials)).map_err(sdk::failed)
    }
}

impl fmt::Debug for AssumeRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssumeRole")
            .field("base", &self.base)
            .field("role_arn", &self.role_arn)
            .field("sts_region", &self.sts_region)
            .field("session_name", &self.session_name)
            .field("sts_endpoint", &self.sts_endpoint)
            .finish_non_exhaustive()
    }
}

/// One of our sources, as the SDK wants to see it.
#[derive(Debug)]
struct Base(Arc<dyn ProvideCredentials>);

impl ProvideToSdk for Base {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let credentials =
                self.0.credentials().await.map_err(CredentialsError::provider_error)?;
            Ok(sdk::to_sdk(&credentials))
        })
    }
}
