//! The private key of a certificate authority, held where it is zeroed when it is given back.
//!
//! The key lives in an allocation of aws-lc alone, which clears what it frees. Text and bytes on the way in and out are
//! cleared here.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
};
use rcgen::{
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256,
    PublicKeyData, SignatureAlgorithm, SigningKey,
};
use zeroize::Zeroizing;

use super::CaError;
use crate::pem;

/// What kind of key an authority signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA with 4096 bits and SHA-256: what the oldest clients understand. A signature takes some 1.5 ms.
    Rsa,
    /// ECDSA on P-384 with SHA-384.
    EcdsaP384,
    /// ECDSA on P-256 with SHA-256: the fastest to make and to sign with.
    EcdsaP256,
}

/// Fewer bits than these are no longer accepted by current clients.
const RSA_BYTES_MIN: usize = 2048 / 8;

enum Kind {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// A private key and the algorithm it signs with.
pub struct PrivateKey {
    kind: Kind,
    algorithm: &'static SignatureAlgorithm,
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

impl PrivateKey {
    /// Makes a key. One of [`Algorithm::Rsa`] takes about half a second, the others some 20 µs.
    ///
    /// # Errors
    /// [`CaError::Making`] when the library cannot.
    pub fn generate(algorithm: Algorithm) -> Result<PrivateKey, CaError> {
        let making = |_| CaError::Making;
        let ecdsa = |how| EcdsaKeyPair::generate(how).map(Kind::Ecdsa).map_err(making);
        let (kind, algorithm) = match algorithm {
            Algorithm::Rsa => {
                (RsaKeyPair::generate(KeySize::Rsa4096).map(Kind::Rsa).map_err(making)?, &PKCS_RSA_SHA256)
            }
            Algorithm::EcdsaP384 => (ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING)?, &PKCS_ECDSA_P384_SHA384),
            Algorithm::EcdsaP256 => (ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING)?, &PKCS_ECDSA_P256_SHA256),
        };
        Ok(PrivateKey { kind, algorithm })
    }

    /// Reads the one private key of a PEM text: PKCS #8, PKCS #1 or SEC 1; RSA from 2048 bits, P-256, P-384, P-521 or
    /// Ed25519.
    ///
    /// # Errors
    /// A text without exactly one unencrypted private key, and a key of another kind.
    pub fn from_pem(text: &str) -> Result<PrivateKey, CaError> {
        let blocks = pem::decode(text)?;
        let mut keys = blocks.iter().filter(|block| block.label.ends_with("PRIVATE KEY"));
        let key = keys.next().ok_or(CaError::NoKey)?;
        if keys.next().is_some() {
            return Err(CaError::Pem("there is more than one private key"));
        }
        match key.label.as_str() {
            "PRIVATE KEY" => PrivateKey::ecdsa(&key.bytes)
                .or_else(|| RsaKeyPair::from_pkcs8(&key.bytes).ok().map(PrivateKey::rsa))
                .or_else(|| Ed25519KeyPair::from_pkcs8_maybe_unchecked(&key.bytes).ok().map(PrivateKey::ed25519)),
            "EC PRIVATE KEY" => PrivateKey::ecdsa(&key.bytes),
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(&key.bytes).ok().map(PrivateKey::rsa),
            "ENCRYPTED PRIVATE KEY" => return Err(CaError::Pem("the private key must not be encrypted")),
            _ => None,
        }
        .filter(PrivateKey::is_long_enough)
        .ok_or(CaError::KeyKind)
    }

    fn ecdsa(bytes: &[u8]) -> Option<PrivateKey> {
        [
            (&ECDSA_P256_SHA256_ASN1_SIGNING, &PKCS_ECDSA_P256_SHA256),
            (&ECDSA_P384_SHA384_ASN1_SIGNING, &PKCS_ECDSA_P384_SHA384),
            (&ECDSA_P521_SHA512_ASN1_SIGNING, &PKCS_ECDSA_P521_SHA512),
        ]
        .into_iter()
        .find_map(|(how, algorithm)| {
            let pair = EcdsaKeyPair::from_private_key_der(how, bytes).ok()?;
            Some(PrivateKey { kind: Kind::Ecdsa(pair), algorithm })
        })
    }

