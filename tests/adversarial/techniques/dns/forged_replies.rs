//! Replies that answer another question.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "forged-replies",
    family: Family::Dns,
    name: "Replies that answer another question",
    tries: "Has the proxy ask for a name, to which somebody sends replies with another id and for other questions before the right one comes.",
    danger: "Whoever can guess when a question is on its way chooses the address.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"GET http://forged.test/ HTTP/1.1\r\nHost: forged.test\r\n\r\n")])],
    expect: Expect { arrives: &["GET / forged.test"], asks: &["forged.test"], reaches: FRONT_WEB, ..NOTHING },
    on_host: None,
};
