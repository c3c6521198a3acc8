//! The agents' network: one bridge, its addresses, and which addresses agents get.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::kernel::link::Mac;

/// Where agents live, as the operator said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The bridge.
    pub bridge: BridgeName,
    /// Their IPv4 addresses.
    pub v4: SubnetV4,
    /// Their IPv6 addresses; absent where the kernel runs without IPv6.
    pub v6: Option<SubnetV6>,
    /// The port of the DNS filter at the gateway.
    pub dns_port: u16,
    /// The port of the proxy at the gateway.
    pub proxy_port: u16,
}

/// Why a setting of the network is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// The kernel would not take the name, or would read it in another way.
    #[error("a bridge's name has 1 to 15 letters, digits, `-`, `_` and `.`, and begins with a letter")]
    Name,
    /// No network in CIDR notation, or one with bits beyond its prefix.
    #[error("write a network as ADDRESS/PREFIX with no bits beyond the prefix, as in {0}")]
    Subnet(&'static str),
    /// Too small or too large.
    #[error("the prefix has to be from {0} to {1}")]
    Prefix(u8, u8),
}

/// The name of a bridge: `IFNAMSIZ` of the kernel, and nothing in it that the ruleset's text would read as more than a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeName(String);

impl FromStr for BridgeName {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<BridgeName, NetworkError> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
        if plain && begins && text.len() < 16 { Ok(BridgeName(text.to_owned())) } else { Err(NetworkError::Name) }
    }
}

impl BridgeName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BridgeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An IPv4 network. Its first address is the gateway's, its last the broadcast address, those between are for agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubnetV4 {
    base: u32,
    prefix: u8,
}

impl FromStr for SubnetV4 {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<SubnetV4, NetworkError> {
        const LIKE: NetworkError = NetworkError::Subnet("10.200.0.0/16");
        let (address, prefix) = text.split_once('/').ok_or(LIKE)?;
        let (address, prefix) = (address.parse::<Ipv4Addr>().map_err(|_| LIKE)?, prefix.parse().map_err(|_| LIKE)?);
        if !(8..=29).contains(&prefix) {
            return Err(NetworkError::Prefix(8, 29));
        }
        let subnet = SubnetV4 { base: address.to_bits(), prefix };
        if subnet.base & subnet.rest() == 0 { Ok(subnet) } else { Err(LIKE) }
    }
}

impl fmt::Display for SubnetV4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.base), self.prefix)
    }
}

impl SubnetV4 {
    fn rest(self) -> u32 {
        u32::MAX >> self.prefix
    }

    /// The bits that say which network.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// The bridge's own address.
    pub fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base + 1)
    }

    /// Whether the address is one of this network's.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & !self.rest() == self.base
    }

    /// The upper half, from which others take addresses without asking.
    pub fn upper_half(self) -> SubnetV4 {
        SubnetV4 { base: self.base + self.rest() / 2 + 1, prefix: self.prefix + 1 }
    }

    /// The addresses that agents can have, in order.
    pub fn hosts(self) -> impl Iterator<Item = Ipv4Addr> {
        (self.base + 2..self.base + self.rest()).map(Ipv4Addr::from_bits)
    }
}

/// An IPv6 network of unique local addresses (RFC 4193).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubnetV6 {
    base: u128,
    prefix: u8,
}

impl FromStr for SubnetV6 {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<SubnetV6, NetworkError> {
        const LIKE: NetworkError = NetworkError::Subnet("fd6f:7574:6361:6c6c::/64");
        let (address, prefix) = text.split_once('/').ok_or(LIKE)?;
        let (address, prefix) = (address.parse::<Ipv6Addr>().map_err(|_| LIKE)?, prefix.parse().map_err(|_| LIKE)?);
        if !address.is_unique_local() {
            return Err(LIKE);
        }
        if !(48..=96).contains(&prefix) {
            return Err(NetworkError::Prefix(48, 96));
        }
        let subnet = SubnetV6 { base: address.to_bits(), prefix };
        if subnet.base & (u128::MAX >> prefix) == 0 { Ok(subnet) } else { Err(LIKE) }
    }
}

impl fmt::Display for SubnetV6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv6Addr::from_bits(self.base), self.prefix)
    }
}

impl SubnetV6 {
    /// The bits that say which network.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// The bridge's own address.
    pub fn gateway(self) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.base + 1)
    }

    /// Whether the address is one of this network's.
    pub fn contains(self, address: Ipv6Addr) -> bool {
        address.to_bits() & !(u128::MAX >> self.prefix) == self.base
    }

    /// A part in which no agent's address is that goes with an IPv4 address: others take theirs from it without asking.
    pub fn apart(self) -> SubnetV6 {
        SubnetV6 { base: self.base + (1 << 31), prefix: 97 }
    }

    /// The address that goes with an agent's IPv4 address: its bits of the network's hosts.
    pub fn beside(self, v4: SubnetV4, address: Ipv4Addr) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.base + u128::from(address.to_bits() & v4.rest()))
    }
}

