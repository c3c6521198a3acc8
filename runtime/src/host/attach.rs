//! Plugs a network namespace into the bridge, at the place that the daemon gave the agent.
//!
//! This runs in a process of its own, as it enters the agent's namespace: the daemon has no right to.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use outcall_schema::api::agents::Attached;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::kernel::link::{self, Cable, mac_from};

/// Where ip-netns(8) keeps the names of namespaces.
const NAMED: &str = "/run/netns";
/// The agent's end of the cable.
const INSIDE: &str = "eth0";

/// Why a namespace is not plugged in. Nothing of the cable is left.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// What the daemon is said to have answered is no such thing.
    #[error("the place is not what the daemon answers: {0}")]
    Place(String),
    /// There is no such namespace.
    #[error("cannot open the network namespace {}: {error}", path.display())]
    Namespace {
        /// Where it was looked for.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The bridge is not there.
    #[error("there is no bridge `{0}`")]
    Bridge(String),
    /// The kernel refuses.
    #[error("cannot {step}: {error}")]
    Kernel {
        /// What was to be done.
        step: &'static str,
        /// What it says.
        error: io::Error,
    },
}

fn kernel(step: &'static str) -> impl Fn(io::Error) -> AttachError {
    move |error| AttachError::Kernel { step, error }
}

/// Makes the cable and the agent's addresses and routes. `place` is the daemon's answer in JSON.
///
/// The namespace is given by its path, or by its name where the path has one part.
///
/// # Errors
/// See [`AttachError`].
pub fn plug(netns: &Path, place: &str) -> Result<(), AttachError> {
    let place: Attached = serde_json::from_str(place).map_err(|error| AttachError::Place(error.to_string()))?;
    let mac =
        mac_from(&place.mac).ok_or_else(|| AttachError::Place(format!("`{}` is no hardware address", place.mac)))?;
    let path = if netns.components().count() == 1 { Path::new(NAMED).join(netns) } else { netns.to_owned() };
    let netns = File::open(&path).map_err(|error| AttachError::Namespace { path, error })?;
    let bridge = link::find(&place.bridge).map_err(kernel("look for the bridge"))?;
    let bridge = bridge.ok_or_else(|| AttachError::Bridge(place.bridge.clone()))?;
    let cable = Cable { port: &place.port, inside: INSIDE, mac, mtu: place.mtu, netns: netns.as_fd() };
    link::make_cable(&cable).map_err(kernel("make the cable"))?;
    let plugged = arrange(&place, bridge.index, &netns);
    if plugged.is_err() {
        let _ = link::remove(&place.port);
    }
    plugged
}

fn arrange(place: &Attached, bridge: u32, netns: &File) -> Result<(), AttachError> {
    let port = find(&place.port)?;
    link::plug(port, bridge).map_err(kernel("put the port on the bridge"))?;
    // From here on this process is in the agent's namespace.
    move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|error| kernel("enter the network namespace")(error.into()))?;
    let inside = find(INSIDE)?;
    let loopback = find("lo")?;
    link::set_up(loopback, true).map_err(kernel("bring the loopback device up"))?;
    let v6 = place.ipv6.zip(place.ipv6_prefix).map(|(address, prefix)| (IpAddr::V6(address), prefix));
    for (address, prefix) in [(IpAddr::V4(place.ipv4), place.ipv4_prefix)].into_iter().chain(v6) {
        link::add_address(inside, address, prefix).map_err(kernel("give the agent its address"))?;
    }
    link::set_up(inside, true).map_err(kernel("bring the agent's end up"))?;
    for gateway in [Some(IpAddr::V4(place.ipv4_gateway)), place.ipv6_gateway.map(IpAddr::V6)].into_iter().flatten() {
        link::add_default_route(inside, gateway).map_err(kernel("set the agent's route"))?;
    }
    Ok(())
}

fn find(name: &str) -> Result<u32, AttachError> {
    let found = link::find(name).map_err(kernel("look for a link"))?;
    found.map(|link| link.index).ok_or_else(|| kernel("look for a link")(io::ErrorKind::NotFound.into()))
}
