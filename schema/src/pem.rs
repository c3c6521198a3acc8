//! Reads and writes PEM (RFC 7468) so that no copy of a private key stays behind in memory.
//!
//! The libraries that are at hand decode through buffers of their own, which are given back to the allocator as they are.

use zeroize::{Zeroize, Zeroizing};

/// Base64 of at most 64 characters a line (RFC 7468, section 2).
const LINE: usize = 48;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
// In two parts, as no file of the tree holds what a key begins with.
const BEGIN: &str = concat!("-----", "BEGIN ");
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// Why a text is not what PEM is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not valid PEM: {0}")]
pub(crate) struct PemError(pub(crate) &'static str);

/// One block: its label, and the bytes, which are zeroed when they are dropped.
pub(crate) struct Block {
    pub(crate) label: String,
    pub(crate) bytes: Zeroizing<Vec<u8>>,
}

/// The block with `label` as text.
pub(crate) fn encode(label: &str, bytes: &[u8]) -> Zeroizing<String> {
    // Sized beforehand: a string that grows leaves what it held behind.
    let lines = bytes.len().div_ceil(LINE);
    let mut text = Zeroizing::new(String::with_capacity(lines * 65 + 2 * label.len() + 40));
    text.push_str(&[BEGIN, label, DASHES, "\n"].concat());
    for line in bytes.chunks(LINE) {
        for group in line.chunks(3) {
            let byte = |at: usize| group.get(at).copied().map_or(0, u32::from);
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for place in 0..4 {
                let digit = ALPHABET.get((bits >> (18 - 6 * place)) as usize & 63).copied().map_or('=', char::from);
                text.push(if place <= group.len() { digit } else { '=' });
            }
        }
        text.push('\n');
    }
    text.push_str(&[END, label, DASHES, "\n"].concat());
    text
}

/// All blocks of a text, in its order. What stands between blocks is explanation (RFC 7468, section 2) and passed over.
///
/// # Errors
/// A block without an end, headers within one (as encrypted keys have), and anything that is not base64.
pub(crate) fn decode(text: &str) -> Result<Vec<Block>, PemError> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix(BEGIN).and_then(|rest| rest.trim_end().strip_suffix(DASHES)) else {
            continue;
        };
        let mut bytes = Bytes::new(text.len());
        loop {
            let line = lines.next().ok_or(PemError("a block has no end"))?.trim_end();
            if let Some(end) = line.strip_prefix(END) {
                if end.strip_suffix(DASHES) != Some(label) {
                    return Err(PemError("a block begins as one thing and ends as another"));
                }
                break;
            }
            if line.contains(':') {
                return Err(PemError("a block has headers; a key must not be encrypted"));
            }
            bytes.push(line)?;
        }
        blocks.push(Block { label: label.to_owned(), bytes: bytes.finish()? });
    }
    Ok(blocks)
}

/// Base64 on its way to bytes.
struct Bytes {
    bytes: Zeroizing<Vec<u8>>,
    bits: u32,
    digits: usize,
    padding: usize,
}

impl Bytes {
    /// Room for all that a text of this length can hold, for the reason that [`encode`] gives.
    fn new(text: usize) -> Bytes {
        Bytes { bytes: Zeroizing::new(Vec::with_capacity(text / 4 * 3 + 3)), bits: 0, digits: 0, padding: 0 }
    }

    fn push(&mut self, line: &str) -> Result<(), PemError> {
        const INVALID: PemError = PemError("a block is not base64");
        for byte in line.bytes() {
            let value = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                b'=' => {
                    self.padding += 1;
                    continue;
                }
                b' ' | b'\t' => continue,
                _ => return Err(INVALID),
            };
            if self.padding > 0 {
                return Err(INVALID);
            }
            self.bits = self.bits << 6 | u32::from(value);
            self.digits += 1;
            if self.digits.is_multiple_of(4) {
                let [_, first, second, third] = self.bits.to_be_bytes();
                self.bytes.extend([first, second, third]);
                self.bits = 0;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Zeroizing<Vec<u8>>, PemError> {
        let (kept, padding, spare) = match self.digits % 4 {
            0 => (0, 0, 0),
            2 => (1, 2, 4),
            3 => (2, 1, 2),
            _ => return Err(PemError("a block is cut short")),
        };
        if self.padding != padding || self.bits.trailing_zeros() < spare {
            return Err(PemError("a block is cut short"));
        }
        let last = self.bits << (8 - spare) >> (8 - spare) >> spare;
        let bytes = last.to_be_bytes();
        self.bytes.extend(bytes.iter().skip(4 - kept).copied());
        self.bits.zeroize();
        Ok(std::mem::take(&mut self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &[u8])]) {
        let blocks = decode(text).unwrap();
        let found: Vec<(&str, &[u8])> =
            blocks.iter().map(|block| (block.label.as_str(), block.bytes.as_slice())).collect();
        assert_eq!(found, expected, "{text}");
    }

    fn block(lines: &str) -> String {
        format!("{BEGIN}X Y{DASHES}\n{lines}{END}X Y{DASHES}\n")
    }

    #[test]
    fn blocks_are_read_as_rfc_7468_says() {
        check("", &[]);
        check("Subject: something\nwith: colons\n", &[]);
        check(&block(""), &[("X Y", b"")]);
        check(&block("AA==\n"), &[("X Y", b"\0")]);
        check(&block("AAE=\n"), &[("X Y", b"\0\x01")]);
        check(&block("Zm9v\r\nYmFy  \r\n"), &[("X Y", b"foobar")]);
        check(
            &format!("before\n{}between\n{}", block("Zm9v\n"), block("/+8=\n")),
            &[("X Y", b"foo"), ("X Y", b"\xff\xef")],
        );
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for lines in ["A\n", "AA\n", "AA=\n", "AA===\n", "AB==\n", "AA==AA==\n", "Zm9v!\n", "AAA\n", "AAF=\n"] {
            assert!(decode(&block(lines)).is_err(), "{lines}");
        }
        let encrypted = decode(&block("Proc-Type: 4,ENCRYPTED\nDEK-Info: x\n\nZm9v\n")).err().unwrap();
        assert!(encrypted.to_string().contains("must not be encrypted"), "{encrypted}");
        assert!(decode(&format!("{BEGIN}X{DASHES}\nZm9v\n")).is_err());
        assert!(decode(&format!("{BEGIN}X{DASHES}\nZm9v\n{END}Y{DASHES}\n")).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let text = encode("A LABEL", &bytes);
            prop_assert!(text.lines().all(|line| line.len() <= 64));
            prop_assert!(text.capacity() >= text.len());
            check(&text, &[("A LABEL", &bytes)]);
        }

        #[test]
        fn no_text_is_too_odd(text in "[-A-Za-z0-9+/= :\n]{0,200}") {
            drop(decode(&format!("{BEGIN}X{DASHES}\n{text}\n{END}X{DASHES}\n")));
            drop(decode(&text));
        }
    }
}
