//! Giving up what a process may do, for good.

use std::io;

use rustix::process::{DumpableBehavior, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::process;

/// What the daemon of a host keeps: links, routes, netfilter and conntrack are one right to the kernel, ports below 1024
/// are the other.
const OF_A_HOST: CapabilitySet = CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_BIND_SERVICE);

/// Gives up, for good, whatever administering the network does not take: of the capabilities `CAP_NET_ADMIN` and
/// `CAP_NET_BIND_SERVICE` stay, for this process and for the programs that it starts, and none can come back
/// (`no_new_privs`). Ordinary users that were given these two are left with them.
///
/// # Errors
/// `Other` when the process has more than one thread, as each has capabilities of its own; `PermissionDenied` without
/// `CAP_NET_ADMIN`. Else what prctl(2) or capset(2) says; the process should then not go on.
pub fn keep_network() -> io::Result<()> {
    if process::threads()? != 1 {
        return Err(io::Error::other("a process with several threads cannot give up what each of them has"));
    }
    let now = rustix::thread::capabilities(None)?;
    let kept = now.permitted & OF_A_HOST;
    if !kept.contains(CapabilitySet::NET_ADMIN) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it takes root, or CAP_NET_ADMIN"));
    }
    // Whoever may not change the bounding set cannot gain what is in it either.
    if now.effective.contains(CapabilitySet::SETPCAP) {
        bound_by(kept)?;
    }
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: kept };
    rustix::thread::set_capabilities(None, sets)?;
    rustix::thread::clear_ambient_capability_set()?;
    for capability in kept.iter() {
        rustix::thread::configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(rustix::thread::set_no_new_privs(true)?)
}

/// Does `work` on a thread without capabilities. A program that it starts has none, and under `no_new_privs` gets none.
///
/// # Errors
/// The thread cannot be started, or cannot give them up; then nothing is done.
pub fn without_any<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, || -> io::Result<T> {
            rustix::thread::clear_ambient_capability_set()?;
            rustix::thread::set_capabilities(None, none)?;
            Ok(work())
        })?;
        thread.join().map_err(|_| io::Error::other("the thread panicked"))?
    })
}

/// Gives up every capability, now and across execve(2): the bounding and ambient sets are emptied, no program can bring
/// privilege back (`no_new_privs`), and then the process's own sets are emptied.
///
/// # Errors
/// What prctl(2) or capset(2) says; the process may then have given up only a part and should not go on.
pub fn drop_all() -> io::Result<()> {
    bound_by(CapabilitySet::empty())?;
    rustix::thread::clear_ambient_capability_set()?;
    rustix::thread::set_no_new_privs(true)?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    Ok(rustix::thread::set_capabilities(None, none)?)
}

/// Takes all but `kept` from the bounding set.
fn bound_by(kept: CapabilitySet) -> io::Result<()> {
    // Numbers, since the kernel may know more capabilities than the libraries; it says EINVAL from the first it lacks.
    for number in (0..64_u64).filter(|number| kept.bits() & (1 << number) == 0) {
        // SAFETY: PR_CAPBSET_DROP takes a number and touches no memory.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0_u64, 0_u64, 0_u64) } != 0 {
            match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::EINVAL) && number > 0 => break,
                error => return Err(error),
            }
        }
    }
    Ok(())
}

/// Makes this process invisible to debuggers, to `/proc/PID/mem` and its like, and to core dumps.
///
/// # Errors
/// What prctl(2) says.
pub fn hide() -> io::Result<()> {
    Ok(rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Keeps what is in this process's memory from others: [`hide`], and no core dump whatever the system's pattern for them
/// says. Neither is taken back before the process ends.
///
/// # Errors
/// What prctl(2) or setrlimit(2) says.
pub fn keep_confidence() -> io::Result<()> {
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(rustix::process::Resource::Core, none)?;
    hide()
}

/// Has the kernel kill this process when the thread that made it ends.
///
/// # Errors
/// What prctl(2) says.
pub fn die_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?)
}
