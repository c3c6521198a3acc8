//! A certificate authority's certificate: what it says, and whether it can be used.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::OID_X509_EXT_NAME_CONSTRAINTS;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use super::CaError;
use super::constraints::Constraints;
use crate::artifact::digest::Digest;
use crate::host::Host;
use crate::pem;

/// More certificates than these between an authority and its root are a mistake.
const CHAIN_MAX: usize = 8;

/// A certificate that may sign others, with those that lead from it towards its root.
#[derive(Debug, Clone)]
pub struct CaCertificate {
    chain: Vec<Vec<u8>>,
    subject: String,
    subject_der: Vec<u8>,
    public_key: Vec<u8>,
    self_issued: bool,
    not_before: SystemTime,
    not_after: SystemTime,
    constraints: Constraints,
}

impl CaCertificate {
    /// Reads a PEM text: the authority's certificate first, then those that lead to its root, if there are any.
    ///
    /// # Errors
    /// A text that holds anything but such certificates (a private key above all), and a certificate that clients would
    /// not accept as an authority's: no `CA:TRUE`, a key usage without the signing of certificates, an extended one
    /// without servers, or constraints on names that have no single reading.
    pub fn from_pem(text: &str) -> Result<CaCertificate, CaError> {
        let blocks = pem::decode(text)?;
        if blocks.iter().any(|block| block.label.ends_with("PRIVATE KEY")) {
            return Err(CaError::KeyInCertificate);
        }
        if blocks.iter().any(|block| block.label != "CERTIFICATE") || blocks.len() > CHAIN_MAX {
            return Err(CaError::Pem("it holds more than a certificate and those it descends from"));
        }
        CaCertificate::from_der(blocks.into_iter().map(|block| block.bytes.to_vec()).collect())
    }

    /// The same for certificates in DER.
    ///
    /// # Errors
    /// As for [`CaCertificate::from_pem`].
    pub fn from_der(chain: Vec<Vec<u8>>) -> Result<CaCertificate, CaError> {
        let parsed: Vec<X509Certificate<'_>> = chain.iter().map(|der| parse(der)).collect::<Result<_, _>>()?;
        let (first, rest) = parsed.split_first().ok_or(CaError::NoCertificate)?;
        for certificate in &parsed {
            signs_certificates(certificate)?;
        }
        let mut issuer = first.issuer().as_raw();
        for certificate in rest {
            if certificate.subject().as_raw() != issuer {
                return Err(CaError::Chain);
            }
            issuer = certificate.issuer().as_raw();
        }
        let constraints = match first.get_extension_unique(&OID_X509_EXT_NAME_CONSTRAINTS) {
            Ok(None) => Constraints::default(),
            Ok(Some(_)) => {
                let found = first.name_constraints().ok().flatten().ok_or(CaError::Certificate)?;
                Constraints::new(found.value)?
            }
            Err(_) => return Err(CaError::Certificate),
        };
        // A name may hold anything; what would steer a terminal does not get there.
        let subject = first.subject().to_string().chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        Ok(CaCertificate {
            subject,
            subject_der: first.subject().as_raw().to_vec(),
            public_key: first.public_key().subject_public_key.data.to_vec(),
            self_issued: first.subject().as_raw() == first.issuer().as_raw(),
            not_before: time(first.validity().not_before),
            not_after: time(first.validity().not_after),
            constraints,
            chain,
        })
    }

    /// The certificate itself in DER.
    pub fn der(&self) -> &[u8] {
        self.chain.first().map_or(&[], Vec::as_slice)
    }

    /// The certificate and those that lead to its root, in DER.
    pub fn chain(&self) -> impl Iterator<Item = &[u8]> {
        self.chain.iter().map(Vec::as_slice)
    }

    /// What a server sends after a leaf: nothing for a root, which clients have, else all up to the root.
    pub fn intermediates(&self) -> impl Iterator<Item = &[u8]> {
        let sent = if self.self_issued { 0 } else { self.chain.len() };
        self.chain().take(sent).enumerate().filter(|(at, der)| *at == 0 || !is_self_issued(der)).map(|(_, der)| der)
    }

