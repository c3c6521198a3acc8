//! Looks inside TLS where a policy asks for it: the authority that clients trust, and the certificates it signs for hosts.
//!
//! Invariant: without an authority nothing of this runs and nothing is allocated.

pub mod authority;
pub mod leaves;
mod tickets;
pub mod trust;
mod truststore;

pub use authority::{AuthorityError, Files};
pub use leaves::{LeafTtl, Leaves};
pub use trust::Trust;
