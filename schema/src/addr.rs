//! Which addresses are public, and which are only reached where a rule says `allow_private_ips`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is special.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// `0.0.0.0/8`, `::`
    Unspecified,
    /// `127.0.0.0/8`, `::1`
    Loopback,
    /// RFC 1918, shared address space (RFC 6598), unique local (RFC 4193), site-local
    Private,
    /// `169.254.0.0/16`, `fe80::/10`
    LinkLocal,
    /// Cloud metadata services, link-local or not
    Metadata,
    /// Multicast and broadcast
    Multicast,
    /// Reserved, documentation, benchmarking, discard-only and other ranges without a public host (RFC 6890)
    Reserved,
}

/// What makes `address` special; `None` when it is an ordinary public address.
///
/// IPv4 addresses embedded in IPv6 (mapped, compatible, NAT64 `64:ff9b::/96` and `64:ff9b:1::/48`, 6to4, Teredo,
/// ISATAP) are judged by the address inside as well. The forms that never appear between hosts (mapped, compatible and
/// the local NAT64 prefix) are special whatever is inside.
pub fn special(address: IpAddr) -> Option<Special> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

/// Single addresses of metadata services; they come before the ranges around them.
pub const METADATA_V4: &[Ipv4Addr] = &[
    Ipv4Addr::new(169, 254, 169, 254), // AWS, Azure, Google, Oracle, DigitalOcean, OpenStack and others
    Ipv4Addr::new(169, 254, 170, 2),   // AWS ECS task credentials
    Ipv4Addr::new(169, 254, 170, 23),  // AWS EKS pod identity
    Ipv4Addr::new(169, 254, 169, 123), // AWS time
    Ipv4Addr::new(169, 254, 169, 253), // AWS resolver
    Ipv4Addr::new(169, 254, 0, 23),    // Tencent
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba
    Ipv4Addr::new(168, 63, 129, 16),   // Azure's host endpoint, in a public range
    Ipv4Addr::new(192, 0, 0, 192),     // Oracle, classic
];

/// As [`METADATA_V4`], for IPv6.
pub const METADATA_V6: &[Ipv6Addr] = &[
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),          // AWS
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253),          // AWS resolver
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x123),          // AWS time
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),           // AWS EKS pod identity
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),           // Google
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0xa9fe, 0xa9fe, 0, 0x254), // Oracle
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),            // Scaleway
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe),        // OpenStack
];

/// The ranges of RFC 6890 and its registry that hold no public host.
const RANGES_V4: &[(Ipv4Addr, u32, Special)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, Special::Unspecified),
    (Ipv4Addr::new(10, 0, 0, 0), 8, Special::Private),
    (Ipv4Addr::new(100, 64, 0, 0), 10, Special::Private),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Special::Loopback),
    (Ipv4Addr::new(169, 254, 0, 0), 16, Special::LinkLocal),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Special::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Special::Reserved), // IETF protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24, Special::Reserved), // documentation
    (Ipv4Addr::new(192, 31, 196, 0), 24, Special::Reserved), // AS112
    (Ipv4Addr::new(192, 52, 193, 0), 24, Special::Reserved), // AMT
    (Ipv4Addr::new(192, 88, 99, 0), 24, Special::Reserved), // 6to4 relays, deprecated
    (Ipv4Addr::new(192, 168, 0, 0), 16, Special::Private),
    (Ipv4Addr::new(192, 175, 48, 0), 24, Special::Reserved), // AS112
    (Ipv4Addr::new(198, 18, 0, 0), 15, Special::Reserved),   // benchmarking
    (Ipv4Addr::new(198, 51, 100, 0), 24, Special::Reserved), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24, Special::Reserved),  // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4, Special::Multicast),
    (Ipv4Addr::new(255, 255, 255, 255), 32, Special::Multicast),
    (Ipv4Addr::new(240, 0, 0, 0), 4, Special::Reserved),
];

