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
    let links = link::all().map_err(failed)?;
    free(network, &links, &link::addresses().map_err(failed)?)?;
    match links.iter().find(|link| link.name == name) {
        Some(link) if link.kind == "bridge" => {}
        Some(_) => return Err(BridgeError::Taken { name: name.to_owned() }),
        None => link::make_bridge(name, Network::mac(network.v4.gateway())).map_err(failed)?,
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
