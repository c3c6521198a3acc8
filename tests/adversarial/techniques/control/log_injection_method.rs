//! A method that forges lines of the audit log.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "log-injection-method",
    family: Family::Control,
    name: "A method that forges lines of the audit log",
    tries: "Asks with a method that has quotes and braces in it.",
    danger: "As for `log-injection-path`.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Bytes(b"{\"agent\":\"neighbour\"} http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n")],
    )],
    expect: Expect { refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
