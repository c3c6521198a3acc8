//! The container that both binary artifacts share: magic, version, digest, then 32-bit little-endian words.
//!
//! Everything in an artifact is an *item*: a run of words whose first is its kind. Items stand one behind the other and
//! refer only to items before them, by word offset, so that one pass over the words checks everything and no walk can
//! loop. Offset 0 holds a padding word, so 0 is never a reference.
//!
//! Format changelog: 1, the first.

use std::sync::Arc;

use super::ArtifactError;
use super::digest::Digest;

/// The format version of `dns.table` and `proxy.prog`.
pub(super) const VERSION: u32 = 1;

/// Magic, version, word count, digest.
const HEADER: usize = 4 + 4 + 4 + 32;

/// The words of an artifact whose container is sound.
#[derive(Debug, Clone)]
pub(super) struct Image {
    bytes: Arc<[u8]>,
}

impl Image {
    /// Checks magic, version, length and digest.
    pub(super) fn open(bytes: Arc<[u8]>, magic: [u8; 4], kind: &'static str) -> Result<Image, ArtifactError> {
        if bytes.get(..4) != Some(&magic[..]) {
            return Err(ArtifactError::Magic { expected: kind });
        }
        let field = |at: usize| -> Result<u32, ArtifactError> {
            let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).ok_or(ArtifactError::Length)?;
            Ok(u32::from_le_bytes(four))
        };
        let version = field(4)?;
        if version != VERSION {
            return Err(ArtifactError::Version { found: version, supported: VERSION });
        }
        let words = field(8)? as usize;
        if words.checked_mul(4).and_then(|size| size.checked_add(HEADER)) != Some(bytes.len()) {
            return Err(ArtifactError::Length);
        }
        let (digest, content) = (bytes.get(12..HEADER), bytes.get(HEADER..));
        if digest != content.map(|content| *Digest::of(content).bytes()).as_ref().map(|digest| &digest[..]) {
            return Err(ArtifactError::Digest);
        }
        Ok(Image { bytes })
    }

    /// The words that a writer holds, which need no check.
    pub(super) fn unchecked(writer: super::writer::Writer) -> Image {
        Image { bytes: seal(&writer.into_words(), *b"OCEX").into() }
    }

    /// How many words there are.
    pub(super) fn len(&self) -> u32 {
        u32::try_from((self.bytes.len() - HEADER) / 4).unwrap_or(u32::MAX)
    }

    /// The word at `at`; 0 past the end, which a validated program never asks for.
    #[inline]
    pub(super) fn word(&self, at: u32) -> u32 {
        let start = HEADER + at as usize * 4;
        match self.bytes.get(start..start + 4) {
            Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]),
            _ => 0,
        }
    }

    /// `count` words from `at` on as pairs, low word first.
    #[inline]
    pub(super) fn long(&self, at: u32) -> u64 {
        u64::from(self.word(at)) | u64::from(self.word(at + 1)) << 32
    }

    /// Four words as one number, lowest first.
    #[inline]
    pub(super) fn wide(&self, at: u32) -> u128 {
        u128::from(self.long(at)) | u128::from(self.long(at + 2)) << 64
    }

    /// `len` bytes that begin at word `at`; empty past the end.
    #[inline]
    pub(super) fn bytes(&self, at: u32, len: u32) -> &[u8] {
        let start = HEADER + at as usize * 4;
        self.bytes.get(start..start + len as usize).unwrap_or_default()
    }

    /// As [`Image::bytes`], as text. Validated strings are UTF-8.
    #[inline]
    pub(super) fn text(&self, at: u32, len: u32) -> &str {
        std::str::from_utf8(self.bytes(at, len)).unwrap_or_default()
    }
}

/// Closes an artifact: puts the container around its words.
pub(super) fn seal(words: &[u32], magic: [u8; 4]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + words.len() * 4);
    bytes.extend_from_slice(&magic);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(words.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(&[0; 32]);
    for word in words {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    let digest = Digest::of(bytes.get(HEADER..).unwrap_or_default());
    if let Some(place) = bytes.get_mut(12..HEADER) {
        place.copy_from_slice(digest.bytes());
    }
    bytes
}

/// How many words `len` bytes take.
pub(super) const fn words_for(len: u32) -> u32 {
    len.div_ceil(4)
}

/// The hash of the tables: eight bytes at a time, folded by a 128-bit multiplication (the construction of wyhash). Part
/// of the format.
#[inline]
pub(super) fn hash(bytes: &[u8]) -> u32 {
    const SEED: u64 = 0x9E37_79B9_7F4A_7C15;
    const STEP: u64 = 0xD6E8_FEB8_6659_FD93;
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        (product as u64) ^ (product >> 64) as u64
    };
    let mut state = SEED ^ (bytes.len() as u64).wrapping_mul(STEP);
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let eight = chunk.try_into().map_or(0, u64::from_le_bytes);
        state = fold(state ^ eight, STEP);
    }
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(chunks.remainder()) {
        *to = *from;
    }
    state = fold(state ^ u64::from_le_bytes(last), STEP ^ SEED);
    (state ^ state >> 32) as u32
}