    fn rsa(pair: RsaKeyPair) -> PrivateKey {
        PrivateKey { kind: Kind::Rsa(pair), algorithm: &PKCS_RSA_SHA256 }
    }

    fn ed25519(pair: Ed25519KeyPair) -> PrivateKey {
        PrivateKey { kind: Kind::Ed25519(pair), algorithm: &PKCS_ED25519 }
    }

    /// What to ask for to get another like it; the nearest of those that are made here.
    pub fn kind(&self) -> Algorithm {
        match &self.kind {
            Kind::Rsa(_) => Algorithm::Rsa,
            Kind::Ecdsa(_) if self.algorithm == &PKCS_ECDSA_P256_SHA256 => Algorithm::EcdsaP256,
            Kind::Ecdsa(_) | Kind::Ed25519(_) => Algorithm::EcdsaP384,
        }
    }

    fn is_long_enough(&self) -> bool {
        match &self.kind {
            Kind::Rsa(pair) => pair.public_modulus_len() >= RSA_BYTES_MIN,
            Kind::Ecdsa(_) | Kind::Ed25519(_) => true,
        }
    }

    /// The key as PKCS #8 in PEM, for the one file that it belongs in.
    ///
    /// # Errors
    /// [`CaError::Making`] when the library cannot.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, CaError> {
        self.with_pkcs8(|bytes| pem::encode("PRIVATE KEY", bytes))
    }

    /// Lends the key as PKCS #8 in DER, which is cleared afterwards.
    ///
    /// # Errors
    /// [`CaError::Making`] when the library cannot.
    pub fn with_pkcs8<T>(&self, borrow: impl FnOnce(&[u8]) -> T) -> Result<T, CaError> {
        match &self.kind {
            Kind::Ecdsa(pair) => pair.to_pkcs8v1().map(|der| borrow(der.as_ref())),
            Kind::Ed25519(pair) => pair.to_pkcs8v1().map(|der| borrow(der.as_ref())),
            Kind::Rsa(pair) => AsDer::as_der(pair).map(|der| borrow(der.as_ref())),
        }
        .map_err(|_| CaError::Making)
    }
}

impl PublicKeyData for PrivateKey {
    fn der_bytes(&self) -> &[u8] {
        match &self.kind {
            Kind::Ecdsa(pair) => pair.public_key().as_ref(),
            Kind::Ed25519(pair) => pair.public_key().as_ref(),
            Kind::Rsa(pair) => pair.public_key().as_ref(),
        }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

impl SigningKey for PrivateKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let random = SystemRandom::new();
        match &self.kind {
            Kind::Ecdsa(pair) => pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()),
            Kind::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Kind::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map(|()| signature)
            }
        }
        .map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_their_text() {
        for algorithm in [Algorithm::Rsa, Algorithm::EcdsaP384, Algorithm::EcdsaP256] {
            let key = PrivateKey::generate(algorithm).unwrap();
            let again = PrivateKey::from_pem(&key.to_pem().unwrap()).unwrap();
            assert_eq!(key.der_bytes(), again.der_bytes());
            assert!(key.algorithm() == again.algorithm());
        }
    }

    #[test]
    fn a_key_does_not_show_itself() {
        let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
        assert_eq!(format!("{key:?}"), "PrivateKey(..)");
    }

    #[test]
    fn what_is_no_single_plain_key_is_refused() {
        let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap().to_pem().unwrap();
        let small = RsaKeyPair::from_pkcs8(b"").err();
        assert!(small.is_some());
        for (text, expected) in [
            (String::new(), "no private key"),
            (format!("{}{}", *key, *key), "more than one private key"),
            (key.replace("PRIVATE", "ENCRYPTED PRIVATE"), "must not be encrypted"),
            (key.replace("PRIVATE", "DSA PRIVATE"), "neither RSA"),
            (pem::encode("PRIVATE KEY", b"nonsense").to_string(), "neither RSA"),
        ] {
            let error = PrivateKey::from_pem(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
