//! Authorities as they are made and as others make them.

use std::time::UNIX_EPOCH;

use proptest::prelude::*;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::*;

fn wanted(algorithm: Algorithm, domains: &[&str]) -> Wanted {
    Wanted { algorithm, domains: domains.iter().map(|it| (*it).to_owned()).collect(), now: SystemTime::now() }
}

fn made(domains: &[&str]) -> Authority {
    Authority::make(&wanted(Algorithm::EcdsaP256, domains)).unwrap()
}

#[track_caller]
fn check_refused(certificate: &str, key: &str, expected: &str) {
    let error = Authority::from_pem(certificate, key, SystemTime::now()).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}\nis not about: {expected}");
}

#[test]
fn an_authority_is_what_the_standard_asks_of_one() {
    for algorithm in [Algorithm::EcdsaP256, Algorithm::EcdsaP384] {
        let authority = Authority::make(&wanted(algorithm, &[])).unwrap();
        let (_, found) = X509Certificate::from_der(authority.certificate.der()).unwrap();
        let basic = found.basic_constraints().unwrap().unwrap();
        assert!(basic.critical && basic.value.ca && basic.value.path_len_constraint == Some(0));
        let usage = found.key_usage().unwrap().unwrap();
        assert!(usage.critical);
        assert_eq!(usage.value.flags, (1 << 5) | (1 << 6), "the signing of certificates and of revocation lists alone");
        assert_eq!(found.raw_serial().len(), 16);
        assert!(found.verify_signature(None).is_ok());
        let days = (found.validity().not_after.timestamp() - found.validity().not_before.timestamp()) / 86_400;
        assert_eq!(days, 3653);
        assert!(authority.certificate.subject().starts_with("O=Outcall, CN=Outcall CA "));
    }
}

#[test]
fn two_authorities_are_never_alike() {
    let (one, two) = (made(&[]), made(&[]));
    assert_ne!(one.certificate.subject_der(), two.certificate.subject_der());
    assert_ne!(one.certificate.fingerprint(), two.certificate.fingerprint());
    let key = two.key.to_pem().unwrap();
    check_refused(&one.certificate.to_pem(), &key, "not that of the certificate");
}

#[test]
fn an_authority_survives_its_text() {
    let made = made(&["example.com"]);
    let again =
        Authority::from_pem(&made.certificate.to_pem(), &made.key.to_pem().unwrap(), SystemTime::now()).unwrap();
    assert_eq!(made.certificate.fingerprint(), again.certificate.fingerprint());
    assert_eq!(made.certificate.not_after(), again.certificate.not_after());
    let text = again.certificate.fingerprint_text();
    assert_eq!(text.len(), 95);
    assert_eq!(format!("sha256:{}", text.replace(':', "").to_lowercase()), again.certificate.fingerprint().to_string());
}

#[test]
fn constraints_are_in_the_certificate_and_heeded() {
    let authority = made(&["Example.COM", ".b.test"]);
    let (_, found) = X509Certificate::from_der(authority.certificate.der()).unwrap();
    assert!(
        found
            .extensions()
            .iter()
            .any(|it| it.critical && it.oid == x509_parser::oid_registry::OID_X509_EXT_NAME_CONSTRAINTS)
    );
    let permits = |host: &str| authority.certificate.permits(&Host::parse(host).unwrap());
    assert!(permits("example.com") && permits("a.b.example.com") && permits("b.test"));
    assert!(!permits("example.org") && !permits("192.0.2.1") && !permits("2001:db8::1"));
    for domain in ["", "*.example.com", "192.0.2.1", "a b", "example.com:443", "..", "https://example.com"] {
        let error = Authority::make(&wanted(Algorithm::EcdsaP256, &[domain])).unwrap_err();
        assert!(matches!(error, CaError::Constraint(_)), "{domain}: {error}");
    }
}

#[test]
fn an_authority_out_of_its_time_is_refused() {
    let authority = made(&[]);
    let (certificate, key) = (authority.certificate.to_pem(), authority.key.to_pem().unwrap());
    let at = |now| Authority::from_pem(&certificate, &key, now).map(drop);
    let (first, last) = (authority.certificate.not_before(), authority.certificate.not_after());
    assert_eq!(at(first), Ok(()));
    assert_eq!(at(last), Ok(()));
    assert!(matches!(at(first - Duration::from_secs(1)), Err(CaError::NotYet { .. })));
    assert!(matches!(at(last + Duration::from_secs(1)), Err(CaError::Expired { .. })));
}

