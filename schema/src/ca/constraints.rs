//! The names that an authority's certificate allows in what it signs (RFC 5280, section 4.2.1.10).

use std::net::IpAddr;

use x509_parser::extensions::{GeneralName, GeneralSubtree, NameConstraints};

use super::CaError;
use crate::host::Host;

/// A network as an address and its mask, which need not be a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Network {
    address: Vec<u8>,
    mask: Vec<u8>,
}

/// One side of the constraints: domains with all below them, and networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Subtrees {
    domains: Vec<String>,
    networks: Vec<Network>,
}

/// What is permitted, if anything is said about a kind of name, and what is excluded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Constraints {
    permitted: Subtrees,
    excluded: Subtrees,
}

impl Constraints {
    pub(super) fn new(found: &NameConstraints<'_>) -> Result<Constraints, CaError> {
        let side = |trees: &Option<Vec<GeneralSubtree<'_>>>| subtrees(trees.as_deref().unwrap_or_default());
        Ok(Constraints { permitted: side(&found.permitted_subtrees)?, excluded: side(&found.excluded_subtrees)? })
    }

    /// The permitted domains, when nothing else is said but that no address is permitted.
    pub(super) fn only_domains(&self) -> Option<Vec<String>> {
        let whole = |length: usize| Network { address: vec![0; length], mask: vec![0; length] };
        let no_address = Subtrees { domains: Vec::new(), networks: vec![whole(4), whole(16)] };
        let ours = if self.permitted.domains.is_empty() { Subtrees::default() } else { no_address };
        (self.permitted.networks.is_empty() && self.excluded == ours).then(|| self.permitted.domains.clone())
    }

    pub(super) fn permit(&self, host: &Host) -> bool {
        let (said, permitted, excluded) = match host {
            Host::Name(name) => {
                let within = |side: &Subtrees| side.domains.iter().any(|domain| is_below(name, domain));
                (!self.permitted.domains.is_empty(), within(&self.permitted), within(&self.excluded))
            }
            Host::Ip(address) => {
                let within = |side: &Subtrees| side.networks.iter().any(|network| network.contains(*address));
                (!self.permitted.networks.is_empty(), within(&self.permitted), within(&self.excluded))
            }
        };
        !excluded && (permitted || !said)
    }
}

/// Kinds of names that no leaf has (mail addresses, URIs, directory names) constrain nothing here.
fn subtrees(trees: &[GeneralSubtree<'_>]) -> Result<Subtrees, CaError> {
    let mut side = Subtrees::default();
    for tree in trees {
        match &tree.base {
            GeneralName::DNSName(domain) => side.domains.push(domain.to_ascii_lowercase()),
            GeneralName::IPAddress(bytes) if matches!(bytes.len(), 8 | 32) => {
                let (address, mask) = bytes.split_at(bytes.len() / 2);
                side.networks.push(Network { address: address.to_vec(), mask: mask.to_vec() });
            }
            GeneralName::IPAddress(_) | GeneralName::Invalid(..) => return Err(CaError::Certificate),
            GeneralName::OtherName(..)
            | GeneralName::RFC822Name(_)
            | GeneralName::X400Address(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EDIPartyName(_)
            | GeneralName::URI(_)
            | GeneralName::RegisteredID(_) => {}
        }
    }
    Ok(side)
}

/// The domain itself and all below it; one that begins with a dot, which is not in the standard but in use, leaves out the
/// domain itself; the empty one stands for all.
fn is_below(name: &str, domain: &str) -> bool {
    if domain.is_empty() || domain == name {
        return true;
    }
    let dotted = domain.starts_with('.');
    name.strip_suffix(domain).is_some_and(|rest| !rest.is_empty() && (dotted || rest.ends_with('.')))
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        let octets = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        octets.len() == self.address.len()
            && octets
                .iter()
                .zip(&self.address)
                .zip(&self.mask)
                .all(|((octet, address), mask)| octet & mask == address & mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constraints(permitted: &[&str], excluded: &[&str]) -> Constraints {
        let side = |texts: &[&str]| {
            let mut side = Subtrees::default();
            for text in texts {
                match text.split_once('/') {
                    Some((address, mask)) => {
                        let octets = |text: &str| match text.parse().unwrap() {
                            IpAddr::V4(address) => address.octets().to_vec(),
                            IpAddr::V6(address) => address.octets().to_vec(),
                        };
                        side.networks.push(Network { address: octets(address), mask: octets(mask) });
                    }
                    None => side.domains.push((*text).to_owned()),
                }
            }
            side
        };
        Constraints { permitted: side(permitted), excluded: side(excluded) }
    }

    #[track_caller]
    fn check(constraints: &Constraints, permitted: &[&str], refused: &[&str]) {
        for host in permitted {
            assert!(constraints.permit(&Host::parse(host).unwrap()), "{host} is permitted");
        }
        for host in refused {
            assert!(!constraints.permit(&Host::parse(host).unwrap()), "{host} is refused");
        }
    }

    #[test]
    fn what_is_not_said_is_permitted() {
        check(&Constraints::default(), &["a.example", "192.0.2.1", "2001:db8::1"], &[]);
        check(&constraints(&["example.com"], &[]), &["192.0.2.1"], &[]);
    }

    #[test]
    fn domains_stand_for_all_below_them() {
        let some = constraints(&["example.com", "b.test"], &["secret.example.com"]);
        check(
            &some,
            &["example.com", "a.example.com", "a.b.example.com", "b.test"],
            &["badexample.com", "example.org", "com", "secret.example.com", "a.secret.example.com", "a.test"],
        );
        check(&constraints(&[".example.com"], &[]), &["a.example.com"], &["example.com", "aexample.com"]);
        check(&constraints(&[], &[""]), &["192.0.2.1"], &["a.example"]);
    }

    #[test]
    fn networks_are_of_one_version() {
        let none = constraints(&[], &["0.0.0.0/0.0.0.0", "::/::"]);
        check(&none, &["a.example"], &["192.0.2.1", "2001:db8::1"]);
        let some = constraints(&["192.0.2.0/255.255.255.0"], &[]);
        check(&some, &["192.0.2.7", "a.example"], &["192.0.3.7", "2001:db8::1"]);
    }
}
