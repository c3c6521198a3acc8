//! A ClientHello that breaks off.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "hello-cut",
    family: Family::Http,
    name: "A ClientHello that breaks off",
    tries: "Opens a tunnel, sends half a ClientHello and says no more.",
    danger: "Who judges what has come so far judges half a name.",
    places: Places::Everywhere,
    steps: &[Step::Do("CONNECT allowed.test:443, then half a ClientHello, then the end", cut)],
    expect: MALFORMED_HELLO,
    on_host: None,
};

fn cut(inside: &Inside) -> std::io::Result<()> {
    use std::io::{Read, Write};
    let mut stream = inside.tunnel(CONNECT_ALLOWED)?;
    let hello = hello::hello(&[hello::named("allowed.test")]);
    stream.write_all(hello.get(..hello.len() / 2).unwrap_or_default())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.read_to_end(&mut Vec::new()).map(drop)
}
