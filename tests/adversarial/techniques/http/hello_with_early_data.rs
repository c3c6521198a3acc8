//! Early data under another name.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "hello-with-early-data",
    family: Family::Http,
    name: "Early data under another name",
    tries: "Opens a tunnel, with a ClientHello that resumes a session with the neighbour and sends a request along before any answer.",
    danger: "Early data is sent with the hello: whoever answers first and judges later has let it out.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[
            Bytes(CONNECT_ALLOWED),
            Made("a ClientHello for evil.test with pre_shared_key and early_data, then a record of early data", || {
                [
                    hello::hello(&[
                        hello::named("evil.test"),
                        (42, vec![]),
                        (41, vec![0, 14, 0, 8, b't', b'i', b'c', b'k', b'e', b't', b's', b'!', 0, 0, 0, 0, 0, 33, 32]),
                    ]),
                    vec![0x17, 3, 3, 0, 4, 1, 2, 3, 4],
                ]
                .concat()
            }),
        ],
    )],
    expect: OTHER_NAME_IN_HELLO,
    on_host: None,
};
