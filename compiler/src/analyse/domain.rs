//! Which values a field can have: analysis never leaves them, so no example has a host with a line break.
//!
//! Each text field has a pattern that all its values match (so that "no value" is never claimed wrongly) and an exact check
//! (so that no example is shown that cannot occur).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use outcall_schema::artifact::writer::Source;
use outcall_schema::field::Field;
use outcall_schema::host::Host;
use outcall_schema::path;

/// Names, IPv4 and IPv6 addresses, in canonical form or nearly.
const HOST: &str = r"^([a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:]*:[0-9a-f:]*)$";
const NAME: &str = r"^[a-z0-9_-]+(\.[a-z0-9_-]+)*$";
const HOST_OR_NONE: &str = r"^([a-z0-9_-]+(\.[a-z0-9_-]+)*)?$";
const PATH: &str = r"^/[!-~]*$";
const METHOD: &str = r"^[!#$%&'*+.^_`|~0-9A-Z-]+$";
const RECORD_TYPE: &str = r"^[A-Z0-9-]+$";
const PROTOCOL: &str = r"^[a-z0-9.+_-]+$";
const SCHEME: &str = r"^https?$";
const HEADER: &str = r"^[^\x00-\x08\x0a-\x1f\x7f]*$";
const ANY: &str = r"(?s)^.*$";

/// A pattern that every value matches.
pub(super) fn pattern(source: &Source) -> &'static str {
    match source.field {
        Field::HttpHost | Field::NetworkHostname => HOST,
        Field::TlsSni => HOST_OR_NONE,
        Field::DnsQuery => NAME,
        Field::HttpPath => PATH,
        Field::HttpMethod => METHOD,
        Field::DnsRecordType => RECORD_TYPE,
        Field::NetworkProtocol => PROTOCOL,
        Field::HttpScheme => SCHEME,
        Field::HttpHeaders | Field::ResponseHeaders => HEADER,
        _ => ANY,
    }
}

/// Whether a text is a value of the field.
pub(super) fn has(source: &Source, text: &str) -> bool {
    let host = |text: &str| Host::parse(text).is_ok_and(|host| host.as_text() == text);
    let name = |text: &str| matches!(Host::parse(text), Ok(Host::Name(name)) if name == text);
    let bytes = |allowed: &dyn Fn(u8) -> bool| !text.is_empty() && text.bytes().all(allowed);
    match source.field {
        Field::HttpHost | Field::NetworkHostname => host(text),
        Field::TlsSni => text.is_empty() || name(text),
        Field::DnsQuery => name(text),
        Field::HttpPath => path::check(text).is_ok(),
        Field::HttpMethod => {
            bytes(&|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase() || b"!#$%&'*+-.^_`|~".contains(&byte))
        }
        Field::DnsRecordType => bytes(&|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase() || byte == b'-'),
        Field::NetworkProtocol => {
            bytes(&|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase() || b".+_-".contains(&byte))
        }
        Field::HttpScheme => matches!(text, "http" | "https"),
        Field::HttpHeaders | Field::ResponseHeaders => {
            // RFC 9110, section 5.5: no white space around a value, and of the control characters only the tab in it.
            text.trim_matches([' ', '\t']) == text
                && text.chars().all(|character| character == '\t' || !character.is_ascii_control())
        }
        _ => true,
    }
}

/// Whether the source can have a value at all: header names are lower case.
pub(super) fn can_be_present(source: &Source) -> bool {
    let token = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase() || b"!#$%&'*+-.^_`|~".contains(&byte);
    source.key.as_ref().is_none_or(|key| !key.is_empty() && key.bytes().all(token))
}

/// Whether the source can be without a value: headers that are not sent, and a body over the cap.
pub(super) fn can_be_missing(source: &Source) -> bool {
    source.key.is_some() || source.field == Field::HttpBody
}

/// The smallest and the largest value.
pub(super) fn numbers(field: Field) -> (i64, i64) {
    match field {
        Field::NetworkPort => (0, 65_535),
        Field::HttpBodySize => (-1, i64::MAX),
        Field::ResponseStatus => (100, 999),
        _ => (i64::MIN, i64::MAX),
    }
}

/// Values that people expect in an example, best first.
pub(super) fn usual(source: &Source) -> &'static [&'static str] {
    match source.field {
        Field::HttpHost | Field::NetworkHostname | Field::DnsQuery | Field::TlsSni => {
            &["other.example", "another.example", "third.example"]
        }
        Field::HttpPath => &["/", "/other", "/x"],
        Field::HttpMethod => &["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"],
        Field::DnsRecordType => &["A", "AAAA", "HTTPS", "CNAME", "TXT", "MX", "SRV"],
        Field::NetworkProtocol => &["tcp", "udp", "icmp", "icmpv6", "sctp"],
        Field::HttpScheme => &["http", "https"],
        Field::AgentName => &["some-agent", "another-agent", "other-agent"],
        _ => &["x", "", "other", "value"],
    }
}

/// Addresses that people expect in an example: those for documentation (RFC 5737, RFC 3849).
pub(super) const USUAL_ADDRESSES: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7))];

/// Numbers that people expect in an example, best first.
pub(super) fn usual_numbers(field: Field) -> &'static [i64] {
    match field {
        Field::NetworkPort => &[443, 80, 8080, 22],
        Field::ResponseStatus => &[200, 404, 500],
        _ => &[0, 1],
    }
}
