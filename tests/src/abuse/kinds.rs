//! The table of abuses.

use std::time::Duration;

use super::Abuse;
use super::wire::*;

const WHOLE: u8 = END_HEADERS | END_STREAM;
const CANCEL: [u8; 4] = [0, 0, 0, 8];
const INITIAL_WINDOW: u16 = 4;
/// Connections of floods: more than the proxy has threads.
const SOME: usize = 4;

fn nothing(_: u16) -> Vec<u8> {
    Vec::new()
}

fn wait(_: u16, _: u32) -> Vec<u8> {
    Vec::new()
}

fn get(port: u16, path: &str, stream: u32) -> Vec<u8> {
    frame(HEADERS, WHOLE, stream, &request(port, "GET", path))
}

/// Opens stream 1 for those who go on about it.
fn open(port: u16) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, 1, &request(port, "POST", "/"))
}

const FLOOD: Abuse =
    Abuse { name: "", connections: SOME, settings: &[], first: nothing, again: wait, pace: Duration::ZERO, tls: true };

/// Every abuse.
pub const ABUSES: &[Abuse] = &[
    Abuse {
        name: "requests reset at once",
        again: |port, number| {
            let id = stream(number);
            [get(port, "/", id), frame(RST_STREAM, 0, id, &CANCEL)].concat()
        },
        ..FLOOD
    },
    Abuse {
        name: "requests reset when they are answered",
        again: |port, number| {
            let ids = 32 * number..32 * (number + 1);
            let asked = ids.clone().flat_map(|id| get(port, "/", stream(id)));
            let back = ids.flat_map(|id| match id.checked_sub(32) {
                Some(id) => frame(RST_STREAM, 0, stream(id), &CANCEL),
                None => Vec::new(),
            });
            back.chain(asked).collect()
        },
        pace: Duration::from_millis(20),
        ..FLOOD
    },
    Abuse {
        name: "streams that have to be reset",
        again: |port, number| {
            let id = stream(number);
            let head = frame(HEADERS, END_HEADERS, id, &request(port, "POST", "/"));
            [head, frame(WINDOW_UPDATE, 0, id, &[0; 4])].concat()
        },
        ..FLOOD
    },
    Abuse {
        name: "CONTINUATION without end",
        first: |port| frame(HEADERS, END_STREAM, 1, &request(port, "GET", "/")),
        again: |_, _| frame(CONTINUATION, 0, 1, &field(0, b"x", &[b'y'; 1000])),
        ..FLOOD
    },
    Abuse {
        name: "HPACK bomb",
        again: |port, number| {
            let bomb = [request(port, "GET", "/"), field(0x40, b"x", &[b'y'; 4000]), vec![0xbe; 12_000]].concat();
            frame(HEADERS, WHOLE, stream(number), &bomb)
        },
        ..FLOOD
    },
    Abuse {
        name: "a header of 1 MiB",
        again: |port, number| {
            let fields = [request(port, "GET", "/"), field(0, b"x", &vec![b'y'; 1 << 20])].concat();
            let id = stream(number);
            let last = fields.len().div_ceil(16_000).saturating_sub(1);
            let parts = fields.chunks(16_000).enumerate().flat_map(|(at, part)| {
                let (kind, ends) = if at == 0 { (HEADERS, END_STREAM) } else { (CONTINUATION, 0) };
                frame(kind, if at == last { ends | END_HEADERS } else { ends }, id, part)
            });
            parts.collect()
        },
        ..FLOOD
    },
    Abuse { name: "PING", again: |_, _| frame(PING, 0, 0, &[0; 8]).repeat(500), ..FLOOD },
    Abuse { name: "SETTINGS", again: |_, _| frame(SETTINGS, 0, 0, &setting(3, 100)).repeat(500), ..FLOOD },
    Abuse { name: "PRIORITY", again: |_, _| frame(PRIORITY, 0, 9, &[0, 0, 0, 3, 1]).repeat(500), ..FLOOD },
    Abuse {
        name: "WINDOW_UPDATE",
        first: open,
        again: |_, _| frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]).repeat(500),
        ..FLOOD
    },
    Abuse { name: "frames of no known type", again: |_, _| frame(0xfe, 0, 1, &[0; 8]).repeat(500), ..FLOOD },
    Abuse { name: "DATA without an octet", first: open, again: |_, _| frame(DATA, 0, 1, &[]).repeat(500), ..FLOOD },
    Abuse { name: "DATA of an octet", first: open, again: |_, _| frame(DATA, 0, 1, b"x").repeat(500), ..FLOOD },
    Abuse {
        name: "downloads that are not read",
        connections: 16,
        settings: &[(INITIAL_WINDOW, 0)],
        first: |port| (0..128).flat_map(|number| get(port, "/big", stream(number))).collect(),
        ..FLOOD
    },
    Abuse {
        name: "bodies to be judged that do not end",
        connections: 64,
        first: |port| {
            let heads =
                (0..128).flat_map(|number| frame(HEADERS, END_HEADERS, stream(number), &request(port, "PUT", "/")));
            let body = |number| [frame(DATA, 0, stream(number), &[b'x'; 16 << 10])].concat().repeat(2);
            heads.chain((0..128).flat_map(body)).collect()
        },
        ..FLOOD
    },
    Abuse {
        name: "heads that do not end",
        connections: 200,
        first: |port| frame(HEADERS, END_STREAM, 1, &request(port, "GET", "/")),
        ..FLOOD
    },
    Abuse {
        name: "no TLS after CONNECT",
        connections: 8,
        first: |_| b"\x16\x03\x01\xff\xff".repeat(4000),
        tls: false,
        ..FLOOD
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_given_once() {
        for (at, abuse) in ABUSES.iter().enumerate() {
            assert!(!abuse.name.is_empty() && ABUSES[..at].iter().all(|other| other.name != abuse.name));
        }
    }
}
