//! The connections that the kernel tracks (nfnetlink_conntrack): which of them are an agent's, and ending them.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;

use super::elements::header;
use super::message::{Messages, attribute, attributes, flag};

const SUBSYSTEM: u16 = 1;
const GET: u16 = SUBSYSTEM << 8 | 1;
const DELETE: u16 = SUBSYSTEM << 8 | 2;
/// `CTA_*` of the kernel's `nfnetlink_conntrack.h`.
const TUPLE_ORIGINAL: u16 = 1;
const STATUS: u16 = 3;
const PROTOCOL_INFO: u16 = 4;
const INFO_TCP: u16 = 1;
const TCP_STATE: u16 = 1;
const ID: u16 = 12;
const ZONE: u16 = 18;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const V4_SOURCE: u16 = 1;
const V4_DESTINATION: u16 = 2;
const V6_SOURCE: u16 = 3;
const V6_DESTINATION: u16 = 4;
const PROTOCOL_NUMBER: u16 = 1;
const DESTINATION_PORT: u16 = 3;
/// `TCP_CONNTRACK_*`: the last acknowledgement is awaited, both sides have ended, and it was reset.
const ENDING: [u8; 3] = [6, 7, 8];
/// `IPS_DST_NAT`
const REDIRECTED: u32 = 1 << 5;

/// A tracked connection, by the packet that opened it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Who opened it.
    pub from: IpAddr,
    /// Where to.
    pub to: IpAddr,
    /// The IP protocol's number.
    pub protocol: u8,
    /// The destination port, for protocols that have one.
    pub port: Option<u16>,
    /// Whether its destination was changed, as redirection to a listener of ours does.
    pub redirected: bool,
    /// Whether both sides have ended it: a TCP connection that the kernel remembers for packets that come late.
    pub ended: bool,
    /// What names it to the kernel: the address family, and the attributes that say which.
    family: u8,
    name: Vec<(u16, Vec<u8>)>,
}

/// The connections that are tracked and `wanted` by their opener's address.
///
/// # Errors
/// What the kernel says.
pub fn flows(socket: impl AsFd, wanted: impl Fn(IpAddr) -> bool) -> io::Result<Vec<Flow>> {
    let mut messages = Messages::default();
    let sequence = messages.begin(GET, flag::DUMP, &header(0, 0));
    let mut found = Vec::new();
    let done = messages.ask(socket, sequence, |_, body| found.extend(read(body).filter(|flow| wanted(flow.from))));
    match done {
        // Connections come and go; those that were there the whole time have been told.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(found),
        done => done.map(|()| found),
    }
}

/// Has the kernel forget a connection: its next packet is judged as the first of a new one.
///
/// # Errors
/// What the kernel says. One that has ended meanwhile is no error.
pub fn end(socket: impl AsFd, flow: &Flow) -> io::Result<()> {
    let mut messages = Messages::default();
    let last = messages.begin(DELETE, flag::ACK, &header(flow.family, 0));
    for (kind, value) in &flow.name {
        messages.attribute(*kind, value);
    }
    match messages.commit(socket, last) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        done => done,
    }
}

fn read(body: &[u8]) -> Option<Flow> {
    let family = *body.first()?;
    let (mut from, mut to, mut protocol, mut port) = (None, None, None, None);
    let (mut redirected, mut ended) = (false, false);
    let mut name = Vec::new();
    for (kind, value) in attributes(body.get(4..)?) {
        match kind {
            TUPLE_ORIGINAL => {
                name.push((kind | super::message::NESTED, value.to_vec()));
                for (kind, value) in attributes(value) {
                    match kind {
                        TUPLE_IP => (from, to) = addresses(value),
                        TUPLE_PROTOCOL => (protocol, port) = transport(value),
                        _ => {}
                    }
                }
            }
            STATUS => redirected = u32::from_be_bytes(*value.first_chunk()?) & REDIRECTED != 0,
            PROTOCOL_INFO => {
                let state = attribute(value, INFO_TCP).and_then(|tcp| attribute(tcp, TCP_STATE)?.first());
                ended = state.is_some_and(|state| ENDING.contains(state));
            }
            ID | ZONE => name.push((kind, value.to_vec())),
            _ => {}
        }
    }
    Some(Flow { from: from?, to: to?, protocol: protocol?, port, redirected, ended, family, name })
}

fn addresses(tuple: &[u8]) -> (Option<IpAddr>, Option<IpAddr>) {
    let find = |v4: u16, v6: u16| {
        attributes(tuple).find_map(|(kind, value)| match kind {
            kind if kind == v4 => value.first_chunk::<4>().map(|octets| IpAddr::from(*octets)),
            kind if kind == v6 => value.first_chunk::<16>().map(|octets| IpAddr::from(*octets)),
            _ => None,
        })
    };
    (find(V4_SOURCE, V6_SOURCE), find(V4_DESTINATION, V6_DESTINATION))
}

fn transport(tuple: &[u8]) -> (Option<u8>, Option<u16>) {
    let port = attribute(tuple, DESTINATION_PORT).and_then(|port| port.first_chunk());
    let number = attribute(tuple, PROTOCOL_NUMBER).and_then(|number| number.first());
    (number.copied(), port.map(|port| u16::from_be_bytes(*port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A TCP connection in this state, as the kernel tells of it.
    fn told(state: u8) -> Vec<u8> {
        let mut messages = Messages::default();
        messages.begin(GET, 0, &header(2, 0));
        messages.nest(TUPLE_ORIGINAL, |tuple| {
            tuple.nest(TUPLE_IP, |ip| {
                ip.attribute(V4_SOURCE, &[10, 200, 0, 2]);
                ip.attribute(V4_DESTINATION, &[192, 0, 2, 1]);
            });
            tuple.nest(TUPLE_PROTOCOL, |protocol| {
                protocol.attribute(PROTOCOL_NUMBER, &[6]);
                protocol.attribute(DESTINATION_PORT, &443_u16.to_be_bytes());
            });
        });
        messages.attribute(STATUS, &0_u32.to_be_bytes());
        messages.nest(PROTOCOL_INFO, |info| info.nest(INFO_TCP, |tcp| tcp.attribute(TCP_STATE, &[state])));
        messages.attribute(ID, &[0, 0, 0, 1]);
        // What comes before is the head of the message.
        messages.bytes().get(16..).unwrap_or_default().to_vec()
    }

    #[test]
    fn a_connection_has_ended_once_both_sides_have() {
        // established, half closed by either, then what follows, and reset
        for (state, ended) in [(1, false), (3, false), (4, false), (5, false), (6, true), (7, true), (8, true)] {
            let flow = read(&told(state)).unwrap();
            assert_eq!((flow.port, flow.redirected, flow.ended), (Some(443), false, ended), "{state}");
        }
    }
}
