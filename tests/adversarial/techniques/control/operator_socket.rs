//! The operator's socket.

use std::io;

use crate::inside::Inside;
use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "operator-socket",
    family: Family::Control,
    name: "The operator's socket",
    tries: "Asks the operator's interface for the rules, at the path where this very run serves it.",
    danger: "Whoever is answered there reads the policy and loads another.",
    places: Places::Apart,
    steps: &[Step::Do("asks for the rules and for a reload over the operator's socket", ask)],
    expect: NOTHING,
    on_host: None,
};

fn ask(inside: &Inside) -> io::Result<()> {
    for line in ["GET /api/v1/rules", "POST /api/v1/rules/reload"] {
        let request = format!("{line} HTTP/1.1\r\nHost: outcall\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let answer = inside.unix(&inside.around()?.operator, request.as_bytes())?;
        if !answer.is_empty() {
            inside.got(format!("an answer to {line}"));
        }
    }
    Ok(())
}
