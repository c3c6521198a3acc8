//! Passing descriptors between processes over a unix socket (unix(7), SCM_RIGHTS).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The most descriptors in one message: the sandbox passes eight, and the kernel's own limit is 253.
pub const MOST: usize = 16;

/// Two connected sockets that keep the boundaries of messages and end with the process at the other side.
///
/// # Errors
/// What socketpair(2) says.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends one message and, with it, copies of `descriptors` (at most [`MOST`]).
///
/// # Errors
/// What sendmsg(2) says; `EPIPE` without a signal when the other side is gone.
pub fn send(socket: impl AsFd, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let sent = rustix::io::retry_on_intr(|| {
        sendmsg(socket.as_fd(), &[IoSlice::new(message)], &mut ancillary, SendFlags::NOSIGNAL)
    })?;
    if sent == message.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Receives one message into `buffer` and the descriptors that came with it. A length of 0 means the other side is gone.
///
/// # Errors
/// What recvmsg(2) says; `InvalidData` for a message or a set of descriptors that did not fit.
pub fn receive(socket: impl AsFd, buffer: &mut [u8], flags: RecvFlags) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        recvmsg(socket.as_fd(), &mut [IoSliceMut::new(buffer)], &mut ancillary, flags | RecvFlags::CMSG_CLOEXEC)
    })?;
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            descriptors.extend(passed);
        }
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok((received.bytes, descriptors))
}

/// Has the runtime this is called in tell when `descriptor` can be read.
///
/// # Errors
/// What epoll_ctl(2) says.
pub fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open, always the same descriptor, and closed only when it is dropped, which is not before the
    // `AsyncFd` that owns it is.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?)
}

/// Marks every descriptor from 3 on to be closed when another program is executed.
///
/// # Errors
/// What close_range(2) says.
pub fn keep_only_standard() -> io::Result<()> {
    // SAFETY: with CLOSE_RANGE_CLOEXEC nothing is closed now, so no descriptor owned elsewhere becomes invalid.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_descriptor_passed_is_the_same_file() {
        let (left, right) = pair().unwrap();
        let (reader, mut writer) = std::io::pipe().unwrap();
        send(&left, b"here", &[reader.as_fd()]).unwrap();
        drop(reader);
        let mut buffer = [0; 16];
        let (count, mut passed) = receive(&right, &mut buffer, RecvFlags::empty()).unwrap();
        assert_eq!(&buffer[..count], b"here");
        writer.write_all(b"through").unwrap();
        drop(writer);
        let mut text = String::new();
        std::fs::File::from(passed.pop().unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), passed.len()), ("through", 0));
    }

    #[test]
    fn a_message_that_does_not_fit_is_refused_and_a_closed_side_is_seen() {
        let (left, right) = pair().unwrap();
        send(&left, b"longer than four", &[]).unwrap();
        assert_eq!(receive(&right, &mut [0; 4], RecvFlags::empty()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(left);
        assert_eq!(receive(&right, &mut [0; 4], RecvFlags::empty()).unwrap().0, 0);
        assert_eq!(send(&right, b"x", &[]).unwrap_err().raw_os_error(), Some(libc::EPIPE));
    }
}
