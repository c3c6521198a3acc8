//! Links: the bridge, the ports on it, and a virtual cable for an agent (rtnetlink(7)).

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::message::{Messages, attribute, attributes, flag};
use crate::sys::netlink::{Family, open};

const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const SET_LINK: u16 = 19;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const NEW_NEIGHBOUR: u16 = 28;
const DELETE_NEIGHBOUR: u16 = 29;
const GET_NETNS: u16 = 90;
/// `IFF_UP`
const UP: u32 = 1;
/// `IFLA_*` of the kernel's `if_link.h`.
const ADDRESS: u16 = 1;
const NAME: u16 = 3;
const MTU: u16 = 4;
const MASTER: u16 = 10;
const PROTOCOL_INFO: u16 = 12;
const INFO: u16 = 18;
const NETNS_FD: u16 = 28;
const LINK_NETNSID: u16 = 37;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const VETH_PEER: u16 = 1;
/// `IFLA_BR_*`
const BRIDGE_MULTICAST_SNOOPING: u16 = 23;
/// `IFLA_BRPORT_*`
const PORT_ISOLATED: u16 = 33;
/// `NETNSA_*`
const NETNSA_NSID: u16 = 1;
const NETNSA_PID: u16 = 2;
const NETNSA_FD: u16 = 3;
/// `IFA_LOCAL`, `IFA_ADDRESS`, `IFA_F_NODAD`
const LOCAL: u16 = 2;
const NO_DETECTION: u8 = 2;
/// `RTA_GATEWAY`, `RTA_OIF`, and the main table, a static route, universe and unicast.
const GATEWAY: u16 = 5;
const OUTPUT_DEVICE: u16 = 4;
const MAIN_TABLE: u8 = 254;
const STATIC: u8 = 4;
const UNICAST: u8 = 1;

/// `NDA_DST`, `NDA_LLADDR`, `NUD_PERMANENT`
const NEIGHBOUR_ADDRESS: u16 = 1;
const NEIGHBOUR_MAC: u16 = 2;
const PERMANENT: u16 = 0x80;

/// A hardware address.
pub type Mac = [u8; 6];

/// A hardware address as everybody writes it: pairs of hexadecimal digits with colons.
pub fn mac_text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Reads what [`mac_text`] writes, in digits of either case.
pub fn mac_from(text: &str) -> Option<Mac> {
    let part = |part: &str| if part.len() == 2 { u8::from_str_radix(part, 16).ok() } else { None };
    let parts: Option<Vec<u8>> = text.split(':').map(part).collect();
    parts?.try_into().ok()
}

/// A link as the kernel shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// What it is, `bridge` or `veth`; empty for hardware.
    pub kind: String,
    /// Whether it was brought up.
    pub up: bool,
    /// Its hardware address, where it has one of six bytes.
    pub mac: Option<Mac>,
    /// The bytes of the largest packet.
    pub mtu: u32,
    /// The bridge it is a port of.
    pub master: Option<u32>,
    /// This namespace's number for the one that its other end is in.
    pub peer_netns: Option<i32>,
}

/// The links of the network namespace of this thread.
///
/// # Errors
/// What the kernel says.
pub fn all() -> io::Result<Vec<Link>> {
    let socket = open(Family::Route)?;
    let mut messages = Messages::default();
    let sequence = messages.begin(GET_LINK, flag::DUMP, &header(0, 0, 0));
    let mut links = Vec::new();
    messages.ask(&socket, sequence, |kind, body| links.extend((kind == NEW_LINK).then(|| read(body)).flatten()))?;
    Ok(links)
}

/// The link of this name.
///
/// # Errors
/// What the kernel says. One that does not exist is no error.
pub fn find(name: &str) -> io::Result<Option<Link>> {
    one(0, |message| message.text(NAME, name))
}

/// The link of this number.
///
/// # Errors
/// What the kernel says. One that does not exist is no error.
pub fn at(index: u32) -> io::Result<Option<Link>> {
    one(index, |_| {})
}