/// As [`RANGES_V4`], for IPv6. The order matters where ranges lie inside each other.
const RANGES_V6: &[(Ipv6Addr, u32, Special)] = &[
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 0), 128, Special::Unspecified),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 1), 128, Special::Loopback),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, Special::Reserved), // local NAT64, RFC 8215
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, Special::Reserved),     // discard-only
    (Ipv6Addr::new(0x100, 0, 0, 1, 0, 0, 0, 0), 64, Special::Reserved),     // dummy prefix
    // 2001::/23 holds protocol assignments (RFC 2928): all of it but Teredo, 2001::/32, which is judged by what is inside.
    (Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 0), 32, Special::Reserved),
    (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 31, Special::Reserved),
    (Ipv6Addr::new(0x2001, 4, 0, 0, 0, 0, 0, 0), 30, Special::Reserved),
    (Ipv6Addr::new(0x2001, 8, 0, 0, 0, 0, 0, 0), 29, Special::Reserved),
    (Ipv6Addr::new(0x2001, 0x10, 0, 0, 0, 0, 0, 0), 28, Special::Reserved),
    (Ipv6Addr::new(0x2001, 0x20, 0, 0, 0, 0, 0, 0), 27, Special::Reserved),
    (Ipv6Addr::new(0x2001, 0x40, 0, 0, 0, 0, 0, 0), 26, Special::Reserved),
    (Ipv6Addr::new(0x2001, 0x80, 0, 0, 0, 0, 0, 0), 25, Special::Reserved),
    (Ipv6Addr::new(0x2001, 0x100, 0, 0, 0, 0, 0, 0), 24, Special::Reserved),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, Special::Reserved), // documentation
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48, Special::Reserved), // AS112
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Special::Reserved),     // documentation
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16, Special::Reserved),     // segment routing
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Special::Private),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, Special::LinkLocal),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, Special::Private),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, Special::Multicast),
];

/// The special IPv4 addresses as inclusive ranges of numbers, for rulesets. Not sorted.
pub fn special_ranges_v4() -> Vec<(u32, u32)> {
    let single = METADATA_V4.iter().map(|address| (address.to_bits(), address.to_bits()));
    let ranges = RANGES_V4.iter().map(|(base, length, _)| {
        let host = u32::MAX.checked_shr(*length).unwrap_or(0);
        (base.to_bits(), base.to_bits() | host)
    });
    single.chain(ranges).collect()
}

/// The special IPv6 addresses as inclusive ranges of numbers, for rulesets. Not sorted. The ranges that carry an IPv4
/// address inside are special as a whole, save NAT64's well-known prefix, of which only the special ones are: a ruleset
/// errs on the side of refusing. ISATAP, which has no prefix of its own, is not covered.
pub fn special_ranges_v6() -> Vec<(u128, u128)> {
    let range = |base: Ipv6Addr, length: u32| {
        let host = u128::MAX.checked_shr(length).unwrap_or(0);
        (base.to_bits(), base.to_bits() | host)
    };
    let single = METADATA_V6.iter().map(|address| range(*address, 128));
    let listed = RANGES_V6.iter().map(|(base, length, _)| range(*base, *length));
    let embedding = [
        range(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 0), 80), // compatible and mapped
        range(Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32), // Teredo
        range(Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4
    ];
    let nat64 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0).to_bits();
    let translated =
        special_ranges_v4().into_iter().map(move |(low, high)| (nat64 | u128::from(low), nat64 | u128::from(high)));
    single.chain(listed).chain(embedding).chain(translated).collect()
}

fn special_v4(address: Ipv4Addr) -> Option<Special> {
    if METADATA_V4.contains(&address) {
        return Some(Special::Metadata);
    }
    let bits = u32::from(address);
    let within = |base: Ipv4Addr, length: u32| (bits ^ u32::from(base)).leading_zeros() >= length;
    RANGES_V4.iter().find(|(base, length, _)| within(*base, *length)).map(|(_, _, special)| *special)
}

fn special_v6(address: Ipv6Addr) -> Option<Special> {
    if METADATA_V6.contains(&address) {
        return Some(Special::Metadata);
    }
    let bits = u128::from(address);
    let within = |base: Ipv6Addr, length: u32| (bits ^ u128::from(base)).leading_zeros() >= length;
    let range = RANGES_V6.iter().find(|(base, length, _)| within(*base, *length)).map(|(_, _, special)| *special);
    if matches!(range, Some(Special::Unspecified | Special::Loopback)) {
        return range;
    }
    if let Some(inside) = embedded(address).into_iter().flatten().find_map(special_v4) {
        return Some(inside);
    }
    // Outside of 2000::/3 nothing is assigned to hosts but the well-known NAT64 prefix (RFC 4291, section 2.4).
    let global = bits >> 125 == 1 || within(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);
    range.or(if global { None } else { Some(Special::Reserved) })
}

