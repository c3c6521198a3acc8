//! DNS messages written by hand (RFC 1035, section 4), for questions that no library would ask.

use crate::world::dns::query;

/// A question for a name of these labels, whatever is in them.
pub fn labels(labels: &[&[u8]], kind: u16) -> Vec<u8> {
    let mut message = query(9, "", kind);
    let tail = message.split_off(12);
    for label in labels {
        message.push(u8::try_from(label.len()).unwrap_or(63));
        message.extend(*label);
    }
    message.extend(tail);
    message
}

/// A question with an OPT record of this version with these options (RFC 6891, section 6.1.2).
pub fn with_options(name: &str, version: u8, options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut message = query(9, name, 1);
    if let Some(additional) = message.get_mut(11) {
        *additional = 1;
    }
    let data: Vec<u8> =
        options.iter().flat_map(|(code, data)| [&code.to_be_bytes()[..], &long(data)].concat()).collect();
    message.extend([0, 0, 41, 4, 208, 0, version, 0, 0]);
    message.extend(long(&data));
    message
}

/// A question in which this byte of the header is another.
pub fn with_byte(name: &str, at: usize, byte: u8) -> Vec<u8> {
    let mut message = query(9, name, 1);
    if let Some(place) = message.get_mut(at) {
        *place = byte;
    }
    message
}

/// A message after its length, as it is sent over TCP.
pub fn framed(message: &[u8]) -> Vec<u8> {
    long(message)
}

fn long(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes()[..], bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_what_the_standard_draws() {
        assert_eq!(labels(&[b"evil", b"test"], 1), query(9, "evil.test", 1));
        let message = with_options("a.test", 0, &[(8, b"xy")]);
        assert_eq!(message[24..], [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 6, 0, 8, 0, 2, b'x', b'y']);
        assert_eq!(framed(b"abc"), [0, 3, b'a', b'b', b'c']);
    }
}
