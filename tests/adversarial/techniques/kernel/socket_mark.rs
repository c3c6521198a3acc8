//! Packets with a mark.

use std::io;

use socket2::{Domain, Type};

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "socket-mark",
    family: Family::Kernel,
    name: "Packets with a mark",
    tries: "Sends datagrams with the marks that firewalls and routes are fond of (SO_MARK).",
    danger: "Whoever lets packets through by a mark, its own or another program's, lets everybody through who can set it.",
    places: Places::Everywhere,
    steps: &[Step::Do(
        "a datagram to `93.184.216.35:7000` with each of the marks 1, 0x100, 0x4000, 0x8000 and all bits",
        send,
    )],
    // It takes a right over the network namespace to set one, which an agent in a sandbox does not have.
    expect: NOTHING,
    on_host: Some(PACKETS),
};

const MARKS: [u32; 5] = [1, 0x100, 0x4000, 0x8000, u32::MAX];

fn send(_: &Inside) -> io::Result<()> {
    for mark in MARKS {
        let socket = socket2::Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        socket.set_mark(mark)?;
        socket.send_to(b"a secret", &std::net::SocketAddr::new(ELSEWHERE, 7000).into())?;
    }
    Ok(())
}
