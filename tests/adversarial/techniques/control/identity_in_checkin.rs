//! A name that an agent gives itself when it checks in.

use std::io;

use crate::inside::Inside;
use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "identity-in-checkin",
    family: Family::Control,
    name: "A name that an agent gives itself when it checks in",
    tries: "Checks in with another agent's name in headers, and again with one in the body.",
    danger: "Who is asked who he is can lie.",
    places: Places::Host,
    steps: &[Step::Do("checks in twice over the agents' socket", ask)],
    expect: Expect { refusals: &[refusal("run", "default", "bad_request")], ..NOTHING },
    on_host: None,
};

const SAID: [&str; 2] = [
    "POST /v1/checkin HTTP/1.1\r\nHost: neighbour\r\nX-Agent: neighbour\r\nX-Outcall-Agent: neighbour\r\nContent-Length: 0\r\n\r\n",
    "POST /v1/checkin HTTP/1.1\r\nHost: outcall\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"name\":\"neighbour\"}",
];

fn ask(inside: &Inside) -> io::Result<()> {
    for request in SAID {
        let answer = inside.unix(&inside.around()?.agents, request.as_bytes())?;
        if String::from_utf8_lossy(&answer).contains("neighbour") {
            inside.got("the name of another agent");
        }
    }
    Ok(())
}
