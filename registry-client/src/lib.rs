// The example needs the HTTP transport.
#![cfg_attr(feature = "reqwest", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "reqwest"), doc = "Client for schema registries.")]
//!
//! # Types to meet first
//!
//! [`Client`] makes the calls, [`Config`] says how, [`Error`] tells what went wrong. A
//! [`Registered`] is a schema as a registry holds it, a [`NewSchema`] one to give to it.
//!
//! # Coming from the Java client
//!
//! `CachedSchemaRegistryClient` is [`Client`]: `getSchemaById` is [`Client::schema`],
//! `getLatestSchemaMetadata` [`Client::latest`], `getId` [`Client::lookup`],
//! `testCompatibility` [`Client::may_register`], `updateCompatibility`
//! [`Client::update_settings`]. `KafkaAvroSerializer` and `KafkaAvroDeserializer` are
//! `AvroSerializer` and `AvroDeserializer` (feature `avro`), their strategies
//! [`SubjectStrategy`], `MockSchemaRegistryClient` is `MockRegistry` (feature `mock`).
//!
//! Unlike Java's, this client keeps what does not exist for 5 seconds and the latest version for
//! 60, sends requests for different keys side by side, breaks the circuit to a registry that
//! keeps failing, and does not retry status 501 or 505.

mod admin;
mod auth;
#[cfg(feature = "avro")]
mod avro;
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
#[cfg(feature = "mock")]
mod mock;
mod oauth;
mod properties;
mod retry;
mod schema;
mod secret;
mod settings;
mod strategy;
mod subject;
#[cfg(feature = "reqwest")]
mod tls;
mod transport;

pub use admin::{Force, ServerId, ServerVersion};
pub use auth::{ProvideToken, Token};
#[cfg(feature = "avro")]
pub use avro::{
    AvroDecoder, AvroDeserializer, AvroReader, AvroSerializer, AvroWriter, SchemaChoice,
    SerdeProperties, Strictness,
};
pub use client::Client;
pub use config::Config;
pub use error::{Error, ErrorKind, Missing};
#[cfg(feature = "reqwest")]
pub use http::HttpTransport;
pub use id::{Guid, SchemaId, Version};
pub use listing::{Deleted, Deletion, Listing};
pub use metadata::{Metadata, Rule, RuleSet};
#[cfg(feature = "mock")]
pub use mock::MockRegistry;
pub use oauth::ClientCredentials;
pub use schema::{
    Compatibility, ContextId, Definition, NewSchema, Reference, Registered, Registration,
    SchemaType, SubjectVersion,
};
pub use settings::{CompatibilityLevel, Mode, Scope, Settings};
pub use strategy::SubjectStrategy;
pub use subject::{Context, Part, Subject, SubjectNaming};
pub use transport::{Method, Request, Response, Transport};
