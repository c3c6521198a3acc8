//! Takes secrets out of a stream of bytes: `[outcall:secret]` stands where one stood.
//!
//! A secret is found as it is and in base64, and both under percent-encoding, in strings of JSON and in HTML, however the
//! bytes come in. What is held back is only what may be the beginning of a match. What holds no secret passes unchanged.
//!
//! Invariant: what was given out is never the whole of a needle, nor is its marker's text changed by how the bytes came in.

use std::collections::VecDeque;
use std::sync::Arc;

use zeroize::Zeroize;

pub(crate) mod base64;
mod needles;
mod view;

pub use needles::{ENCODED_MIN_BYTES, Needles};
use view::{Reading, View};

/// What stands in a secret's place.
pub const MARKER: &[u8] = b"[outcall:secret]";

/// A stream of bytes on its way through.
pub struct Redactor {
    needles: Arc<Needles>,
    views: [View; Reading::ALL.len()],
    /// What came in and was not given out, from `base` on.
    held: VecDeque<u8>,
    base: u64,
    /// What is to be taken out, in order, not overlapping.
    covered: Vec<Covered>,
    /// Up to where the last marker reaches.
    marked: u64,
    found: bool,
}

/// A range of bytes that a marker stands for.
#[derive(Debug, Clone, Copy)]
struct Covered {
    start: u64,
    end: u64,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").field("found", &self.found).finish_non_exhaustive()
    }
}

impl Drop for Redactor {
    fn drop(&mut self) {
        self.held.make_contiguous().zeroize();
    }
}

impl Redactor {
    /// At the beginning of a stream.
    pub fn new(needles: Arc<Needles>) -> Redactor {
        Redactor {
            needles,
            views: Reading::ALL.map(View::new),
            held: VecDeque::new(),
            base: 0,
            covered: Vec::new(),
            marked: 0,
            found: false,
        }
    }

    /// Whether a secret was found so far.
    pub fn found(&self) -> bool {
        self.found
    }

    /// Takes in what comes next, and gives out what can be.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while let [byte, after @ ..] = bytes {
            if self.held.is_empty() && self.views.iter().all(View::idle) {
                let plain = bytes.iter().take_while(|byte| !self.begins(**byte)).count();
                if let (passed @ [_, ..], rest) = bytes.split_at_checked(plain).unwrap_or_default() {
                    out.extend_from_slice(passed);
                    self.base += passed.len() as u64;
                    bytes = rest;
                    continue;
                }
            }
            let at = self.base + self.held.len() as u64;
            self.held.push_back(*byte);
            for index in 0..self.views.len() {
                let (needles, covered, marked) = (&self.needles, &mut self.covered, self.marked);
                let found = &mut self.found;
                if let Some(view) = self.views.get_mut(index) {
                    view.take(needles, *byte, at, &mut |start, end| {
                        *found = true;
                        // What a marker already stands for needs no second one.
                        cover(covered, Covered { start, end }, marked);
                    });
                }
            }
            let end = at + 1;
            let safe = self.views.iter().filter_map(View::since).min().unwrap_or(end);
            self.release(safe, out);
            bytes = after;
        }
    }

    /// Gives out what was held back, for those who cannot wait for what follows. Matches that are in progress go on, and are
    /// found although their beginning is given out: of a secret that is half of it at most, as more is as good as found.
    pub fn let_go(&mut self, out: &mut Vec<u8>) {
        self.found |= self.views.iter().any(|view| view.most(&self.needles));
        let end = self.base + self.held.len() as u64;
        self.release(end, out);
    }

    /// Gives out what was held back: nothing follows.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let end = self.base + self.held.len() as u64;
        self.release(end, out);
        self.views = Reading::ALL.map(View::new);
    }

    /// Whether a match, in whichever reading, may begin with this byte.
    fn begins(&self, byte: u8) -> bool {
        self.needles.begin_with(byte) || Reading::ALL.iter().any(|reading| reading.escape(byte))
    }

    /// Gives out what stands before `safe`, from where on a match may be in progress.
    fn release(&mut self, safe: u64, out: &mut Vec<u8>) {
        loop {
            let next = self.covered.first().copied();
            let plain = next.map_or(safe, |covered| covered.start.min(safe));
            let length = self.length_to(plain);
            out.extend(self.held.drain(..length));
            self.base += length as u64;
            match next {
                Some(Covered { start, end }) if start <= safe => {
                    if start >= self.marked {
                        out.extend_from_slice(MARKER);
                    }
                    let length = self.length_to(end);
                    let (first, second) = self.held.as_mut_slices();
                    for byte in first.iter_mut().chain(second).take(length) {
                        byte.zeroize();
                    }
                    self.held.drain(..length);
                    self.base += length as u64;
                    self.marked = self.marked.max(end);
                    self.covered.remove(0);
                }
                _ => return,
            }
        }
    }

    /// How many of the held bytes stand before `at`.
    fn length_to(&self, at: u64) -> usize {
        usize::try_from(at.saturating_sub(self.base)).unwrap_or(usize::MAX).min(self.held.len())
    }
}

/// Adds a range to those that are to be taken out, as one with those that it overlaps.
fn cover(covered: &mut Vec<Covered>, mut new: Covered, marked: u64) {
    if new.end <= marked {
        return;
    }
    covered.retain(|old| {
        let apart = old.end <= new.start || new.end <= old.start;
        if !apart {
            new = Covered { start: old.start.min(new.start), end: old.end.max(new.end) };
        }
        apart
    });
    let at = covered.partition_point(|old| old.start < new.start);
    covered.insert(at, new);
}

/// `bytes` without the secrets; `None` where there are none.
pub fn redacted(needles: &Arc<Needles>, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut redactor = Redactor::new(Arc::clone(needles));
    let mut out = Vec::with_capacity(bytes.len());
    redactor.push(bytes, &mut out);
    redactor.finish(&mut out);
    redactor.found.then_some(out)
}

#[cfg(test)]
mod tests;
