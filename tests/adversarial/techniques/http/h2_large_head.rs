//! A head larger than any that is read.

use crate::prelude::*;

/// A value of 100 bytes.
const LARGE: &str =
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-large-head",
    family: Family::Http,
    name: "A head larger than any that is read",
    tries: "Sends a request whose head goes on over continuations until it is past the limit.",
    danger: "What is refused without a word hides an attempt, and what is kept of it fills the memory.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_MODERN,
        MODERN_HTTP2,
        &[
            STREAM_1,
            Made("stream 3: GET /ok/2 with 80 KiB of fields", || {
                let fields: Vec<h2::Field> = vec![("x-large", LARGE); 720];
                let named =
                    [(":method", "GET"), (":scheme", "https"), (":authority", "modern.test"), (":path", "/ok/2")];
                let block = [h2::block(&named), h2::block(&fields)].concat();
                let pieces: Vec<&[u8]> = block.chunks(16_000).collect();
                let of = |(at, piece): (usize, &&[u8])| {
                    let last = if at + 1 == pieces.len() { 0x4 } else { 0 };
                    let (kind, flags) = if at == 0 { (1, 0x1) } else { (9, last) };
                    h2::frame(kind, flags, 3, piece)
                };
                pieces.iter().enumerate().flat_map(of).collect()
            }),
        ],
    )],
    expect: Expect { refusals: &[refusal("https", "default", "head_too_large")], ..ONE_GOOD },
    on_host: None,
};
