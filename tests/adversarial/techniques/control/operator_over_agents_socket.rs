//! The operator's interface over the agents' socket.

use std::io;

use crate::inside::Inside;
use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "operator-over-agents-socket",
    family: Family::Control,
    name: "The operator's interface over the agents' socket",
    tries: "Asks the socket that agents may use for what only operators may.",
    danger: "One socket with two kinds of callers is one mistake away from serving both alike.",
    places: Places::Host,
    steps: &[Step::Do("asks for the rules, a reload, an upload and an approval over the agents' socket", ask)],
    expect: Expect { refusals: &[refusals(5, "run", "default", "bad_request")], ..NOTHING },
    on_host: None,
};

const ASKED: [&str; 5] = [
    "GET /api/v1/rules",
    "POST /api/v1/rules/reload",
    "POST /api/v1/rules/artifacts",
    "POST /api/v1/requests/rules/rr-000000000000/approve",
    "GET /v1/../api/v1/rules",
];

fn ask(inside: &Inside) -> io::Result<()> {
    for line in ASKED {
        let request = format!("{line} HTTP/1.1\r\nHost: outcall\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let answer = inside.unix(&inside.around()?.agents, request.as_bytes())?;
        if answer.starts_with(b"HTTP/1.1 2") {
            inside.got(format!("an answer to {line}"));
        }
    }
    Ok(())
}
