// The examples of the README need the feature.
#![cfg_attr(feature = "tokio", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "tokio"), doc = "IAM authentication for Amazon MSK; see the README.")]

#[cfg(feature = "default-credentials")]
mod assume_role;
mod claims;
mod credentials;
#[cfg(feature = "default-credentials")]
mod default_chain;
mod error;
mod json;
mod mechanism;
#[cfg(feature = "tokio")]
mod provider;
mod region;
#[cfg(feature = "default-credentials")]
mod sdk;
mod signer;
mod sigv4;
mod token;

#[cfg(feature = "default-credentials")]
pub use assume_role::AssumeRole;
pub use claims::Claims;
pub use credentials::Credentials;
#[cfg(feature = "default-credentials")]
pub use default_chain::DefaultCredentials;
pub use error::{Error, ErrorKind};
pub use mechanism::{Exchange, Reply};
#[cfg(feature = "tokio")]
pub use provider::{EnvironmentCredentials, ProvideCredentials, TokenProvider};
pub use region::Region;
pub use signer::Signer;
pub use token::Token;
