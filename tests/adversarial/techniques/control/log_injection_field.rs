//! A field that forges lines of the audit log.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "log-injection-field",
    family: Family::Control,
    name: "A field that forges lines of the audit log",
    tries: "Sends the end of a record and the beginning of another as user agent, with a bare line feed between them.",
    danger: "As for `log-injection-path`.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\nUser-Agent: x\"}\n{\"agent\":\"neighbour\",\"decision\":\"block\"}\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
