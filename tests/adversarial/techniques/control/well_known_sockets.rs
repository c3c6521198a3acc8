//! Sockets that hosts are known for.

use std::io;

use crate::inside::Inside;
use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "well-known-sockets",
    family: Family::Control,
    name: "Sockets that hosts are known for",
    tries: "Connects to where engines of containers, message buses, resolvers and service managers listen.",
    danger: "An engine of containers starts whatever it is told to, as root and outside.",
    places: Places::Apart,
    steps: &[Step::Do("connects to each of them", knock)],
    expect: NOTHING,
    on_host: None,
};

const SOCKETS: &[&str] = &[
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/run/crio/crio.sock",
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
    "/run/systemd/resolve/io.systemd.Resolve",
    "/run/systemd/notify",
    "/run/nscd/socket",
    "/run/avahi-daemon/socket",
    "/run/snapd.socket",
    "/run/outcall/host.sock",
    "/run/outcall/agent.sock",
];

fn knock(inside: &Inside) -> io::Result<()> {
    // That of the agents is where containers are told that it is.
    let told = inside.around()?.agents.to_owned();
    for path in SOCKETS.iter().filter(|path| told != std::path::Path::new(path)) {
        if inside.unix(std::path::Path::new(path), b"").is_ok() {
            inside.got(format!("a connection to {path}"));
        }
    }
    Ok(())
}
