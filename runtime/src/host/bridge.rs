//! The bridge itself: made where it is missing, taken over where it is ours, refused where it is anything else.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use super::network::{Network, SubnetV4, SubnetV6};
use crate::kernel::link::{self, Address, Link};

/// Why there is no bridge.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// Something else has the name.
    #[error("there is an interface `{name}` already, and it is no bridge")]
    Taken {
        /// The name.
        name: String,
    },
    /// A bridge of somebody else's has the name.
    #[error("there is a bridge `{name}` already, and it is not ours: {why}")]
    Foreign {
        /// The name.
        name: String,
        /// What it has that ours has not.
        why: String,
    },
    /// Another interface has addresses of the agents' network.
    #[error("the network {subnet} is in use: {device} has {address}")]
    InUse {
        /// The network.
        subnet: String,
        /// The interface.
        device: String,
        /// Its address.
        address: String,
    },
    /// The kernel refuses.
    #[error("cannot set up the bridge `{name}`: {error}")]
    Kernel {
        /// The name.
        name: String,
        /// What it says.
        error: io::Error,
    },
}

/// Has the bridge be there and up, with the gateway's addresses. What is there already is kept.
///
/// # Errors
/// See [`BridgeError`].
pub fn bring_up(network: &Network) -> Result<Link, BridgeError> {
    let name = network.bridge.as_str();
    let failed = |error| BridgeError::Kernel { name: name.to_owned(), error };
    let (links, addresses) = (link::all().map_err(failed)?, link::addresses().map_err(failed)?);
    let there = ours(network, &links, &addresses)?;
    free(network, &links, &addresses)?;
    if !there {
        link::make_bridge(name, Network::mac(network.v4.gateway())).map_err(failed)?;
    }
    let gone = || failed(io::ErrorKind::NotFound.into());
    let bridge = link::find(name).map_err(failed)?.ok_or_else(gone)?;
    settle(name);
    link::add_address(bridge.index, IpAddr::V4(network.v4.gateway()), network.v4.prefix()).map_err(failed)?;
    if let Some(v6) = network.v6 {
        link::add_address(bridge.index, IpAddr::V6(v6.gateway()), v6.prefix()).map_err(failed)?;
    }
    link::set_up(bridge.index, true).map_err(failed)?;
    link::find(name).map_err(failed)?.ok_or_else(gone)
}

/// Sees that nothing else has the bridge's name, as closing the kernel for it would cut that off.
///
/// # Errors
/// See [`BridgeError`].
pub fn check(network: &Network) -> Result<(), BridgeError> {
    let failed = |error| BridgeError::Kernel { name: network.bridge.to_string(), error };
    let (links, addresses) = (link::all().map_err(failed)?, link::addresses().map_err(failed)?);
    ours(network, &links, &addresses).map(drop)
}

/// Whether our bridge is there. One is taken for ours that was made with an address of the kind that [`Network::mac`] gives,
/// that has the gateway's address, as where Docker's engine made it first, or that has neither addresses nor ports yet.
fn ours(network: &Network, links: &[Link], addresses: &[Address]) -> Result<bool, BridgeError> {
    let name = network.bridge.to_string();
    let Some(link) = links.iter().find(|link| link.name == name) else { return Ok(false) };
    if link.kind != "bridge" {
        return Err(BridgeError::Taken { name });
    }
    let [vendor, kind, ..] = Network::mac(network.v4.gateway());
    let mut own = addresses.iter().filter(|address| address.index == link.index).map(|address| address.address);
    let named = link.mac.is_some_and(|mac| mac.starts_with(&[vendor, kind]));
    if named || own.clone().any(|address| network.gateways().contains(&address)) {
        return Ok(true);
    }
    // The kernel gives each link one of those.
    let local = |address: &IpAddr| matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    let address = own.find(|address| !local(address)).map(|address| format!("it has the address {address}"));
    let port =
        || links.iter().find(|port| port.master == Some(link.index)).map(|port| format!("{} is on it", port.name));
    match address.or_else(port) {
        Some(why) => Err(BridgeError::Foreign { name, why }),
        None => Ok(true),
    }
}

/// Sees that nobody else has addresses of the agents' network: packets for agents would go there.
fn free(network: &Network, links: &[Link], addresses: &[Address]) -> Result<(), BridgeError> {
    let name = |index: u32| links.iter().find(|link| link.index == index).map_or("", |link| link.name.as_str());
    for Address { index, address, prefix } in addresses {
        let (overlaps, subnet) = match address {
            IpAddr::V4(address) => {
                let theirs = |ours: SubnetV4| {
                    let prefix = (*prefix).min(ours.prefix());
                    (address.to_bits() ^ ours.gateway().to_bits()).leading_zeros() >= u32::from(prefix)
                };
                (theirs(network.v4), network.v4.to_string())
            }
            IpAddr::V6(address) => {
                let theirs = |ours: SubnetV6| {
                    let prefix = (*prefix).min(ours.prefix());
                    (address.to_bits() ^ ours.gateway().to_bits()).leading_zeros() >= u32::from(prefix)
                };
                (network.v6.is_some_and(theirs), network.v6.map(|v6| v6.to_string()).unwrap_or_default())
            }
        };
        if overlaps && name(*index) != network.bridge.as_str() {
            let (device, address) = (name(*index).to_owned(), format!("{address}/{prefix}"));
            return Err(BridgeError::InUse { subnet, device, address });
        }
    }
    Ok(())
}

