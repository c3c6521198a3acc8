//! Bodies of requests with a `Content-Encoding`: decoded within the cap, and nothing after their end.

use outcall_runtime::proxy::coding::{Coding, Decoded, Malformed, decode};

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
