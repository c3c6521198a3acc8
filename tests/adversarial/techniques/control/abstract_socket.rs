//! An abstract unix socket of the host.

use std::io;

use crate::inside::Inside;
use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "abstract-socket",
    family: Family::Control,
    name: "An abstract unix socket of the host",
    tries: "Connects to a socket that has no path, by its name.",
    danger: "It is no part of the file system, so no mount covers it: the network namespace alone keeps it apart.",
    places: Places::Everywhere,
    steps: &[Step::Do("connects to an abstract socket that the run bound on the host", knock)],
    expect: NOTHING,
    on_host: None,
};

fn knock(inside: &Inside) -> io::Result<()> {
    inside.hidden(&inside.around()?.hidden, b"let me out\n").map(drop)
}
