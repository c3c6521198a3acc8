//! What a technique's file begins with.

pub use std::net::IpAddr;

pub use crate::inside::Inside;
pub use crate::technique::Say::{Bytes, Made};
pub use crate::technique::To::{At, Named, Named6, Proxy, Resolver};
pub use crate::technique::{
    Act, Count, Expect, Family, NOTHING, Places, Refusal, Socket, Step, Technique, Tls, refusal, refusals,
};
pub use crate::world::dns::query;
use crate::world::zone;
pub use crate::{coded, h2, hello, question};

/// The front of `allowed.test` and `evil.test`, and of most names: one address.
pub const FRONT: IpAddr = IpAddr::V4(zone::CDN_V4);
/// The same front, IPv6.
pub const FRONT6: IpAddr = IpAddr::V6(zone::CDN_V6);
/// Where `evil2.test` is, and nothing that any rule allows.
pub const ELSEWHERE: IpAddr = IpAddr::V4(zone::OTHER_V4);
/// The same, IPv6.
pub const ELSEWHERE6: IpAddr = IpAddr::V6(zone::OTHER_V6);
/// A service in a private network.
pub const PRIVATE: IpAddr = IpAddr::V4(zone::PRIVATE_V4);
/// The cloud's metadata service.
pub const METADATA: IpAddr = IpAddr::V4(zone::METADATA_V4);
/// The resolver outside, which the filter asks.
pub const OUTSIDE_RESOLVER: IpAddr = IpAddr::V4(zone::DNS_V4);
/// Port 80 and 443 of the front, over both IP versions.
pub const FRONT_WEB: &[(IpAddr, u16)] = &[(FRONT, 80), (FRONT, 443), (FRONT6, 80), (FRONT6, 443)];

/// The type of an A record.
pub const A: u16 = 1;
/// The type of an AAAA record.
pub const AAAA: u16 = 28;
/// The type of a TXT record.
pub const TXT: u16 = 16;
/// The type of an HTTPS record.
pub const HTTPS: u16 = 65;

/// `AF_INET`, `AF_INET6`, `AF_PACKET` and `AF_VSOCK` of socket(2).
pub const INET: u16 = 2;
/// IPv6.
pub const INET6: u16 = 10;
/// Frames past the IP layer.
pub const PACKET: u16 = 17;
/// The hypervisor of a virtual machine.
pub const VSOCK: u16 = 40;
/// `SOCK_STREAM`, `SOCK_DGRAM` and `SOCK_RAW`.
pub const STREAM: u32 = 1;
/// Datagrams.
pub const DGRAM: u32 = 2;
/// Packets with whatever in them.
pub const RAW: u32 = 3;
/// `IPPROTO_RAW`: the sender writes the header as well (raw(7)).
pub const WHOLE: u32 = 255;

/// One record of the kernel's for a packet that nobody allowed.
pub const RAW_TRAFFIC: Refusal = refusal("network", "default", "raw_traffic");
/// Nothing arrives, and the proxy refuses a request in the clear, as a host's kernel leads all TCP there.
pub const AT_THE_PROXY: Expect = Expect { refusals: &[refusal("http", "default", "no_rule_allows")], ..NOTHING };
/// Nothing arrives, and what was sent is refused by the kernel as often as it is sent again.
pub const PACKETS: Expect = Expect {
    refusals: &[Refusal { times: Count::AtLeast(1), ..RAW_TRAFFIC }],
    refused_packets: Count::AtLeast(1),
    ..NOTHING
};
/// Nothing arrives; the bridge refuses what is for other agents.
pub const ON_THE_BRIDGE: Expect = Expect {
    refusals: &[Refusal { times: Count::AtLeast(1), ..refusal("network", "default", "agent_to_agent") }],
    refused_packets: Count::AtLeast(1),
    ..NOTHING
};
/// Nothing arrives; the bridge refuses what claims to come from somebody else.
pub const FORGED: Expect = Expect {
    refusals: &[Refusal { times: Count::AtLeast(1), ..refusal("network", "default", "forged_source") }],
    refused_packets: Count::AtLeast(1),
    ..NOTHING
};
/// Nothing arrives, and the kernel refuses one packet, with its record.
pub const ONE_PACKET: Expect = Expect { refusals: &[RAW_TRAFFIC], refused_packets: Count::Exactly(1), ..NOTHING };
