//! Whole packets, written by hand: for senders whom the kernel lets write headers.

use std::net::Ipv4Addr;

/// The place of a packet that is no fragment.
pub(crate) const WHOLE: u16 = 0;
/// The place of the first fragment, after which more come (RFC 791, section 3.1).
pub(crate) const MORE: u16 = 0x2000;

/// An IPv4 packet. The kernel writes its length and checksum, and its source where that is unspecified (raw(7)).
pub(crate) fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    let place = fragment.to_be_bytes();
    // The same number for all, so that fragments belong together.
    let mut packet = vec![0x45, 0, length[0], length[1], 0x4f, 0x43, place[0], place[1], 64, protocol, 0, 0];
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(payload);
    packet
}

/// A UDP datagram without a checksum, which IPv4 allows.
pub(crate) fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut datagram = vec![0x9c, 0x40];
    datagram.extend(port.to_be_bytes());
    datagram.extend([length[0], length[1], 0, 0]);
    datagram.extend(payload);
    datagram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_where_they_belong() {
        let packet = ipv4([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), 17, MORE, &udp(7000, b"hi"));
        assert_eq!(packet.len(), 30);
        assert_eq!(packet.get(..8), Some(&[0x45, 0, 0, 30, 0x4f, 0x43, 0x20, 0][..]));
        assert_eq!(packet.get(9), Some(&17));
        assert_eq!(packet.get(12..30), Some(&b"\x0a\0\0\x01\x0a\0\0\x02\x9c\x40\x1b\x58\0\x0a\0\0hi"[..]));
    }
}
