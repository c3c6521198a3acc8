//! The canonical form of hosts and DNS names, and the patterns that stand for sets of them.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest name in its text form without the trailing dot (RFC 1035, section 2.3.4).
const NAME_MAX: usize = 253;
/// Longest label (RFC 1035, section 2.3.4).
const LABEL_MAX: usize = 63;
/// Longest text that is looked at: 253 bytes of A-labels can stand for about a thousand bytes of UTF-8.
const TEXT_MAX: usize = 1024;

/// A canonical host: what `http.host`, `tls.sni`, `network.hostname` and `dns.query` range over.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A DNS name: lower case, A-labels, no trailing dot, 1 to 253 bytes, labels of 1 to 63 bytes.
    Name(String),
    /// An address: IPv4 in dotted-decimal form or IPv6, without brackets or zone.
    Ip(IpAddr),
}

/// Why a host is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing there.
    #[error("the host is empty")]
    Empty,
    /// Over 253 bytes, a label over 63 bytes or an empty label (RFC 1035, section 2.3.4).
    #[error("the host has an empty or over-long label, or is longer than 253 bytes")]
    Length,
    /// A byte that no host has: NUL, a percent-escape, userinfo, white space, ...
    #[error("the host has a character that no host name has")]
    Character,
    /// A number that some resolvers read as an IPv4 address and others as a name: `0x7f000001`, `127.1`, `2130706433`.
    #[error("the host is a number that can be read as more than one address")]
    AmbiguousNumber,
    /// Not valid under IDNA (UTS 46).
    #[error("the host is not a valid internationalised domain name")]
    Idna,
}

impl Host {
    /// Reads a host without a port: a name, a dotted-decimal IPv4 address, or an IPv6 address in brackets or bare.
    ///
    /// An IPv4-mapped IPv6 address is refused: the kernel connects it over IPv4, so it names one destination twice.
    ///
    /// # Errors
    /// Whatever has no single reading is refused; see [`HostError`].
    pub fn parse(text: &str) -> Result<Host, HostError> {
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        if text.len() > TEXT_MAX {
            return Err(HostError::Length);
        }
        if let Some(inner) = text.strip_prefix('[') {
            return parse_v6(inner.strip_suffix(']').ok_or(HostError::Character)?);
        }
        if text.contains(':') {
            return parse_v6(text);
        }
        if let Some(address) = parse_v4(text) {
            return Ok(Host::Ip(IpAddr::V4(address)));
        }
        parse_name(text).map(Host::Name)
    }

    /// The canonical text, as conditions see it (an IPv6 address has no brackets).
    pub fn as_text(&self) -> Cow<'_, str> {
        match self {
            Host::Name(name) => name.into(),
            Host::Ip(address) => address.to_string().into(),
        }
    }

    /// The canonical text of a URI's authority or of a `Host` header: an IPv6 address has brackets (RFC 3986, 3.2.2).
    pub fn as_authority(&self) -> Cow<'_, str> {
        match self {
            Host::Ip(IpAddr::V6(address)) => format!("[{address}]").into(),
            other => other.as_text(),
        }
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.as_text())
    }
}

impl std::str::FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Host, HostError> {
        Host::parse(text)
    }
}

/// Dotted-decimal with exactly four parts and no leading zeros, which the standard library insists on.
fn parse_v4(text: &str) -> Option<Ipv4Addr> {
    text.parse().ok()
}

fn parse_v6(text: &str) -> Result<Host, HostError> {
    let address: Ipv6Addr = text.parse().map_err(|_| HostError::Character)?;
    if address.to_ipv4_mapped().is_some() {
        return Err(HostError::AmbiguousNumber);
    }
    Ok(Host::Ip(IpAddr::V6(address)))
}

fn parse_name(text: &str) -> Result<String, HostError> {
    // A permissive list here, because the check below is stricter and names the problem.
    if text.bytes().any(|byte| byte.is_ascii() && !is_name_byte(byte.to_ascii_lowercase())) {
        return Err(HostError::Character);
    }
    let ascii = idna::domain_to_ascii_cow(text.as_bytes(), idna::AsciiDenyList::EMPTY).map_err(|_| HostError::Idna)?;
    let name = ascii.strip_suffix('.').unwrap_or(&ascii);
    if name.is_empty() {
        return Err(HostError::Empty);
    }
    if name.len() > NAME_MAX || name.split('.').any(|label| label.is_empty() || label.len() > LABEL_MAX) {
        return Err(HostError::Length);
    }
    // Mapping can bring in characters that were not in the text, as U+FF0F does with a slash.
    if !name.bytes().all(is_name_byte) {
        return Err(HostError::Character);
    }
    // Programs take a name whose last label is a number for an address, each in its own way (WHATWG URL, section 3.5).
    let last = name.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if hexadecimal || last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HostError::AmbiguousNumber);
    }
    Ok(name.to_owned())
}

