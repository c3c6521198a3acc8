//! Encrypted packets of IPsec.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "esp",
    family: Family::Kernel,
    name: "Encrypted packets of IPsec",
    tries: "Opens a raw socket for protocol 50 and sends a packet through it.",
    danger: "Whatever they hold, nobody reads.",
    places: Places::Everywhere,
    steps: &[Step::Socket(Socket { family: INET, kind: RAW, protocol: 50 }, At(ELSEWHERE, 0), Bytes(b"a secret"))],
    expect: NOTHING,
    on_host: Some(ONE_PACKET),
};
