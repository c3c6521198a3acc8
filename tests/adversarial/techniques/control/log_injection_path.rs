//! A path that forges lines of the audit log.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "log-injection-path",
    family: Family::Control,
    name: "A path that forges lines of the audit log",
    tries: "Asks for a path with quotes, braces and an escape sequence in it, and for one with line breaks in percents.",
    danger: "A forged line hides what happened, or says that somebody else did it; an escape sequence does so on the screen of whoever reads it.",
    places: Places::Everywhere,
    steps: &[
        Step::Tcp(Proxy, &[Bytes(b"GET http://evil.test/%0a%7b%22agent%22:%22neighbour%22%7d%0a HTTP/1.1\r\nHost: evil.test\r\n\r\n")]),
        Step::Tcp(Proxy, &[Bytes(b"GET http://evil.test/\"}{\"agent\":\"neighbour\",\"decision\":\"block\"}\x1b[2J HTTP/1.1\r\nHost: evil.test\r\n\r\n")]),
    ],
    expect: Expect {
        refusals: &[refusals(2, "http", "default", "ambiguous_request")],
        ..NOTHING
    },
    on_host: None,
};
