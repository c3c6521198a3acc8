//! A datagram to the QUIC port of an allowed site.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "quic-port",
    family: Family::Kernel,
    name: "A datagram to the QUIC port of an allowed site",
    tries: "Resolves an allowed name and sends a datagram to its address at port 443, as HTTP/3 does.",
    danger: "QUIC would carry any name to a shared front, and no proxy that reads TLS over TCP sees it.",
    places: Places::Everywhere,
    steps: &[Step::Udp(Named("allowed.test", 443), Bytes(b"\xc0\x00\x00\x00\x01not quite a QUIC packet"))],
    expect: Expect { asks: &["allowed.test"], ..ONE_PACKET },
    on_host: None,
};
