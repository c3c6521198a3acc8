//! A ClientHello that names an address.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "hello-address-as-name",
    family: Family::Http,
    name: "A ClientHello that names an address",
    tries: "Opens a tunnel, with a ClientHello whose name is an address, against RFC 6066.",
    danger: "Who reads a ClientHello otherwise than the server does judges another name than is served.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[
            Bytes(CONNECT_ALLOWED),
            Made("a ClientHello for 93.184.216.34", || hello::hello(&[hello::named("93.184.216.34")])),
        ],
    )],
    expect: MALFORMED_HELLO,
    on_host: None,
};
