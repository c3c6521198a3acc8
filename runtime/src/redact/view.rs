//! One way to read a text: as it stands, or as what its escapes stand for.
//!
//! What a server echoes may be escaped in ways that nobody can list: some escape `/`, some only what they must, some write
//! hexadecimal digits in capitals. So the secrets are not written in all these ways; the text is read in each way instead.

use std::collections::VecDeque;

use super::needles::{Needles, ROOT};

/// A way to read a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// As it stands.
    Plain,
    /// Percent-encoded (RFC 3986, section 2.1).
    Percent,
    /// A string of JSON or a language like it (RFC 8259, section 7).
    Json,
    /// Text of HTML or XML with references for characters.
    Html,
}

impl Reading {
    pub(super) const ALL: [Reading; 4] = [Reading::Plain, Reading::Percent, Reading::Json, Reading::Html];

    /// Whether an escape may begin with this byte.
    pub(super) fn escape(self, byte: u8) -> bool {
        match self {
            Reading::Plain => false,
            Reading::Percent => byte == b'%',
            Reading::Json => byte == b'\\',
            Reading::Html => byte == b'&',
        }
    }
}

/// What the bytes of an escape stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    /// That depends on what follows.
    Open,
    /// This character of ASCII.
    Byte(u8),
    /// A character that no secret has.
    Other,
    /// They are no escape.
    None,
}

/// A text read in one way, as far as it came.
pub(super) struct View {
    reading: Reading,
    state: u32,
    /// Where each character of a match in progress begins.
    starts: VecDeque<u64>,
    /// What may be an escape, and where it begins.
    open: Vec<u8>,
    open_at: u64,
}

impl View {
    pub(super) fn new(reading: Reading) -> View {
        View { reading, state: ROOT, starts: VecDeque::new(), open: Vec::new(), open_at: 0 }
    }

    /// Whether nothing is in progress.
    pub(super) fn idle(&self) -> bool {
        self.state == ROOT && self.open.is_empty()
    }

    /// Whether more than half of a needle stands at the end.
    pub(super) fn most(&self, needles: &Needles) -> bool {
        needles.most(self.state)
    }

    /// From where on a match may be in progress.
    pub(super) fn since(&self) -> Option<u64> {
        self.starts.front().copied().or((!self.open.is_empty()).then_some(self.open_at))
    }

    /// Takes in the byte at `at`; `found` is told of every match, as the range of its bytes.
    pub(super) fn take(&mut self, needles: &Needles, byte: u8, at: u64, found: &mut impl FnMut(u64, u64)) {
        if self.open.is_empty() {
            if !self.reading.escape(byte) {
                self.character(needles, byte, at, at + 1, found);
                return;
            }
            self.open_at = at;
        }
        self.open.push(byte);
        while !self.open.is_empty() {
            match escape(self.reading, &self.open) {
                Escape::Open => return,
                Escape::Byte(byte) => {
                    self.open.clear();
                    self.character(needles, byte, self.open_at, at + 1, found);
                }
                Escape::Other => {
                    self.open.clear();
                    self.state = ROOT;
                    self.starts.clear();
                }
                Escape::None => {
                    // Its first byte stands for itself, and what follows is read again.
                    let first = self.open.remove(0);
                    let start = self.open_at;
                    self.open_at += 1;
                    self.character(needles, first, start, start + 1, found);
                    while let Some(next) = self.open.first().copied().filter(|next| !self.reading.escape(*next)) {
                        self.open.remove(0);
                        self.character(needles, next, self.open_at, self.open_at + 1, found);
                        self.open_at += 1;
                    }
                }
            }
        }
    }

    fn character(&mut self, needles: &Needles, byte: u8, start: u64, end: u64, found: &mut impl FnMut(u64, u64)) {
        self.state = needles.next(self.state, byte);
        let depth = needles.depth(self.state) as usize;
        self.starts.push_back(start);
        while self.starts.len() > depth {
            self.starts.pop_front();
        }
        let length = needles.ends(self.state) as usize;
        if length > 0
            && let Some(start) = depth.checked_sub(length).and_then(|at| self.starts.get(at))
        {
            found(*start, end);
        }
    }
}

/// What `open` stands for: a first byte that an escape begins with, and what came after it.
fn escape(reading: Reading, open: &[u8]) -> Escape {
    match (reading, open) {
        (Reading::Plain, _) | (_, []) => Escape::None,
        (_, [_]) => Escape::Open,
        (Reading::Percent, [_, digits @ ..]) => hexadecimal(digits, 2),
        (Reading::Json, [_, b'u', digits @ ..]) => hexadecimal(digits, 4),
        (Reading::Json, [_, byte @ (b'"' | b'\'' | b'\\' | b'/')]) => Escape::Byte(*byte),
        (Reading::Json, [_, b'x', digits @ ..]) => hexadecimal(digits, 2),
        (Reading::Json, [_, b'b' | b'f' | b'n' | b'r' | b't']) => Escape::Other,
        (Reading::Json, _) => Escape::None,
        (Reading::Html, [_, reference @ ..]) => character_reference(reference),
    }
}

/// Exactly so many hexadecimal digits.
fn hexadecimal(digits: &[u8], length: usize) -> Escape {
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Escape::None;
    }
    if digits.len() < length {
        return Escape::Open;
    }
    number(digits, 16)
}

/// What a number stands for.
fn number(digits: &[u8], radix: u32) -> Escape {
    let digit = |byte: &u8| char::from(*byte).to_digit(radix);
    let value = digits.iter().try_fold(0_u32, |value, byte| value.checked_mul(radix)?.checked_add(digit(byte)?));
    match value.map(u8::try_from) {
        Some(Ok(byte)) if byte.is_ascii() => Escape::Byte(byte),
        _ => Escape::Other,
    }
}

/// What follows the `&` of a reference.
fn character_reference(reference: &[u8]) -> Escape {
    const NAMES: [(&[u8], u8); 9] = [
        (b"amp;", b'&'),
        (b"lt;", b'<'),
        (b"gt;", b'>'),
        (b"quot;", b'"'),
        (b"apos;", b'\''),
        (b"plus;", b'+'),
        (b"sol;", b'/'),
        (b"equals;", b'='),
        (b"lowbar;", b'_'),
    ];
    /// With leading zeros; what is longer is no reference that anybody writes.
    const MAX_DIGITS: usize = 8;
    let (digits, radix) = match reference {
        [b'#', b'x' | b'X', digits @ ..] => (digits, 16),
        [b'#', digits @ ..] => (digits, 10),
        name => {
            return match NAMES.iter().find(|(known, _)| known.starts_with(name)) {
                Some((known, byte)) if known.len() == name.len() => Escape::Byte(*byte),
                Some(_) => Escape::Open,
                None => Escape::None,
            };
        }
    };
    let (digits, closed) = match digits {
        [digits @ .., b';'] => (digits, true),
        digits => (digits, false),
    };
    let valid = digits.iter().all(|byte| char::from(*byte).is_digit(radix)) && digits.len() <= MAX_DIGITS;
    match (valid, closed, digits) {
        (true, true, [_, ..]) => number(digits, radix),
        (true, false, _) => Escape::Open,
        _ => Escape::None,
    }
}
