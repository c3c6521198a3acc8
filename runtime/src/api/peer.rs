//! Who may ask: the user that `outcalld` runs as, root, and members of the operators' group, from where `outcalld` itself
//! lives.
//!
//! An agent in a sandbox has the user's number too, so the number alone tells nothing. It lives in a process namespace
//! below ours, as do the processes of containers, and it cannot leave it. One whose network namespace was attached to a host
//! shares our processes and files: it is known by where its socket was made.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixDatagram;

use outcall_schema::api::GROUP;

use crate::sys::peer;

/// Why somebody is not answered.
#[derive(Debug)]
pub(super) enum Stranger {
    /// Another user than ours and root, and no member of the group.
    User {
        /// Whether members of a group may ask.
        group: bool,
    },
    /// A process in a namespace of its own, or one that is gone.
    Place,
    /// A member of the group alone, from another network namespace: an agent could have made itself one.
    Network,
    /// Whoever is behind the port of an agent.
    Agent,
    /// Who it is cannot be told.
    Unknown(io::Error),
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stranger::User { group: false } => f.write_str("only the user that outcalld runs as may ask, and root"),
            Stranger::User { group: true } => {
                write!(f, "only the user that outcalld runs as may ask, root, and members of the group `{GROUP}`")
            }
            Stranger::Place => f.write_str("nobody may ask from within a sandbox or a container"),
            Stranger::Network => {
                write!(f, "members of the group `{GROUP}` may ask from the network namespace of outcalld alone")
            }
            Stranger::Agent => f.write_str("no agent may ask"),
            Stranger::Unknown(error) => write!(f, "who asks cannot be told: {error}"),
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    /// The user.
    pub(super) uid: u32,
    /// The process, as it was when it connected.
    pub(super) pid: i32,
}

impl Peer {
    /// Whether it is root or who we are, and not only a member of the group.
    pub(super) fn is_ours(self) -> bool {
        self.uid == 0 || self.uid == rustix::process::geteuid().as_raw()
    }
}

/// The number of the group whose members may ask, where this host has it. Only `/etc/group` is read: a directory service that
/// is away must not decide who operates this.
pub fn group() -> Option<u32> {
    number_of(&std::fs::read_to_string("/etc/group").ok()?, GROUP)
}

/// The number of a group (group(5)).
fn number_of(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut parts = line.split(':');
        (parts.next() == Some(name)).then(|| parts.nth(1)?.parse().ok()).flatten()
    })
}

/// What the kernel says of whoever connected, for the log.
pub(super) fn who(stream: impl AsFd) -> Vec<(&'static str, i64)> {
    let Ok(peer) = peer::credentials(&stream) else { return Vec::new() };
    vec![("uid", i64::from(peer.uid)), ("pid", i64::from(peer.pid))]
}

/// Looks at who connected. `operators` is the group whose members may ask.
pub(super) fn check(stream: impl AsFd, operators: Option<u32>) -> Result<Peer, Stranger> {
    let credentials = peer::credentials(&stream).map_err(Stranger::Unknown)?;
    let peer = Peer { uid: credentials.uid, pid: credentials.pid };
    if !peer.is_ours() && !member(&stream, credentials.gid, operators)? {
        return Err(Stranger::User { group: operators.is_some() });
    }
    // The number of a process that has ended may be another's by now; the descriptor is still of the one that connected.
    let process = peer::process(&stream).map_err(Stranger::Unknown)?;
    let path = format!("/proc/self/fdinfo/{}", process.as_raw_fd());
    let said = std::fs::read_to_string(path).map_err(Stranger::Unknown)?;
    if lives_here(&said) { Ok(peer) } else { Err(Stranger::Place) }
}

/// Whether whoever connected made the socket in our network namespace.
pub(super) fn is_near(stream: impl AsFd) -> Result<bool, Stranger> {
    let near = || Ok(peer::namespace_number(stream)? == peer::namespace_number(UnixDatagram::unbound()?)?);
    near().map_err(Stranger::Unknown)
}

/// Whether a peer was in the group when it connected, by its own group or one of the others it has.
fn member(stream: impl AsFd, own: u32, operators: Option<u32>) -> Result<bool, Stranger> {
    let Some(group) = operators else { return Ok(false) };
    Ok(own == group || peer::groups(stream).map_err(Stranger::Unknown)?.contains(&group))
}

/// Whether a process has one number alone, that of the namespace whose `/proc` this is (proc_pid_fdinfo(5)). In one below
/// it has another one there; elsewhere its number is 0, and once it is gone -1.
fn lives_here(said: &str) -> bool {
    let mut numbers = said.lines().filter_map(|line| line.strip_prefix("NSpid:"));
    let (Some(only), None) = (numbers.next(), numbers.next()) else { return false };
    let mut numbers = only.split_ascii_whitespace().map(str::parse::<i32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(1..)), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_with_one_number_lives_here() {
        let said = |numbers: &str| format!("pos:\t0\nflags:\t02000002\nPid:\t7\nNSpid:{numbers}\n");
        assert!(lives_here(&said("\t7")));
        for numbers in ["\t7\t1", "\t7\t2\t1", "\t0", "\t-1", "", "\tx", "\t7\tx"] {
            assert!(!lives_here(&said(numbers)), "{numbers}");
        }
        assert!(!lives_here("Pid:\t7\n"));
        assert!(!lives_here(&(said("\t7") + "NSpid:\t7\n")));
    }

    #[test]
    fn a_group_is_found_by_its_whole_name() {
        let groups = "root:x:0:\noutcall2:x:7:\noutcall:x:998:a,b\nbroken\noutcall:x:5:\n";
        assert_eq!(number_of(groups, "outcall"), Some(998));
        assert_eq!(number_of("outcall:x:z:", "outcall"), None);
        assert_eq!(number_of("", "outcall"), None);
    }

    #[test]
    fn members_of_the_group_are_known_by_any_of_their_groups() {
        let (left, _right) = std::os::unix::net::UnixStream::pair().unwrap();
        let mine = rustix::process::getgroups().unwrap();
        for group in mine.iter().map(|group| group.as_raw()) {
            assert!(member(&left, u32::MAX, Some(group)).unwrap());
        }
        let strange = (1..).find(|number| mine.iter().all(|group| group.as_raw() != *number)).unwrap();
        assert!(!member(&left, u32::MAX, Some(strange)).unwrap());
        assert!(member(&left, strange, Some(strange)).unwrap());
        assert!(!member(&left, strange, None).unwrap());
    }

    #[test]
    fn this_process_may_ask_itself() {
        let (left, _right) = std::os::unix::net::UnixStream::pair().unwrap();
        let me = check(&left, None).unwrap();
        assert_eq!(u32::try_from(me.pid).unwrap(), std::process::id());
        assert!(me.is_ours() && is_near(&left).unwrap());
        assert!(!Peer { uid: me.uid.max(1) + 1, pid: me.pid }.is_ours());
    }
}
