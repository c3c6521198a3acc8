//! Seeded random changes to byte strings.

/// A small, fast generator (xorshift64*): the same seed gives the same run.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From a seed; 0 is as good as any other.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `limit`; 0 when that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = limit as u64;
        usize::try_from(self.bits().checked_rem(limit).unwrap_or(0)).unwrap_or(0)
    }

    /// One of `choices`.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.below(choices.len()))
    }
}

/// FNV-1a, for names of files and seeds.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Bytes at the edges of what parsers tell apart.
const EDGES: &[u8] = &[0, 1, 9, 10, 13, 32, 34, 36, 37, 46, 47, 48, 58, 63, 64, 92, 127, 128, 191, 192, 194, 255];

/// A new input out of the pool: one of its members with one to eight changes.
pub fn mutate(random: &mut Random, pool: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut input = random.pick(pool).cloned().unwrap_or_default();
    for _ in 0..=random.below(8) {
        let length = input.len();
        let at = random.below(length + 1);
        let end = (at + 1 + random.below(16)).min(length);
        match random.below(12) {
            0 => change(&mut input, at, |byte| byte ^ (1 << random.below(8))),
            1 => {
                let edge = random.pick(EDGES).copied().unwrap_or(0);
                change(&mut input, at, |_| edge);
            }
            2 => {
                let byte = random.bits().to_le_bytes();
                change(&mut input, at, |_| byte.first().copied().unwrap_or(0));
            }
            3 if at < end => drop(input.drain(at..end)),
            4 => input.insert(at, random.pick(EDGES).copied().unwrap_or(0)),
            5 => input.truncate(at),
            6 if at < end => {
                // A piece again, sometimes often.
                let piece: Vec<u8> = input.get(at..end).unwrap_or_default().to_vec();
                let times = if random.below(20) == 0 { 200 } else { 1 + random.below(3) };
                let copies: Vec<u8> = piece.iter().copied().cycle().take(piece.len() * times).collect();
                drop(input.splice(at..at, copies));
            }
            7 | 8 => {
                if let Some(word) = random.pick(words) {
                    let until = if random.below(2) == 0 { at } else { end.max(at) };
                    drop(input.splice(at..until, word.bytes()));
                }
            }
            9 => {
                // The head of this one and the tail of another.
                if let Some(other) = random.pick(pool) {
                    let from = random.below(other.len() + 1);
                    input.truncate(at);
                    input.extend(other.get(from..).unwrap_or_default());
                }
            }
            10 => {
                // A number as binary formats write it: small, large, or off by one.
                let at = at & !3;
                if let Some(place) = input.get_mut(at..at + 4) {
                    let old = place.try_into().map_or(0, u32::from_le_bytes);
                    let edges = [0, 1, 2, old.wrapping_add(1), old.wrapping_sub(1), u32::MAX, 1 << 31, old << 1];
                    place.copy_from_slice(&random.pick(&edges).copied().unwrap_or(0).to_le_bytes());
                }
            }
            _ => {
                let other = random.below(length.max(1));
                if at < length && other < length {
                    input.swap(at, other);
                }
            }
        }
        // Longer inputs only cost time.
        input.truncate(1 << 16);
    }
    input
}

fn change(input: &mut [u8], at: usize, with: impl FnOnce(u8) -> u8) {
    if let Some(byte) = input.get_mut(at) {
        *byte = with(*byte);
    }
}
