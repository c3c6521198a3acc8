//! HTTP/2 written by hand (RFC 9113), for requests that no library would send.

/// A header of a request: its name and its value.
pub type Field = (&'static str, &'static str);

/// What a client says first: the preface and its settings.
pub fn preface() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    bytes
}

/// A request without a body on this stream, each field literal and never indexed (RFC 7541, section 6.2.3).
pub fn request(stream: u32, fields: &[Field]) -> Vec<u8> {
    const END_OF_STREAM_AND_HEADERS: u8 = 0x1 | 0x4;
    frame(1, END_OF_STREAM_AND_HEADERS, stream, &block(fields))
}

/// A block of fields. Names and values are shorter than 127 bytes, so that their lengths fit one byte.
pub fn block(fields: &[Field]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0x10);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap_or(126).min(126));
            block.extend(text.bytes().take(126));
        }
    }
    block
}

/// A frame of this type with these flags.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes().into_iter().skip(1).collect();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A GET of a path from a host.
pub fn get(stream: u32, authority: &'static str, path: &'static str) -> Vec<u8> {
    request(stream, &[(":method", "GET"), (":scheme", "https"), (":authority", authority), (":path", path)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_what_the_standard_draws() {
        assert_eq!(frame(4, 0, 0, &[]), [0, 0, 0, 4, 0, 0, 0, 0, 0]);
        assert_eq!(request(3, &[("a", "bc")]), [0, 0, 6, 1, 5, 0, 0, 0, 3, 0x10, 1, b'a', 2, b'b', b'c']);
    }
}
