//! Process 1 of the sandbox: makes the network, hands over its listeners, starts the command and reaps.

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use outcall_schema::layer::KERNEL_LOG_GROUP;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, WaitOptions, wait};

use super::control::Message;
use super::maps::Maps;
use super::mounts::{self, Outside};
use super::{DNS_PORT, PROXY_PORT, SandboxError, agent};
use crate::intercept::Trust;
use crate::kernel::route::{self, Versions};
use crate::kernel::{log, ruleset};
use crate::sys::process::{Ended, Forked, Namespace, fork_into};
use crate::sys::signal::{self, SignalFd};
use crate::sys::{descriptors, netlink, privilege};

/// What process 1 needs to know.
pub(super) struct Plan {
    pub(super) command: Vec<OsString>,
    /// Variables of the caller's that the command must not have.
    pub(super) secret: Vec<OsString>,
    pub(super) maps: Maps,
    pub(super) outside: Outside,
    pub(super) ruleset: String,
}

/// The sockets that lead from the sandbox to the supervisor, in the order in which they are passed.
#[derive(Debug)]
pub(super) struct Sockets {
    /// Adds elements to the namespace's sets.
    pub(super) elements: OwnedFd,
    /// Refused packets; absent where the kernel cannot log them to user space.
    pub(super) log: Option<OwnedFd>,
    /// DNS over UDP, one socket for each IP version.
    pub(super) udp: Vec<UdpSocket>,
    /// DNS over TCP.
    pub(super) tcp: Vec<TcpListener>,
    /// The proxy.
    pub(super) proxy: Vec<TcpListener>,
}

