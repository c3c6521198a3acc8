//! The packets that the ruleset refused, as the kernel reports them (nfnetlink_log).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

use super::elements::header;
use super::message::{Messages, Received, attribute, flag};
use crate::sys::netlink::{self, Family};

const SUBSYSTEM: u16 = 4;
const PACKET: u16 = SUBSYSTEM << 8;
const CONFIGURE: u16 = SUBSYSTEM << 8 | 1;
/// `NFULA_CFG_*` and `NFULA_*` of the kernel's `nfnetlink_log.h`.
const COMMAND: u16 = 1;
const MODE: u16 = 2;
const THRESHOLD: u16 = 5;
const BIND: u8 = 1;
const COPY_PACKET: u8 = 2;
const PACKET_HEADER: u16 = 1;
const INPUT_LINK: u16 = 4;
const INPUT_PORT: u16 = 6;
const PAYLOAD: u16 = 9;
const PREFIX: u16 = 10;
/// `AF_BRIDGE`
const BRIDGE: u8 = 7;
/// With what the rule that refuses a frame for what it says of its sender has it logged.
pub const FORGED: &str = "forged";
/// EtherTypes (IEEE 802 numbers).
const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
/// What is copied of a packet: an IPv6 header, a chain of extension headers and the ports.
const SNAP_BYTES: u32 = 256;
/// Larger than any datagram of one packet with `SNAP_BYTES` of it.
pub const DATAGRAM_BYTES: usize = 8 * 1024;

/// Subscribes to a log group of this thread's network namespace.
///
/// # Errors
/// What the kernel says; `EINVAL`, `ENOENT` or `EPROTONOSUPPORT` where it cannot log to user space.
pub fn subscribe(group: u16) -> io::Result<OwnedFd> {
    let socket = netlink::open(Family::Netfilter)?;
    let mut messages = Messages::default();
    let last = messages.begin(CONFIGURE, flag::ACK, &header(0, group));
    messages.attribute(COMMAND, &[BIND]);
    messages.commit(&socket, last)?;
    let mut messages = Messages::default();
    let last = messages.begin(CONFIGURE, flag::ACK, &header(0, group));
    let [a, b, c, d] = SNAP_BYTES.to_be_bytes();
    messages.attribute(MODE, &[a, b, c, d, COPY_PACKET, 0]);
    messages.attribute(THRESHOLD, &1_u32.to_be_bytes());
    messages.commit(&socket, last)?;
    Ok(socket)
}

/// Where a refused packet wanted to go, or a refused frame on a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The source; of frames that carry addresses.
    pub from: Option<IpAddr>,
    /// The destination; of frames that carry addresses.
    pub address: Option<IpAddr>,
    /// What it is.
    pub protocol: Protocol,
    /// The destination port, for protocols that have one.
    pub port: Option<u16>,
    /// For a frame on a bridge: who refused it.
    pub frame: Option<Frame>,
}

/// What is in a packet or frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// An IP packet of this protocol.
    Ip(u8),
    /// Something else than IP, by its EtherType.
    Ether(u16),
}

/// A frame on a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The number of the port it came in by.
    pub port: u32,
    /// Whether it was refused for its sender's addresses, and not for where it was to go.
    pub forged: bool,
}

impl Refused {
    /// The protocol's name as `network.protocol` has it; what is not IP is `arp`, or `ether-` and its EtherType in hexadecimal.
    pub fn protocol_name(&self) -> String {
        match self.protocol {
            Protocol::Ip(number) => protocol_name(number),
            Protocol::Ether(ARP) => "arp".into(),
            Protocol::Ether(number) => format!("ether-{number:04x}"),
        }
    }
}

/// The name of an IP protocol as `network.protocol` has it, its number where it has none.
pub fn protocol_name(number: u8) -> String {
    match number {
        1 => "icmp".into(),
        2 => "igmp".into(),
        6 => "tcp".into(),
        17 => "udp".into(),
        33 => "dccp".into(),
        47 => "gre".into(),
        50 => "esp".into(),
        51 => "ah".into(),
        58 => "icmpv6".into(),
        132 => "sctp".into(),
        136 => "udplite".into(),
        number => number.to_string(),
    }
}

/// The refused packets of one datagram from the kernel.
pub fn refused(datagram: &[u8]) -> impl Iterator<Item = Refused> {
    Received::all(datagram).filter(|message| message.kind == PACKET).filter_map(|message| {
        let (family, rest) = (*message.body.first()?, message.body.get(4..)?);
        let find = |wanted: u16| attribute(rest, wanted);
        let payload = find(PAYLOAD).unwrap_or_default();
        if family != BRIDGE {
            return read_packet(payload);
        }
        let [high, low, ..] = *find(PACKET_HEADER)? else { return None };
        // On a bridge the link is the bridge, and its port has an attribute of its own.
        let link = find(INPUT_PORT).or_else(|| find(INPUT_LINK))?;
        let forged = find(PREFIX).is_some_and(|prefix| prefix.strip_suffix(&[0]) == Some(FORGED.as_bytes()));
        let frame = Frame { port: u32::from_be_bytes(*link.first_chunk()?), forged };
        Some(Refused { frame: Some(frame), ..read_frame(u16::from_be_bytes([high, low]), payload) })
    })
}

