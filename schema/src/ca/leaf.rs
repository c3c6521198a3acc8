//! The certificates that an authority signs: one host each, for servers alone.

use std::time::SystemTime;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType, SerialNumber,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::{Authority, CaCertificate, CaError, PrivateKey, serial};
use crate::host::Host;

/// The longest common name (`ub-common-name`, RFC 5280, appendix A.1); longer names are in the alternative names alone,
/// which are those that count.
const COMMON_NAME_MAX: usize = 64;

/// An authority that is ready to sign.
#[derive(Debug)]
pub struct Issuer {
    issuer: rcgen::Issuer<'static, PrivateKey>,
    certificate: CaCertificate,
}

impl Issuer {
    /// Makes it ready, and signs once to see that what it signs follows from its certificate.
    ///
    /// # Errors
    /// [`CaError::Subject`] for a subject that cannot be repeated byte for byte, and what [`Issuer::leaf`] says.
    pub fn new(authority: Authority) -> Result<Issuer, CaError> {
        let Authority { certificate, key } = authority;
        if !can_be_repeated(certificate.der()) {
            return Err(CaError::Subject);
        }
        let issuer = rcgen::Issuer::from_ca_cert_der(&certificate.der().into(), key).map_err(|_| CaError::Subject)?;
        let issuer = Issuer { issuer, certificate };
        let key = PrivateKey::generate(super::Algorithm::EcdsaP256)?;
        let (first, last) = (issuer.certificate.not_before(), issuer.certificate.not_after());
        let leaf = issuer.sign(&Host::Name("localhost".to_owned()), first, last, &key)?;
        match X509Certificate::from_der(&leaf) {
            Ok((_, leaf)) if leaf.issuer().as_raw() == issuer.certificate.subject_der() => Ok(issuer),
            _ => Err(CaError::Subject),
        }
    }

    /// The authority's certificate.
    pub fn certificate(&self) -> &CaCertificate {
        &self.certificate
    }

    /// A certificate for this host alone and this key, in DER: for TLS servers, with a random serial number, valid within
    /// these moments as far as the authority is itself.
    ///
    /// # Errors
    /// [`CaError::NotPermitted`] for a host that the authority may not sign for, [`CaError::Making`] when the library
    /// cannot.
    pub fn leaf(
        &self,
        host: &Host,
        not_before: SystemTime,
        not_after: SystemTime,
        key: &PrivateKey,
    ) -> Result<Vec<u8>, CaError> {
        if !self.certificate.permits(host) {
            return Err(CaError::NotPermitted { host: host.to_string() });
        }
        self.sign(host, not_before, not_after, key)
    }

    fn sign(
        &self,
        host: &Host,
        not_before: SystemTime,
        not_after: SystemTime,
        key: &PrivateKey,
    ) -> Result<Vec<u8>, CaError> {
        let name = host.as_text();
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        if name.len() <= COMMON_NAME_MAX {
            parameters.distinguished_name.push(DnType::CommonName, name.as_ref());
        }
        parameters.subject_alt_names = vec![match host {
            Host::Name(name) => SanType::DnsName(name.as_str().try_into().map_err(|_| CaError::Making)?),
            Host::Ip(address) => SanType::IpAddress(*address),
        }];
        parameters.serial_number = Some(SerialNumber::from_slice(&serial()?));
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.use_authority_key_identifier_extension = true;
        parameters.not_before = not_before.max(self.certificate.not_before()).into();
        parameters.not_after = not_after.min(self.certificate.not_after()).into();
        let leaf = parameters.signed_by(key, &self.issuer).map_err(|_| CaError::Making)?;
        Ok(leaf.der().to_vec())
    }
}