impl Sockets {
    fn open(versions: Versions) -> Result<Sockets, SandboxError> {
        let addresses: &[IpAddr] = match versions {
            Versions::V4 => &[IpAddr::V4(Ipv4Addr::LOCALHOST)],
            Versions::Both => &[IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
        };
        let at = |port: u16| addresses.iter().map(move |address| SocketAddr::new(*address, port));
        Ok(Sockets {
            elements: netlink::open(netlink::Family::Netfilter).map_err(SandboxError::step("open netlink"))?,
            log: log::subscribe(KERNEL_LOG_GROUP).ok(),
            udp: at(DNS_PORT).map(|address| listen(address, UdpSocket::bind)).collect::<Result<_, _>>()?,
            tcp: at(DNS_PORT).map(|address| listen(address, TcpListener::bind)).collect::<Result<_, _>>()?,
            proxy: at(PROXY_PORT).map(|address| listen(address, TcpListener::bind)).collect::<Result<_, _>>()?,
        })
    }

    fn send(&self, control: impl AsFd) -> io::Result<()> {
        let mut passed: Vec<BorrowedFd<'_>> = vec![self.elements.as_fd()];
        passed.extend(self.udp.iter().map(AsFd::as_fd));
        passed.extend(self.tcp.iter().map(AsFd::as_fd));
        passed.extend(self.proxy.iter().map(AsFd::as_fd));
        passed.extend(self.log.iter().map(AsFd::as_fd));
        Message::Ready.send_with(control, &passed)
    }

    /// Puts together what [`Sockets::send`] sent: with both IP versions there are seven sockets and the log, with one four.
    pub(super) fn received(passed: Vec<OwnedFd>) -> Option<Sockets> {
        let versions = if passed.len() >= 7 { 2 } else { 1 };
        let mut passed = passed.into_iter();
        let elements = passed.next()?;
        let udp: Vec<UdpSocket> = passed.by_ref().take(versions).map(UdpSocket::from).collect();
        let tcp: Vec<TcpListener> = passed.by_ref().take(versions).map(TcpListener::from).collect();
        let proxy: Vec<TcpListener> = passed.by_ref().take(versions).map(TcpListener::from).collect();
        let complete = proxy.len() == versions;
        complete.then(|| Sockets { elements, log: passed.next(), udp, tcp, proxy })
    }
}

fn listen<S>(address: SocketAddr, bind: impl FnOnce(SocketAddr) -> io::Result<S>) -> Result<S, SandboxError> {
    bind(address).map_err(|error| SandboxError::Listen { address, error })
}

/// Lives as process 1 until the command has ended. Whatever happens, it ends the process, and with it the sandbox.
pub(super) fn live(control: &OwnedFd, plan: &Plan) -> ! {
    let ended = start(control, plan).and_then(|(agent, children)| {
        reap(control, agent, &children).map_err(SandboxError::step("wait for the command"))
    });
    let last = match ended {
        Ok(ended) => Message::Ended(ended),
        Err(error) => Message::Failed(error.status(), error.to_string()),
    };
    let _ = last.send(control);
    std::process::exit(0);
}

fn start(control: &OwnedFd, plan: &Plan) -> Result<(Pid, SignalFd), SandboxError> {
    privilege::die_with_parent().map_err(SandboxError::step("tie the sandbox to its supervisor"))?;
    // The supervisor writes the maps meanwhile. When it is gone already, this is where that shows.
    let trust = trust(wait_for_go(control)?)?;
    let versions = route::bring_up().map_err(SandboxError::step("set the sandbox's network up"))?;
    // Pings become refused packets that are seen, instead of sockets that programs fail to open.
    let group = plan.maps.inner_group();
    let _ = std::fs::write("/proc/sys/net/ipv4/ping_group_range", format!("{group} {group}"));
    ruleset::load(&plan.ruleset)?;
    mounts::arrange(&plan.outside)?;
    if let Some(trust) = &trust {
        trust.cover().map_err(SandboxError::step("have the command trust the authority"))?;
    }
    Sockets::open(versions)?.send(control).map_err(SandboxError::step("hand the listeners over"))?;
    let children = SignalFd::block(&[libc::SIGCHLD]).map_err(SandboxError::step("watch for children"))?;
    wait_for_go(control)?;
    let trusts = if trust.is_some() { agent::Trusts::Authority } else { agent::Trusts::AsBefore };
    let agent = spawn(plan, trusts)?;
    Ok((agent, children))
}

/// What the command is to trust, where files of it were passed.
fn trust(passed: Vec<OwnedFd>) -> Result<Option<Trust>, SandboxError> {
    match <[OwnedFd; 2]>::try_from(passed) {
        Ok(files) => {
            Trust::from_files(files).map(Some).map_err(SandboxError::step("read what the command is to trust"))
        }
        Err(passed) if passed.is_empty() => Ok(None),
        Err(_) => Err(SandboxError::Gone),
    }
}

fn wait_for_go(control: &OwnedFd) -> Result<Vec<OwnedFd>, SandboxError> {
    match Message::receive(control) {
        Ok(Some((Message::Go, passed))) => Ok(passed),
        _ => Err(SandboxError::Gone),
    }
}

/// Starts the command in a user namespace below this one.
fn spawn(plan: &Plan, trusts: agent::Trusts) -> Result<Pid, SandboxError> {
    let step = |step: &str| SandboxError::step(step.to_owned());
    let (ours, theirs) = descriptors::pair().map_err(step("make a socket pair"))?;
    match fork_into(&[Namespace::User]).map_err(|error| SandboxError::Namespaces { error })? {
        Forked::Child => {
            drop(ours);
            let failed = match wait_for_go(&theirs) {
                Ok(_) => agent::become_command(&plan.command, &plan.secret, trusts),
                Err(error) => error,
            };
            let _ = Message::Failed(failed.status(), failed.to_string()).send(&theirs);
            std::process::exit(i32::from(failed.status()));
        }
        Forked::Parent(agent) => {
            drop(theirs);
            plan.maps.write_second(agent).map_err(step("map the agent's user"))?;
            // From here on nothing the agent could do reaches this process's memory or descriptors.
            privilege::hide().map_err(step("hide process 1"))?;
            Message::Go.send(&ours).map_err(step("start the command"))?;
            // The other side closes when the command has been executed.
            match Message::receive(&ours) {
                Ok(None) => Ok(agent),
                Ok(Some((Message::Failed(status, text), _))) => Err(SandboxError::Command { status, text }),
                _ => Err(SandboxError::Gone),
            }
        }
    }
}

/// Passes signals on and collects whatever ends, until that is the command.
fn reap(control: &OwnedFd, agent: Pid, children: &SignalFd) -> io::Result<Ended> {
    loop {
        while let Some((pid, status)) = collect()? {
            if let Some(ended) = Ended::of(status).filter(|_| pid == agent) {
                return Ok(ended);
            }
        }
        let mut polled = [PollFd::new(control, PollFlags::IN), PollFd::new(children, PollFlags::IN)];
        rustix::io::retry_on_intr(|| poll(&mut polled, None))?;
        let [from_supervisor, _] = polled.map(|polled| !polled.revents().is_empty());
        while children.read()?.is_some() {}
        if from_supervisor {
            match Message::receive(control)? {
                Some((Message::Signal(number), _)) => {
                    let _ = signal::send(agent, number);
                }
                Some(_) => {}
                None => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
    }
}

fn collect() -> io::Result<Option<(Pid, rustix::process::WaitStatus)>> {
    match rustix::io::retry_on_intr(|| wait(WaitOptions::NOHANG)) {
        Err(rustix::io::Errno::CHILD) => Ok(None),
        found => Ok(found?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = listen(address, TcpListener::bind).unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with(&format!("cannot listen on {address}: Address already in use")), "{said}");
        assert_eq!(error.status(), 1);
    }
}
