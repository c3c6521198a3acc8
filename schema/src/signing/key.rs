//! The keys of signatures: Ed25519, as PKCS #8 and `SubjectPublicKeyInfo` in PEM (RFC 8410), as openssl writes them too.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use zeroize::Zeroizing;

use super::message;
use crate::artifact::digest::Digest;
use crate::pem::{self, PemError};

const PUBLIC: &str = "PUBLIC KEY";
const PRIVATE: &str = "PRIVATE KEY";

/// What stands before the 32 bytes of an Ed25519 key in a `SubjectPublicKeyInfo` (RFC 8410, section 4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Why a key cannot be made or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is not what PEM is.
    #[error("it is not valid PEM: {0}")]
    Pem(&'static str),
    /// There is something else than one private key in the text.
    #[error("it does not hold exactly one private key and nothing else; `outcall keygen` makes one")]
    NoPrivateKey,
    /// There is something else than public keys in the text.
    #[error("it holds something else than public keys; `outcall keygen` makes one")]
    NoPublicKey,
    /// Where public keys belong stands a private one.
    #[error("it holds a private key where only the public one belongs: name the file that ends in .pub")]
    NotPublic,
    /// A key of another algorithm.
    #[error("the key is not one of Ed25519")]
    Kind,
    /// Anybody could sign for this key.
    #[error("the key is one of the few for which anybody can make signatures")]
    Weak,
    /// The library cannot make or use it.
    #[error("the key could not be made")]
    Making,
}

impl From<PemError> for KeyError {
    fn from(PemError(why): PemError) -> KeyError {
        KeyError::Pem(why)
    }
}

/// The private half of a key, in an allocation of aws-lc alone, which clears what it frees.
pub struct SigningKey(Ed25519KeyPair);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl SigningKey {
    /// Makes a key.
    ///
    /// # Errors
    /// [`KeyError::Making`] when the library cannot.
    pub fn generate() -> Result<SigningKey, KeyError> {
        Ed25519KeyPair::generate().map(SigningKey).map_err(|_| KeyError::Making)
    }

    /// Reads the one private key that a PEM text consists of, as PKCS #8.
    ///
    /// # Errors
    /// Anything else in the text, an encrypted key, and a key of another kind.
    pub fn from_pem(text: &str) -> Result<SigningKey, KeyError> {
        let blocks = pem::decode(text)?;
        let [block] = blocks.as_slice() else { return Err(KeyError::NoPrivateKey) };
        match block.label.as_str() {
            PRIVATE => Ed25519KeyPair::from_pkcs8(&block.bytes).map(SigningKey).map_err(|_| KeyError::Kind),
            "ENCRYPTED PRIVATE KEY" => Err(KeyError::Pem("the private key must not be encrypted")),
            label if label.ends_with(PRIVATE) => Err(KeyError::Kind),
            _ => Err(KeyError::NoPrivateKey),
        }
    }

    /// The key as PKCS #8 in PEM, for the one file that it belongs in.
    ///
    /// # Errors
    /// [`KeyError::Making`] when the library cannot.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        let der = self.0.to_pkcs8v1().map_err(|_| KeyError::Making)?;
        Ok(pem::encode(PRIVATE, der.as_ref()))
    }

    /// The public half.
    ///
    /// # Errors
    /// [`KeyError::Weak`], which no key that was made here is.
    pub fn public(&self) -> Result<PublicKey, KeyError> {
        let bytes = self.0.public_key().as_ref().try_into().map_err(|_| KeyError::Making)?;
        PublicKey::of(bytes)
    }

    /// The signature over a manifest.
    ///
    /// # Errors
    /// [`KeyError::Making`] when the library cannot.
    pub(super) fn sign(&self, manifest: &[u8]) -> Result<[u8; 64], KeyError> {
        let signature = self.0.try_sign(&message(manifest)).map_err(|_| KeyError::Making)?;
        signature.as_ref().try_into().map_err(|_| KeyError::Making)
    }
}

/// The public half of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey {
    bytes: [u8; 32],
    id: Digest,
}

impl PublicKey {
    /// The key of these bytes (RFC 8032, section 5.1.5).
    ///
    /// # Errors
    /// [`KeyError::Weak`].
    pub fn of(bytes: [u8; 32]) -> Result<PublicKey, KeyError> {
        if is_weak(&bytes) {
            return Err(KeyError::Weak);
        }
        Ok(PublicKey { bytes, id: Digest::of(&[SPKI.as_slice(), &bytes].concat()) })
    }

    /// Reads all public keys of a PEM text that holds nothing else.
    ///
    /// # Errors
    /// A text without any, with something else, or with a key of another kind.
    pub fn all_from_pem(text: &str) -> Result<Vec<PublicKey>, KeyError> {
        let blocks = pem::decode(text)?;
        if blocks.iter().any(|block| block.label.ends_with(PRIVATE)) {
            return Err(KeyError::NotPublic);
        }
        if blocks.is_empty() || blocks.iter().any(|block| block.label != PUBLIC) {
            return Err(KeyError::NoPublicKey);
        }
        let key = |der: &[u8]| der.strip_prefix(&SPKI).and_then(|key| key.try_into().ok()).ok_or(KeyError::Kind);
        blocks.iter().map(|block| PublicKey::of(key(&block.bytes)?)).collect()
    }

    /// The key as `SubjectPublicKeyInfo` in PEM.
    pub fn to_pem(&self) -> String {
        pem::encode(PUBLIC, &[SPKI.as_slice(), &self.bytes].concat()).to_string()
    }

    /// The key's id: the SHA-256 of its `SubjectPublicKeyInfo` in DER.
    pub const fn id(&self) -> Digest {
        self.id
    }

    /// Whether this is a signature over the message by this key.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.bytes).verify(message, signature).is_ok()
    }
}

/// Whether the point of a key has a small order: with such a key, whatever its maker wanted, a signature that needs no
/// secret fits one message in eight or more. An all-zero file is among them. The last bit is the sign.
fn is_weak(key: &[u8; 32]) -> bool {
    const EIGHTH: [u8; 32] = [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ];
    const OTHER_EIGHTH: [u8; 32] = [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ];
    let [first, middle @ .., last] = key;
    let last = last & 0x7f;
    let all = |byte: u8| middle.iter().all(|it| *it == byte);
    // 0 and 1, then -1, 0 and 1 modulo 2^255 - 19 again.
    let plain = (all(0) && last == 0 && *first <= 1) || (all(0xff) && last == 0x7f && (0xec..=0xee).contains(first));
    let mut unsigned = *key;
    let [.., sign] = &mut unsigned;
    *sign = last;
    plain || unsigned == EIGHTH || unsigned == OTHER_EIGHTH
}
