//! `manifest.sig`: the signatures of one manifest.
//!
//! Text in exactly one form: the line `outcall-signature 1`, then one line a signature, in the order of the keys' ids, each
//! key once:
//!
//! ```text
//! outcall-signature 1
//! ed25519 sha256:<64 hex digits, the key's id> <128 hex digits, the signature>
//! ```
//!
//! Hex digits are in lower case, words are parted by one blank, every line ends in a line feed, and nothing else stands in
//! the file. Another reading of the same signatures does not exist.

use std::fmt::Write;

use super::{KeyError, PublicKey, SigningKey};
use crate::artifact::digest::Digest;

/// The format's version. Changelog: 1, the first.
const VERSION: u32 = 1;
const HEAD: &str = "outcall-signature ";
const ALGORITHM: &str = "ed25519";
/// As many as a change of keys among several signers needs.
const SIGNATURES_MAX: usize = 8;

/// The largest file of signatures: the head and eight lines have 1.7 KiB.
pub const SIGNATURES_MAX_BYTES: u64 = 4096;

/// Why a manifest's signatures are not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There are none.
    #[error("there is no such file, and only policies signed by a trusted key are loaded: `outcall sign` makes it")]
    Missing,
    /// The file's format is a later one.
    #[error("format version {found} is not supported, this build reads version {VERSION}")]
    Version {
        /// The version in the file.
        found: u32,
    },
    /// The file is not what it has to be.
    #[error("it is not a file of signatures: {0}")]
    Malformed(&'static str),
    /// None of the keys is trusted.
    #[error("it has no signature by a trusted key: signed by {found}, trusted {trusted}")]
    Foreign {
        /// The ids of the keys that signed.
        found: String,
        /// The ids of the trusted ones.
        trusted: String,
    },
    /// A signature of a trusted key belongs to something else.
    #[error("the signature by {key} is not one of this manifest.json: one of the two was changed or exchanged")]
    Wrong {
        /// The key's id.
        key: Digest,
    },
}

/// The signatures of one manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signatures {
    /// In the order of the keys' ids.
    rows: Vec<(Digest, [u8; 64])>,
}

impl Signatures {
    /// Signs a manifest by each of these keys; the same key twice signs once.
    ///
    /// # Errors
    /// [`KeyError::Making`] when the library cannot sign.
    pub fn make(manifest: &[u8], keys: &[SigningKey]) -> Result<Signatures, KeyError> {
        let mut rows = Vec::with_capacity(keys.len());
        for key in keys {
            rows.push((key.public()?.id(), key.sign(manifest)?));
        }
        rows.sort_unstable();
        rows.dedup();
        if rows.is_empty() || rows.len() > SIGNATURES_MAX {
            return Err(KeyError::Making);
        }
        Ok(Signatures { rows })
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{HEAD}{VERSION}\n");
        // Writing to a string cannot fail.
        for (key, signature) in &self.rows {
            let _ = write!(text, "{ALGORITHM} {key} ");
            for byte in signature {
                let _ = write!(text, "{byte:02x}");
            }
            text.push('\n');
        }
        text.into_bytes()
    }

    /// Reads a file. What is read is not verified: that is [`super::Trust::check`].
    ///
    /// # Errors
    /// [`SignatureError::Version`] and [`SignatureError::Malformed`] for anything but bytes that
    /// [`Signatures::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Signatures, SignatureError> {
        use SignatureError::Malformed;
        let text = str::from_utf8(bytes).map_err(|_| Malformed("it is not text"))?;
        let (head, rest) = text.split_once('\n').ok_or(Malformed("its first line has no end"))?;
        let version = head.strip_prefix(HEAD).and_then(|version| version.parse().ok());
        match version.ok_or(Malformed("its first line is not `outcall-signature 1`"))? {
            VERSION => {}
            found => return Err(SignatureError::Version { found }),
        }
        let lines: Vec<&str> = rest.lines().take(SIGNATURES_MAX + 1).collect();
        if lines.is_empty() || lines.len() > SIGNATURES_MAX {
            return Err(Malformed("it has not one to eight signatures"));
        }
        let rows = lines.into_iter().map(row).collect::<Option<Vec<_>>>();
        let signatures = Signatures { rows: rows.ok_or(Malformed("a line is not `ed25519 KEY SIGNATURE`"))? };
        if !signatures.rows.is_sorted_by(|(one, _), (next, _)| one < next) {
            return Err(Malformed("the keys are not in order, or there is one twice"));
        }
        // Capital digits, returns, blanks: whatever could be written in another way.
        if signatures.to_bytes() != bytes {
            return Err(Malformed("it is not in the one form that it has"));
        }
        Ok(signatures)
    }

    /// The ids of the keys that are said to have signed.
    pub fn keys(&self) -> impl Iterator<Item = Digest> {
        self.rows.iter().map(|(key, _)| *key)
    }

    /// The signature of a key.
    pub(super) fn by(&self, key: &PublicKey) -> Option<&[u8; 64]> {
        self.rows.iter().find(|(id, _)| *id == key.id()).map(|(_, signature)| signature)
    }
}

fn row(line: &str) -> Option<(Digest, [u8; 64])> {
    let (key, hex) = line.strip_prefix(ALGORITHM)?.strip_prefix(' ')?.split_once(' ')?;
    if hex.len() != 128 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut signature = [0; 64];
    for (to, at) in signature.iter_mut().zip((0..128).step_by(2)) {
        *to = u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()?;
    }
    Some((key.parse().ok()?, signature))
}
