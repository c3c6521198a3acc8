//! Files by which the kernel is told what to start.

use std::io;

use crate::inside::Inside;
use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "kernel-files",
    family: Family::Control,
    name: "Files by which the kernel is told what to start",
    tries: "Opens files of /proc and /sys for writing that name programs for the kernel to start, outside of everything.",
    danger: "A name written there is started as root on the host, by the kernel itself.",
    places: Places::Apart,
    steps: &[Step::Do("opens each of them for writing, and writes nothing", open)],
    expect: NOTHING,
    on_host: None,
};

const FILES: &[&str] = &[
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/hotplug",
    "/proc/sys/fs/binfmt_misc/register",
    "/proc/sysrq-trigger",
    "/sys/kernel/uevent_helper",
    "/sys/fs/cgroup/release_agent",
];

fn open(inside: &Inside) -> io::Result<()> {
    for path in FILES {
        if std::fs::OpenOptions::new().write(true).open(path).is_ok() {
            inside.got(format!("{path}, to write to"));
        }
    }
    Ok(())
}
