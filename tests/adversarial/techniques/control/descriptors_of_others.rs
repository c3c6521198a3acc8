//! The descriptors of other processes.

use std::io;

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "descriptors-of-others",
    family: Family::Control,
    name: "The descriptors of other processes",
    tries: "Asks the kernel for the open files and sockets of every process that it can name by a number, as debuggers may (ptrace(2), pidfd_getfd(2)).",
    danger: "The sockets that lead out belong to the process that enforces: whoever may trace it needs no other way.",
    places: Places::Sandbox,
    steps: &[Step::Do("takes descriptors 0 to 31 of processes 1 to 4096, itself left out", take)],
    expect: NOTHING,
    on_host: None,
};

fn take(inside: &Inside) -> io::Result<()> {
    let own = rustix::process::getpid();
    let others = (1..=4096).filter_map(Pid::from_raw).filter(|process| *process != own);
    for process in others {
        let Ok(handle) = pidfd_open(process, PidfdFlags::empty()) else { continue };
        if (0..32).any(|number| pidfd_getfd(&handle, number, PidfdGetfdFlags::empty()).is_ok()) {
            inside.got(format!("a descriptor of process {process:?}"));
        }
    }
    Ok(())
}
