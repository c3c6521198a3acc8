//! Tells what a redirected connection carries by its first bytes.

use super::fields::is_token_byte;
use super::hello::HANDSHAKE;

/// What a connection carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carries {
    /// A TLS handshake record.
    Tls,
    /// Something that a lenient server could take for an HTTP request; whether it is one is for the strict parser.
    Http,
    /// Something else.
    Other,
}

/// A first line longer than this is no request that any server takes.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// Methods that a lenient server understands with less than a whole request line, in any case (`get /` is HTTP/0.9).
const METHODS: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI"];

/// Judges the first bytes; `None` while more are needed.
///
/// Traffic that is neither TLS nor HTTP is asked about at the network layer alone, so this errs towards HTTP: empty lines
/// and white space in front, lower-case methods and missing versions all count, and are then refused by the parser.
pub(super) fn sniff(bytes: &[u8]) -> Option<Carries> {
    if *bytes.first()? == HANDSHAKE {
        return Some(Carries::Tls);
    }
    let start = bytes.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
    let bytes = match start {
        Some(start) => bytes.get(start..).unwrap_or_default(),
        None if bytes.len() > MAX_LINE_BYTES => return Some(Carries::Other),
        None => return None,
    };
    let word = bytes.iter().position(|byte| !is_token_byte(*byte));
    let (line, whole) = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => (bytes.get(..end).unwrap_or_default(), true),
        None => (bytes, bytes.len() > MAX_LINE_BYTES),
    };
    let Some(method) = word.and_then(|end| bytes.get(..end)) else {
        return whole.then_some(Carries::Other);
    };
    if METHODS.iter().any(|known| method.eq_ignore_ascii_case(known.as_bytes())) {
        return Some(Carries::Http);
    }
    if line.windows(5).any(|window| window.eq_ignore_ascii_case(b"HTTP/")) {
        return Some(Carries::Http);
    }
    // Only a blank can follow a method; anything else there, and no server reads on.
    let blank = matches!(bytes.get(method.len()), Some(b' ' | b'\t')) && !method.is_empty();
    if whole || !blank { Some(Carries::Other) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_or_more_are_needed() {
        use Carries::{Http, Other, Tls};
        for (bytes, expected) in [
            (&b""[..], None),
            (b"\x16", Some(Tls)),
            (b"\x16\x03\x01", Some(Tls)),
            (b"GET / HTTP/1.1\r\n", Some(Http)),
            (b"GET ", Some(Http)),
            (b"GE", None),
            (b"get /\n", Some(Http)),
            (b"get\t/", Some(Http)),
            (b"\r\n\r\nGET /", Some(Http)),
            (b"  post /", Some(Http)),
            (b"\r\n", None),
            (b"PROPFIND /x", None),
            (b"PROPFIND /x HTTP/1.1", Some(Http)),
            (b"X Y http/1.0\n", Some(Http)),
            (b"PRI * HTTP/2.0\r\n", Some(Http)),
            (b"SSH-2.0-OpenSSH_9.6\r\n", Some(Other)),
            (b"SSH-2.0-OpenSSH_9.6", None),
            (b"EHLO example\r\n", Some(Other)),
            (b"PING\r\n", Some(Other)),
            (b"\0\0\0\x08\x04\xd2\x16\x2f", Some(Other)),
            (b"\x80\x2e\x01", Some(Other)),
            (b"*1\r\n", Some(Other)),
            (b"{\"a\"", Some(Other)),
        ] {
            assert_eq!(sniff(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(sniff(&vec![b'a'; MAX_LINE_BYTES + 1]), Some(Other));
        assert_eq!(sniff(&vec![b'\n'; MAX_LINE_BYTES + 1]), Some(Other));
    }
}
