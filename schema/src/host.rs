//! The canonical form of hosts and DNS names, and the patterns that stand for sets of them.

use std::net::IpAddr;

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
    /// # Errors
    /// Whatever has no single reading is refused; see [`HostError`].
    pub fn parse(_text: &str) -> Result<Host, HostError> {
        Err(HostError::Empty)
    }

    /// The canonical text, as conditions see it (an IPv6 address has no brackets).
    pub fn as_text(&self) -> std::borrow::Cow<'_, str> {
        match self {
            Host::Name(name) => name.into(),
            Host::Ip(address) => address.to_string().into(),
        }
    }
}
