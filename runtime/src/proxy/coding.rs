//! Decodes the bodies of requests to be judged (RFC 9110, section 8.4.1): bounded, and only what has a single reading.
//!
//! What is forwarded are the bytes as they came; nothing of this is sent anywhere.

use std::io::{self, Read};
use std::sync::Arc;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::bufread::{GzDecoder, ZlibDecoder};
use ruzstd::decoding::StreamingDecoder;

use crate::shares::Share;

/// The most codings one upon the other. Nobody sends two, and each multiplies what a small body can stand for.
const MAX_CODINGS: usize = 2;

/// The largest window that a decoder keeps: what RFC 9659 allows for `zstd`. That of `br` is 16 MiB at most by its format.
const MAX_WINDOW_BYTES: u64 = 8 << 20;

/// How a body was encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// `gzip` or `x-gzip`.
    Gzip,
    /// `deflate`, which is the zlib format.
    Deflate,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}

/// What a body stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// This.
    Content(Vec<u8>),
    /// More than the cap.
    OverCap,
}

/// The body is not what its coding says, ends early or has something after its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body is not what its Content-Encoding says")]
pub struct Malformed;

/// The codings that the values of `Content-Encoding` fields name, in the order in which they were applied. `None` where one is
/// not known or there are too many.
pub fn codings<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Vec<Coding>> {
    let mut codings = Vec::new();
    for name in values.flat_map(|value| value.split(|byte| *byte == b',')) {
        let coding = match name.trim_ascii().to_ascii_lowercase().as_slice() {
            b"identity" => continue,
            b"gzip" | b"x-gzip" => Coding::Gzip,
            b"deflate" => Coding::Deflate,
            b"br" => Coding::Brotli,
            b"zstd" => Coding::Zstd,
            _ => return None,
        };
        codings.push(coding);
    }
    (codings.len() <= MAX_CODINGS).then_some(codings)
}

/// Decodes on a thread where nobody waits for another; what that takes is charged to `share`.
///
/// # Errors
/// As [`decode`].
pub(super) async fn decoded(
    codings: Vec<Coding>,
    body: Vec<u8>,
    cap: usize,
    share: &Arc<Share>,
) -> Result<Decoded, Malformed> {
    share.aside(move || decode(&codings, body, cap)).await.unwrap_or(Err(Malformed))
}

/// What a body stands for. At no step is more than `cap` bytes of it kept.
///
/// # Errors
/// [`Malformed`]: some decoders are more lenient than others, and then the body has two readings.
pub fn decode(codings: &[Coding], body: Vec<u8>, cap: usize) -> Result<Decoded, Malformed> {
    let mut content = body;
    for coding in codings.iter().rev() {
        let step = match coding {
            Coding::Gzip => drained(GzDecoder::new(content.as_slice()), cap, GzDecoder::into_inner),
            Coding::Deflate => drained(ZlibDecoder::new(content.as_slice()), cap, ZlibDecoder::into_inner),
            Coding::Brotli => brotli(&content, cap),
            Coding::Zstd => zstd(&content, cap),
        };
        match step? {
            Decoded::Content(step) => content = step,
            Decoded::OverCap => return Ok(Decoded::OverCap),
        }
    }
    Ok(if content.len() > cap { Decoded::OverCap } else { Decoded::Content(content) })
}

/// Everything that a decoder gives. What it leaves of its input must be nothing.
fn drained<'a, D: Read>(mut decoder: D, cap: usize, rest: impl FnOnce(D) -> &'a [u8]) -> Result<Decoded, Malformed> {
    let mut content = Vec::new();
    let limit = cap as u64 + 1;
    let read: io::Result<usize> = decoder.by_ref().take(limit).read_to_end(&mut content);
    read.map_err(|_| Malformed)?;
    if content.len() > cap {
        return Ok(Decoded::OverCap);
    }
    if rest(decoder).is_empty() { Ok(Decoded::Content(content)) } else { Err(Malformed) }
}

fn zstd(body: &[u8], cap: usize) -> Result<Decoded, Malformed> {
    let decoder = StreamingDecoder::new_with_max_window_size(body, MAX_WINDOW_BYTES).map_err(|_| Malformed)?;
    drained(decoder, cap, StreamingDecoder::into_inner)
}

