//! A secret in two messages of a WebSocket.

use std::io::{self, Write};

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "secret-in-two-frames",
    family: Family::Control,
    name: "A secret in two messages of a WebSocket",
    tries: "Opens a WebSocket with a site to which a secret is added, which says the secret in one message, and again in halves, each in a message of its own.",
    danger: "A server that shows what it was sent need not show it in one piece, and who looks at bytes sees the frame between the halves.",
    places: Places::Everywhere,
    steps: &[Step::Do(
        "CONNECT secret.wild.test:443, a WebSocket of /frames, and puts together what its messages say",
        listen,
    )],
    expect: Expect {
        arrives: &["GET /frames secret.wild.test"],
        refusals: &[refusal("https", "default", "secret_echoed")],
        ..WITH_SECRET
    },
    on_host: None,
};

const OPENING: &[u8] =
    b"GET /frames HTTP/1.1\r\nHost: secret.wild.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn listen(inside: &Inside) -> io::Result<()> {
    let mut stream = inside.greet(CONNECT_SECRET, &SECRET_HTTP1)?;
    stream.write_all(OPENING)?;
    let heard = inside.answer(&mut stream)?;
    let end = heard.windows(4).position(|part| part == b"\r\n\r\n").map_or(heard.len(), |at| at + 4);
    inside.search("the messages of a WebSocket", &messages(heard.get(end..).unwrap_or_default()));
    Ok(())
}

/// What unmasked frames of at most 125 bytes say (RFC 6455, section 5.2).
fn messages(mut frames: &[u8]) -> Vec<u8> {
    let mut said = Vec::new();
    while let [_, length, rest @ ..] = frames {
        let length = usize::from(*length).min(rest.len());
        let (payload, behind) = rest.split_at(length);
        said.extend_from_slice(payload);
        frames = behind;
    }
    said
}
