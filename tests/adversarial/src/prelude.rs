//! What a technique's file begins with.

pub use std::net::IpAddr;

pub use crate::inside::Inside;
pub use crate::technique::Say::{self, Bytes, Made};
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

/// Asks the proxy for a tunnel to the site whose TLS passes unseen.
pub const CONNECT_ALLOWED: &[u8] = b"CONNECT allowed.test:443 HTTP/1.1\r\nHost: allowed.test:443\r\n\r\n";
/// The same to the site that is seen inside TLS.
pub const CONNECT_MODERN: &[u8] = b"CONNECT modern.test:443 HTTP/1.1\r\nHost: modern.test:443\r\n\r\n";
/// The same to the site whose requests get a secret.
pub const CONNECT_SECRET: &[u8] = b"CONNECT secret.wild.test:443 HTTP/1.1\r\nHost: secret.wild.test:443\r\n\r\n";

/// A handshake for the site whose TLS passes unseen.
pub const ALLOWED_HTTP1: Tls = Tls { sni: "allowed.test", alpn: &["http/1.1"] };
/// The same for the site that is seen inside TLS.
pub const MODERN_HTTP1: Tls = Tls { sni: "modern.test", alpn: &["http/1.1"] };
/// The same, to speak HTTP/2.
pub const MODERN_HTTP2: Tls = Tls { sni: "modern.test", alpn: &["h2"] };
/// A handshake for the site whose requests get a secret.
pub const SECRET_HTTP1: Tls = Tls { sni: "secret.wild.test", alpn: &["http/1.1"] };

/// A request that is allowed inside TLS.
pub const OK_1: Say = Bytes(b"GET /ok/1 HTTP/1.1\r\nHost: modern.test\r\n\r\n");
/// The same over HTTP/2, with the connection's beginning.
pub const STREAM_1: Say = Made("the preface, and stream 1: GET /ok/1 of modern.test", || {
    [h2::preface(), h2::get(1, "modern.test", "/ok/1")].concat()
});
/// Asks for an allowed page, to see whether anybody is still there to answer.
pub const ASK_AFTERWARDS: Step =
    Step::Tcp(Proxy, &[Bytes(b"GET http://allowed.test/after HTTP/1.1\r\nHost: allowed.test\r\n\r\n")]);
/// A socket whose sender writes the header of each packet.
pub const OWN_HEADER: Socket = Socket { family: INET, kind: RAW, protocol: WHOLE };

/// The site that is seen inside TLS may have been dialled and greeted: a connection is made before its first request.
pub const GREETED: Expect = Expect { greets: &["modern.test"], asks: &["modern.test"], reaches: FRONT_WEB, ..NOTHING };
/// [`OK_1`] or [`STREAM_1`] arrives, and nothing else.
pub const ONE_GOOD: Expect = Expect { arrives: &["GET /ok/1 modern.test"], ..GREETED };
/// The same, and what follows is refused as it can be read in two ways.
pub const ONE_GOOD_ONE_AMBIGUOUS: Expect =
    Expect { refusals: &[refusal("https", "default", "ambiguous_request")], ..ONE_GOOD };
/// [`ASK_AFTERWARDS`] is answered.
pub const AFTER_A_FLOOD: Expect =
    Expect { arrives: &["GET /after allowed.test"], asks: &["modern.test", "allowed.test"], ..GREETED };
/// A tunnel was opened, and nothing of the agent's went through it.
pub const DIALLED: Expect = Expect { asks: &["allowed.test"], reaches: FRONT_WEB, ..NOTHING };
/// The same, as what was to be a ClientHello is none.
pub const MALFORMED_HELLO: Expect =
    Expect { refusals: &[refusal("connect", "default", "malformed_client_hello")], ..DIALLED };
/// The same, as it names another server.
pub const OTHER_NAME_IN_HELLO: Expect =
    Expect { refusals: &[refusal("connect", "default", "host_mismatch")], ..DIALLED };
/// A body passes the rule that reads it.
pub const BODY_PASSES: Expect =
    Expect { arrives: &["POST / bodies.test"], asks: &["bodies.test"], reaches: FRONT_WEB, ..NOTHING };
/// A body does not.
pub const BODY_REFUSED: Expect =
    Expect { asks: &["bodies.test"], refusals: &[refusal("http", "default", "no_rule_allows")], ..NOTHING };
/// The site whose requests get a secret may have been dialled and greeted.
pub const WITH_SECRET: Expect =
    Expect { greets: &["secret.wild.test"], asks: &["secret.wild.test"], reaches: FRONT_WEB, ..NOTHING };

/// On stream 3 an allowed request, with these fields behind those that it needs.
pub fn ok_2_with(more: &[h2::Field]) -> Vec<u8> {
    let needed = [(":method", "GET"), (":scheme", "https"), (":authority", "modern.test"), (":path", "/ok/2")];
    h2::request(3, &[&needed, more].concat())
}

/// A body for the site whose bodies are read, with a field Content-Encoding for each of these.
pub fn post_body(codings: &[&str], body: &[u8]) -> Vec<u8> {
    let codings: String = codings.iter().map(|coding| format!("Content-Encoding: {coding}\r\n")).collect();
    let length = body.len();
    let head =
        format!("POST http://bodies.test/ HTTP/1.1\r\nHost: bodies.test\r\n{codings}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}
