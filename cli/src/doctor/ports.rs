//! Who listens where, and which networks this host knows: as `/proc/net` tells.

use std::net::Ipv4Addr;

use super::system::System;

/// The lists of sockets, and the state in which one there takes what comes (net/tcp_states.h).
const LISTS: [(&str, &str); 4] =
    [("/proc/net/tcp", "0A"), ("/proc/net/udp", "07"), ("/proc/net/tcp6", "0A"), ("/proc/net/udp6", "07")];

/// Whether something listens on this port of the address, or of all addresses, and over which protocol.
pub(super) fn taken(system: &System, address: Ipv4Addr, port: u16) -> Option<&'static str> {
    LISTS.into_iter().find_map(|(list, state)| {
        let text = system.read(list)?;
        let listens = |line: &str| {
            let mut words = line.split_whitespace().skip(1);
            let (Some(local), Some(_), Some(found)) = (words.next(), words.next(), words.next()) else { return false };
            found == state && is_at(local, address, port)
        };
        text.lines().skip(1).any(listens).then(|| list.rsplit('/').next().unwrap_or(list))
    })
}

/// Whether a socket's own address (in the byte order of this machine, in hexadecimal digits) is ours, or any.
fn is_at(local: &str, address: Ipv4Addr, port: u16) -> bool {
    let Some((host, number)) = local.split_once(':') else { return false };
    if u16::from_str_radix(number, 16) != Ok(port) {
        return false;
    }
    let ours = format!("{:08X}", u32::from_ne_bytes(address.octets()));
    host.bytes().all(|byte| byte == b'0') || host == ours
}

/// The interface by which this host reaches a network that the address is in, but for the default route (route(8)).
pub(super) fn route_to(system: &System, address: Ipv4Addr) -> Option<String> {
    let text = system.read("/proc/net/route")?;
    text.lines().skip(1).find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| u32::from_str_radix(words.get(at)?, 16).ok().map(u32::to_ne_bytes);
        let (network, mask) = (u32::from_be_bytes(number(1)?), u32::from_be_bytes(number(7)?));
        (mask != 0 && u32::from(address) & mask == network).then(|| words.first().map(|name| (*name).to_owned()))?
    })
}

#[cfg(test)]
mod tests {
    use super::super::system::tests::host;
    use super::*;

    const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 1);

    fn hex(address: [u8; 4]) -> String {
        format!("{:08X}", u32::from_ne_bytes(address))
    }

    #[test]
    fn sockets_on_our_address_and_on_all_are_in_the_way_and_others_are_not() {
        for (list, address, port, state, taken_by) in [
            ("tcp", hex([10, 200, 0, 1]), "0035", "0A", Some("tcp")),
            ("udp", hex([0; 4]), "0035", "07", Some("udp")),
            ("tcp6", "0".repeat(32), "0035", "0A", Some("tcp6")),
            ("tcp", hex([127, 0, 0, 53]), "0035", "0A", None),
            ("tcp", hex([10, 200, 0, 1]), "0036", "0A", None),
            ("tcp", hex([10, 200, 0, 1]), "0035", "01", None),
        ] {
            let text =
                format!("  sl  local_address rem_address   st\n   0: {address}:{port} 00000000:0000 {state} 0\n");
            let (_root, system) = host(&[(&format!("/proc/net/{list}"), &text)]);
            assert_eq!(taken(&system, GATEWAY, 53), taken_by, "{list} {address} {port} {state}");
        }
        assert_eq!(taken(&host(&[]).1, GATEWAY, 53), None);
    }

    #[test]
    fn a_network_that_holds_the_address_is_found_and_the_default_is_none() {
        let head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";
        let line =
            |name: &str, network, mask| format!("{name}\t{}\t0\t1\t0\t0\t0\t{}\t0\t0\t0\n", hex(network), hex(mask));
        let check = |lines: &str, expected: Option<&str>| {
            let (_root, system) = host(&[("/proc/net/route", &format!("{head}{lines}"))]);
            assert_eq!(route_to(&system, GATEWAY).as_deref(), expected);
        };
        check(&line("eth0", [0; 4], [0; 4]), None);
        check(&line("eth0", [10, 201, 0, 0], [255, 255, 0, 0]), None);
        check(&line("vpn0", [10, 0, 0, 0], [255, 0, 0, 0]), Some("vpn0"));
        check("nonsense\n", None);
    }
}
