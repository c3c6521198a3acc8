//! Follows a chunked body byte by byte, so that it can be forwarded exactly as it came.

use super::fields::{self, Guarded, HeadError, Values};

/// The most digits of a chunk's size; leading zeros count. Fifteen hexadecimal digits cannot overflow.
const MAX_SIZE_DIGITS: u8 = 15;

/// The longest chunk extension. None is in use; this is room for one signature.
const MAX_EXTENSION_BYTES: u16 = 256;

/// The largest trailer section.
const MAX_TRAILER_BYTES: usize = 8 * 1024;

/// Fields that may not stand in a trailer, since they would say where the message goes, where it ends or whose it is (RFC
/// 9110, 6.5.1).
pub(super) const NOT_IN_TRAILERS: [&str; 10] = [
    "host",
    "content-length",
    "transfer-encoding",
    "trailer",
    "connection",
    "upgrade",
    "te",
    "content-encoding",
    "authorization",
    "cookie",
];

/// What a chunked body consists of (RFC 9112, section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a chunk's size, of which this many digits were read.
    Size(u8),
    /// In an extension of this length so far.
    Extension(u16),
    /// After the CR of a size's line.
    SizeEnd,
    /// In the data of a chunk.
    Data,
    /// After the data.
    DataEnd,
    /// After the CR that follows the data.
    DataLineEnd,
    /// In the trailer section.
    Trailer,
    /// After the last byte.
    Done,
}

/// A chunked body as far as it was seen.
#[derive(Debug)]
pub struct Chunked {
    state: State,
    /// What is left of the size or the data.
    remaining: u64,
    trailer: Vec<u8>,
    guarded: Guarded,
}

impl Default for Chunked {
    fn default() -> Chunked {
        Chunked { state: State::Size(0), remaining: 0, trailer: Vec::new(), guarded: Guarded::default() }
    }
}

impl Chunked {
    /// Whether the whole body was seen.
    pub fn done(&self) -> bool {
        self.state == State::Done
    }

    /// Has no trailer pass with one of these names.
    ///
    /// # Errors
    /// [`HeadError::Chunk`], where one was seen already.
    pub(super) fn guard(&mut self, guarded: Guarded) -> Result<(), HeadError> {
        self.guarded = guarded;
        if self.done() { self.check_trailer() } else { Ok(()) }
    }

    /// The trailer section with the empty line that ends it, once it was seen.
    pub fn trailer(&self) -> &[u8] {
        &self.trailer
    }

    /// Takes in what follows and gives the number of bytes that belong to the body: all of them, or less when the body
    /// ends. The content without its framing goes to `content`.
    ///
    /// # Errors
    /// [`HeadError::Chunk`], for anything but the exact grammar. Nothing of `bytes` may be forwarded then.
    pub fn advance(&mut self, bytes: &[u8], content: &mut dyn FnMut(&[u8])) -> Result<usize, HeadError> {
        let mut rest = bytes;
        while self.state != State::Done
            && let [byte, after @ ..] = rest
        {
            if self.state == State::Data {
                let length = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(rest.len());
                let (data, after) = rest.split_at_checked(length).ok_or(HeadError::Chunk)?;
                content(data);
                rest = after;
                self.remaining -= length as u64;
                if self.remaining == 0 {
                    self.state = State::DataEnd;
                }
                continue;
            }
            self.state = self.step(*byte)?;
            rest = after;
        }
        Ok(bytes.len() - rest.len())
    }

    fn step(&mut self, byte: u8) -> Result<State, HeadError> {
        match (self.state, byte) {
            (State::Size(digits), _) if byte.is_ascii_hexdigit() && digits < MAX_SIZE_DIGITS => {
                let digit = char::from(byte).to_digit(16).ok_or(HeadError::Chunk)?;
                self.remaining = self.remaining << 4 | u64::from(digit);
                Ok(State::Size(digits + 1))
            }
            (State::Size(1..), b'\r') | (State::Extension(_), b'\r') => Ok(State::SizeEnd),
            (State::Size(1..), b';') => Ok(State::Extension(1)),
            (State::Extension(length), b'\t' | b' '..=b'~') if length < MAX_EXTENSION_BYTES => {
                Ok(State::Extension(length + 1))
            }
            (State::SizeEnd, b'\n') => Ok(if self.remaining == 0 { State::Trailer } else { State::Data }),
            (State::DataEnd, b'\r') => Ok(State::DataLineEnd),
            (State::DataLineEnd, b'\n') => Ok(State::Size(0)),
            (State::Trailer, _) => self.in_trailer(byte),
            _ => Err(HeadError::Chunk),
        }
    }

    fn in_trailer(&mut self, byte: u8) -> Result<State, HeadError> {
        self.trailer.push(byte);
        if self.trailer.len() > MAX_TRAILER_BYTES {
            return Err(HeadError::Chunk);
        }
        if byte != b'\n' || self.trailer != b"\r\n" && !self.trailer.ends_with(b"\r\n\r\n") {
            return Ok(State::Trailer);
        }
        self.check_trailer()?;
        Ok(State::Done)
    }

