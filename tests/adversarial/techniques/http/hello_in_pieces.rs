//! A ClientHello in pieces.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "hello-in-pieces",
    family: Family::Http,
    name: "A ClientHello in pieces",
    tries: "Opens a tunnel, with a ClientHello for the neighbour in four segments, the name across two of them.",
    danger: "Who reads a ClientHello otherwise than the server does judges another name than is served.",
    places: Places::Everywhere,
    steps: &[Step::Do("CONNECT allowed.test:443, then a ClientHello for evil.test in four segments", pieces)],
    expect: OTHER_NAME_IN_HELLO,
    on_host: None,
};

fn pieces(inside: &Inside) -> std::io::Result<()> {
    use std::io::{Read, Write};
    let mut stream = inside.tunnel(CONNECT_ALLOWED)?;
    let hello = hello::hello(&[hello::named("evil.test")]);
    let middle = hello.windows(4).position(|part| part == b"evil").unwrap_or(9) + 2;
    for piece in [0..3, 3..9, 9..middle, middle..hello.len()] {
        stream.write_all(hello.get(piece).unwrap_or_default())?;
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    stream.read_to_end(&mut Vec::new()).map(drop)
}
