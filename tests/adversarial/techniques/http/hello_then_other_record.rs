//! Another record within the ClientHello.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "hello-then-other-record",
    family: Family::Http,
    name: "Another record within the ClientHello",
    tries: "Opens a tunnel, with a ClientHello that breaks off in its first record, and an alert after that.",
    danger: "Who reads a ClientHello otherwise than the server does judges another name than is served.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Bytes(CONNECT_ALLOWED), Made("the first 32 bytes of a ClientHello in a record, then an alert", broken)],
    )],
    expect: MALFORMED_HELLO,
    on_host: None,
};

fn broken() -> Vec<u8> {
    let mut bytes: Vec<u8> = hello::in_records(&[hello::named("allowed.test")], 32).into_iter().take(37).collect();
    bytes.extend([0x15, 3, 3, 0, 2, 1, 0]);
    bytes
}
