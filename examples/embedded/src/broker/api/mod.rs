//! The requests, one function each.

pub(super) mod admin;
pub(super) mod fetch;
pub(super) mod groups;
pub(super) mod list_offsets;
pub(super) mod metadata;
pub(super) mod offsets;
pub(super) mod produce;
pub(super) mod transactions;
