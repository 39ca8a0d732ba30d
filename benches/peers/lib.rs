//! Peers that the workspace must not depend on, each in a bench of its own.
