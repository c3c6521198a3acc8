//! The fuzz target of what an operator names as an authority: certificates and keys, in PEM and in DER.

use std::time::SystemTime;

use outcall_schema::ca::{Algorithm, Authority, CaCertificate, Issuer, PrivateKey, Wanted, bundle};
use outcall_schema::host::Host;

pub(super) const WORDS: &[&str] = &[
    concat!("-----", "BEGIN CERTIFICATE-----\n"),
    "-----END CERTIFICATE-----\n",
    concat!("-----", "BEGIN PRIVATE KEY-----\n"),
    "-----END PRIVATE KEY-----\n",
    "-----",
    "=",
    "==\n",
    "Proc-Type: 4,ENCRYPTED\n",
    "MIIB",
    "\r\n",
    "\0",
];

/// Certificates as text and as bytes, with constraints and without; and a key.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let made = |domains: &[&str]| {
        let domains = domains.iter().map(|it| (*it).to_owned()).collect();
        Authority::make(&Wanted { algorithm: Algorithm::EcdsaP256, domains, now: SystemTime::now() }).ok()
    };
    let mut seeds = Vec::new();
    for authority in [made(&[]), made(&["example.com", "b.test"])].into_iter().flatten() {
        seeds.push(authority.certificate.to_pem().into_bytes());
        seeds.push(authority.certificate.der().to_vec());
        seeds.extend(authority.key.to_pem().map(|key| key.as_bytes().to_vec()));
    }
    seeds
}

/// Nothing is fatal, and what is read can be written and read again and says the same.
pub(super) fn check(input: &[u8]) {
    if let Ok(certificate) = CaCertificate::from_der(vec![input.to_vec()]) {
        read(&certificate);
    }
    let text = String::from_utf8_lossy(input);
    if let Ok(certificate) = CaCertificate::from_pem(&text) {
        read(&certificate);
    }
    if let Ok(ders) = bundle(&text) {
        assert!(ders.iter().map(Vec::len).sum::<usize>() <= input.len());
    }
    if let Ok(key) = PrivateKey::from_pem(&text) {
        let again = key.to_pem().ok().and_then(|pem| PrivateKey::from_pem(&pem).ok());
        assert_eq!(again.map(|key| key.kind()), Some(key.kind()));
    }
}

fn read(certificate: &CaCertificate) {
    let again = CaCertificate::from_pem(&certificate.to_pem());
    assert_eq!(again.as_ref().map(CaCertificate::fingerprint), Ok(certificate.fingerprint()));
    assert!(!certificate.subject().chars().any(char::is_control));
    for host in ["example.com", "a.example.com", "192.0.2.1", "::1"] {
        if let Ok(host) = Host::parse(host) {
            let permitted = certificate.permits(&host);
            assert_eq!(again.as_ref().map(|again| again.permits(&host)), Ok(permitted));
        }
    }
    // Signing never follows from a certificate whose subject it would not repeat, with whatever key.
    let Ok(key) = PrivateKey::generate(Algorithm::EcdsaP256) else { return };
    drop(Issuer::new(Authority { certificate: certificate.clone(), key }));
}
