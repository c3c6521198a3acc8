//! A ticket for another site.

use std::io::{self, Write};

use rustls::HandshakeKind;

use crate::inside::ticket;
use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "ticket-for-another-site",
    family: Family::Http,
    name: "A ticket for another site",
    tries: "Gets a ticket by a real handshake with one site that is seen inside, offers it to another, and asks there for the first.",
    danger: "The proxy answers for both with one key: whoever takes the ticket brings what was judged for one site to the other.",
    places: Places::Everywhere,
    steps: &[Step::Do(
        "asks modern.test for /ok/1 and keeps the ticket, then CONNECT secret.wild.test:443, offers it there and asks for modern.test",
        resume,
    )],
    expect: Expect {
        arrives: &["GET /ok/1 modern.test"],
        greets: &["modern.test", "secret.wild.test"],
        asks: &["modern.test", "secret.wild.test"],
        reaches: FRONT_WEB,
        refusals: &[refusal("https", "default", "host_mismatch")],
        ..NOTHING
    },
    on_host: None,
};

fn resume(inside: &Inside) -> io::Result<()> {
    let config = ticket::of_modern(inside)?;
    let mut stream = inside.resume(CONNECT_SECRET, "secret.wild.test", &config)?;
    if stream.conn.handshake_kind() == Some(HandshakeKind::Resumed) {
        inside.got("a session of one site, resumed with another");
    }
    stream.write_all(b"GET /ok/2 HTTP/1.1\r\nHost: modern.test\r\n\r\n")?;
    inside.answer(&mut stream).map(drop)
}
