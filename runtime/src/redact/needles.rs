//! What is looked for: the secrets and their base64 forms, in one automaton (Aho and Corasick, 1975).
//!
//! It is our own because of what a stream asks of it at every byte, and libraries keep to themselves: how much of the end
//! could be the beginning of a match, since that and nothing more is held back. And it is made of secrets, so it is zeroed.

use zeroize::Zeroize;

use super::base64::{self, Alphabet};

/// Shorter ones have no base64 forms here: their few digits would stand in ordinary data by chance.
pub const ENCODED_MIN_BYTES: usize = 8;

/// The state before anything was seen.
pub(super) const ROOT: u32 = 0;

/// What is looked for.
pub struct Needles {
    nodes: Vec<Node>,
    /// Whether a needle begins with this byte.
    begins: [bool; 256],
}

#[derive(Default)]
struct Node {
    children: Vec<(u8, u32)>,
    /// The node for the longest end of this one that is a beginning as well.
    fallback: u32,
    depth: u32,
    /// The length of the longest needle that ends here; 0 for none.
    ends: u32,
    /// The length of the shortest needle that this is a beginning of.
    least: u32,
    /// Whether it, or an end of it, is more than half of a needle.
    most: bool,
}

impl std::fmt::Debug for Needles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Needles(..)")
    }
}

impl Drop for Needles {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.children.iter_mut().for_each(|(byte, _)| byte.zeroize());
        }
        self.begins.zeroize();
    }
}

impl Needles {
    /// Looks for these, and for what base64 makes of those with [`ENCODED_MIN_BYTES`] or more: in both alphabets, wherever
    /// in a longer text they stand.
    pub fn of<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Needles {
        let mut needles = Needles { nodes: vec![Node::default()], begins: [false; 256] };
        for secret in secrets.into_iter().filter(|secret| !secret.is_empty()) {
            needles.add(secret);
            if secret.len() >= ENCODED_MIN_BYTES {
                for alphabet in [Alphabet::Standard, Alphabet::UrlSafe] {
                    (0..3).for_each(|before| needles.add_encoded(secret, before, alphabet));
                }
            }
        }
        needles.link();
        needles
    }

    /// The digits that are the secret's alone when `before` bytes, and more than none after, share its groups of three.
    fn add_encoded(&mut self, secret: &[u8], before: usize, alphabet: Alphabet) {
        let padded = zeroize::Zeroizing::new([vec![0; before].as_slice(), secret].concat());
        let digits = base64::digits(&padded, alphabet);
        let (start, end) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        self.add(digits.get(start..end).unwrap_or_default());
    }

    fn add(&mut self, needle: &[u8]) {
        let length = u32::try_from(needle.len()).unwrap_or(u32::MAX);
        let mut at = ROOT;
        for byte in needle {
            at = match self.child(at, *byte) {
                Some(child) => child,
                None => {
                    let new = u32::try_from(self.nodes.len()).unwrap_or(ROOT);
                    let depth = self.depth(at) + 1;
                    self.nodes.push(Node { depth, least: length, ..Node::default() });
                    if let Some(node) = self.nodes.get_mut(at as usize) {
                        node.children.push((*byte, new));
                    }
                    new
                }
            };
            if let Some(node) = self.nodes.get_mut(at as usize) {
                node.least = node.least.min(length);
            }
        }
        let depth = self.depth(at);
        if let Some(node) = self.nodes.get_mut(at as usize) {
            node.ends = depth;
        }
        if let Some(begins) = needle.first().and_then(|first| self.begins.get_mut(usize::from(*first))) {
            *begins = true;
        }
    }

    /// Fills the fallbacks in, the shallow nodes first.
    fn link(&mut self) {
        let mut queue = std::collections::VecDeque::from([ROOT]);
        while let Some(at) = queue.pop_front() {
            let Some(node) = self.nodes.get(at as usize) else { continue };
            let (fallback, children) = (node.fallback, node.children.clone());
            for (byte, child) in &children {
                let target = if at == ROOT { ROOT } else { self.next(fallback, *byte) };
                let (ends, most) = (self.ends(target), self.most(target));
                if let Some(node) = self.nodes.get_mut(*child as usize) {
                    node.fallback = target;
                    node.ends = node.ends.max(ends);
                    node.most = most || node.depth > node.least / 2;
                }
                queue.push_back(*child);
            }
            zeroize::Zeroizing::new(children).iter_mut().for_each(|(byte, _)| byte.zeroize());
        }
    }

