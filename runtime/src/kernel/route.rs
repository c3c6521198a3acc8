//! The network of a fresh namespace: its loopback device up, with every address of the world behind it.
//!
//! In a namespace without a way out, a packet needs a route to reach the hooks of netfilter at all. So every destination
//! is routed to the loopback device as local; what is not redirected to a listener there is refused by the ruleset.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

use super::message::{Messages, flag};
use crate::sys::netlink::{Family, open};

/// The namespace's own IPv4 address, out of the block for hosts behind a translator (RFC 7335). It must not be a loopback
/// address: the C library resolves names to addresses of a family only where it sees an ordinary address of that family.
pub const OWN_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 2);
/// The namespace's own IPv6 address, a unique local one (RFC 4193) whose prefix spells `outcall`. As the label of its range
/// differs from that of public addresses, clients prefer IPv4 where a name has both (RFC 6724, section 2.1).
pub const OWN_V6: Ipv6Addr = Ipv6Addr::new(0xfd6f, 0x7574, 0x6361, 0x6c6c, 0, 0, 0, 1);

/// The loopback device has this index in every namespace.
const LOOPBACK: u32 = 1;

/// `IFA_F_NODAD`
const NO_DETECTION: u8 = 2;

const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
const UP: u32 = 1;
/// `IFA_ADDRESS`, `IFA_LOCAL`, `RTA_OIF` and `RTA_PREFSRC` of rtnetlink(7).
const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;
const OUTPUT_DEVICE: u16 = 4;
const PREFERRED_SOURCE: u16 = 7;
/// The table of local routes, "static" as the route's origin, host scope, and the type `RTN_LOCAL`.
const TABLE_LOCAL: u8 = 255;
const STATIC: u8 = 4;
const HOST: u8 = 254;
const LOCAL_ROUTE: u8 = 2;

/// Which IP versions a namespace has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// IPv4 alone: the host's kernel runs without IPv6.
    V4,
    /// Both.
    Both,
}

/// Brings up the loopback device of this thread's network namespace and routes everything to it.
///
/// # Errors
/// What the kernel says, but for a kernel without IPv6: there is then nothing of it to route.
pub fn bring_up() -> io::Result<Versions> {
    let socket = open(Family::Route)?;
    let mut messages = Messages::default();
    let mut header = vec![0; 4];
    header.extend_from_slice(&LOOPBACK.to_ne_bytes());
    header.extend_from_slice(&UP.to_ne_bytes());
    header.extend_from_slice(&UP.to_ne_bytes());
    let last = messages.begin(NEW_LINK, flag::ACK, &header);
    messages.commit(&socket, last)?;
    route_all(&socket, IpAddr::V4(OWN_V4))?;
    if !std::path::Path::new("/proc/sys/net/ipv6").exists() {
        return Ok(Versions::V4);
    }
    // Where the host has IPv6 switched off by default, so would a new namespace.
    for device in ["all", "lo"] {
        let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{device}/disable_ipv6"), "0");
    }
    route_all(&socket, IpAddr::V6(OWN_V6))?;
    Ok(Versions::Both)
}

fn route_all(socket: impl AsFd, own: IpAddr) -> io::Result<()> {
    let (family, bytes) = match own {
        IpAddr::V4(own) => (libc::AF_INET, own.octets().to_vec()),
        IpAddr::V6(own) => (libc::AF_INET6, own.octets().to_vec()),
    };
    let family = u8::try_from(family).map_err(io::Error::other)?;
    let bits = u8::try_from(bytes.len() * 8).map_err(io::Error::other)?;
    let mut messages = Messages::default();
    // Without duplicate address detection, so that the address can be used, and named by the route, at once.
    let flags = if own.is_ipv6() { NO_DETECTION } else { 0 };
    let mut header = vec![family, bits, flags, 0];
    header.extend_from_slice(&LOOPBACK.to_ne_bytes());
    messages.begin(NEW_ADDRESS, flag::CREATE, &header);
    messages.attribute(LOCAL, &bytes);
    messages.attribute(ADDRESS, &bytes);
    let scope = if own.is_ipv4() { HOST } else { 0 };
    let last = messages.begin(
        NEW_ROUTE,
        flag::CREATE | flag::ACK,
        &[family, 0, 0, 0, TABLE_LOCAL, STATIC, scope, LOCAL_ROUTE, 0, 0, 0, 0],
    );
    messages.attribute(OUTPUT_DEVICE, &LOOPBACK.to_ne_bytes());
    messages.attribute(PREFERRED_SOURCE, &bytes);
    messages.commit(socket, last)
}
