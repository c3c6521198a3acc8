//! Base64 (RFC 4648), for what servers make of a credential and for credentials of `Basic`. What it returns is zeroed.

use zeroize::Zeroizing;

/// The two alphabets: the standard one, and that for addresses and file names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alphabet {
    /// RFC 4648, section 4.
    Standard,
    /// RFC 4648, section 5.
    UrlSafe,
}

impl Alphabet {
    fn digit(self, value: u8) -> u8 {
        match (value, self) {
            (0..=25, _) => b'A' + value,
            (26..=51, _) => b'a' + value - 26,
            (52..=61, _) => b'0' + value - 52,
            (62, Alphabet::Standard) => b'+',
            (62, Alphabet::UrlSafe) => b'-',
            (_, Alphabet::Standard) => b'/',
            (_, Alphabet::UrlSafe) => b'_',
        }
    }
}

/// The digits for `bytes` without padding; bits that are missing at the end are 0.
pub(crate) fn digits(bytes: &[u8], alphabet: Alphabet) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(bytes.len().div_ceil(3) * 4));
    for group in bytes.chunks(3) {
        let at = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..=group.len() {
            let value = bits >> (18 - 6 * place) & 63;
            out.push(alphabet.digit(u8::try_from(value).unwrap_or(0)));
        }
    }
    out
}

/// `bytes` in the standard alphabet with padding.
pub(crate) fn encode(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(bytes.len().div_ceil(3) * 4));
    out.extend_from_slice(&digits(bytes, Alphabet::Standard));
    while !out.len().is_multiple_of(4) {
        out.push(b'=');
    }
    out
}

/// What `text` stands for in the standard alphabet, with padding or without; `None` where it is not base64.
pub(crate) fn decode(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let digits = match text {
        [digits @ .., b'=', b'='] | [digits @ .., b'='] if text.len().is_multiple_of(4) => digits,
        digits => digits,
    };
    let mut out = Zeroizing::new(Vec::with_capacity(digits.len() / 4 * 3 + 3));
    for group in digits.chunks(4) {
        let mut bits = 0;
        for digit in group {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * (4 - group.len());
        let [_, bytes @ ..] = u32::to_be_bytes(bits);
        let whole = match group.len() {
            1 => return None,
            length => length - 1,
        };
        let (whole, spare) = bytes.split_at_checked(whole)?;
        if spare.iter().any(|byte| *byte != 0) {
            return None;
        }
        out.extend_from_slice(whole);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()).as_slice(), text.as_bytes());
            assert_eq!(decode(text.as_bytes()).unwrap().as_slice(), bytes.as_bytes());
            assert_eq!(decode(text.trim_end_matches('=').as_bytes()).unwrap().as_slice(), bytes.as_bytes());
        }
        assert_eq!(digits(b"\xfb\xff", Alphabet::Standard).as_slice(), b"+/8");
        assert_eq!(digits(b"\xfb\xff", Alphabet::UrlSafe).as_slice(), b"-_8");
        for bad in ["Z", "Zg=", "Zh==", "Zm9v=", "Zm9vY", "Zm-v", "Zm9v Zm9v", "====", "Zg==Zg=="] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(decode(&encode(&bytes)).unwrap().to_vec(), bytes);
        }
    }
}
