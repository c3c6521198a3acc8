//! Bodies of requests with a `Content-Encoding`: decoded within the cap, and nothing after their end.

use outcall_runtime::proxy::coding::{Coding, Decoded, Malformed, decode};
use outcall_runtime::proxy::decoding::{More, Stages};

/// Small, so that a mutated input easily stands for more.
const CAP: usize = 4096;

const CODINGS: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

const SEEDS: [&[u8]; 4] = [
    &[31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 203, 72, 205, 201, 201, 87, 200, 64, 144, 0, 128, 136, 249, 229, 17, 0, 0, 0],
    &[120, 156, 203, 72, 205, 201, 201, 87, 200, 64, 144, 0, 58, 46, 6, 125],
    &[27, 21, 0, 248, 141, 148, 110, 222, 180, 6, 41, 99, 131, 147, 44, 97, 115, 161, 79, 56, 128, 179, 5],
    &[40, 181, 47, 253, 32, 5, 41, 0, 0, 104, 101, 108, 108, 111],
];

/// The first byte says the coding.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    SEEDS.iter().zip(0..).map(|(body, coding)| [&[coding], *body].concat()).collect()
}

/// The second byte says the size of the pieces.
pub(super) fn stream_seeds() -> Vec<Vec<u8>> {
    SEEDS.iter().zip(0..).map(|(body, coding)| [&[coding, 5], *body].concat()).collect()
}

pub(super) fn check(input: &[u8]) {
    let Some((first, body)) = input.split_first() else { return };
    let Some(coding) = CODINGS.get(usize::from(*first) % CODINGS.len()) else { return };
    if let Ok(Decoded::Content(content)) = decode(&[*coding], body.to_vec(), CAP) {
        assert!(content.len() <= CAP);
        assert_eq!(
            decode(&[*coding], [body, b"\0"].concat(), CAP),
            Err(Malformed),
            "{coding:?} with more after its end"
        );
    }
}

/// The same of a response, piece by piece: what is whole comes out as it does in one, in steps of bounded size.
pub(super) fn check_stream(input: &[u8]) {
    const STEP_MAX: usize = 256 << 10;
    let [first, size, body @ ..] = input else { return };
    let Some(coding) = CODINGS.get(usize::from(*first) % CODINGS.len()) else { return };
    let Ok(mut stages) = Stages::new(&[*coding]) else { return };
    let mut all = Vec::new();
    for mut piece in body.chunks(usize::from(*size).max(1)) {
        loop {
            let before = all.len();
            let Ok(more) = stages.advance(&mut piece, &mut all) else { return };
            assert!(all.len() - before <= STEP_MAX, "{coding:?} gives {} at once", all.len() - before);
            // More than enough to see that it goes on.
            if all.len() > 8 << 20 || more == More::No && piece.is_empty() {
                break;
            }
        }
    }
    if let Ok(Decoded::Content(content)) = decode(&[*coding], body.to_vec(), CAP) {
        assert!(stages.finish().is_ok() && all == content, "{coding:?} comes out otherwise in pieces of {size}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_bodies() {
        for (coding, body) in CODINGS.iter().zip(SEEDS) {
            assert!(matches!(decode(&[*coding], body.to_vec(), CAP), Ok(Decoded::Content(_))), "{coding:?}");
        }
    }
}