fn one(index: u32, which: impl FnOnce(&mut Messages)) -> io::Result<Option<Link>> {
    let socket = open(Family::Route)?;
    let mut messages = Messages::default();
    let sequence = messages.begin(GET_LINK, flag::ACK, &header(0, index, 0));
    which(&mut messages);
    let mut found = None;
    match messages.ask(&socket, sequence, |kind, body| found = read(body).filter(|_| kind == NEW_LINK)) {
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        done => done.map(|()| found),
    }
}

fn read(body: &[u8]) -> Option<Link> {
    let index = u32::from_ne_bytes(*body.get(4..)?.first_chunk()?);
    let flags = u32::from_ne_bytes(*body.get(8..)?.first_chunk()?);
    let mut link = Link {
        index,
        name: String::new(),
        kind: String::new(),
        up: flags & UP != 0,
        mac: None,
        mtu: 0,
        master: None,
        peer_netns: None,
    };
    for (kind, value) in attributes(body.get(16..)?) {
        match kind {
            NAME => link.name = text(value),
            ADDRESS => link.mac = value.try_into().ok(),
            MTU => link.mtu = value.first_chunk().map_or(0, |mtu| u32::from_ne_bytes(*mtu)),
            MASTER => link.master = value.first_chunk().map(|index| u32::from_ne_bytes(*index)),
            LINK_NETNSID => link.peer_netns = value.first_chunk().map(|id| i32::from_ne_bytes(*id)),
            INFO => {
                link.kind = attribute(value, INFO_KIND).map(text).unwrap_or_default();
            }
            _ => {}
        }
    }
    Some(link)
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned()
}

/// `struct ifinfomsg`.
fn header(family: u8, index: u32, up: u32) -> Vec<u8> {
    let mut header = vec![family, 0, 0, 0];
    header.extend_from_slice(&index.to_ne_bytes());
    header.extend_from_slice(&up.to_ne_bytes());
    header.extend_from_slice(&up.to_ne_bytes());
    header
}

/// Makes a bridge, which is down and without ports, and does not listen to multicast groups.
///
/// # Errors
/// `EEXIST` where the name is taken, and what the kernel says else.
pub fn make_bridge(name: &str, mac: Mac) -> io::Result<()> {
    let socket = open(Family::Route)?;
    let mut messages = Messages::default();
    let last = messages.begin(NEW_LINK, flag::CREATE | flag::EXCLUSIVE | flag::ACK, &header(0, 0, 0));
    messages.text(NAME, name);
    messages.attribute(ADDRESS, &mac);
    messages.nest(INFO, |info| {
        info.text(INFO_KIND, "bridge");
        info.nest(INFO_DATA, |data| data.attribute(BRIDGE_MULTICAST_SNOOPING, &[0]));
    });
    messages.commit(&socket, last)
}

/// Removes a link, and with it the other end of a cable.
///
/// # Errors
/// What the kernel says, `ENODEV` where there is none.
pub fn remove(name: &str) -> io::Result<()> {
    let socket = open(Family::Route)?;
    let mut messages = Messages::default();
    let last = messages.begin(DELETE_LINK, flag::ACK, &header(0, 0, 0));
    messages.text(NAME, name);
    messages.commit(&socket, last)
}

/// Brings a link up or down.
///
/// # Errors
/// What the kernel says.
pub fn set_up(index: u32, up: bool) -> io::Result<()> {
    let socket = open(Family::Route)?;
    let mut messages = Messages::default();
    let mut header = vec![0; 4];
    header.extend_from_slice(&index.to_ne_bytes());
    header.extend_from_slice(&if up { UP } else { 0 }.to_ne_bytes());
    header.extend_from_slice(&UP.to_ne_bytes());
    let last = messages.begin(NEW_LINK, flag::ACK, &header);
    messages.commit(&socket, last)
}

/// An address of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The link.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// The bits that say which network.
    pub prefix: u8,
}

