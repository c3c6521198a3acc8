//! A ticket under another name.

use std::io::{self, Write};

use crate::inside::ticket;
use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "ticket-under-another-name",
    family: Family::Http,
    name: "A ticket under another name",
    tries: "Gets a ticket by a real handshake with a site that is seen inside, and resumes with it under another name in a tunnel to the same site.",
    danger: "A session that is resumed was judged when it began: by its ticket it would be the one site, by its name another.",
    places: Places::Everywhere,
    steps: &[Step::Do(
        "asks modern.test for /ok/1 and keeps the ticket, then CONNECT modern.test:443 and resumes as evil.test",
        resume,
    )],
    expect: Expect { refusals: &[refusal("connect", "default", "host_mismatch")], ..ONE_GOOD },
    on_host: None,
};

fn resume(inside: &Inside) -> io::Result<()> {
    let config = ticket::of_modern(inside)?;
    let mut stream = inside.resume(CONNECT_MODERN, "evil.test", &config)?;
    stream.write_all(b"GET /ok/2 HTTP/1.1\r\nHost: evil.test\r\n\r\n")?;
    inside.answer(&mut stream).map(drop)
}
