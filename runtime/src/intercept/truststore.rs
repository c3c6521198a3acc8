//! A trust store for Java, which reads no PEM: certificates in a PKCS #12 file (RFC 7292) without a password.
//!
//! Certificates are public, so nothing is encrypted and there is no code of authentication; Java, from version 8 on, takes
//! that when no password is given. A certificate is trusted when it has the attribute that Java's `keytool` marks it with.

/// `1.2.840.113549.1.7.1`, data (RFC 5652, section 4).
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
/// `1.2.840.113549.1.12.10.1.3`, a bag with a certificate (RFC 7292, section 4.2.3).
const CERTIFICATE_BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x03];
/// `1.2.840.113549.1.9.22.1`, a certificate of X.509 (RFC 2985).
const X509: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x16, 0x01];
/// `1.2.840.113549.1.9.20`, the entry's name.
const FRIENDLY_NAME: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x14];
/// `2.16.840.1.113894.746875.1.1`, what the certificate is trusted for, as Java has it.
const TRUSTED_FOR: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x86, 0xf9, 0x66, 0xad, 0xca, 0x7b, 0x01, 0x01];
/// `2.5.29.37.0`, anything (RFC 5280, section 4.2.1.12).
const ANYTHING: &[u8] = &[0x55, 0x1d, 0x25, 0x00];

const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const IDENTIFIER: u8 = 0x06;
const UTF16: u8 = 0x1e;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const EXPLICIT: u8 = 0xa0;

/// The store with these certificates, given in DER.
pub(super) fn pkcs12(certificates: &[Vec<u8>]) -> Vec<u8> {
    let bags: Vec<Vec<u8>> = certificates.iter().enumerate().map(|(number, der)| bag(number, der)).collect();
    let safe = content(&element(SEQUENCE, &bags));
    let authenticated = content(&element(SEQUENCE, &[safe]));
    element(SEQUENCE, &[element(INTEGER, &[[3]]), authenticated])
}

fn bag(number: usize, der: &[u8]) -> Vec<u8> {
    let certificate = element(SEQUENCE, &[identifier(X509), element(EXPLICIT, &[element(OCTETS, &[der])])]);
    let name: Vec<u8> = format!("outcall-{number}").encode_utf16().flat_map(u16::to_be_bytes).collect();
    let attribute = |kind, value| element(SEQUENCE, &[identifier(kind), element(SET, &[value])]);
    // The members of a SET OF stand in the order of their encodings (X.690, section 11.6).
    let mut attributes =
        [attribute(FRIENDLY_NAME, element(UTF16, &[name])), attribute(TRUSTED_FOR, identifier(ANYTHING))];
    attributes.sort();
    element(SEQUENCE, &[identifier(CERTIFICATE_BAG), element(EXPLICIT, &[certificate]), element(SET, &attributes)])
}

/// ContentInfo with plain data (RFC 7292, section 4.1).
fn content(data: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[identifier(DATA), element(EXPLICIT, &[element(OCTETS, &[data])])])
}

fn identifier(oid: &[u8]) -> Vec<u8> {
    element(IDENTIFIER, &[oid])
}

/// One element in DER: tag, length in its shortest form, the parts.
fn element<P: AsRef<[u8]>>(tag: u8, parts: &[P]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.as_ref().len()).sum();
    let mut out = Vec::with_capacity(length + 6);
    out.push(tag);
    match u8::try_from(length) {
        Ok(short @ 0..0x80) => out.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let digits = bytes.iter().skip_while(|byte| **byte == 0).copied();
            out.push(0x80 | digits.clone().count() as u8);
            out.extend(digits);
        }
    }
    for part in parts {
        out.extend_from_slice(part.as_ref());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_their_shortest_form() {
        for (length, head) in [
            (0_usize, vec![OCTETS, 0]),
            (127, vec![OCTETS, 127]),
            (128, vec![OCTETS, 0x81, 128]),
            (255, vec![OCTETS, 0x81, 255]),
            (256, vec![OCTETS, 0x82, 1, 0]),
            (70_000, vec![OCTETS, 0x83, 1, 0x11, 0x70]),
        ] {
            let made = element(OCTETS, &[vec![0; length]]);
            assert!(made.starts_with(&head) && made.len() == head.len() + length, "{length}");
        }
    }
}