#[test]
fn what_is_no_authority_is_refused() {
    let authority = made(&[]);
    let (certificate, key) = (authority.certificate.to_pem(), authority.key.to_pem().unwrap());
    check_refused("", &key, "no certificate");
    check_refused(&certificate, "", "no private key");
    check_refused(&certificate, &certificate, "no private key");
    check_refused(&format!("{certificate}{}", *key), &key, "holds a private key");
    check_refused(&certificate.replace("CERTIFICATE", "TRUSTED CERTIFICATE"), &key, "more than a certificate");
    check_refused(&certificate.repeat(9), &key, "more than a certificate");
    let with = |change: &dyn Fn(&mut CertificateParams)| {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut parameters);
        parameters.self_signed(&authority.key).unwrap().pem()
    };
    check_refused(&with(&|it| it.is_ca = IsCa::NoCa), &key, "CA:TRUE");
    check_refused(&with(&|it| it.is_ca = IsCa::ExplicitNoCa), &key, "CA:TRUE");
    check_refused(&with(&|it| it.key_usages = vec![KeyUsagePurpose::CrlSign]), &key, "key usage leaves out");
    let client = rcgen::ExtendedKeyUsagePurpose::ClientAuth;
    check_refused(&with(&|it| it.extended_key_usages = vec![client.clone()]), &key, "leaves out servers");
    let other = with(&|_| {});
    assert!(Authority::from_pem(&other, &key, SystemTime::now()).is_ok());
    check_refused(&format!("{certificate}{other}"), &key, "followed by that of its issuer");
}

#[test]
fn an_intermediate_comes_with_what_leads_to_its_root() {
    let root = rcgen::Issuer::new(
        {
            let mut parameters = CertificateParams::default();
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            parameters.distinguished_name.push(DnType::CommonName, "a root");
            parameters
        },
        PrivateKey::generate(Algorithm::EcdsaP256).unwrap(),
    );
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(DnType::CommonName, "a root");
    let root_pem = parameters.self_signed(root.key()).unwrap().pem();
    parameters.distinguished_name.push(DnType::CommonName, "below it");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
    let below = parameters.signed_by(&key, &root).unwrap().pem();
    let key = key.to_pem().unwrap();
    let authority = Authority::from_pem(&format!("{below}{root_pem}"), &key, SystemTime::now()).unwrap();
    assert_eq!(authority.certificate.chain().count(), 2);
    assert_eq!(authority.certificate.intermediates().collect::<Vec<_>>(), [authority.certificate.der()]);
    assert_eq!(bundle(&authority.certificate.to_pem()).unwrap().len(), 2);
    assert_eq!(made(&[]).certificate.intermediates().count(), 0, "clients have the root");
}

#[test]
fn a_key_that_others_reach_is_exposed() {
    for (mode, owner) in [(0o100_600, 7), (0o100_400, 7), (0o100_600, 0), (0o100_000, 7)] {
        assert_eq!(exposed(mode, owner, 7), None);
    }
    for mode in [0o100_644, 0o100_640, 0o100_604, 0o100_601, 0o100_610, 0o100_620, 0o100_700, 0o104_600] {
        assert!(exposed(mode, 7, 7).is_some_and(|why| why.contains("broader than 0600")), "{mode:o}");
    }
    assert!(exposed(0o100_600, 8, 7).is_some_and(|why| why.contains("user 8")));
}

#[test]
fn an_authority_tells_by_which_wishes_it_could_be_made_again() {
    let wishes = |authority: &Authority| (authority.key.kind(), authority.certificate.only_domains());
    assert_eq!(wishes(&made(&[])), (Algorithm::EcdsaP256, Some(vec![])));
    assert_eq!(wishes(&made(&["b.test", "a.test"])).1, Some(vec!["b.test".to_owned(), "a.test".to_owned()]));
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.name_constraints = Some(NameConstraints {
        permitted_subtrees: Vec::new(),
        excluded_subtrees: vec![GeneralSubtree::DnsName("secret.test".to_owned())],
    });
    let key = PrivateKey::generate(Algorithm::EcdsaP384).unwrap();
    let other = parameters.self_signed(&key).unwrap().pem();
    assert_eq!(CaCertificate::from_pem(&other).unwrap().only_domains(), None);
    assert_eq!(key.kind(), Algorithm::EcdsaP384);
}

#[test]
fn moments_are_written_as_rfc_3339_says() {
    for (seconds, expected) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (4_102_444_799, "2099-12-31T23:59:59Z"),
        (u64::MAX / 4, "9999-12-31T23:59:59Z"),
    ] {
        assert_eq!(text(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
    }
}

proptest! {
    #[test]
    fn damaged_certificates_are_refused_or_read_but_never_fatal(at in 0_usize..400, bit in 0_u32..8) {
        let authority = made(&["example.com"]);
        let mut der = authority.certificate.der().to_vec();
        let at = at % der.len();
        der[at] ^= 1 << bit;
        drop(CaCertificate::from_der(vec![der.clone()]));
        der.truncate(at);
        prop_assert!(CaCertificate::from_der(vec![der]).is_err());
    }
}
