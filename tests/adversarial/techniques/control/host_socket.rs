//! A unix socket of the host.

use std::io;

use crate::inside::Inside;
use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "host-socket",
    family: Family::Control,
    name: "A unix socket of the host",
    tries: "Connects to a socket that something on the host listens on, by its path.",
    danger: "Behind such sockets stand resolvers, engines of containers and service managers: each does something for whoever asks, outside.",
    places: Places::Apart,
    steps: &[Step::Do("connects to a socket that the run bound on the host", knock)],
    expect: NOTHING,
    on_host: None,
};

fn knock(inside: &Inside) -> io::Result<()> {
    inside.unix(&inside.around()?.trap, b"let me out\n").map(drop)
}
