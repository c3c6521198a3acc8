//! What is said of the authority in use.

use serde::{Deserialize, Serialize};

/// The answer of `GET ca/status`. Without an authority there is none, but 404.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CaStatus {
    /// Whether it can sign now: its time has come and is not over.
    pub loaded: bool,
    /// Its name (RFC 5280, section 4.1.2.6).
    pub subject: String,
    /// The SHA-256 digest of its certificate, in pairs of hexadecimal digits with colons.
    pub fingerprint_sha256: String,
    /// When its time begins, RFC 3339 in UTC.
    pub not_before: String,
    /// When it ends.
    pub not_after: String,
    /// How many certificates for hosts are kept.
    pub leaf_cache_size: usize,
    /// How many are kept at most.
    pub leaf_cache_max: usize,
}
