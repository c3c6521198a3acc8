//! Encoded bodies come out whole however they come in, at once, and in pieces of bounded size.

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;

const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

/// Stored blocks of `br` (RFC 7932, section 9.2), as no compressor for it is at hand.
fn brotli(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for block in content.chunks(1 << 16) {
        let length = u32::try_from(block.len() - 1).unwrap();
        // Only the first comes after the one bit that says the window.
        let header = if out.is_empty() { length << 4 | 1 << 20 } else { length << 3 | 1 << 19 };
        out.extend_from_slice(&header.to_le_bytes()[..3]);
        out.extend_from_slice(block);
    }
    out.push(if content.is_empty() { 0b110 } else { 0b11 });
    out
}

/// What a server makes of a body.
pub(in crate::proxy) fn encoded(coding: Coding, content: &[u8]) -> Vec<u8> {
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
        Coding::Brotli => brotli(content),
        Coding::Zstd => compress_to_vec(content, CompressionLevel::Fastest),
    }
}

/// What `pieces` stand for, as far as it goes, and what each step gave at most.
fn decode<'p>(
    codings: &[Coding],
    pieces: impl IntoIterator<Item = &'p [u8]>,
    mut each: impl FnMut(&[u8]),
) -> Result<(), Malformed> {
    let mut stages = Stages::new(codings).unwrap();
    for mut piece in pieces {
        loop {
            let mut out = Vec::new();
            let more = stages.advance(&mut piece, &mut out)?;
            assert!(out.len() <= 4 * STEP_BYTES, "{}", out.len());
            each(&out);
            if more == More::No && piece.is_empty() {
                break;
            }
        }
    }
    stages.finish()
}

fn decoded(codings: &[Coding], body: &[u8], piece: usize) -> Result<Vec<u8>, Malformed> {
    let mut all = Vec::new();
    decode(codings, body.chunks(piece), |out| all.extend_from_slice(out)).map(|()| all)
}

#[test]
fn every_coding_alone_and_two_of_them_come_out_whole() {
    let content: Vec<u8> =
        (0..200_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for coding in ALL {
        for length in [0, 1, 100, 70_000, content.len()] {
            let body = encoded(coding, &content[..length]);
            for piece in [1 << 20, 16_384, 1000, 7] {
                assert!(
                    decoded(&[coding], &body, piece).as_deref() == Ok(&content[..length]),
                    "{coding:?} {length} {piece}"
                );
            }
        }
        for second in ALL {
            let body = encoded(second, &encoded(coding, &content));
            assert!(decoded(&[coding, second], &body, 10_000).as_deref() == Ok(&content), "{coding:?} {second:?}");
        }
        assert_eq!(decoded(&[coding], b"", 1), Ok(Vec::new()), "nothing at all is an empty body");
    }
    assert!(Stages::new(&[]).unwrap().is_empty());
}

#[test]
fn what_is_cut_short_goes_on_or_is_something_else_is_malformed() {
    for coding in ALL {
        let whole = encoded(coding, b"please, please, please");
        for end in 1..whole.len() {
            assert_eq!(decoded(&[coding], &whole[..end], 5), Err(Malformed), "{coding:?} {end}");
        }
        for more in [&b"\0"[..], b"token", &whole] {
            for piece in [1, 1000] {
                assert_eq!(decoded(&[coding], &[&whole, more].concat(), piece), Err(Malformed), "{coding:?}");
            }
        }
        assert_eq!(decoded(&[coding], b"please, please, please", 100), Err(Malformed), "{coding:?}");
    }
}

#[test]
fn a_bomb_comes_out_in_pieces() {
    let bomb = vec![0; 50 << 20];
    for coding in [Coding::Gzip, Coding::Deflate, Coding::Zstd] {
        let body = encoded(coding, &bomb);
        let mut length = 0;
        decode(&[coding], [body.as_slice()], |out| length += out.len()).unwrap();
        assert_eq!(length, bomb.len(), "{coding:?}");
        let twice = encoded(Coding::Gzip, &body);
        let mut length = 0;
        decode(&[coding, Coding::Gzip], [twice.as_slice()], |out| length += out.len()).unwrap();
        assert_eq!(length, bomb.len(), "{coding:?} in gzip");
    }
    // A window of 2 GiB, which would have to be kept.
    let window = [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3][..], &[1, 0, 0], &[0; 20]].concat();
    assert_eq!(decoded(&[Coding::Zstd], &window, 100), Err(Malformed));
}

#[test]
fn what_was_flushed_comes_out_at_once() {
    for coding in [Coding::Gzip, Coding::Deflate] {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        let mut deflate = ZlibEncoder::new(Vec::new(), Compression::default());
        let mut stages = Stages::new(&[coding]).unwrap();
        for event in ["data: one\n\n", "data: two\n\n", "data: three\n\n"] {
            let piece = if coding == Coding::Gzip {
                gzip.write_all(event.as_bytes()).unwrap();
                gzip.flush().unwrap();
                std::mem::take(gzip.get_mut())
            } else {
                deflate.write_all(event.as_bytes()).unwrap();
                deflate.flush().unwrap();
                std::mem::take(deflate.get_mut())
            };
            let (mut rest, mut out) = (piece.as_slice(), Vec::new());
            while stages.advance(&mut rest, &mut out).unwrap() == More::Yes {}
            assert_eq!(String::from_utf8(out).unwrap(), event, "{coding:?}");
        }
    }
    let mut stages = Stages::new(&[Coding::Brotli]).unwrap();
    let body = brotli(b"data: one\n\n");
    let (mut rest, mut out) = (&body[..body.len() - 1], Vec::new());
    while stages.advance(&mut rest, &mut out).unwrap() == More::Yes {}
    assert_eq!(out, b"data: one\n\n");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_have_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..300), flip in any::<(u16, u8)>()) {
        for coding in ALL {
            let _ = decoded(&[coding], &bytes, 11);
            let mut body = encoded(coding, b"please, please, please, and thank you");
            let at = usize::from(flip.0) % body.len();
            body[at] ^= flip.1;
            let _ = decoded(&[coding], &body, 11);
        }
    }
}
