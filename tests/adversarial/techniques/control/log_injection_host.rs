//! A host that forges lines of the audit log.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "log-injection-host",
    family: Family::Control,
    name: "A host that forges lines of the audit log",
    tries: "Names a host with quotes, a line break in percents and an escape sequence in it.",
    danger: "As for `log-injection-path`.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Bytes(b"GET / HTTP/1.1\r\nHost: x\"}{\"agent\":\"neighbour\",\"decision\":\"block\"}%0a\x1b[2J\r\n\r\n")],
    )],
    expect: Expect { refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
