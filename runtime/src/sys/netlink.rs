//! Netlink sockets: opened here, spoken by [`crate::kernel`].

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

/// A netlink family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Links, addresses, routes.
    Route,
    /// Netfilter: tables and logs.
    Netfilter,
}

/// Opens a socket in the network namespace of this thread; it keeps talking to that namespace wherever it is passed.
///
/// # Errors
/// What socket(2) and bind(2) say.
pub fn open(family: Family) -> io::Result<OwnedFd> {
    let protocol = match family {
        Family::Route => None,
        Family::Netfilter => Some(rustix::net::netlink::NETFILTER),
    };
    let protocol: Option<Protocol> = protocol;
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0))?;
    Ok(socket)
}

/// Sends one datagram of messages to the kernel.
///
/// # Errors
/// What sendto(2) says.
pub fn send(socket: impl AsFd, bytes: &[u8]) -> io::Result<()> {
    let kernel = SocketAddrNetlink::new(0, 0);
    rustix::io::retry_on_intr(|| rustix::net::sendto(socket.as_fd(), bytes, SendFlags::empty(), &kernel))?;
    Ok(())
}

/// Receives one datagram of messages from the kernel into `buffer`; what another process sent is refused.
///
/// # Errors
/// What recvfrom(2) says, `ENOBUFS` when messages were lost; `InvalidData` for a foreign or a truncated datagram.
pub fn receive(socket: impl AsFd, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    let (_, full, from) =
        rustix::io::retry_on_intr(|| rustix::net::recvfrom(socket.as_fd(), &mut *buffer, flags | RecvFlags::TRUNC))?;
    let sender = from.and_then(|from| SocketAddrNetlink::try_from(from).ok());
    match sender {
        Some(sender) if sender.pid() == 0 && full <= buffer.len() => Ok(full),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
