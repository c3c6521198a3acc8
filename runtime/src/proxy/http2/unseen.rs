//! Requests that `h2` refuses before anybody here sees them: read off what it answers.
//!
//! A head with two paths, with another target than a path or with fields of a connection is an error of its stream to it (RFC
//! 9113, section 8.1.1): it resets the stream and says nothing of it. One that is too large it answers with a 431, and says
//! nothing of that either. These are refusals like any other and leave their records.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The type of `HEADERS`, and the flag of those that are all of a message (RFC 9113, section 6.2).
const HEADERS: u8 = 1;
const END_STREAM: u8 = 1;
/// The type of `RST_STREAM`, the length of its payload and the code for what makes no sense (RFC 9113, sections 6.4 and 7).
const RST_STREAM: u8 = 3;
const PAYLOAD: usize = 4;
const PROTOCOL_ERROR: u32 = 1;
/// The length of a frame's head, and of a whole frame that resets a stream.
const HEAD: usize = 9;
const WHOLE: usize = HEAD + PAYLOAD;
/// How many requests are remembered: more than are ever under way between two looks.
const REMEMBERED: usize = 1024;

/// What was written to a stream that nobody here may have seen the request of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It was reset as nonsense.
    Nonsense,
    /// It was answered by a head alone: of what was not seen, as too large.
    Bare,
}

/// The streams of which that was written, in that order. Of those reset, as many at a time as `h2` resets before it ends the
/// connection, a thousand; of the others, as many as there may be at a time.
#[derive(Debug, Clone, Default)]
pub(super) struct Resets(Arc<Mutex<Vec<(u32, Why)>>>);

impl Resets {
    /// Those since the last time.
    pub(super) fn take(&self) -> Vec<(u32, Why)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The requests that were seen last.
#[derive(Debug, Default)]
pub(super) struct Seen(VecDeque<u32>);

impl Seen {
    /// Remembers a request.
    pub(super) fn add(&mut self, stream: u32) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(stream);
    }

    /// Whether the request of a stream never came this far. Numbers of streams only rise, so what is older than all that is
    /// remembered is a request that was seen long ago.
    pub(super) fn lacks(&self, stream: u32) -> bool {
        let old = self.0.len() == REMEMBERED && self.0.front().is_some_and(|oldest| stream < *oldest);
        !old && !self.0.contains(&stream)
    }
}

/// A connection of which is followed what is written to it.
#[derive(Debug)]
pub(super) struct Watched<T> {
    stream: T,
    frames: Frames,
    resets: Resets,
}

impl<T> Watched<T> {
    pub(super) fn new(stream: T, resets: &Resets) -> Watched<T> {
        Watched { stream, frames: Frames::default(), resets: resets.clone() }
    }

    fn follow(&mut self, bytes: &[u8]) {
        let Watched { frames, resets, .. } = self;
        frames.follow(bytes, |stream, why| resets.0.lock().unwrap_or_else(PoisonError::into_inner).push((stream, why)));
    }
}

/// Follows frames through the bytes of a connection.
#[derive(Debug, Default)]
struct Frames {
    /// What is left of a payload that is of no interest.
    skip: usize,
    head: [u8; WHOLE],
    filled: usize,
}

impl Frames {
    /// Says which streams these bytes, which come next, reset as nonsense or answer by a head alone.
    fn follow(&mut self, mut bytes: &[u8], mut found: impl FnMut(u32, Why)) {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            let Some((byte, rest)) = bytes.get(skipped..).and_then(<[u8]>::split_first) else { return };
            bytes = rest;
            if let Some(place) = self.head.get_mut(self.filled) {
                *place = *byte;
            }
            self.filled += 1;
            let [high, middle, low, kind, flags, stream @ .., a, b, c, d] = self.head;
            let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
            match self.filled {
                HEAD if kind != RST_STREAM || length != PAYLOAD => {
                    (self.skip, self.filled) = (length, 0);
                    if kind == HEADERS && flags & END_STREAM != 0 {
                        found(u32::from_be_bytes(stream), Why::Bare);
                    }
                }
                WHOLE => {
                    self.filled = 0;
                    if u32::from_be_bytes([a, b, c, d]) == PROTOCOL_ERROR {
                        found(u32::from_be_bytes(stream), Why::Nonsense);
                    }
                }
                _ => {}
            }
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(written)) = polled {
            self.follow(bytes.get(..written).unwrap_or_default());
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        if let Poll::Ready(Ok(mut written)) = polled {
            for slice in slices {
                let length = slice.len().min(written);
                self.follow(slice.get(..length).unwrap_or_default());
                written -= length;
            }
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flagged(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let [.., high, middle, low] = payload.len().to_be_bytes();
        [&[high, middle, low, kind, flags][..], &stream.to_be_bytes(), payload].concat()
    }

    fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        flagged(kind, 0, stream, payload)
    }

    #[test]
    fn resets_are_found_however_the_bytes_go_out() {
        let frames = [
            frame(4, 0, &[]),
            frame(3, 1, &[0, 0, 0, 1]),
            // A payload that looks like one.
            frame(0, 3, &frame(3, 3, &[0, 0, 0, 1])),
            frame(3, 5, &[0, 0, 0, 8]),
            frame(1, 7, &[3; 70_000]),
            frame(3, 0x0102_0304, &[0, 0, 0, 1]),
            frame(3, 9, &[0, 0, 0, 1, 0]),
            frame(3, 11, &[0, 0, 0, 1]),
            flagged(1, 5, 13, &[0x88, 0x88]),
            flagged(0, 1, 15, &[1; 3]),
        ];
        let sent = frames.concat();
        for piece in [1, 2, 8, 9, 10, 13, 1_000, sent.len()] {
            let (mut follower, mut found) = (Frames::default(), Vec::new());
            sent.chunks(piece).for_each(|bytes| follower.follow(bytes, |stream, why| found.push((stream, why))));
            let expected = [(1, Why::Nonsense), (0x0102_0304, Why::Nonsense), (11, Why::Nonsense), (13, Why::Bare)];
            assert_eq!(found, expected, "{piece}");
        }
    }

    #[test]
    fn a_request_that_was_seen_is_not_taken_for_one_that_was_not() {
        let mut seen = Seen::default();
        assert!(seen.lacks(1));
        (0..2000).for_each(|number| seen.add(4 * number + 1));
        for (stream, lacks) in [(1, false), (3, false), (5001, false), (5003, true), (7997, false), (7999, true)] {
            assert_eq!(seen.lacks(stream), lacks, "{stream}");
        }
    }
}