/// The addresses of all links.
///
/// # Errors
/// What the kernel says.
pub fn addresses() -> io::Result<Vec<Address>> {
    let socket = open(Family::Route)?;
    let mut messages = Messages::default();
    let sequence = messages.begin(GET_ADDRESS, flag::DUMP, &[0; 8]);
    let mut found = Vec::new();
    messages.ask(&socket, sequence, |kind, body| {
        found.extend((kind == NEW_ADDRESS).then(|| read_address(body)).flatten());
    })?;
    Ok(found)
}

fn read_address(body: &[u8]) -> Option<Address> {
    let prefix = *body.get(1)?;
    let index = u32::from_ne_bytes(*body.get(4..)?.first_chunk()?);
    // Of a point-to-point link `IFA_ADDRESS` is the other end's.
    let told = body.get(8..)?;
    let value = attribute(told, LOCAL).or_else(|| attribute(told, ADDRESS))?;
    let v4 = <[u8; 4]>::try_from(value).map(IpAddr::from);
    let address = v4.or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from)).ok()?;
    Some(Address { index, address, prefix })
}

/// Gives a link an address, which can be used at once: for IPv6 without duplicate address detection. One that it has
/// already is no error.
///
/// # Errors
/// What the kernel says.
pub fn add_address(index: u32, address: IpAddr, prefix: u8) -> io::Result<()> {
    let socket = open(Family::Route)?;
    let mut messages = Messages::default();
    let (family, bytes) = octets(address)?;
    let mut header = vec![family, prefix, if address.is_ipv6() { NO_DETECTION } else { 0 }, 0];
    header.extend_from_slice(&index.to_ne_bytes());
    let last = messages.begin(NEW_ADDRESS, flag::CREATE | flag::ACK, &header);
    messages.attribute(LOCAL, &bytes);
    messages.attribute(ADDRESS, &bytes);
    match messages.commit(&socket, last) {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        done => done,
    }
}

/// Routes everything that has no other route to `gateway`.
///
/// # Errors
/// What the kernel says.
pub fn add_default_route(index: u32, gateway: IpAddr) -> io::Result<()> {
    let socket = open(Family::Route)?;
    let mut messages = Messages::default();
    let (family, bytes) = octets(gateway)?;
    let header = [family, 0, 0, 0, MAIN_TABLE, STATIC, 0, UNICAST, 0, 0, 0, 0];
    let last = messages.begin(NEW_ROUTE, flag::CREATE | flag::ACK, &header);
    messages.attribute(GATEWAY, &bytes);
    messages.attribute(OUTPUT_DEVICE, &index.to_ne_bytes());
    messages.commit(&socket, last)
}

fn octets(address: IpAddr) -> io::Result<(u8, Vec<u8>)> {
    let (family, bytes) = match address {
        IpAddr::V4(address) => (libc::AF_INET, address.octets().to_vec()),
        IpAddr::V6(address) => (libc::AF_INET6, address.octets().to_vec()),
    };
    Ok((u8::try_from(family).map_err(io::Error::other)?, bytes))
}

/// Has the host know for good which hardware address an IP address of a link has, so that it neither asks nor is told; or,
/// without one, no longer know it.
///
/// # Errors
/// What the kernel says. To forget what is not known is no error.
pub fn set_neighbour(index: u32, address: IpAddr, mac: Option<Mac>) -> io::Result<()> {
    let socket = open(Family::Route)?;
    let mut messages = Messages::default();
    let (family, bytes) = octets(address)?;
    let mut header = vec![family, 0, 0, 0];
    header.extend_from_slice(&index.to_ne_bytes());
    header.extend_from_slice(&PERMANENT.to_ne_bytes());
    header.extend_from_slice(&[0, 0]);
    let (kind, flags) = match mac {
        Some(_) => (NEW_NEIGHBOUR, flag::CREATE | flag::REPLACE | flag::ACK),
        None => (DELETE_NEIGHBOUR, flag::ACK),
    };
    let last = messages.begin(kind, flags, &header);
    messages.attribute(NEIGHBOUR_ADDRESS, &bytes);
    if let Some(mac) = mac {
        messages.attribute(NEIGHBOUR_MAC, &mac);
    }
    match messages.commit(&socket, last) {
        Err(error) if mac.is_none() && error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        done => done,
    }
}

