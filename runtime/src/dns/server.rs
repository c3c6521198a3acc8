//! The resolvers that an operator names: where they are, and how they are asked.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use rustls::pki_types::ServerName;

/// The ports of DNS, and of DNS over TLS (RFC 7858, section 3.1).
const PLAIN: u16 = 53;
const ENCRYPTED: u16 = 853;
const SCHEME: &str = "tls://";

/// A resolver to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// Over UDP, and over TCP where a reply does not fit.
    Plain(SocketAddr),
    /// Over TLS and no other way.
    Encrypted {
        /// Where it is.
        address: SocketAddr,
        /// Whose certificate it must have.
        name: ServerName<'static>,
    },
}

/// What is no resolver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// The address.
    #[error(
        "write an address or an address and a port, with TLS after the name in its certificate: 192.0.2.53, \
         192.0.2.53:5353, [2001:db8::53]:53, tls://dns.example@192.0.2.53"
    )]
    Address,
    /// The name before it.
    #[error("before the `@` there must be a host's name")]
    Name,
}

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Server, ServerError> {
        let Some(encrypted) = text.strip_prefix(SCHEME) else { return Ok(Server::Plain(address(text, PLAIN)?)) };
        let (name, place) = match encrypted.split_once('@') {
            Some((name, place)) => (Some(name), place),
            None => (None, encrypted),
        };
        let address = address(place, ENCRYPTED)?;
        let name = match name.map(|name| ServerName::try_from(name.to_owned())) {
            None => ServerName::from(address.ip()),
            Some(Ok(name @ ServerName::DnsName(_))) => name,
            Some(_) => return Err(ServerError::Name),
        };
        Ok(Server::Encrypted { address, name })
    }
}

fn address(text: &str, port: u16) -> Result<SocketAddr, ServerError> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).filter(|text| text.contains(':'));
    let parsed = text.parse().or_else(|_| bare.unwrap_or(text).parse::<IpAddr>().map(|it| SocketAddr::new(it, port)));
    parsed.map_err(|_| ServerError::Address)
}

impl From<SocketAddr> for Server {
    fn from(address: SocketAddr) -> Server {
        Server::Plain(address)
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Server::Plain(address) => address.fmt(f),
            Server::Encrypted { address, name: ServerName::DnsName(name) } => {
                write!(f, "{SCHEME}{}@{address}", name.as_ref())
            }
            Server::Encrypted { address, .. } => write!(f, "{SCHEME}{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_what_the_operator_wrote() {
        for (text, shown) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("192.0.2.53:5353", "192.0.2.53:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]:53", "[2001:db8::53]:53"),
            ("tls://192.0.2.53", "tls://192.0.2.53:853"),
            ("tls://dns.example@192.0.2.53", "tls://dns.example@192.0.2.53:853"),
            ("tls://dns.example@192.0.2.53:8853", "tls://dns.example@192.0.2.53:8853"),
            ("tls://dns.example@[2001:db8::53]", "tls://dns.example@[2001:db8::53]:853"),
            ("tls://[2001:db8::53]:853", "tls://[2001:db8::53]:853"),
        ] {
            let server: Server = text.parse().unwrap();
            assert_eq!(server.to_string(), shown);
            assert_eq!(shown.parse(), Ok(server));
        }
        for text in
            ["", "dns.example", "tls://", "tls://dns.example", "192.0.2.53:", "[192.0.2.53]", "tcp://192.0.2.53"]
        {
            assert_eq!(text.parse::<Server>(), Err(ServerError::Address), "{text}");
        }
        for text in ["tls://@192.0.2.53", "tls://192.0.2.1@192.0.2.53", "tls://a b@192.0.2.53"] {
            assert_eq!(text.parse::<Server>(), Err(ServerError::Name), "{text}");
        }
    }
}
