//! Whose signatures are accepted.

use super::{KeyError, PublicKey, SignatureError, Signatures, message};
use crate::artifact::digest::Digest;

/// The keys that a host accepts policies from. With none, policies need no signature.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    keys: Vec<PublicKey>,
}

impl Trust {
    /// No keys: whoever can write the artifacts is trusted, which is right for one's own machine.
    pub const fn unsigned() -> Trust {
        Trust { keys: Vec::new() }
    }

    /// Adds the public keys of a PEM text.
    ///
    /// # Errors
    /// As [`PublicKey::all_from_pem`]. Then nothing is added.
    pub fn add_pem(&mut self, text: &str) -> Result<(), KeyError> {
        for key in PublicKey::all_from_pem(text)? {
            if !self.keys.contains(&key) {
                self.keys.push(key);
            }
        }
        Ok(())
    }

    /// Whether there are no keys, so that policies need no signature.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The ids of the keys.
    pub fn ids(&self) -> impl Iterator<Item = Digest> {
        self.keys.iter().map(PublicKey::id)
    }

    /// Checks a manifest's bytes against the bytes of its `manifest.sig`: at least one trusted key must have signed it,
    /// and what is said to be a trusted key's signature must be one. Signatures of other keys are not looked at. Gives the
    /// ids of the trusted keys that signed; without trusted keys nothing is looked at, and there are none.
    ///
    /// # Errors
    /// [`SignatureError`], when there are trusted keys.
    pub fn check(&self, manifest: &[u8], signatures: Option<&[u8]>) -> Result<Vec<Digest>, SignatureError> {
        if self.keys.is_empty() {
            return Ok(Vec::new());
        }
        let signatures = Signatures::from_bytes(signatures.ok_or(SignatureError::Missing)?)?;
        let message = message(manifest);
        let mut signers = Vec::new();
        for key in &self.keys {
            match signatures.by(key) {
                None => {}
                Some(signature) if key.verifies(&message, signature) => signers.push(key.id()),
                Some(_) => return Err(SignatureError::Wrong { key: key.id() }),
            }
        }
        if signers.is_empty() {
            return Err(SignatureError::Foreign { found: listed(signatures.keys()), trusted: listed(self.ids()) });
        }
        Ok(signers)
    }
}

fn listed(keys: impl Iterator<Item = Digest>) -> String {
    keys.map(|key| key.to_string()).collect::<Vec<_>>().join(", ")
}

/// Why a file with this mode and owner does not say reliably whom to trust, when `caller` is who reads it; `None` when it
/// does.
pub fn exposed_to_change(mode: u32, owner: u32, caller: u32) -> Option<String> {
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    if mode & WRITABLE_BY_OTHERS != 0 {
        return Some(format!("its mode is {:04o}, so others can change it: run `chmod go-w` on it", mode & 0o7777));
    }
    if owner != caller && owner != 0 {
        return Some(format!("it belongs to user {owner}, who can change it: it must be user {caller}'s or root's"));
    }
    None
}