    fn check_trailer(&self) -> Result<(), HeadError> {
        let fields = fields::parse(&self.trailer, Values::Bytes).map_err(|_| HeadError::Chunk)?;
        let barred = fields
            .iter()
            .any(|field| NOT_IN_TRAILERS.iter().any(|name| field.is(name)) || self.guarded.has(field.name.as_bytes()));
        if barred { Err(HeadError::Chunk) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The content and the number of bytes of the body, `None` where more is needed.
    fn check(bytes: &[u8]) -> Result<Option<(String, usize)>, HeadError> {
        let mut content = Vec::new();
        let mut chunked = Chunked::default();
        let taken = chunked.advance(bytes, &mut |data| content.extend_from_slice(data))?;
        Ok(chunked.done().then(|| (String::from_utf8(content).unwrap(), taken)))
    }

    #[test]
    fn chunks_extensions_and_trailers_are_followed_to_the_last_byte() {
        for (bytes, content, taken) in [
            ("0\r\n\r\n", "", 5),
            ("5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1", "hello", 15),
            ("00000A\r\n0123456789\r\n000\r\n\r\n", "0123456789", 27),
            ("1;a=b;c=\"d e\"\r\nx\r\n0;z\r\n\r\n", "x", 25),
            ("1\r\n\n\r\n1\r\n\r\r\n0\r\nX-Sum: abc\r\nY: \r\n\r\n", "\n\r", 34),
        ] {
            let (found, length) = check(bytes.as_bytes()).unwrap().unwrap();
            assert_eq!((found.as_str(), length), (content, taken), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_not_the_exact_grammar_is_refused() {
        for bytes in [
            "\r\n",
            ";a\r\n",
            " 5\r\nhello\r\n",
            "5 \r\nhello\r\n",
            "+5\r\nhello\r\n",
            "-5\r\n",
            "0x5\r\nhello\r\n",
            "5\nhello\r\n",
            "5\rhello\r\n",
            "g\r\n",
            "5\r\nhelloX\r\n",
            "5\r\nhello\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\r0\r\n\r\n",
            "1000000000000000\r\n",
            "ffffffffffffffffff\r\n",
            "0000000000000001\r\nx\r\n",
            "5;a\nb\r\n",
            "5;a\0\r\n",
            "5;\x7f\r\n",
            "0\r\nX : y\r\n\r\n",
            "0\r\n folded\r\n\r\n",
            "0\r\nX: a\n\r\n\r\n",
            "0\r\nHost: b\r\n\r\n",
            "0\r\nContent-Length: 5\r\n\r\n",
            "0\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert_eq!(check(bytes.as_bytes()), Err(HeadError::Chunk), "{bytes:?}");
        }
        assert_eq!(check(format!("1;{}\r\n", "a".repeat(256)).as_bytes()), Err(HeadError::Chunk));
        assert_eq!(check(format!("0\r\nx: {}", "a".repeat(MAX_TRAILER_BYTES)).as_bytes()), Err(HeadError::Chunk));
    }

    #[test]
    fn a_body_that_ends_early_is_not_done() {
        let whole = b"5;x\r\nhello\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n";
        for end in 0..whole.len() {
            assert_eq!(check(&whole[..end]), Ok(None), "{end}");
        }
        assert!(check(whole).unwrap().is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn in_pieces_is_as_in_one(
            chunks in proptest::collection::vec("[a-z\r\n]{1,20}", 0..6),
            noise in proptest::option::of((any::<proptest::sample::Index>(), any::<u8>())),
            cuts in proptest::collection::vec(1_usize..9, 1..20),
        ) {
            let mut bytes: Vec<u8> = chunks.iter().flat_map(|data| format!("{:x}\r\n{data}\r\n", data.len()).into_bytes()).collect();
            bytes.extend_from_slice(b"0\r\nX: y\r\n\r\n");
            if let Some((at, byte)) = noise {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let mut whole = (Chunked::default(), Vec::new());
            let expected = whole.0.advance(&bytes, &mut |data| whole.1.extend_from_slice(data));
            let mut pieces = (Chunked::default(), Vec::new());
            let (mut rest, mut taken, mut cuts) = (bytes.as_slice(), Ok(0), cuts.into_iter().cycle());
            while !rest.is_empty() && !pieces.0.done() {
                let (piece, after) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                match pieces.0.advance(piece, &mut |data| pieces.1.extend_from_slice(data)) {
                    Ok(length) => taken = taken.map(|taken| taken + length),
                    Err(error) => { taken = Err(error); break; }
                }
                rest = after;
            }
            prop_assert_eq!(&taken, &expected);
            if expected.is_ok() {
                prop_assert_eq!(whole.1, pieces.1);
                prop_assert_eq!(whole.0.done(), pieces.0.done());
            }
        }
    }
}
