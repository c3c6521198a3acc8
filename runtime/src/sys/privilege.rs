//! Giving up what a process may do, for good.

use std::io;

use rustix::process::{DumpableBehavior, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// Gives up every capability, now and across execve(2): the bounding and ambient sets are emptied, no program can bring
/// privilege back (`no_new_privs`), and then the process's own sets are emptied.
///
/// # Errors
/// What prctl(2) or capset(2) says; the process may then have given up only a part and should not go on.
pub fn drop_all() -> io::Result<()> {
    // Numbers, since the kernel may know more capabilities than the libraries; it says EINVAL from the first it lacks.
    for number in 0..64_u64 {
        // SAFETY: PR_CAPBSET_DROP takes a number and touches no memory.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0_u64, 0_u64, 0_u64) } != 0 {
            match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::EINVAL) && number > 0 => break,
                error => return Err(error),
            }
        }
    }
    rustix::thread::clear_ambient_capability_set()?;
    rustix::thread::set_no_new_privs(true)?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    Ok(rustix::thread::set_capabilities(None, none)?)
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
