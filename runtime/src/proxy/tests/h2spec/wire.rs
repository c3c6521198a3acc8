//! Writes and reads HTTP/2 frames as they are on the wire, well formed or not (RFC 9113, section 4).

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::super::http2::Agent;
use super::super::inside::Inner;
use super::super::*;

pub(in super::super) const DATA: u8 = 0;
pub(in super::super) const HEADERS: u8 = 1;
pub(in super::super) const PRIORITY: u8 = 2;
pub(in super::super) const RST_STREAM: u8 = 3;
pub(in super::super) const SETTINGS: u8 = 4;
pub(in super::super) const PUSH_PROMISE: u8 = 5;
pub(in super::super) const PING: u8 = 6;
pub(in super::super) const GOAWAY: u8 = 7;
pub(in super::super) const WINDOW_UPDATE: u8 = 8;
pub(in super::super) const CONTINUATION: u8 = 9;

pub(in super::super) const NONE: u8 = 0;
pub(in super::super) const ACK: u8 = 1;
pub(in super::super) const END_STREAM: u8 = 1;
pub(in super::super) const END_HEADERS: u8 = 4;
pub(in super::super) const PADDED: u8 = 8;
pub(in super::super) const PRIORITIZED: u8 = 0x20;
/// A request that is its head, and one that goes on.
pub(in super::super) const WHOLE: u8 = END_HEADERS | END_STREAM;

pub(in super::super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(in super::super) fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub(in super::super) fn setting(id: u16, value: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// A number of HPACK with a prefix of so many bits under `first` (RFC 7541, section 5.1).
pub(in super::super) fn integer(first: u8, bits: u32, mut value: usize) -> Vec<u8> {
    let most = (1 << bits) - 1;
    if value < most {
        return vec![first | u8::try_from(value).unwrap()];
    }
    value -= most;
    let mut bytes = vec![first | u8::try_from(most).unwrap()];
    while value >= 128 {
        bytes.push(u8::try_from(value % 128).unwrap() | 128);
        value /= 128;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

/// A field in the plainest form: not indexed, not compressed (RFC 7541, section 6.2.2).
pub(in super::super) fn literal(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Vec<u8> {
    let (name, value) = (name.as_ref(), value.as_ref());
    [&[0][..], &integer(0, 7, name.len()), name, &integer(0, 7, value.len()), value].concat()
}

/// A field that both sides remember (RFC 7541, section 6.2.1).
pub(in super::super) fn remembered(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut field = literal(name, value);
    field[0] = 0x40;
    field
}

pub(in super::super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(name, value)).collect()
}

/// A frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Frame {
    pub(in super::super) kind: u8,
    pub(in super::super) flags: u8,
    pub(in super::super) stream: u32,
    pub(in super::super) payload: Vec<u8>,
}

impl Frame {
    pub(in super::super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The number in the last four bytes of a GOAWAY without more, or of a RST_STREAM.
    pub(in super::super) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// A client that says whatever it likes once it is inside TLS with `a.example`.
pub(in super::super) struct Raw {
    pub(in super::super) client: Client<TlsStream<TcpStream>>,
    pub(in super::super) port: u16,
}

impl Raw {
    /// One that has said nothing yet.
    pub(in super::super) async fn open(inner: &Inner, port: u16) -> Raw {
        let stream = Agent::stream(inner, port, &["h2"]).await.unwrap();
        Raw { client: Client::new(stream), port }
    }

    /// One that has exchanged settings; these are its own.
    pub(in super::super) async fn with_settings(inner: &Inner, port: u16, settings: &[u8]) -> Raw {
        let mut raw = Raw::open(inner, port).await;
        raw.send(&[PREFACE, &frame(SETTINGS, NONE, 0, settings)].concat()).await;
        let mut seen = (false, false);
        while seen != (true, true) {
            let frame = raw.next().await.expect("settings");
            match (frame.kind, frame.has(ACK)) {
                (SETTINGS, false) => seen.0 = true,
                (SETTINGS, true) => seen.1 = true,
                _ => {}
            }
        }
        raw.send(&frame(SETTINGS, ACK, 0, [])).await;
        raw
    }

    /// Sends, or finds that nobody listens any more.
    pub(in super::super) async fn send(&mut self, bytes: &[u8]) -> bool {
        let sending = async {
            self.client.stream.write_all(bytes).await?;
            self.client.stream.flush().await
        };
        tokio::time::timeout(PATIENCE, sending).await.expect("somebody reads").is_ok()
    }

    /// The next frame; `None` at the end of the connection.
    pub(in super::super) async fn next(&mut self) -> Option<Frame> {
        loop {
            let unread = &self.client.unread;
            if let [a, b, c, kind, flags, s, t, u, v, rest @ ..] = unread.as_slice() {
                let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
                if let Some(payload) = rest.get(..length) {
                    let stream = u32::from_be_bytes([*s, *t, *u, *v]);
                    let frame = Frame { kind: *kind, flags: *flags, stream, payload: payload.to_vec() };
                    self.client.unread.drain(..9 + length);
                    return Some(frame);
                }
            }
            if self.client.more().await == 0 {
                return None;
            }
        }
    }

    /// The pseudo-header fields of a request.
    pub(in super::super) fn request(&self, method: &str, path: &str) -> Vec<u8> {
        request(self.port, method, path)
    }
}

pub(in super::super) fn request(port: u16, method: &str, path: &str) -> Vec<u8> {
    let authority = format!("a.example:{port}");
    block(&[(":method", method), (":scheme", "https"), (":path", path), (":authority", &authority)])
}