    fn node(&self, at: u32) -> Option<&Node> {
        self.nodes.get(at as usize)
    }

    fn child(&self, at: u32, byte: u8) -> Option<u32> {
        self.node(at)?.children.iter().find(|(label, _)| *label == byte).map(|(_, child)| *child)
    }

    /// Whether a needle begins with this byte.
    pub(super) fn begin_with(&self, byte: u8) -> bool {
        self.begins.get(usize::from(byte)).copied().unwrap_or(true)
    }

    /// The state after one more byte.
    pub(super) fn next(&self, mut at: u32, byte: u8) -> u32 {
        loop {
            match self.child(at, byte) {
                Some(child) => return child,
                None if at == ROOT => return ROOT,
                None => at = self.node(at).map_or(ROOT, |node| node.fallback),
            }
        }
    }

    /// How many of the last bytes could be the beginning of a needle.
    pub(super) fn depth(&self, at: u32) -> u32 {
        self.node(at).map_or(0, |node| node.depth)
    }

    /// Whether the last bytes are more than half of a needle, from its beginning.
    pub(super) fn most(&self, at: u32) -> bool {
        self.node(at).is_some_and(|node| node.most)
    }

    /// The length of the longest needle that the last byte completed; 0 for none.
    pub(super) fn ends(&self, at: u32) -> u32 {
        self.node(at).map_or(0, |node| node.ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(needles: &[&str], text: &str, expected: &[(usize, u32)]) {
        let needles = Needles::of(needles.iter().map(|needle| needle.as_bytes()));
        let mut at = ROOT;
        let mut found = Vec::new();
        for (index, byte) in text.bytes().enumerate() {
            at = needles.next(at, byte);
            if needles.ends(at) > 0 {
                found.push((index + 1, needles.ends(at)));
            }
        }
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn every_end_is_found_with_the_longest_that_ends_there() {
        check(&["abc"], "ababcabc", &[(5, 3), (8, 3)]);
        check(&["he", "she", "hers"], "ushers", &[(4, 3), (6, 4)]);
        check(&["aa"], "aaaa", &[(2, 2), (3, 2), (4, 2)]);
        check(&["abcd", "bc"], "abcd", &[(3, 2), (4, 4)]);
        check(&[], "abc", &[]);
        check(&[""], "abc", &[]);
    }

    #[test]
    fn more_than_half_of_the_shortest_is_known_wherever_it_stands() {
        let needles = Needles::of(["sec", "abcsexyz", "ab"].iter().map(|needle| needle.as_bytes()));
        let mut at = ROOT;
        let most: Vec<bool> = "a-abcsexy"
            .bytes()
            .map(|byte| {
                at = needles.next(at, byte);
                needles.most(at)
            })
            .collect();
        // `a` is no more than half of `ab`, and in `abcse` there is most of `sec`.
        assert_eq!(most, [false, false, false, true, false, false, true, true, true]);
    }

    #[test]
    fn base64_is_found_wherever_the_secret_stands() {
        for alphabet in [Alphabet::Standard, Alphabet::UrlSafe] {
            for before in 0..7 {
                for after in 0..4 {
                    let text = ["<".repeat(before).as_bytes(), b"sec~ret?>", ">".repeat(after).as_bytes()].concat();
                    let needles = Needles::of([&b"sec~ret?>"[..]]);
                    let mut at = ROOT;
                    let found = base64::digits(&text, alphabet).iter().any(|digit| {
                        at = needles.next(at, *digit);
                        needles.ends(at) >= 10
                    });
                    assert!(found, "{before} {after} {alphabet:?}");
                }
            }
        }
    }
}
