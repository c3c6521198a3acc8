//! Literals that no value of their field is ever equal to, and the ones that were meant.

use outcall_schema::host::{Host, HostPattern};

use super::condition::{Atom, Op};
use crate::cel::typed::Function;
use outcall_schema::field::Field;

/// What is wrong with a literal that a host is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostFault {
    /// It is written in capitals; in small letters it is this.
    Case(String),
    /// It ends in a dot; without it is this.
    Dot(String),
    /// It has a star in it.
    Wildcard,
    /// It has a part of a URL in it that is no part of a host: perhaps what is meant, and what.
    Url(Option<String>, &'static str),
    /// Hosts are never written so: perhaps how they are.
    Other(Option<String>),
}

/// What is wrong with a literal of a test on a host.
pub(crate) fn host_fault(atom: &Atom<'_>, text: &str) -> Option<HostFault> {
    let ours =
        atom.is_host() && !matches!(atom.op, Op::Matches | Op::HostMatches | Op::InCidr | Op::Order(_) | Op::Present);
    if atom.folded == Some(Function::UpperAscii) {
        return None;
    }
    // A name that is not known is empty, and so is that of a ClientHello without one.
    if !ours
        || (text.is_empty() && (atom.op != Op::Equals || matches!(atom.field, Field::TlsSni | Field::NetworkHostname)))
    {
        return None;
    }
    if text.contains('*') {
        return Some(HostFault::Wildcard);
    }
    if atom.op == Op::Equals { whole(text) } else { partial(atom.op, text) }
}

fn whole(text: &str) -> Option<HostFault> {
    match Host::parse(text) {
        Ok(host) if host.as_text() == text => None,
        Ok(host) => {
            let canonical = host.as_text().into_owned();
            let lower = text.to_ascii_lowercase();
            Some(if lower == canonical {
                HostFault::Case(canonical)
            } else if lower.strip_suffix('.') == Some(canonical.as_str()) {
                HostFault::Dot(canonical)
            } else {
                HostFault::Other(Some(canonical))
            })
        }
        Err(_) => Some(url(text).unwrap_or(HostFault::Other(None))),
    }
}

/// What of a URL there is in a text besides a host.
fn url(text: &str) -> Option<HostFault> {
    let (scheme, rest) = match text.split_once("://") {
        Some((_, rest)) => (true, rest),
        None => (false, text),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    let bare = authority.rsplit_once('@').map_or(authority, |(_, bare)| bare);
    let user = bare.len() < authority.len();
    let (host, port) = match bare.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => (host, true),
        _ => (bare, false),
    };
    let canonical = Host::parse(host).ok()?.as_text().into_owned();
    let what = match (scheme, port, user, path.len() > 1) {
        (_, _, true, _) => "a user",
        (_, true, ..) => "a port",
        (_, _, _, true) => "a path",
        (true, ..) => "a scheme",
        _ if path.is_empty() => return None,
        _ => "a path",
    };
    // What narrows the host down must not vanish without a word.
    let safe = !user && !port && path.len() <= 1;
    Some(HostFault::Url(safe.then_some(canonical), what))
}

fn partial(op: Op, text: &str) -> Option<HostFault> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Some(HostFault::Case(text.to_ascii_lowercase()));
    }
    match text.strip_suffix('.') {
        Some(rest) if op == Op::Suffix && !rest.is_empty() => return Some(HostFault::Dot(rest.to_owned())),
        _ => {}
    }
    if text.contains("://") {
        return Some(HostFault::Url(None, "a scheme"));
    }
    if text.contains('/') {
        return Some(HostFault::Url(None, "a path"));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    (!text.bytes().all(plain)).then_some(HostFault::Other(None))
}

/// The host pattern that a literal with a star stands for, if it is one.
pub(crate) fn host_pattern(text: &str) -> Option<String> {
    HostPattern::parse(text).ok().map(|pattern| pattern.as_text().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_hosts_are_told_apart() {
        use HostFault::{Case, Dot, Other, Url};
        for (text, expected) in [
            ("example.com", None),
            ("203.0.113.7", None),
            ("2001:db8::1", None),
            ("Example.com", Some(Case("example.com".to_owned()))),
            ("example.com.", Some(Dot("example.com".to_owned()))),
            ("EXAMPLE.com.", Some(Dot("example.com".to_owned()))),
            ("bücher.example", Some(Other(Some("xn--bcher-kva.example".to_owned())))),
            ("https://example.com", Some(Url(Some("example.com".to_owned()), "a scheme"))),
            ("https://example.com/", Some(Url(Some("example.com".to_owned()), "a scheme"))),
            ("https://example.com/x", Some(Url(None, "a path"))),
            ("example.com:8443", Some(Url(None, "a port"))),
            ("example.com/x", Some(Url(None, "a path"))),
            ("git@example.com", Some(Url(None, "a user"))),
            ("0x7f000001", Some(Other(None))),
            ("not a host", Some(Other(None))),
        ] {
            assert_eq!(whole(text), expected, "{text}");
        }
        assert_eq!(partial(Op::Suffix, ".example.com."), Some(Dot(".example.com".to_owned())));
        assert_eq!(partial(Op::Prefix, "api."), None);
        assert_eq!(partial(Op::Contains, "/x"), Some(Url(None, "a path")));
        assert_eq!(partial(Op::Contains, "a b"), Some(Other(None)));
    }
}
