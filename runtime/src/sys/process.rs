//! Making processes, in new namespaces or not, and waiting for them.

use std::io;

use rustix::process::Pid;

/// Kinds of namespaces that a child can begin its life in (namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    /// Users and capabilities.
    User,
    /// Network devices, routes, netfilter, abstract unix sockets.
    Net,
    /// Mounts.
    Mount,
    /// Process ids; the child becomes process 1, and when it dies so does everything in there.
    Pid,
    /// System V IPC and POSIX message queues.
    Ipc,
}

impl Namespace {
    const fn flag(self) -> libc::c_int {
        match self {
            Namespace::User => libc::CLONE_NEWUSER,
            Namespace::Net => libc::CLONE_NEWNET,
            Namespace::Mount => libc::CLONE_NEWNS,
            Namespace::Pid => libc::CLONE_NEWPID,
            Namespace::Ipc => libc::CLONE_NEWIPC,
        }
    }
}

/// Which of the two processes the caller now is.
#[derive(Debug)]
pub enum Forked {
    /// The parent, and the child's id as the parent sees it.
    Parent(Pid),
    /// The child.
    Child,
}

/// How many threads this process has.
pub(super) fn threads() -> io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/task")?.count())
}

/// Forks, the child into new `namespaces`; the parent stays where it is.
///
/// # Errors
/// `Other` when the process has more than one thread: a child of such a process could find locks held for ever, so that
/// is refused instead of documented. Else what clone(2) says, notably `EPERM`, `ENOSPC` and `EUSERS` where user
/// namespaces are switched off.
pub fn fork_into(namespaces: &[Namespace]) -> io::Result<Forked> {
    if threads()? != 1 {
        return Err(io::Error::other("a process with several threads cannot be forked safely"));
    }
    let flags = namespaces.iter().fold(libc::SIGCHLD, |flags, namespace| flags | namespace.flag());
    // SAFETY: without CLONE_VM and with a null stack, clone(2) behaves like fork(2): the child runs on its own copy of
    // this memory. No other thread exists (checked above), so no lock is held by one that the child lacks. All pointer
    // arguments are null, which makes their order, the one thing in which the architectures differ, irrelevant.
    let pid = unsafe { libc::syscall(libc::SYS_clone, libc::c_long::from(flags), 0_usize, 0_usize, 0_usize, 0_usize) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => i32::try_from(pid)
            .ok()
            .and_then(Pid::from_raw)
            .map(Forked::Parent)
            .ok_or_else(|| io::Error::other("clone gave an impossible process id")),
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By exiting with this status.
    Exited(u8),
    /// By this signal.
    Signalled(i32),
}

impl Ended {
    /// The exit status a shell would report: the status itself, or 128 and the signal's number.
    pub fn status(self) -> u8 {
        match self {
            Ended::Exited(status) => status,
            Ended::Signalled(signal) => u8::try_from(128 + signal).unwrap_or(255),
        }
    }

    /// From the status that wait(2) gives; `None` when the process was only stopped or continued.
    pub fn of(status: rustix::process::WaitStatus) -> Option<Ended> {
        let exited = status.exit_status().map(|status| Ended::Exited(u8::try_from(status & 0xff).unwrap_or(255)));
        exited.or_else(|| status.terminating_signal().map(Ended::Signalled))
    }
}

/// Ends this process the way another one ended, so that whoever waits for it sees the same.
pub fn end_like(ended: Ended) -> ! {
    if let Ended::Signalled(signal) = ended {
        // A core dump of this process instead of the command's would only confuse; the limit cannot fail to shrink.
        let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
        let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
        super::signal::die_of(signal);
    }
    std::process::exit(i32::from(ended.status()))
}