impl Network {
    /// The gateway's addresses.
    pub fn gateways(&self) -> Vec<IpAddr> {
        let v6 = self.v6.map(|v6| IpAddr::V6(v6.gateway()));
        std::iter::once(IpAddr::V4(self.v4.gateway())).chain(v6).collect()
    }

    /// What agents' proxy variables are set to, `http://10.200.0.1:8080`.
    pub fn proxy_url(&self) -> String {
        format!("http://{}:{}", self.v4.gateway(), self.proxy_port)
    }

    /// Whether the address is one of the agents' or the gateway's.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.contains(address),
            IpAddr::V6(address) => self.v6.is_some_and(|v6| v6.contains(address)),
        }
    }

    /// The hardware address that goes with an IPv4 address: locally administered, and no multicast (IEEE 802, 8.4).
    pub fn mac(address: Ipv4Addr) -> Mac {
        let [a, b, c, d] = address.octets();
        [0x02, 0x6f, a, b, c, d]
    }

    /// The port that goes with an IPv4 address.
    pub fn port(address: Ipv4Addr) -> String {
        format!("oc{:08x}", address.to_bits())
    }

    /// The address that a port goes with, by its name; `None` for a name of another form.
    pub fn address_of(port: &str) -> Option<Ipv4Addr> {
        let address = Ipv4Addr::from_bits(u32::from_str_radix(port.strip_prefix("oc")?, 16).ok()?);
        (Network::port(address) == port).then_some(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_for_a_bridge_is_refused() {
        for (name, good) in [
            ("outcall0", true),
            ("br-a_b.1", true),
            ("abcdefghijklmno", true),
            ("abcdefghijklmnop", false),
            ("", false),
            ("0a", false),
            ("-a", false),
            ("a b", false),
            ("a\"", false),
            ("a\n", false),
            ("a/b", false),
            ("a*", false),
        ] {
            assert_eq!(name.parse::<BridgeName>().is_ok(), good, "{name:?}");
        }
    }

    #[test]
    fn networks_have_a_gateway_and_room_for_agents() {
        let v4: SubnetV4 = "10.200.0.0/29".parse().unwrap();
        assert_eq!(v4.gateway(), Ipv4Addr::new(10, 200, 0, 1));
        let hosts: Vec<String> = v4.hosts().map(|host| host.to_string()).collect();
        assert_eq!(hosts, ["10.200.0.2", "10.200.0.3", "10.200.0.4", "10.200.0.5", "10.200.0.6"]);
        assert!(v4.contains(Ipv4Addr::new(10, 200, 0, 7)) && !v4.contains(Ipv4Addr::new(10, 200, 0, 8)));
        let v6: SubnetV6 = "fd00:200::/64".parse().unwrap();
        assert_eq!(v6.beside(v4, Ipv4Addr::new(10, 200, 0, 5)).to_string(), "fd00:200::5");
        assert_eq!((v4.to_string(), v6.to_string()), ("10.200.0.0/29".into(), "fd00:200::/64".into()));
        assert_eq!(v4.upper_half().to_string(), "10.200.0.4/30");
        assert_eq!(v6.apart().to_string(), "fd00:200::8000:0/97");
        assert_eq!(Network::port(Ipv4Addr::new(10, 200, 0, 5)), "oc0ac80005");
        assert_eq!(Network::address_of("oc0ac80005"), Some(Ipv4Addr::new(10, 200, 0, 5)));
        for other in ["oc", "oc5", "oc+ac80005", "oc0AC80005", "eth0", "oc0ac800050"] {
            assert_eq!(Network::address_of(other), None, "{other}");
        }
        assert_eq!(Network::mac(Ipv4Addr::new(10, 200, 0, 5)), [2, 0x6f, 10, 200, 0, 5]);
    }

    #[test]
    fn networks_that_are_none_or_of_no_use_are_refused() {
        for text in ["10.200.0.0", "10.200.0.1/16", "10.200.0.0/30", "0.0.0.0/0", "a/16", "10.200.0.0/x", "::/64"] {
            assert!(text.parse::<SubnetV4>().is_err(), "{text}");
        }
        for text in ["fd00::1/64", "2001:db8::/64", "fd00::/16", "fd00::/112", "10.0.0.0/8"] {
            assert!(text.parse::<SubnetV6>().is_err(), "{text}");
        }
    }
}
