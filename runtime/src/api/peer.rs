//! Who may ask: the user that `outcalld` runs as, and root, from where `outcalld` itself lives.
//!
//! An agent in a sandbox has the user's number too, so the number alone tells nothing. It lives in a process namespace
//! below ours, as do the processes of containers, and it cannot leave it.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::net::sockopt::socket_peercred;

use crate::sys::peer;

/// Why somebody is not answered.
#[derive(Debug)]
pub(super) enum Stranger {
    /// Another user than ours and root.
    User,
    /// A process in a namespace of its own, or one that is gone.
    Place,
    /// Who it is cannot be told.
    Unknown(io::Error),
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stranger::User => f.write_str("only the user that outcalld runs as may ask, and root"),
            Stranger::Place => f.write_str("nobody may ask from within a sandbox or a container"),
            Stranger::Unknown(error) => write!(f, "who asks cannot be told: {error}"),
        }
    }
}

/// Looks at who connected.
pub(super) fn check(stream: impl AsFd) -> Result<(), Stranger> {
    let user = socket_peercred(&stream).map_err(|error| Stranger::Unknown(error.into()))?.uid;
    if !user.is_root() && user != rustix::process::geteuid() {
        return Err(Stranger::User);
    }
    // The number of a process that has ended may be another's by now; the descriptor is still of the one that connected.
    let process = peer::process(&stream).map_err(Stranger::Unknown)?;
    let path = format!("/proc/self/fdinfo/{}", process.as_raw_fd());
    let said = std::fs::read_to_string(path).map_err(Stranger::Unknown)?;
    if lives_here(&said) { Ok(()) } else { Err(Stranger::Place) }
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
    fn this_process_may_ask_itself() {
        let (left, _right) = std::os::unix::net::UnixStream::pair().unwrap();
        check(&left).unwrap();
    }
}