fn brotli(body: &[u8], cap: usize) -> Result<Decoded, Malformed> {
    let alloc = StandardAlloc::default;
    // Strict: without the large windows that RFC 7932 does not know.
    let mut state = BrotliState::new_strict(alloc(), alloc(), alloc());
    let mut content = Vec::new();
    let mut block = [0; 16 * 1024];
    let (mut left, mut at, mut total) = (body.len(), 0, 0);
    loop {
        let (mut room, mut written) = (block.len(), 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut at,
            body,
            &mut room,
            &mut written,
            &mut block,
            &mut total,
            &mut state,
        );
        content.extend_from_slice(block.get(..written).unwrap_or_default());
        if content.len() > cap {
            return Ok(Decoded::OverCap);
        }
        match result {
            BrotliResult::ResultSuccess if left == 0 => return Ok(Decoded::Content(content)),
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::ResultSuccess | BrotliResult::NeedsMoreInput | BrotliResult::ResultFailure => {
                return Err(Malformed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    const CAP: usize = 100_000;
    const TEXT: &[u8] = b"please, please, please";
    /// [`TEXT`] by another's compressor (Node's zlib).
    const BROTLI: &[u8] =
        &[27, 21, 0, 248, 141, 148, 110, 222, 180, 6, 41, 99, 131, 147, 44, 97, 115, 161, 79, 56, 128, 179, 5];

    fn encoded(coding: Coding, content: &[u8]) -> Vec<u8> {
        match coding {
            Coding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap()
            }
            Coding::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap()
            }
            Coding::Brotli => {
                assert_eq!(content, TEXT);
                BROTLI.to_vec()
            }
            Coding::Zstd => compress_to_vec(content, CompressionLevel::Fastest),
        }
    }

    const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

    #[test]
    fn what_was_encoded_is_decoded() {
        for coding in ALL {
            let body = encoded(coding, TEXT);
            assert_eq!(decode(&[coding], body, CAP), Ok(Decoded::Content(TEXT.to_vec())), "{coding:?}");
        }
        let twice = encoded(Coding::Zstd, &encoded(Coding::Gzip, TEXT));
        assert_eq!(decode(&[Coding::Gzip, Coding::Zstd], twice, CAP), Ok(Decoded::Content(TEXT.to_vec())));
    }

    #[test]
    fn what_is_cut_short_goes_on_or_is_something_else_is_malformed() {
        for coding in ALL {
            let whole = encoded(coding, TEXT);
            for end in 0..whole.len() {
                assert_eq!(decode(&[coding], whole[..end].to_vec(), CAP), Err(Malformed), "{coding:?} {end}");
            }
            for more in [&b"\0"[..], b"token", &whole] {
                assert_eq!(decode(&[coding], [&whole, more].concat(), CAP), Err(Malformed), "{coding:?}");
            }
            assert_eq!(decode(&[coding], TEXT.to_vec(), CAP), Err(Malformed), "{coding:?}");
        }
        // Some take `deflate` without its frame as well.
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::default());
        bare.write_all(TEXT).unwrap();
        assert_eq!(decode(&[Coding::Deflate], bare.finish().unwrap(), CAP), Err(Malformed));
    }

    #[test]
    fn a_bomb_is_over_the_cap() {
        let bomb = vec![0; 50 << 20];
        for coding in [Coding::Gzip, Coding::Deflate, Coding::Zstd] {
            assert_eq!(decode(&[coding], encoded(coding, &bomb), CAP), Ok(Decoded::OverCap), "{coding:?}");
            assert_eq!(
                decode(&[coding], encoded(coding, &bomb[..CAP]), CAP).map(|it| it != Decoded::OverCap),
                Ok(true)
            );
            assert_eq!(decode(&[coding], encoded(coding, &bomb[..=CAP]), CAP), Ok(Decoded::OverCap));
        }
        assert_eq!(decode(&[Coding::Brotli], BROTLI.to_vec(), TEXT.len() - 1), Ok(Decoded::OverCap));
        // A window of 2 GiB, which would have to be kept.
        let window = [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3][..], &[1, 0, 0]].concat();
        assert_eq!(decode(&[Coding::Zstd], window, CAP), Err(Malformed));
    }

    #[test]
    fn names_are_read_in_their_order_and_unknown_ones_are_nobodys() {
        let check = |values: &[&str]| codings(values.iter().map(|value| value.as_bytes()));
        assert_eq!(check(&[]), Some(vec![]));
        assert_eq!(check(&["identity"]), Some(vec![]));
        assert_eq!(check(&["GZIP, br"]), Some(vec![Coding::Gzip, Coding::Brotli]));
        assert_eq!(check(&["x-gzip", "zstd"]), Some(vec![Coding::Gzip, Coding::Zstd]));
        for unknown in [&["compress"][..], &[""], &["gzip,"], &["gzip;q=1"], &["gzip", "br", "zstd"]] {
            assert_eq!(check(unknown), None, "{unknown:?}");
        }
    }
}