/// Whether each part of the subject is one attribute of a kind that can be written: the libraries panic at others.
fn can_be_repeated(der: &[u8]) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return false };
    certificate.subject().iter().all(|part| {
        let mut attributes = part.iter();
        let (Some(attribute), None) = (attributes.next(), attributes.next()) else { return false };
        let mut arcs = attribute.attr_type().iter().into_iter().flatten();
        match (arcs.next(), arcs.next()) {
            (Some(0 | 1), Some(second)) => second < 40,
            (Some(2), Some(second)) => second < 1 << 32,
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use rcgen::{BasicConstraints, CustomExtension};

    use super::*;
    use crate::ca::{Algorithm, Wanted};

    const HOUR: Duration = Duration::from_secs(3600);

    fn issuer(domains: &[&str]) -> Issuer {
        let domains = domains.iter().map(|it| (*it).to_owned()).collect();
        let wanted = Wanted { algorithm: Algorithm::EcdsaP256, domains, now: SystemTime::now() };
        Issuer::new(Authority::make(&wanted).unwrap()).unwrap()
    }

    #[track_caller]
    fn check(host: &str, common_name: Option<&str>) {
        let issuer = issuer(&[]);
        let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
        let now = SystemTime::now();
        let host = Host::parse(host).unwrap();
        let der = issuer.leaf(&host, now - HOUR, now + HOUR, &key).unwrap();
        let (_, leaf) = X509Certificate::from_der(&der).unwrap();
        let (_, authority) = X509Certificate::from_der(issuer.certificate().der()).unwrap();
        leaf.verify_signature(Some(authority.public_key())).unwrap();
        assert_eq!(leaf.issuer().as_raw(), authority.subject().as_raw());
        let names = leaf.subject_alternative_name().unwrap().unwrap();
        assert_eq!(names.value.general_names.len(), 1);
        assert_eq!(names.critical, common_name.is_none(), "critical where the subject is empty");
        let found = leaf.subject().iter_common_name().next().map(|name| name.as_str().unwrap());
        assert_eq!(found, common_name);
        assert!(!leaf.basic_constraints().unwrap().unwrap().value.ca);
        let extended = leaf.extended_key_usage().unwrap().unwrap().value.clone();
        assert!(extended.server_auth && !extended.any && !extended.client_auth);
        assert_eq!(leaf.key_usage().unwrap().unwrap().value.flags, 1, "signatures alone");
        let identifiers = |certificate: &X509Certificate<'_>, which: &str| {
            let all = certificate.extensions().iter().map(|it| format!("{:?}", it.parsed_extension()));
            all.filter(|it| it.starts_with(which)).count()
        };
        assert_eq!(identifiers(&leaf, "AuthorityKeyIdentifier"), 1);
        assert_eq!(identifiers(&authority, "SubjectKeyIdentifier"), 1);
    }

    #[test]
    fn a_leaf_is_for_one_host_and_for_servers_alone() {
        check("a.example", Some("a.example"));
        check("192.0.2.1", Some("192.0.2.1"));
        check("2001:db8::1", Some("2001:db8::1"));
        check("_service.a.example", Some("_service.a.example"));
        let label = "x".repeat(60);
        check(&format!("{label}.abc"), Some(&format!("{label}.abc")));
        check(&format!("{label}.abcd"), None);
        check(&[label.as_str(); 4].join("."), None);
    }

    #[test]
    fn a_leaf_is_never_valid_when_its_authority_is_not() {
        let issuer = issuer(&[]);
        let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
        let (first, last) = (issuer.certificate().not_before(), issuer.certificate().not_after());
        let host = Host::parse("a.example").unwrap();
        let der = issuer.leaf(&host, first - HOUR, last + HOUR, &key).unwrap();
        let (_, leaf) = X509Certificate::from_der(&der).unwrap();
        let (_, authority) = X509Certificate::from_der(issuer.certificate().der()).unwrap();
        assert_eq!(leaf.validity().not_before, authority.validity().not_before);
        assert_eq!(leaf.validity().not_after, authority.validity().not_after);
    }

    #[test]
    fn what_clients_would_not_accept_is_not_signed() {
        let issuer = issuer(&["example.com"]);
        let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
        let now = SystemTime::now();
        for (host, fine) in [("a.example.com", true), ("a.example", false), ("192.0.2.1", false)] {
            let signed = issuer.leaf(&Host::parse(host).unwrap(), now, now + HOUR, &key);
            assert_eq!(signed.is_ok(), fine, "{host}");
        }
    }

    #[test]
    fn an_authority_whose_subject_cannot_be_repeated_is_refused() {
        let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // An odd extension does not matter.
        parameters.custom_extensions = vec![CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0])];
        parameters.distinguished_name.push(DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 25]), "example");
        parameters.distinguished_name.push(DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 26]), "eyample");
        let mut der = parameters.self_signed(&key).unwrap().der().to_vec();
        let authority =
            |der: &[u8], key| Authority { certificate: CaCertificate::from_der(vec![der.to_vec()]).unwrap(), key };
        assert!(Issuer::new(authority(&der, key)).is_ok());
        // The second attribute becomes one of the first's kind, twice each, as in DC=example, DC=com.
        let oid = [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 26];
        while let Some(at) = der.windows(oid.len()).position(|window| window == oid) {
            der[at + oid.len() - 1] = 25;
        }
        let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
        assert_eq!(Issuer::new(authority(&der, key)).err(), Some(CaError::Subject));
    }

    #[test]
    fn a_kind_of_attribute_that_cannot_be_written_is_refused() {
        let made =
            Authority::make(&Wanted { algorithm: Algorithm::EcdsaP256, domains: vec![], now: SystemTime::now() });
        let Authority { certificate, key } = made.unwrap();
        let mut der = certificate.der().to_vec();
        // `2.5.4.3`, the common name, with a first byte that stands for no arc.
        let last = der.windows(5).rposition(|window| window == [6, 3, 0x55, 4, 3]).unwrap();
        der[last + 2] = 0x8d;
        let certificate = CaCertificate::from_der(vec![der]).unwrap();
        assert_eq!(Issuer::new(Authority { certificate, key }).err(), Some(CaError::Subject));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn serial_numbers_are_positive_and_new_each_time(_ in 0..64) {
            let (one, two) = (serial().unwrap(), serial().unwrap());
            prop_assert_ne!(one, two);
            prop_assert!(one[0] & 0x80 == 0 && one[0] & 0x40 != 0);
        }
    }
}
