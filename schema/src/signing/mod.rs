//! Who vouches for a policy: signatures over its manifest, and the keys that make and check them.
//!
//! A signature covers every byte of `manifest.json`, and the manifest has the digest and size of each other artifact, so
//! that nothing of a signed policy can be exchanged for something else, not even for the same file of another signed one.
//! What is signed is [`CONTEXT`] followed by the manifest, as Ed25519 (RFC 8032) without prehashing; the context keeps
//! such a signature from being one of anything else.
//!
//! A signature does not say that a policy is the newest: an older one that was signed stays signed.

mod key;
mod signatures;
mod trust;

pub use key::{KeyError, PublicKey, SigningKey};
pub use signatures::{SIGNATURES_MAX_BYTES, SignatureError, Signatures};
pub use trust::{Trust, exposed_to_change};

/// What stands before the manifest in what is signed. It ends in the only zero byte, so that no context begins another.
///
/// Changelog: `v1`, the first.
pub const CONTEXT: &[u8] = b"outcall-manifest-signature-v1\0";

/// What is signed for a manifest of these bytes.
fn message(manifest: &[u8]) -> Vec<u8> {
    [CONTEXT, manifest].concat()
}

#[cfg(test)]
mod tests;
