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