/// A cable from a port of ours to an agent.
#[derive(Debug, Clone, Copy)]
pub struct Cable<'a> {
    /// The name of our end.
    pub port: &'a str,
    /// The name of the agent's end.
    pub inside: &'a str,
    /// The hardware address of the agent's end.
    pub mac: Mac,
    /// The bytes of the largest packet.
    pub mtu: u32,
    /// The agent's network namespace.
    pub netns: BorrowedFd<'a>,
}

/// Makes a cable, both of its ends down, the agent's in its namespace.
///
/// # Errors
/// `EEXIST` where a name is taken, and what the kernel says else.
pub fn make_cable(cable: &Cable<'_>) -> io::Result<()> {
    let socket = open(Family::Route)?;
    let mut messages = Messages::default();
    let last = messages.begin(NEW_LINK, flag::CREATE | flag::EXCLUSIVE | flag::ACK, &header(0, 0, 0));
    messages.text(NAME, cable.port);
    messages.attribute(MTU, &cable.mtu.to_ne_bytes());
    messages.nest(INFO, |info| {
        info.text(INFO_KIND, "veth");
        info.nest(INFO_DATA, |data| {
            data.nest(VETH_PEER, |peer| {
                peer.raw(&header(0, 0, 0));
                peer.text(NAME, cable.inside);
                peer.attribute(ADDRESS, &cable.mac);
                peer.attribute(MTU, &cable.mtu.to_ne_bytes());
                peer.attribute(NETNS_FD, &cable.netns.as_raw_fd().to_ne_bytes());
            });
        });
    });
    messages.commit(&socket, last)
}

/// Makes a link a port of a bridge that passes nothing on to other isolated ports, and brings it up.
///
/// # Errors
/// What the kernel says.
pub fn plug(index: u32, bridge: u32) -> io::Result<()> {
    let socket = open(Family::Route)?;
    let mut messages = Messages::default();
    let last = messages.begin(NEW_LINK, flag::ACK, &header(0, index, 0));
    messages.attribute(MASTER, &bridge.to_ne_bytes());
    messages.commit(&socket, last)?;
    isolate(socket, index)?;
    set_up(index, true)
}

/// Has a port pass nothing on to other isolated ports.
///
/// # Errors
/// What the kernel says.
pub fn isolate(socket: impl AsFd, index: u32) -> io::Result<()> {
    let mut messages = Messages::default();
    let family = u8::try_from(libc::AF_BRIDGE).map_err(io::Error::other)?;
    let last = messages.begin(SET_LINK, flag::ACK, &header(family, index, 0));
    messages.nest(PROTOCOL_INFO, |port| port.attribute(PORT_ISOLATED, &[1]));
    messages.commit(socket, last)
}

/// This namespace's number for the network namespace of a process, where it has one.
///
/// # Errors
/// What the kernel says, `ESRCH` when there is no such process.
pub fn netns_of(pid: u32) -> io::Result<Option<i32>> {
    number_of(NETNSA_PID, pid.to_ne_bytes())
}

/// The same for the one that a descriptor is of.
///
/// # Errors
/// What the kernel says.
pub fn netns_at(netns: impl AsFd) -> io::Result<Option<i32>> {
    number_of(NETNSA_FD, netns.as_fd().as_raw_fd().to_ne_bytes())
}

fn number_of(named_by: u16, name: [u8; 4]) -> io::Result<Option<i32>> {
    let socket = open(Family::Route)?;
    let mut messages = Messages::default();
    let sequence = messages.begin(GET_NETNS, flag::ACK, &[0; 4]);
    messages.attribute(named_by, &name);
    let mut found = None;
    messages.ask(&socket, sequence, |_, body| {
        let id = body.get(4..).and_then(|told| attribute(told, NETNSA_NSID)?.first_chunk());
        found = id.map(|id| i32::from_ne_bytes(*id)).filter(|id| *id >= 0);
    })?;
    Ok(found)
}
