//! A network namespace of its own.

use std::ffi::OsString;
use std::io;
use std::process::{Command, Stdio};

use crate::inside::Inside;
use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "own-namespace",
    family: Family::Kernel,
    name: "A network namespace of its own",
    tries: "Makes a user and a network namespace, in which it is root, and takes the namespaces of process 1 from there.",
    danger: "Whoever is root somewhere asks the kernel for more than others.",
    places: Places::Apart,
    steps: &[Step::Do("makes namespaces and joins those of process 1", own)],
    expect: Expect { refused_packets: Count::Exactly(0), ..NOTHING },
    on_host: None,
};

fn own(inside: &Inside) -> io::Result<()> {
    // The same program once more, in front of the word that made it the agent.
    let words: Vec<OsString> = std::env::args_os().collect();
    let before = words.iter().position(|word| word == "agent").ok_or(io::ErrorKind::NotFound)?;
    let mut words = words.into_iter().take(before);
    let program = words.next().ok_or(io::ErrorKind::NotFound)?;
    let ran = Command::new(program).args(words).arg("own").stdin(Stdio::null()).output()?;
    for line in String::from_utf8_lossy(&ran.stdout).lines() {
        inside.got(line);
    }
    Ok(())
}
