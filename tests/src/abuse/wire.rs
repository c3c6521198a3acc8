//! HTTP/2 frames as they are on the wire (RFC 9113, section 4), without asking whether they make sense.

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame of less than 2^24 octets.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub(super) fn setting(id: u16, value: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// The length of a string that is not compressed (RFC 7541, sections 5.1 and 5.2).
fn length(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    if value < 127 {
        bytes.extend(u8::try_from(value));
        return bytes;
    }
    bytes.push(127);
    value -= 127;
    while value >= 128 {
        bytes.extend(u8::try_from(value % 128).map(|seven| seven | 128));
        value /= 128;
    }
    bytes.extend(u8::try_from(value));
    bytes
}

/// A field; the first octet says whether both sides remember it (RFC 7541, section 6.2).
pub(super) fn field(first: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[first][..], &length(name.len()), name, &length(value.len()), value].concat()
}

/// The head of a request to the server.
pub(super) fn request(port: u16, method: &str, path: &str) -> Vec<u8> {
    let authority = format!("127.0.0.1:{port}");
    [(":method", method), (":scheme", "https"), (":path", path), (":authority", &authority)]
        .iter()
        .flat_map(|(name, value)| field(0, name.as_bytes(), value.as_bytes()))
        .collect()
}

/// The stream of a number.
pub(super) fn stream(number: u32) -> u32 {
    (2 * number + 1) & 0x7fff_ffff
}
