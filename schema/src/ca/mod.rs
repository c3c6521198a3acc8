//! Certificate authorities for interception: making one, and saying whether one can be used.
//!
//! The operator's command makes authorities and the enforcing process signs with them; both judge them here. Keys and
//! certificates come and go as text: no file is opened in this crate.

mod certificate;
mod constraints;
mod key;
mod leaf;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, GeneralSubtree, IsCa, KeyUsagePurpose,
    NameConstraints, PublicKeyData, SerialNumber,
};

pub use certificate::{CaCertificate, bundle, certificate_pem, text};
pub use key::{Algorithm, PrivateKey};
pub use leaf::Issuer;
pub use zeroize::Zeroizing;

use crate::host::Host;
use crate::pem::PemError;

/// Why an authority cannot be made or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaError {
    /// The text is not what PEM is.
    #[error("it is not valid PEM: {0}")]
    Pem(&'static str),
    /// There is no certificate in the text.
    #[error("it holds no certificate")]
    NoCertificate,
    /// There is no private key in the text.
    #[error("it holds no private key")]
    NoKey,
    /// A file that everybody may read holds the private key.
    #[error("it holds a private key, and belongs to the certificate alone: everybody may read it")]
    KeyInCertificate,
    /// The key is of a kind that authorities here do not have.
    #[error("the private key is neither RSA of 2048 bits or more, nor on P-256, P-384 or P-521, nor Ed25519")]
    KeyKind,
    /// The certificate cannot be read.
    #[error("it is not a valid certificate")]
    Certificate,
    /// The certificate is not one of an authority.
    #[error("the certificate is not one of a certificate authority: {0}")]
    NoCa(&'static str),
    /// The certificates in the text do not follow from each other.
    #[error("each certificate must be followed by that of its issuer")]
    Chain,
    /// Key and certificate are not of one another.
    #[error("the private key is not that of the certificate")]
    Mismatch,
    /// The certificate is not valid yet.
    #[error("the certificate is not valid before {not_before}: is the clock right?")]
    NotYet {
        /// From when on it is.
        not_before: String,
    },
    /// The certificate is not valid any more.
    #[error("the certificate has expired at {not_after}: make another with `outcall ca rotate` or `outcall ca init`")]
    Expired {
        /// Until when it was.
        not_after: String,
    },
    /// The subject has a form that what it signs could not repeat.
    #[error("the certificate's subject has a form that cannot be used here, such as the same attribute twice")]
    Subject,
    /// The authority's constraints on names leave this host out.
    #[error("the certificate authority may not sign for {host}: its constraints on names leave it out")]
    NotPermitted {
        /// The host.
        host: String,
    },
    /// A constraint on names that is no domain.
    #[error("`{0}` is not a domain: write for example `example.com`, which stands for all names below it too")]
    Constraint(String),
    /// The library cannot make or sign it.
    #[error("the certificate or its key could not be made")]
    Making,
}

impl From<PemError> for CaError {
    fn from(PemError(why): PemError) -> CaError {
        CaError::Pem(why)
    }
}

/// What an authority is to be.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The kind of its key.
    pub algorithm: Algorithm,
    /// The only domains that it can sign for, with all below them; none means all hosts. With any, it cannot sign for
    /// addresses.
    pub domains: Vec<String>,
    /// When its time begins. It is dated a day back, so that clients whose clock is behind accept it.
    pub now: SystemTime,
}

/// How long an authority is valid: ten years, leap days included.
pub const LIFETIME: Duration = Duration::from_secs(3652 * 86_400);
/// How far an authority is dated back.
const BACKDATED: Duration = Duration::from_secs(86_400);

/// A certificate with its key.
#[derive(Debug)]
pub struct Authority {
    /// The certificate.
    pub certificate: CaCertificate,
    /// Its private key.
    pub key: PrivateKey,
}