/// Letters, digits and hyphens, and the underscore that service names have (RFC 8552).
fn is_name_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.')
}

/// A host, or a set of names by their suffix.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// This host alone.
    Exact(Host),
    /// `*.x`: exactly one label before `.x`.
    OneLabel(String),
    /// `**.x`: one label or more before `.x`.
    AnyLabels(String),
}

impl HostPattern {
    /// Reads a pattern: a host, `*.example.com` or `**.example.com`. A star stands nowhere else.
    ///
    /// # Errors
    /// As [`Host::parse`]; an address has no suffix.
    pub fn parse(text: &str) -> Result<HostPattern, HostError> {
        let suffix = |text: &str| match Host::parse(text)? {
            // With a label before it the name must still fit.
            Host::Name(name) if name.len() + 2 > NAME_MAX => Err(HostError::Length),
            Host::Name(name) => Ok(name),
            Host::Ip(_) => Err(HostError::AmbiguousNumber),
        };
        if let Some(rest) = text.strip_prefix("**.") {
            suffix(rest).map(HostPattern::AnyLabels)
        } else if let Some(rest) = text.strip_prefix("*.") {
            suffix(rest).map(HostPattern::OneLabel)
        } else {
            Host::parse(text).map(HostPattern::Exact)
        }
    }

    /// Whether `host`, in its canonical text form, is in the set.
    pub fn matches(&self, host: &str) -> bool {
        let labels = |suffix: &str| {
            let labels = host.strip_suffix(suffix)?.strip_suffix('.')?;
            (!labels.is_empty()).then_some(labels)
        };
        match self {
            HostPattern::Exact(exact) => exact.as_text() == host,
            HostPattern::OneLabel(suffix) => labels(suffix).is_some_and(|labels| !labels.contains('.')),
            HostPattern::AnyLabels(suffix) => labels(suffix).is_some(),
        }
    }

