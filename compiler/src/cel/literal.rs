//! Literals that are compiled ahead of time: patterns, networks, host patterns.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use outcall_schema::host::Host;

use super::CelError;
use super::codes;
use crate::decide::pattern;
use crate::diag::quoted;

/// The pattern of `matches`: RE2 syntax, and small enough for an automaton.
pub(super) fn pattern(text: &str, span: &Range<usize>) -> Result<(), CelError> {
    let error = |message: String, help: &str| CelError::new(codes::PATTERN, span.clone(), message).help(help);
    let help = if text.contains("(?=") || text.contains("(?!") || text.contains("(?<") {
        "RE2 has no look-around; use two tests joined with `&&`"
    } else {
        "patterns are in RE2 syntax; see docs/language.md"
    };
    pattern::parse(text).map_err(|(message, _)| error(format!("invalid pattern: {message}"), help))?;
    pattern::check_size(text).map_err(|message| {
        error(message, "simplify the pattern; counted repetitions of large classes are the usual cause")
    })
}

/// The network of `inCidr`.
pub(super) fn network(text: &str, span: &Range<usize>) -> Result<(), CelError> {
    let error = |message: String| CelError::new(codes::NETWORK, span.clone(), message);
    let shape = "write an address and a prefix length, as in `10.0.0.0/8`";
    let Some((address, prefix)) = text.split_once('/') else {
        let message = format!("{} is not a network", quoted(text));
        return Err(match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => error(message)
                .help("one address is a network of length 32")
                .replace(span.clone(), format!("\"{text}/32\"")),
            Ok(IpAddr::V6(_)) => error(message)
                .help("one address is a network of length 128")
                .replace(span.clone(), format!("\"{text}/128\"")),
            Err(_) => error(message).help(shape),
        });
    };
    let parsed =
        address.parse::<IpAddr>().ok().zip(prefix.parse::<u8>().ok().filter(|parsed| parsed.to_string() == prefix));
    let Some((address, prefix)) = parsed else {
        return Err(error(format!("{} is not a network", quoted(text))).help(shape));
    };
    let (network, longest): (IpAddr, u8) = match address {
        IpAddr::V4(v4) => {
            let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
            (Ipv4Addr::from_bits(v4.to_bits() & !host).into(), 32)
        }
        IpAddr::V6(v6) => {
            let host = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
            (Ipv6Addr::from_bits(v6.to_bits() & !host).into(), 128)
        }
    };
    if prefix > longest {
        return Err(error(format!("a prefix has at most {longest} bits")).help(shape));
    }
    if network != address {
        let fixed = format!("{network}/{prefix}");
        return Err(error(format!("{} has bits set after its prefix", quoted(text)))
            .help(format!("the network is `{fixed}`"))
            .replace(span.clone(), format!("\"{fixed}\"")));
    }
    Ok(())
}

/// The pattern of `hostMatches`, in canonical form.
pub(super) fn host_pattern(text: &str, span: &Range<usize>) -> Result<(), CelError> {
    let (wildcard, host) = match text.strip_prefix("**.").map(|rest| ("**.", rest)) {
        Some(found) => found,
        None => text.strip_prefix("*.").map_or(("", text), |rest| ("*.", rest)),
    };
    let error = |message: String| CelError::new(codes::HOST_PATTERN, span.clone(), message);
    match Host::parse(host) {
        Ok(Host::Ip(_)) if !wildcard.is_empty() => {
            Err(error("an address has no labels".to_owned()).help("write the address itself, or use `inCidr`"))
        }
        Ok(parsed) if parsed.as_text() == host => Ok(()),
        Ok(parsed) => {
            let fixed = format!("{wildcard}{}", parsed.as_text());
            Err(error(format!("{} is not in canonical form", quoted(text)))
                .help(format!("hosts are compared in canonical form: `{fixed}`"))
                .replace(span.clone(), format!("\"{fixed}\"")))
        }
        Err(problem) => {
            let help = "a pattern is a host, or `*.` or `**.` and a host; a star stands nowhere else";
            Err(error(format!("{} is not a host pattern: {problem}", quoted(text))).help(help))
        }
    }
}
