#![doc = include_str!("../README.md")]

mod credentials;
mod error;
mod json;
mod mechanism;
#[cfg(feature = "tokio")]
mod provider;
mod region;
mod signer;
mod sigv4;
mod token;

pub use credentials::Credentials;
pub use error::{Error, ErrorKind};
pub use mechanism::Reply;
#[cfg(feature = "tokio")]
pub use provider::{EnvironmentCredentials, ProvideCredentials, TokenProvider};
pub use region::Region;
pub use signer::Signer;
pub use token::Token;
