//! Which users a namespace has.
//!
//! Files look inside as they do outside, so every id that can be kept is kept. An ordinary user may map only itself: it
//! stands as root in the first namespace, where the setup happens, and as itself again in the agent's.

use std::fs;
use std::io;

use rustix::process::Pid;

/// How ids are mapped in the two user namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Maps {
    /// Every id as itself.
    All {
        /// The lines of both `uid_map`s.
        users: String,
        /// The lines of both `gid_map`s.
        groups: String,
    },
    /// One user and one group, root in the first namespace, as themselves in the second.
    One {
        /// The user outside.
        user: u32,
        /// The group outside.
        group: u32,
    },
}

impl Maps {
    /// The maps for whoever this process is.
    ///
    /// # Errors
    /// What reading `/proc/self` says.
    pub(super) fn of_caller() -> io::Result<Maps> {
        let user = rustix::process::geteuid();
        if user.is_root() {
            return Ok(Maps::All {
                users: identity(&fs::read_to_string("/proc/self/uid_map")?),
                groups: identity(&fs::read_to_string("/proc/self/gid_map")?),
            });
        }
        Ok(Maps::One { user: user.as_raw(), group: rustix::process::getegid().as_raw() })
    }

    /// The group of the agent as the first namespace numbers it.
    pub(super) fn inner_group(&self) -> u32 {
        match self {
            Maps::All { .. } => rustix::process::getegid().as_raw(),
            Maps::One { .. } => 0,
        }
    }

    /// Maps the first namespace, that of `process`.
    ///
    /// # Errors
    /// What writing to `/proc` says.
    pub(super) fn write_first(&self, process: Pid) -> io::Result<()> {
        match self {
            Maps::All { users, groups } => write(process, users, groups, false),
            Maps::One { user, group } => write(process, &format!("0 {user} 1\n"), &format!("0 {group} 1\n"), true),
        }
    }

    /// Maps the agent's namespace, that of `process`.
    ///
    /// # Errors
    /// What writing to `/proc` says.
    pub(super) fn write_second(&self, process: Pid) -> io::Result<()> {
        match self {
            Maps::All { users, groups } => write(process, users, groups, false),
            Maps::One { user, group } => write(process, &format!("{user} 0 1\n"), &format!("{group} 0 1\n"), true),
        }
    }
}

/// Turns the lines of a map (inside, outside, count) into lines that keep every id that exists here.
fn identity(map: &str) -> String {
    let mut lines = String::new();
    for line in map.lines() {
        let mut words = line.split_whitespace();
        if let (Some(inside), Some(_), Some(count)) = (words.next(), words.next(), words.next()) {
            lines.push_str(&format!("{inside} {inside} {count}\n"));
        }
    }
    lines
}

fn write(process: Pid, users: &str, groups: &str, deny_setgroups: bool) -> io::Result<()> {
    let base = format!("/proc/{process}");
    if deny_setgroups {
        fs::write(format!("{base}/setgroups"), "deny")?;
    }
    fs::write(format!("{base}/uid_map"), users)?;
    fs::write(format!("{base}/gid_map"), groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_of_this_namespace_is_kept() {
        assert_eq!(identity("         0          0 4294967295\n"), "0 0 4294967295\n");
        assert_eq!(identity("0 1000 1\n1 100000 65536\n"), "0 0 1\n1 1 65536\n");
        assert_eq!(identity(""), "");
    }
}
