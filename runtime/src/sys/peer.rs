//! Who is at the other end of a unix socket.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

/// `SO_PEERPIDFD` of asm-generic/socket.h, which Linux has since 6.5.
const SO_PEERPIDFD: libc::c_int = 77;

/// `SO_PEERGROUPS` of asm-generic/socket.h.
const SO_PEERGROUPS: libc::c_int = 59;
/// As many groups as a process can have (`NGROUPS_MAX` of linux/limits.h).
const GROUPS_MAX: usize = 65_536;

/// `SO_NETNS_COOKIE` of asm-generic/socket.h, which Linux has since 5.14.
const SO_NETNS_COOKIE: libc::c_int = 71;
/// `SIOCGSKNS` of linux/sockios.h.
const SIOCGSKNS: libc::Ioctl = 0x894c;

/// What the kernel kept of the process which connected, as it was then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Credentials {
    /// Its number in our process namespace; 0 where it is not in it, nor in one below.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// Who connected. rustix has a type for it that cannot hold the number 0.
///
/// # Errors
/// What getsockopt(2) says.
pub fn credentials(socket: impl AsFd) -> io::Result<Credentials> {
    let mut found = Credentials { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = libc::socklen_t::try_from(size_of::<Credentials>()).unwrap_or(0);
    // SAFETY: the kernel writes at most `length` bytes, a `struct ucred` of three 32-bit numbers, to `found`, which is laid
    // out like it, and the length to `length`; both live here.
    let done = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut found).cast(),
            &raw mut length,
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    let whole = usize::try_from(length).is_ok_and(|length| length == size_of::<Credentials>());
    if whole { Ok(found) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// The network namespace of a socket. That of one which was accepted from a unix socket is where the socket was made that
/// connected.
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN` over the namespace, and what ioctl(2) says else.
pub fn namespace(socket: impl AsFd) -> io::Result<OwnedFd> {
    // SAFETY: this request takes no argument and touches no memory.
    let descriptor = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), SIOCGSKNS) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// A number of the same namespace that no other ever has while this system runs.
///
/// # Errors
/// What getsockopt(2) says.
pub fn namespace_number(socket: impl AsFd) -> io::Result<u64> {
    let mut number = 0_u64;
    let mut length = libc::socklen_t::try_from(size_of::<u64>()).unwrap_or(0);
    // SAFETY: the kernel writes at most `length` bytes, 64 bits, to `number`, and the length to `length`; both live here.
    let done = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut number).cast(),
            &raw mut length,
        )
    };
    if done == 0 { Ok(number) } else { Err(io::Error::last_os_error()) }
}

/// The supplementary groups that the process which connected had then.
///
/// # Errors
/// What getsockopt(2) says.
pub fn groups(socket: impl AsFd) -> io::Result<Vec<u32>> {
    let mut groups = vec![0_u32; 32];
    loop {
        let room = groups.len() * size_of::<u32>();
        let mut length = libc::socklen_t::try_from(room).unwrap_or(0);
        // SAFETY: the kernel writes at most `length` bytes to `groups`, which has that many, and the length to `length`.
        let done = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let length = usize::try_from(length).unwrap_or(0) / size_of::<u32>();
        if done == 0 {
            groups.truncate(length);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        // It says how much room it takes.
        if error.raw_os_error() != Some(libc::ERANGE) || groups.len() >= GROUPS_MAX {
            return Err(error);
        }
        groups.resize(length.clamp(groups.len() + 1, GROUPS_MAX), 0);
    }
}

/// A descriptor of the process that connected. It stays that process's, also when another gets its number.
///
/// # Errors
/// `ENOPROTOOPT` from a kernel before 6.5, and what getsockopt(2) says else, on some kernels when the process is gone.
pub fn process(socket: impl AsFd) -> io::Result<OwnedFd> {
    let mut descriptor: RawFd = -1;
    let mut length = libc::socklen_t::try_from(size_of::<RawFd>()).unwrap_or(0);
    // SAFETY: the kernel writes at most `length` bytes, an int, to `descriptor`, and the length to `length`; both live here.
    let done = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PEERPIDFD,
            (&raw mut descriptor).cast(),
            &raw mut length,
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    if descriptor < 0 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_end_has_this_process_s_numbers() {
        let (left, _right) = std::os::unix::net::UnixStream::pair().unwrap();
        let found = credentials(&left).unwrap();
        assert_eq!(u32::try_from(found.pid).unwrap(), std::process::id());
        assert_eq!(found.uid, rustix::process::geteuid().as_raw());
        assert_eq!(found.gid, rustix::process::getegid().as_raw());
    }

    #[test]
    fn sockets_of_one_namespace_have_one_number() {
        let (left, right) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(namespace_number(&left).unwrap(), namespace_number(&right).unwrap());
    }

    #[test]
    fn the_groups_of_the_other_end_are_this_process_s() {
        let (left, _right) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut mine: Vec<u32> = rustix::process::getgroups().unwrap().iter().map(|group| group.as_raw()).collect();
        let mut theirs = groups(&left).unwrap();
        mine.sort_unstable();
        theirs.sort_unstable();
        assert_eq!(theirs, mine);
    }

    #[test]
    fn the_other_end_of_a_pair_is_this_process() {
        let (left, _right) = std::os::unix::net::UnixStream::pair().unwrap();
        let process = process(&left).unwrap();
        let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd())).unwrap();
        assert!(text.contains(&format!("\nPid:\t{}\n", std::process::id())), "{text}");
    }
}
