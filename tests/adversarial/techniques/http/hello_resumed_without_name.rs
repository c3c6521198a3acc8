//! A resumed session without a name.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "hello-resumed-without-name",
    family: Family::Http,
    name: "A resumed session without a name",
    tries: "Opens a tunnel, with a ClientHello that resumes a session and names no server.",
    danger: "A server knows from the ticket alone which of its sites is meant.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[
            Bytes(CONNECT_ALLOWED),
            Made("a ClientHello with pre_shared_key and early_data and no name", || {
                hello::hello(&[
                    (42, vec![]),
                    (41, vec![0, 14, 0, 8, b't', b'i', b'c', b'k', b'e', b't', b's', b'!', 0, 0, 0, 0, 0, 33, 32]),
                ])
            }),
        ],
    )],
    expect: Expect { refusals: &[refusal("connect", "default", "sni_missing")], ..DIALLED },
    on_host: None,
};