/// Takes what the kernel does on its own accord from the bridge: router advertisements, redirects, answers for others, and
/// packets from addresses that are not behind it. What a kernel has no setting for it does not do.
fn settle(name: &str) {
    for (family, setting, value) in [
        ("ipv6", "accept_ra", "0"),
        ("ipv6", "accept_redirects", "0"),
        ("ipv6", "autoconf", "0"),
        ("ipv6", "disable_ipv6", "0"),
        ("ipv6", "proxy_ndp", "0"),
        ("ipv4", "accept_redirects", "0"),
        ("ipv4", "send_redirects", "0"),
        ("ipv4", "accept_source_route", "0"),
        ("ipv4", "proxy_arp", "0"),
        ("ipv4", "route_localnet", "0"),
        ("ipv4", "rp_filter", "1"),
    ] {
        let _ = fs::write(Path::new("/proc/sys/net").join(family).join("conf").join(name).join(setting), value);
    }
}

/// Whether this kernel runs with IPv6.
pub fn has_v6() -> bool {
    Path::new("/proc/sys/net/ipv6").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_is_ours_when_we_made_it_or_nobody_uses_it() {
        let network = Network {
            bridge: "outcall0".parse().unwrap(),
            v4: "10.200.0.0/16".parse().unwrap(),
            v6: Some("fd00:200::/64".parse().unwrap()),
            dns_port: 53,
            proxy_port: 8080,
        };
        let link = |index: u32, name: &str, kind: &str, mac: u8, master: Option<u32>| Link {
            index,
            name: name.to_owned(),
            kind: kind.to_owned(),
            up: true,
            mac: Some([2, mac, 10, 200, 0, 1]),
            mtu: 1500,
            master,
            peer_netns: None,
        };
        let check = |kind: &str, mac: u8, addresses: &[&str], port: Option<&str>| {
            let port = port.map(|name| link(4, name, "veth", 1, Some(3)));
            let links: Vec<Link> =
                [link(2, "eth0", "", 1, None), link(3, "outcall0", kind, mac, None)].into_iter().chain(port).collect();
            let address = |text: &&str| Address { index: 3, address: text.parse().unwrap(), prefix: 16 };
            let addresses: Vec<Address> = addresses.iter().map(address).collect();
            ours(&network, &links, &addresses).map_err(|error| error.to_string())
        };
        assert_eq!(ours(&network, &[link(2, "eth0", "", 1, None)], &[]).ok(), Some(false));
        assert_eq!(check("bridge", 0x6f, &["10.9.0.1"], Some("x")), Ok(true));
        assert_eq!(check("bridge", 0x42, &["fe80::1", "10.200.0.1"], Some("x")), Ok(true));
        assert_eq!(check("bridge", 0x42, &["fe80::1"], None), Ok(true));
        assert!(check("bridge", 0x42, &["fe80::1", "192.168.7.1"], None).unwrap_err().ends_with("address 192.168.7.1"));
        assert!(check("bridge", 0x42, &[], Some("eth1")).unwrap_err().ends_with("eth1 is on it"));
        assert!(check("dummy", 0x6f, &["10.200.0.1"], None).unwrap_err().contains("no bridge"));
    }

    #[test]
    fn a_network_that_overlaps_another_interfaces_is_in_use() {
        let network = Network {
            bridge: "outcall0".parse().unwrap(),
            v4: "10.200.0.0/16".parse().unwrap(),
            v6: Some("fd00:200::/64".parse().unwrap()),
            dns_port: 53,
            proxy_port: 8080,
        };
        let link = |index: u32, name: &str| Link {
            index,
            name: name.to_owned(),
            kind: String::new(),
            up: true,
            mac: None,
            mtu: 1500,
            master: None,
            peer_netns: None,
        };
        let links = [link(2, "eth0"), link(3, "outcall0")];
        for (index, address, prefix, good) in [
            (2, "10.200.3.1", 24, false),
            (2, "10.201.0.1", 24, true),
            (2, "10.1.0.1", 8, false),
            (2, "10.200.0.1", 32, false),
            (3, "10.200.0.1", 16, true),
            (2, "fd00:200::9", 64, false),
            (2, "fd00:201::9", 64, true),
            (2, "fd00:201::9", 16, false),
        ] {
            let addresses = [Address { index, address: address.parse().unwrap(), prefix }];
            assert_eq!(free(&network, &links, &addresses).is_ok(), good, "{index} {address}/{prefix}");
        }
    }
}