impl Authority {
    /// Makes an authority: `CA:TRUE` with a path length of 0, for the signing of certificates and revocation lists, both
    /// critical (RFC 5280, sections 4.2.1.3 and 4.2.1.9), a random serial number, and a subject of its own, so that
    /// clients never confuse two.
    ///
    /// # Errors
    /// [`CaError::Constraint`] for what is no domain, [`CaError::Making`] when the library cannot.
    pub fn make(wanted: &Wanted) -> Result<Authority, CaError> {
        let domains = wanted.domains.iter().map(|domain| domain_of(domain)).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKey::generate(wanted.algorithm)?;
        let serial = serial()?;
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::OrganizationName, "Outcall");
        let short: String = serial.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        parameters.distinguished_name.push(DnType::CommonName, format!("Outcall CA {short}"));
        parameters.serial_number = Some(SerialNumber::from_slice(&serial));
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        parameters.not_before = (wanted.now - BACKDATED).into();
        parameters.not_after = (wanted.now + LIFETIME).into();
        if !domains.is_empty() {
            // Constraints on one kind of names leave the others free, so addresses are excluded.
            parameters.name_constraints = Some(NameConstraints {
                permitted_subtrees: domains.into_iter().map(GeneralSubtree::DnsName).collect(),
                excluded_subtrees: vec![
                    GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix(Ipv4Addr::UNSPECIFIED.octets(), 0)),
                    GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix(Ipv6Addr::UNSPECIFIED.octets(), 0)),
                ],
            });
        }
        let certificate = parameters.self_signed(&key).map_err(|_| CaError::Making)?;
        let certificate = CaCertificate::from_der(vec![certificate.der().to_vec()])?;
        Ok(Authority { certificate, key })
    }

    /// Reads an authority from the texts of its two files.
    ///
    /// # Errors
    /// Whatever [`CaCertificate::from_pem`], [`PrivateKey::from_pem`] and [`CaCertificate::valid_at`] refuse, and
    /// [`CaError::Mismatch`].
    pub fn from_pem(certificate: &str, key: &str, now: SystemTime) -> Result<Authority, CaError> {
        Authority::of(CaCertificate::from_pem(certificate)?, PrivateKey::from_pem(key)?, now)
    }

    /// The same of what has been read.
    ///
    /// # Errors
    /// As [`Authority::from_pem`].
    pub fn of(certificate: CaCertificate, key: PrivateKey, now: SystemTime) -> Result<Authority, CaError> {
        if !certificate.is_of(key.der_bytes()) {
            return Err(CaError::Mismatch);
        }
        certificate.valid_at(now)?;
        Ok(Authority { certificate, key })
    }
}

/// A serial number: positive, of 16 bytes, 126 of its bits random (RFC 5280, section 4.1.2.2).
///
/// # Errors
/// [`CaError::Making`] without randomness.
pub fn serial() -> Result<[u8; 16], CaError> {
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| CaError::Making)?;
    let [first, ..] = &mut serial;
    *first = *first & 0x7f | 0x40;
    Ok(serial)
}

/// Why a file with this mode and owner does not hold a key in confidence, when `caller` is who reads it; `None` when it does.
pub fn exposed(mode: u32, owner: u32, caller: u32) -> Option<String> {
    const BEYOND_0600: u32 = 0o7177;
    if mode & BEYOND_0600 != 0 {
        return Some(format!("its mode is {:04o}, broader than 0600: run `chmod 600` on it", mode & 0o7777));
    }
    if owner != caller && owner != 0 {
        return Some(format!(
            "it belongs to user {owner}, who can read and change it: it must be user {caller}'s or root's"
        ));
    }
    None
}

fn domain_of(text: &str) -> Result<String, CaError> {
    match Host::parse(text.strip_prefix('.').unwrap_or(text)) {
        Ok(Host::Name(name)) => Ok(name),
        Ok(Host::Ip(_)) | Err(_) => Err(CaError::Constraint(text.escape_default().to_string())),
    }
}

#[cfg(test)]
mod tests;