/// The IPv4 addresses that an IPv6 address carries to whoever translates or unwraps it.
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let join = |high: u16, low: u16| Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        // Compatible and mapped (RFC 4291, section 2.5.5), translated (RFC 2765), NAT64 (RFC 6052, section 2.1).
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => [join(high, low), None],
        // A local NAT64 prefix is 96 bits long with zeros before the address, or 48 with it around octet 8 (RFC 6052, 2.2).
        [0x64, 0xff9b, 1, 0, 0, 0, high, low] => [join(high, low), None],
        [0x64, 0xff9b, 1, high, middle, low, ..] => [join(high, middle << 8 | low >> 8), None],
        // 6to4 (RFC 3056, section 2).
        [0x2002, high, low, ..] => [join(high, low), None],
        // Teredo: the server, and the client with every bit inverted (RFC 4380, section 4).
        [0x2001, 0, server_high, server_low, _, _, high, low] => [join(server_high, server_low), join(!high, !low)],
        // ISATAP: the interface identifier 0000:5efe or 0200:5efe, then the address (RFC 5214, section 6.1).
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => [join(high, low), None],
        _ => [None, None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<Special>) {
        assert_eq!(special(text.parse().unwrap()), expected, "{text}");
    }

    #[test]
    fn public_addresses_are_ordinary() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "168.63.129.15",
            "2000::1",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2001:200::1",
            "2001:db7:ffff::1",
            "2620:4f:7fff::1",
            "64:ff9b::808:808",
            "2002:808:808::1",
            "2001:0:808:808:0:0:f7f7:f7f7",
            "2a00::5efe:808:808",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn special_addresses_are_known_for_what_they_are() {
        use Special::{LinkLocal, Loopback, Metadata, Multicast, Private, Reserved, Unspecified};
        for (text, expected) in [
            ("0.0.0.0", Unspecified),
            ("0.255.255.255", Unspecified),
            ("::", Unspecified),
            ("127.0.0.1", Loopback),
            ("127.255.255.255", Loopback),
            ("::1", Loopback),
            ("10.0.0.0", Private),
            ("10.255.255.255", Private),
            ("172.16.0.0", Private),
            ("172.31.255.255", Private),
            ("192.168.0.1", Private),
            ("100.64.0.0", Private),
            ("100.127.255.255", Private),
            ("fc00::1", Private),
            ("fdff:ffff::1", Private),
            ("fec0::1", Private),
            ("169.254.0.1", LinkLocal),
            ("fe80::1", LinkLocal),
            ("febf::1", LinkLocal),
            ("169.254.169.254", Metadata),
            ("169.254.170.2", Metadata),
            ("100.100.100.200", Metadata),
            ("168.63.129.16", Metadata),
            ("192.0.0.192", Metadata),
            ("fd00:ec2::254", Metadata),
            ("fd20:ce::254", Metadata),
            ("224.0.0.1", Multicast),
            ("239.255.255.255", Multicast),
            ("255.255.255.255", Multicast),
            ("ff02::1", Multicast),
            ("192.0.0.8", Reserved),
            ("192.0.2.1", Reserved),
            ("192.88.99.1", Reserved),
            ("198.18.0.1", Reserved),
            ("198.19.255.255", Reserved),
            ("198.51.100.1", Reserved),
            ("203.0.113.1", Reserved),
            ("240.0.0.1", Reserved),
            ("255.255.255.254", Reserved),
            ("100::1", Reserved),
            ("2001:db8::1", Reserved),
            ("2001:2::1", Reserved),
            ("2001:10::1", Reserved),
            ("2001:20::1", Reserved),
            ("2001:1::1", Reserved),
            ("2001:3::1", Reserved),
            ("2001:4:112::1", Reserved),
            ("2001:30::1", Reserved),
            ("2001:1ff:ffff::1", Reserved),
            ("2620:4f:8000::1", Reserved),
            ("3fff::1", Reserved),
            ("5f00::1", Reserved),
            ("4000::1", Reserved),
            ("::2:0:0:0", Reserved),
        ] {
            check(text, Some(expected));
        }
    }

    #[test]
    fn embedded_addresses_are_judged_by_what_is_inside() {
        use Special::{Loopback, Metadata, Private, Reserved};
        for (text, expected) in [
            ("::ffff:127.0.0.1", Loopback),
            ("::ffff:169.254.169.254", Metadata),
            ("::ffff:8.8.8.8", Reserved),
            ("::127.0.0.1", Loopback),
            ("::10.0.0.1", Private),
            ("::8.8.8.8", Reserved),
            ("::ffff:0:10.0.0.1", Private),
            ("64:ff9b::10.0.0.1", Private),
            ("64:ff9b::169.254.169.254", Metadata),
            ("64:ff9b:1::10.0.0.1", Private),
            ("64:ff9b:1:a9fe:a9:fe00::", Metadata),
            ("64:ff9b:1::8.8.8.8", Reserved),
            ("2002:7f00:1::", Loopback),
            ("2002:a9fe:a9fe::1", Metadata),
            ("2002:c0a8:1::1", Private),
            // Teredo, by its server and by its client, 10.0.0.1 inverted.
            ("2001:0:a00:1:0:0:f7f7:f7f7", Private),
            ("2001:0:808:808:0:0:f5ff:fffe", Private),
            ("2a00::5efe:10.0.0.1", Private),
            ("2a00::200:5efe:127.0.0.1", Loopback),
            ("2a00::200:5efe:169.254.169.254", Metadata),
        ] {
            check(text, Some(expected));
        }
    }
}
