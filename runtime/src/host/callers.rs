//! Which agent is at the other end of the agents' socket: the one behind whose port it is. At the other end of the operators'
//! none may be.
//!
//! To the bridge, to the DNS filter and to the proxy an agent is whatever is in the network namespace that its port leads to;
//! here it is the same. Of whoever connects the kernel says two things: the namespace in which its socket was made, and the
//! process that connected, which is in a namespace too. Both are read, and must be one. Neither takes a right that the daemon
//! does not have: links of `/proc/PID/ns` could be read by nobody without `CAP_SYS_PTRACE`, so numbers of namespaces are asked
//! for by rtnetlink(7), as the port's own is.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::gate::Gate;
use super::operator::row;
use crate::api::agents::{Caller, NoAgent, Recognise, Recognised};
use crate::kernel::link;
use crate::sys::peer;

/// The agents behind the ports of a bridge.
pub(super) struct Callers(pub(super) Arc<Gate>);

impl Recognise for Callers {
    fn caller(&self, socket: OwnedFd) -> Recognised<'_> {
        let gate = Arc::clone(&self.0);
        Box::pin(async move {
            let before = gate.directory.agents();
            let bridge = gate.network.bridge.clone();
            let found = tokio::task::spawn_blocking(move || port_of(&socket, bridge.as_str())).await;
            let port = found.map_err(|error| NoAgent::Unknown(io::Error::other(error)))??;
            let mut behind = before.iter().filter(|agent| agent.port == port);
            let agent = match (behind.next(), behind.next()) {
                (Some(agent), None) => agent,
                (None, _) => return Err(NoAgent::Elsewhere),
                (Some(_), Some(_)) => return Err(NoAgent::Several),
            };
            // While it was looked, the port's name may have become another agent's.
            if gate.directory.agents().get(&agent.name) != Some(agent) {
                return Err(NoAgent::Gone);
            }
            Ok(Caller { agent: row(agent) })
        })
    }
}

/// What the kernel says of whoever connected.
struct Seen {
    links: Vec<link::Link>,
    of_socket: Option<i32>,
    of_process: Option<i32>,
}

impl Seen {
    fn look(socket: &OwnedFd) -> Result<Seen, NoAgent> {
        let unknown = NoAgent::Unknown;
        // Held from here on, so that its number cannot become another's without being noticed.
        let process = match peer::process(socket) {
            // What kernels before 6.16 say of one that is gone.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ESRCH | libc::EINVAL)) => {
                return Err(NoAgent::Gone);
            }
            found => found.map_err(unknown)?,
        };
        let number = u32::try_from(peer::credentials(socket).map_err(unknown)?.pid).unwrap_or(0);
        if number == 0 {
            return Err(NoAgent::Unseen);
        }
        // The links come first: it is then that the kernel numbers the namespaces that they lead to.
        let links = link::all().map_err(unknown)?;
        let of_socket = link::netns_at(peer::namespace(socket).map_err(unknown)?).map_err(unknown)?;
        let of_process = match link::netns_of(number) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Err(NoAgent::Gone),
            found => found.map_err(unknown)?,
        };
        match has_ended(&process).map_err(unknown)? {
            true => Err(NoAgent::Gone),
            false => Ok(Seen { links, of_socket, of_process }),
        }
    }

    /// The ports of the bridge that lead to a namespace that has a number here, with that number.
    fn ports(&self, bridge: &str) -> impl Iterator<Item = (&link::Link, i32)> {
        let bridge = self.links.iter().find(|link| link.name == bridge).map(|bridge| bridge.index);
        let ports = self.links.iter().filter(move |link| bridge.is_some() && link.master == bridge);
        ports.filter_map(|port| Some((port, port.peer_netns?)))
    }
}

/// The name of the one port of the bridge that leads to whoever connected.
fn port_of(socket: &OwnedFd, bridge: &str) -> Result<String, NoAgent> {
    let seen = Seen::look(socket)?;
    if seen.of_socket != seen.of_process {
        return Err(NoAgent::Apart);
    }
    let Some(namespace) = seen.of_socket else { return Err(NoAgent::Elsewhere) };
    let mut ports = seen.ports(bridge).filter(|(_, leads_to)| *leads_to == namespace);
    match (ports.next(), ports.next()) {
        (Some((port, _)), None) => Ok(port.name.clone()),
        (None, _) => Err(NoAgent::Elsewhere),
        (Some(_), Some(_)) => Err(NoAgent::Several),
    }
}

/// Whether whoever connected is in the namespace that a port of the bridge leads to, or made its socket there.
pub(super) fn is_behind_a_port(socket: &OwnedFd, bridge: &str) -> Result<bool, NoAgent> {
    let seen = Seen::look(socket)?;
    let own = [seen.of_socket, seen.of_process];
    Ok(seen.ports(bridge).any(|(_, leads_to)| own.contains(&Some(leads_to))))
}

/// Whether a process has ended, without waiting for it: its descriptor can then be read (pidfd_open(2)).
fn has_ended(process: impl AsFd) -> io::Result<bool> {
    let mut watched = [PollFd::new(&process, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(rustix::io::retry_on_intr(|| poll(&mut watched, Some(&now)))? > 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_has_ended_once_it_has() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert!(!has_ended(peer::process(&one).unwrap()).unwrap());
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let number = rustix::process::Pid::from_child(&child);
        let held = rustix::process::pidfd_open(number, rustix::process::PidfdFlags::empty()).unwrap();
        assert!(!has_ended(&held).unwrap());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(has_ended(&held).unwrap());
    }
}
