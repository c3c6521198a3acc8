//! The cable between the client host and the internet, laid with rtnetlink(7): nothing but the kernel is needed for it.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netdevice, recv, sendto, socket_with};

use super::zone;

const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
const NEW_RULE: u16 = 32;
/// `NLM_F_REQUEST | NLM_F_ACK`
const REQUEST: u16 = 1 | 4;
/// `NLM_F_CREATE`
const CREATE: u16 = 0x400;
const UP: u32 = 1;
const LOOPBACK: u32 = 1;
const TABLE_MAIN: u8 = 254;
const TABLE_LOCAL: u8 = 255;
/// The table of IPv6 routes that makes every address the internet's own, after the ordinary routes.
const TABLE_ALL: u8 = 100;
const RULE_PRIORITY: u32 = 40_000;
const UNICAST: u8 = 1;
const LOCAL: u8 = 2;

/// One end of the conversation with the kernel.
struct Route {
    socket: OwnedFd,
}

/// Makes the cable in this namespace, with its other end in the namespace of `host`, and gives this one all addresses.
pub(super) fn internet_end(host: u32) -> io::Result<()> {
    let route = Route::open()?;
    route.set_up("lo")?;
    let mut peer = link(0, 0);
    attribute(&mut peer, 3, b"up0\0");
    attribute(&mut peer, 19, &host.to_ne_bytes());
    let mut data = Vec::new();
    attribute(&mut data, 1, &peer);
    let mut info = Vec::new();
    attribute(&mut info, 1, b"veth\0");
    attribute(&mut info, 2, &data);
    let mut message = link(0, 0);
    attribute(&mut message, 3, b"net0\0");
    attribute(&mut message, 18, &info);
    route.send(NEW_LINK, CREATE, &message)?;
    let cable = route.index("net0")?;
    route.address(cable, zone::GATEWAY_V4.into(), 30)?;
    route.address(cable, zone::GATEWAY_V6.into(), 64)?;
    route.set_up("net0")?;
    for address in zone::BOUND {
        route.address(LOOPBACK, *address, if address.is_ipv4() { 32 } else { 128 })?;
    }
    // IPv4 sends from an address only if the table `local` has it, so there the client host is the exception in it.
    let client = IpAddr::V4(zone::CLIENT_V4);
    route.route(TABLE_LOCAL, UNICAST, Some((client, 32)), cable, None)?;
    route.route(TABLE_LOCAL, LOCAL, Some((IpAddr::from([0, 0, 0, 0]), 0)), LOOPBACK, None)?;
    let mut rule = vec![family(IpAddr::V6(zone::CLIENT_V6)), 0, 0, 0, TABLE_ALL, 0, 0, 1, 0, 0, 0, 0];
    attribute(&mut rule, 6, &RULE_PRIORITY.to_ne_bytes());
    route.send(NEW_RULE, CREATE, &rule)?;
    route.route(TABLE_ALL, LOCAL, Some((IpAddr::from([0u8; 16]), 0)), LOOPBACK, None)
}

/// Sets the client host's end up, in its own namespace, with everything behind the internet's.
pub(super) fn host_end() -> io::Result<()> {
    let route = Route::open()?;
    route.set_up("lo")?;
    let cable = route.index("up0")?;
    route.address(cable, zone::CLIENT_V4.into(), 30)?;
    route.address(cable, zone::CLIENT_V6.into(), 64)?;
    route.set_up("up0")?;
    for gateway in [IpAddr::V4(zone::GATEWAY_V4), IpAddr::V6(zone::GATEWAY_V6)] {
        route.route(TABLE_MAIN, UNICAST, None, cable, Some(gateway))?;
    }
    Ok(())
}

/// The number of a network device in this namespace.
///
/// # Errors
/// When there is none of this name.
pub(crate) fn index(name: &str) -> io::Result<u32> {
    Route::open()?.index(name)
}

/// Gives a network device in this namespace another hardware address.
///
/// # Errors
/// What the kernel says.
pub(crate) fn set_hardware(name: &str, address: [u8; 6]) -> io::Result<()> {
    let route = Route::open()?;
    let mut message = link(route.index(name)?, 0);
    // `IFLA_ADDRESS`
    attribute(&mut message, 1, &address);
    // Of the flags none is changed.
    if let Some(mask) = message.get_mut(12..16) {
        mask.fill(0);
    }
    route.send(NEW_LINK, 0, &message)
}

