//! An object store that fails on demand, around any other one.
//!
//! [`FaultyStore`] passes everything on to the store it is given, except what its [`Faults`] say:
//! the third put fails, every list is refused, an upload is complete but the answer is lost, all of
//! it takes a second longer. Numbers count from the order on, so a test orders what comes next.

mod faults;
mod faulty;

pub use faults::{Fault, Faults, Operation};
pub use faulty::FaultyStore;
