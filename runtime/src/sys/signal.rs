//! Signals as values: blocked for good, read from a descriptor, sent on.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A signal that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Its number.
    pub signal: i32,
    /// Whether the kernel sent it by itself, as it does for the keys of a terminal, to the whole foreground group.
    pub by_kernel: bool,
}

/// Signals that are delivered to a descriptor instead of interrupting.
#[derive(Debug)]
pub struct SignalFd(OwnedFd);

fn set_of(signals: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the whole set, which the pointer is valid for; sigaddset then only reads and
    // writes that initialised set, and reports numbers that are no signal instead of writing outside it.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), *signal);
        }
        set.assume_init()
    }
}

impl SignalFd {
    /// Blocks `signals` in this thread and everything it forks, and opens the descriptor that they now arrive at.
    ///
    /// # Errors
    /// What signalfd(2) says.
    pub fn block(signals: &[i32]) -> io::Result<SignalFd> {
        let set = set_of(signals);
        // SAFETY: `set` is an initialised signal set; the old mask is not asked for (null is allowed).
        let blocked = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        if blocked != 0 {
            return Err(io::Error::from_raw_os_error(blocked));
        }
        // SAFETY: `set` is an initialised signal set; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just opened and nobody else owns it.
        Ok(SignalFd(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The next signal; `None` when none is waiting.
    ///
    /// # Errors
    /// What read(2) says.
    pub fn read(&self) -> io::Result<Option<Received>> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the buffer is valid for `size` bytes, and read(2) writes no more than that.
        let count = unsafe { libc::read(self.0.as_raw_fd(), info.as_mut_ptr().cast(), size) };
        match usize::try_from(count) {
            Ok(count) if count == size => {
                // SAFETY: the structure is plain integers, zeroed before and filled by the kernel.
                let info = unsafe { info.assume_init() };
                let signal = i32::try_from(info.ssi_signo).unwrap_or(0);
                Ok(Some(Received { signal, by_kernel: info.ssi_code == libc::SI_KERNEL }))
            }
            Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                error => Err(error),
            },
        }
    }
}

impl std::os::fd::AsFd for SignalFd {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Unblocks every signal in this thread.
pub fn unblock_all() {
    let empty = set_of(&[]);
    // SAFETY: `empty` is an initialised signal set; the old mask is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const empty, std::ptr::null_mut()) };
}

/// Ignores a signal in this process.
pub fn ignore(signal: i32) {
    // SAFETY: SIG_IGN is a valid disposition, so no handler of ours ever runs.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Gives a signal its default action and sends it to this process; returns only if that action is not to end it.
pub fn die_of(signal: i32) {
    // SAFETY: SIG_DFL is a valid disposition, and kill(2) takes plain integers.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        unblock_all();
        libc::kill(libc::getpid(), signal);
    }
}

/// Sends a signal to one process.
///
/// # Errors
/// What kill(2) says.
pub fn send(process: rustix::process::Pid, signal: i32) -> io::Result<()> {
    // SAFETY: kill(2) takes plain integers; a `Pid` is positive, so no group is meant.
    match unsafe { libc::kill(process.as_raw_nonzero().get(), signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