/// Reads what a frame carries, as far as it can be.
fn read_frame(kind: u16, payload: &[u8]) -> Refused {
    let unread = Refused { from: None, address: None, protocol: Protocol::Ether(kind), port: None, frame: None };
    match kind {
        IPV4 | IPV6 => read_packet(payload).unwrap_or(unread),
        ARP => {
            // RFC 826: the senders' and the targets' addresses of each kind, for Ethernet and IPv4.
            let at = |at: usize| Some(Ipv4Addr::from(*payload.get(at..)?.first_chunk::<4>()?).into());
            Refused { from: at(14), address: at(24), ..unread }
        }
        _ => unread,
    }
}

/// Reads the destination of an IP packet (RFC 791, section 3.1; RFC 8200, section 3).
fn read_packet(packet: &[u8]) -> Option<Refused> {
    let first = *packet.first()?;
    let (from, address, protocol, transport) = match first >> 4 {
        4 => {
            let at = |offset: usize| Some(Ipv4Addr::from(*packet.get(offset..)?.first_chunk::<4>()?).into());
            let transport = packet.get(usize::from(first & 15) * 4..).unwrap_or_default();
            (at(12)?, at(16)?, *packet.get(9)?, transport)
        }
        6 => {
            let at = |offset: usize| Some(Ipv6Addr::from(*packet.get(offset..)?.first_chunk::<16>()?).into());
            let (protocol, transport) = skip_extensions(*packet.get(6)?, packet.get(40..).unwrap_or_default());
            (at(8)?, at(24)?, protocol, transport)
        }
        _ => return None,
    };
    let has_ports = matches!(protocol, 6 | 17 | 33 | 132 | 136);
    let port = transport.get(2..).and_then(<[u8]>::first_chunk).map(|port| u16::from_be_bytes(*port));
    let (from, address, protocol) = (Some(from), Some(address), Protocol::Ip(protocol));
    Some(Refused { from, address, protocol, port: port.filter(|_| has_ports), frame: None })
}

/// Skips hop-by-hop, routing and destination options (RFC 8200, section 4).
fn skip_extensions(mut next: u8, mut bytes: &[u8]) -> (u8, &[u8]) {
    while matches!(next, 0 | 43 | 60) {
        let (Some(following), Some(length)) = (bytes.first(), bytes.get(1)) else { break };
        let Some(rest) = bytes.get((usize::from(*length) + 1) * 8..) else { break };
        (next, bytes) = (*following, rest);
    }
    (next, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_read_from_packets_of_both_versions() {
        let mut v4 = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 192, 0, 2, 1];
        v4.extend([0x30, 0x39, 0, 53]);
        let expected = Refused {
            from: "10.0.0.1".parse().ok(),
            address: "192.0.2.1".parse().ok(),
            protocol: Protocol::Ip(17),
            port: Some(53),
            frame: None,
        };
        assert_eq!(read_packet(&v4), Some(expected));
        let mut v6 = vec![0x60, 0, 0, 0, 0, 12, 0, 64];
        v6.extend("::1".parse::<Ipv6Addr>().unwrap().octets());
        v6.extend("2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        v6.extend([6, 0, 0, 0, 0, 0, 0, 0]);
        v6.extend([0, 1, 0x01, 0xbb]);
        let expected = Refused {
            from: "::1".parse().ok(),
            address: "2001:db8::7".parse().ok(),
            protocol: Protocol::Ip(6),
            port: Some(443),
            frame: None,
        };
        assert_eq!(read_packet(&v6), Some(expected));
    }

    #[test]
    fn frames_are_read_for_whom_they_are_between() {
        let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1];
        arp.extend([2, 0, 0, 0, 0, 1, 10, 200, 0, 2]);
        arp.extend([0, 0, 0, 0, 0, 0, 10, 200, 0, 3]);
        let read = read_frame(ARP, &arp);
        assert_eq!((read.from, read.address), ("10.200.0.2".parse().ok(), "10.200.0.3".parse().ok()));
        assert_eq!(read.protocol_name(), "arp");
        assert_eq!(read_frame(ARP, &arp[..20]).address, None);
        let other = read_frame(0x88cc, &arp);
        assert_eq!((other.address, other.protocol_name().as_str()), (None, "ether-88cc"));
        assert_eq!(read_frame(IPV4, &[]).protocol_name(), "ether-0800");
    }

    #[test]
    fn cut_packets_are_read_as_far_as_they_go() {
        assert_eq!(read_packet(&[]), None);
        assert_eq!(read_packet(&[0x45; 19]), None);
        let ping = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 192, 0, 2, 1];
        assert_eq!(read_packet(&ping).map(|packet| packet.port), Some(None));
    }
}
