// The example needs the HTTP transport.
#![cfg_attr(feature = "reqwest", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "reqwest"), doc = "Client for schema registries.")]

mod admin;
mod auth;
mod breaker;
mod cache;
mod client;
mod config;
mod document;
mod endpoint;
mod error;
mod exchange;
#[cfg(feature = "reqwest")]
mod http;
mod id;
mod listing;
mod metadata;
mod oauth;
mod properties;
mod retry;
mod schema;
mod secret;
mod settings;
mod subject;
#[cfg(feature = "reqwest")]
mod tls;
mod transport;

pub use admin::{Force, ServerId, ServerVersion};
pub use auth::{ProvideToken, Token};
pub use client::Client;
pub use config::Config;
pub use error::{Error, ErrorKind, Missing};
#[cfg(feature = "reqwest")]
pub use http::HttpTransport;
pub use id::{Guid, SchemaId, Version};
pub use listing::{Deleted, Deletion, Listing};
pub use metadata::{Metadata, Rule, RuleSet};
pub use oauth::ClientCredentials;
pub use schema::{
    Compatibility, ContextId, Definition, NewSchema, Reference, Registered, Registration,
    SchemaType, SubjectVersion,
};
pub use settings::{CompatibilityLevel, Mode, Scope, Settings};
pub use subject::{Context, Part, Subject, SubjectNaming};
pub use transport::{Method, Request, Response, Transport};
