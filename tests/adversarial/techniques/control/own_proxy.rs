//! A proxy that the environment names.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "own-proxy",
    family: Family::Control,
    name: "A proxy that the environment names",
    tries: "Has its variables name a proxy outside, as an agent may set them, and asks it for a site.",
    danger: "Variables are advice: who only sets them holds nobody back.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(At(ELSEWHERE, 3128), &[Bytes(b"GET http://evil2.test/ HTTP/1.1\r\nHost: evil2.test\r\n\r\n")])],
    expect: ONE_PACKET,
    on_host: Some(Expect { refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING }),
};
