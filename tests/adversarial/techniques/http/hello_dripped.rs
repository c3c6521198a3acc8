//! A ClientHello that drips.

use std::io::{Read, Write};
use std::time::Duration;

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "hello-dripped",
    family: Family::Http,
    name: "A ClientHello that drips",
    tries: "Opens a tunnel, with a ClientHello for the neighbour that comes byte by byte and stops for most of a second within the name.",
    danger: "Who loses patience and passes on what there is has passed on a name that nobody read.",
    places: Places::Everywhere,
    steps: &[Step::Do("CONNECT allowed.test:443, then a ClientHello for evil.test, a byte at a time", drip)],
    expect: OTHER_NAME_IN_HELLO,
    on_host: None,
};

/// Between two bytes.
const PAUSE: Duration = Duration::from_millis(5);
/// Within the name: longer than a redirected connection may be silent before it counts as something else.
const LONG_PAUSE: Duration = Duration::from_millis(800);

fn drip(inside: &Inside) -> std::io::Result<()> {
    let mut stream = inside.tunnel(CONNECT_ALLOWED)?;
    let hello = hello::hello(&[hello::named("evil.test")]);
    let within = hello.windows(4).position(|part| part == b"evil").unwrap_or(9) + 2;
    for (at, byte) in hello.iter().enumerate() {
        stream.write_all(&[*byte])?;
        std::thread::sleep(if at == within { LONG_PAUSE } else { PAUSE });
    }
    stream.read_to_end(&mut Vec::new()).map(drop)
}