    /// The canonical text of the pattern.
    pub fn as_text(&self) -> Cow<'_, str> {
        match self {
            HostPattern::Exact(host) => host.as_text(),
            HostPattern::OneLabel(suffix) => format!("*.{suffix}").into(),
            HostPattern::AnyLabels(suffix) => format!("**.{suffix}").into(),
        }
    }
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.as_text())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts_have_one_canonical_form() {
        for (text, canonical) in [
            ("example.com", "example.com"),
            ("EXAMPLE.Com", "example.com"),
            ("example.com.", "example.com"),
            ("localhost", "localhost"),
            ("_dmarc.example.com", "_dmarc.example.com"),
            ("_443._tcp.example.com", "_443._tcp.example.com"),
            ("r3---sn-abc.example.com", "r3---sn-abc.example.com"),
            ("1.0.0.127.in-addr.arpa", "1.0.0.127.in-addr.arpa"),
            ("3com.com", "3com.com"),
            ("0x7f.example", "0x7f.example"),
            ("1.2.3.4.com", "1.2.3.4.com"),
            ("0xyz", "0xyz"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("straße.example", "xn--strae-oqa.example"),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
            ("ｅｘａｍｐｌｅ.com", "example.com"),
            ("127.0.0.1", "127.0.0.1"),
            ("255.255.255.255", "255.255.255.255"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("[2001:DB8:0:0:0:0:0:1]", "2001:db8::1"),
            ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("::8.8.8.8", "::808:808"),
            ("64:ff9b::8.8.8.8", "64:ff9b::808:808"),
        ] {
            let host = Host::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(host.as_text(), canonical, "{text}");
            assert_eq!(Host::parse(canonical), Ok(host), "{text}");
        }
        assert_eq!(Host::parse("[::1]").unwrap().as_authority(), "[::1]");
    }

    #[test]
    fn what_has_two_readings_is_refused() {
        use HostError::{AmbiguousNumber, Character, Empty, Idna, Length};
        let long_label = "a".repeat(64);
        let long_name = format!("{}a.example", "a.".repeat(130));
        for (text, problem) in [
            ("", Empty),
            (".", Empty),
            ("..", Length),
            ("a..b", Length),
            (".a", Length),
            ("a.b..", Length),
            (&long_label, Length),
            (&long_name, Length),
            (&"é".repeat(600), Length),
            ("a b", Character),
            (" a", Character),
            ("a\t", Character),
            ("a\0.example", Character),
            ("a\r\nb", Character),
            ("a%2eb", Character),
            ("user@example.com", Character),
            ("user:secret@example.com", Character),
            ("example.com:80", Character),
            ("a/b", Character),
            ("a\\b", Character),
            ("a?b", Character),
            ("a#b", Character),
            ("*.example.com", Character),
            ("a,b", Character),
            ("a\u{ff0f}b", Character),
            ("a\u{ff05}2eb", Character),
            ("[example.com]", Character),
            ("[127.0.0.1]", Character),
            ("[::1", Character),
            ("::1]", Character),
            ("[::1]:80", Character),
            ("fe80::1%eth0", Character),
            ("[fe80::1%25eth0]", Character),
            ("1::2::3", Character),
            ("[v1.a]", Character),
            ("0x7f000001", AmbiguousNumber),
            ("0X7F000001", AmbiguousNumber),
            ("0x7f.1", AmbiguousNumber),
            ("0x", AmbiguousNumber),
            ("127.1", AmbiguousNumber),
            ("127.0.0.1.", AmbiguousNumber),
            ("2130706433", AmbiguousNumber),
            ("0177.0.0.1", AmbiguousNumber),
            ("01.02.03.04", AmbiguousNumber),
            ("1.2.3.4.5", AmbiguousNumber),
            ("256.0.0.1", AmbiguousNumber),
            ("a.1", AmbiguousNumber),
            ("a.0xff", AmbiguousNumber),
            ("１２７.0.0.1", AmbiguousNumber),
            ("127。0。0。1", AmbiguousNumber),
            ("①②⑦.0.0.1", AmbiguousNumber),
            ("::ffff:127.0.0.1", AmbiguousNumber),
            ("[::ffff:8.8.8.8]", AmbiguousNumber),
            ("xn--a.example", Idna),
            ("xn--0.example", Idna),
            ("a\u{202e}b.example", Idna),
        ] {
            assert_eq!(Host::parse(text), Err(problem), "{text:?}");
        }
    }

    #[test]
    fn patterns_stand_for_the_names_they_say() {
        for (pattern, yes, no) in [
            ("example.com", vec!["example.com"], vec!["a.example.com", "example.org", "xexample.com"]),
            (
                "*.Example.com.",
                vec!["a.example.com", "_a.example.com"],
                vec!["example.com", "a.b.example.com", "aexample.com", ".example.com"],
            ),
            (
                "**.example.com",
                vec!["a.example.com", "a.b.example.com"],
                vec!["example.com", "xexample.com", "a.example.com.evil.org"],
            ),
            ("*.bücher.example", vec!["a.xn--bcher-kva.example"], vec!["xn--bcher-kva.example"]),
            ("[2001:db8::1]", vec!["2001:db8::1"], vec!["2001:db8::2"]),
            ("192.0.2.1", vec!["192.0.2.1"], vec!["192.0.2.10"]),
        ] {
            let parsed = HostPattern::parse(pattern).unwrap();
            assert_eq!(HostPattern::parse(&parsed.as_text()).as_ref(), Ok(&parsed), "{pattern}");
            yes.iter().for_each(|host| assert!(parsed.matches(host), "{pattern} {host}"));
            no.iter().for_each(|host| assert!(!parsed.matches(host), "{pattern} {host}"));
        }
    }

    #[test]
    fn a_star_stands_only_before_a_suffix() {
        for text in
            ["*", "**", "*.", "a.*.b", "a*.b", "***.a", "*.*.a", "**.*.a", "*a.b", "*.192.0.2.1", "*.1", "", "*.[::1]"]
        {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text_has_an_answer_and_canonical_text_is_stable(text in "\\PC{0,30}|[a-zA-Z0-9._-]{0,30}|[0-9a-fx.:\\[\\]%]{0,20}|(xn--)?[a-z0-9-]{0,9}\\.[é-ﬀａ-ｚ。a-z.]{0,9}|.{0,20}") {
            if let Ok(host) = Host::parse(&text) {
                let canonical = host.as_text().into_owned();
                prop_assert_eq!(Host::parse(&canonical), Ok(host.clone()));
                prop_assert_eq!(Host::parse(&host.as_authority()), Ok(host.clone()));
                let known = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b':');
                prop_assert!(canonical.bytes().all(known));
                prop_assert!(HostPattern::Exact(host).matches(&canonical));
            }
        }

        #[test]
        fn any_text_has_an_answer_as_a_pattern(text in "\\*{0,3}\\.?[a-z*.]{0,12}|\\PC{0,20}") {
            if let Ok(pattern) = HostPattern::parse(&text) {
                prop_assert_eq!(HostPattern::parse(&pattern.as_text()), Ok(pattern));
            }
        }
    }
}