    /// All of it as PEM.
    pub fn to_pem(&self) -> String {
        self.chain().map(certificate_pem).collect()
    }

    /// The subject, for people.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The subject as it must stand in what this authority signs.
    pub fn subject_der(&self) -> &[u8] {
        &self.subject_der
    }

    /// The SHA-256 digest of the certificate.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(self.der())
    }

    /// The same in the form that `openssl x509 -fingerprint -sha256` prints: pairs of digits with colons.
    pub fn fingerprint_text(&self) -> String {
        self.fingerprint().bytes().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    }

    /// From when on it is valid.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// The last moment at which it is valid.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Whether it is valid now.
    ///
    /// # Errors
    /// [`CaError::NotYet`] and [`CaError::Expired`].
    pub fn valid_at(&self, now: SystemTime) -> Result<(), CaError> {
        if now < self.not_before {
            return Err(CaError::NotYet { not_before: text(self.not_before) });
        }
        if now > self.not_after {
            return Err(CaError::Expired { not_after: text(self.not_after) });
        }
        Ok(())
    }

    /// Whether this certificate is of this public key, as the key's own encoding has it.
    pub fn is_of(&self, public_key: &[u8]) -> bool {
        self.public_key == public_key
    }

    /// The domains it is constrained to, none for one without constraints; `None` when its constraints are others than
    /// [`Wanted`](super::Wanted) can ask for.
    pub fn only_domains(&self) -> Option<Vec<String>> {
        self.constraints.only_domains()
    }

    /// Whether clients accept a certificate of this authority for this host, as far as its constraints on names go.
    pub fn permits(&self, host: &Host) -> bool {
        self.constraints.permit(host)
    }
}

/// A moment as RFC 3339 has it, in UTC and whole seconds; what no calendar has becomes the end of the year 9999.
pub fn text(time: SystemTime) -> String {
    let seconds = match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
    };
    let Ok(time) = ASN1Time::from_timestamp(seconds) else {
        return "9999-12-31T23:59:59Z".to_owned();
    };
    let time = time.to_datetime();
    let (date, (hour, minute, second)) = (time.date(), time.time().as_hms());
    let month = u8::from(date.month());
    format!("{:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", date.year(), date.day())
}

/// One certificate as PEM.
pub fn certificate_pem(der: &[u8]) -> String {
    pem::encode("CERTIFICATE", der).to_string()
}

/// The certificates of a bundle in DER, whatever they are for; other blocks are passed over.
///
/// # Errors
/// A text that is not PEM.
pub fn bundle(text: &str) -> Result<Vec<Vec<u8>>, CaError> {
    let blocks = pem::decode(text)?;
    let certificates = blocks.iter().filter(|block| matches!(block.label.as_str(), "CERTIFICATE" | "X509 CERTIFICATE"));
    Ok(certificates.map(|block| block.bytes.to_vec()).collect())
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CaError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(CaError::Certificate),
    }
}

fn is_self_issued(der: &[u8]) -> bool {
    parse(der).is_ok_and(|certificate| certificate.subject().as_raw() == certificate.issuer().as_raw())
}

fn signs_certificates(certificate: &X509Certificate<'_>) -> Result<(), CaError> {
    let broken = |_| CaError::Certificate;
    let constraints = certificate.basic_constraints().map_err(broken)?;
    let usage = certificate.key_usage().map_err(broken)?;
    let extended = certificate.extended_key_usage().map_err(broken)?;
    if !constraints.is_some_and(|found| found.value.ca) {
        return Err(CaError::NoCa("it does not say CA:TRUE"));
    }
    if usage.is_some_and(|found| !found.value.key_cert_sign()) {
        return Err(CaError::NoCa("its key usage leaves out the signing of certificates"));
    }
    if extended.is_some_and(|found| !found.value.any && !found.value.server_auth) {
        return Err(CaError::NoCa("its extended key usage leaves out servers"));
    }
    Ok(())
}

fn time(time: ASN1Time) -> SystemTime {
    let seconds = Duration::from_secs(time.timestamp().unsigned_abs());
    if time.timestamp() < 0 { UNIX_EPOCH - seconds } else { UNIX_EPOCH + seconds }
}
