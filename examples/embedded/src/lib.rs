//! Throwaway services for one machine: what the demo runs on and what every test stands on.

#[cfg(feature = "broker")]
pub mod broker;
#[cfg(feature = "control")]
pub mod control;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "registry")]
pub mod registry;
mod skip;
#[cfg(feature = "store-faults")]
pub mod store;

pub use skip::skip;