/// Has ports of a bridge in this namespace pass on to each other, isolated as they are.
///
/// # Errors
/// What the kernel says.
pub(crate) fn talking(ports: &[&str]) -> io::Result<()> {
    /// `RTM_SETLINK`, `AF_BRIDGE`, `IFLA_PROTINFO` with `NLA_F_NESTED`, `IFLA_BRPORT_ISOLATED`.
    const SET_LINK: u16 = 19;
    const BRIDGE: u8 = 7;
    const PORT: u16 = 12 | 0x8000;
    const ISOLATED: u16 = 33;
    let route = Route::open()?;
    for port in ports {
        let mut message = vec![BRIDGE, 0, 0, 0];
        message.extend(route.index(port)?.to_ne_bytes());
        message.extend([0; 8]);
        let mut settings = Vec::new();
        attribute(&mut settings, ISOLATED, &[0]);
        attribute(&mut message, PORT, &settings);
        route.send(SET_LINK, 0, &message)?;
    }
    Ok(())
}

impl Route {
    fn open() -> io::Result<Route> {
        // No protocol is the first one, NETLINK_ROUTE.
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        Ok(Route { socket })
    }

    fn index(&self, name: &str) -> io::Result<u32> {
        Ok(netdevice::name_to_index(&self.socket, name)?)
    }

    fn set_up(&self, name: &str) -> io::Result<()> {
        self.send(NEW_LINK, 0, &link(self.index(name)?, UP))
    }

    fn address(&self, index: u32, address: IpAddr, bits: u8) -> io::Result<()> {
        /// `IFA_F_NODAD`: the address can be used at once.
        const NO_DETECTION: u8 = 2;
        let flags = if address.is_ipv6() { NO_DETECTION } else { 0 };
        let mut message = vec![family(address), bits, flags, 0];
        message.extend(index.to_ne_bytes());
        for kind in [2, 1] {
            attribute(&mut message, kind, &octets(address));
        }
        self.send(NEW_ADDRESS, CREATE, &message)
    }

    fn route(
        &self,
        table: u8,
        kind: u8,
        to: Option<(IpAddr, u8)>,
        index: u32,
        gateway: Option<IpAddr>,
    ) -> io::Result<()> {
        /// `RTPROT_BOOT`, as for routes of ip(8).
        const BOOT: u8 = 3;
        let known = to.map(|(address, _)| address).or(gateway).ok_or(io::ErrorKind::InvalidInput)?;
        let scope = match (kind, gateway) {
            (LOCAL, _) => 254,
            (_, None) => 253,
            _ => 0,
        };
        let scope = if known.is_ipv4() { scope } else { 0 };
        let bits = to.map_or(0, |(_, bits)| bits);
        let mut message = vec![family(known), bits, 0, 0, table, BOOT, scope, kind, 0, 0, 0, 0];
        if let Some((address, 1..)) = to {
            attribute(&mut message, 1, &octets(address));
        }
        attribute(&mut message, 4, &index.to_ne_bytes());
        if let Some(gateway) = gateway {
            attribute(&mut message, 5, &octets(gateway));
        }
        self.send(NEW_ROUTE, CREATE, &message)
    }

    /// Sends one message and reads what the kernel says to it.
    fn send(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        let mut message = Vec::with_capacity(16 + body.len());
        message.extend(u32::try_from(16 + body.len()).map_err(io::Error::other)?.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend((REQUEST | flags).to_ne_bytes());
        message.extend([0; 8]);
        message.extend(body);
        sendto(&self.socket, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        let mut answer = [0; 4096];
        let (count, _) = recv(&self.socket, answer.as_mut_slice(), RecvFlags::empty())?;
        // An error message of netlink(7): the header, then the number.
        let code = answer.get(16..20).filter(|_| count >= 20).and_then(|code| code.try_into().ok());
        match code.map(i32::from_ne_bytes) {
            Some(0) => Ok(()),
            Some(code) => Err(io::Error::from_raw_os_error(-code)),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// `struct ifinfomsg` of rtnetlink(7).
fn link(index: u32, flags: u32) -> Vec<u8> {
    let mut message = vec![0; 4];
    for number in [index, flags, flags] {
        message.extend(number.to_ne_bytes());
    }
    message
}

fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend(u16::try_from(4 + value.len()).unwrap_or(u16::MAX).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

fn family(address: IpAddr) -> u8 {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    u8::try_from(family.as_raw()).unwrap_or(0)
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
