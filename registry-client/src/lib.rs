// The example needs the HTTP transport.
#![cfg_attr(feature = "reqwest", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "reqwest"), doc = "Client for schema registries.")]

mod cache;
mod client;
mod config;
mod endpoint;
mod error;
#[cfg(feature = "reqwest")]
mod http;
mod model;
mod properties;
mod retry;
mod secret;
mod subject;
mod transport;

pub use client::Client;
pub use config::Config;
pub use error::{Error, ErrorKind, Missing};
#[cfg(feature = "reqwest")]
pub use http::HttpTransport;
pub use model::{Compatibility, NewSchema, Reference, Registered, SchemaId, SchemaType, Version};
pub use subject::{Part, Subject, SubjectNaming};
pub use transport::{Method, Request, Response, Transport};
